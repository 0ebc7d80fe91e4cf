"""Tokens to ids in one pass: ids in order of first appearance while reading, by frequency at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from core.corpus.normalisation import CodePoints
from core.corpus.vocabulary import LONGEST_WORD, TokenKind, Vocabulary, code_points
from core.errors import CorpusError

_SMALL = 2**16
_STEP = 1 << 20


class Counter:
    """Collects the tokens of a text, up to ``capacity`` of them.

    Until ``finish`` the ids are provisional, in order of first appearance, in one array of the largest possible size,
    which is never copied: memory that is not written to costs nothing.
    """

    kind: ClassVar[TokenKind]

    def __init__(self, capacity: int) -> None:
        self._ids: npt.NDArray[Any] = np.empty(capacity, dtype=np.uint16)
        self._length = 0
        self._counts = np.zeros(1024, dtype=np.int64)

    def __len__(self) -> int:
        return self._length

    @property
    def full(self) -> bool:
        """Whether ``capacity`` is reached."""
        return self._length >= len(self._ids)

    def add(self, points: CodePoints) -> None:
        """Add the tokens of a piece of text, given as code points."""
        raise NotImplementedError

    def add_text(self, text: str) -> None:
        """Add the tokens of a piece of text."""
        self.add(code_points(text))

    def close(self) -> None:
        """Add what the end of the text completes."""

    def finish(
        self, min_freq: int, reserved: Sequence[str]
    ) -> tuple[npt.NDArray[np.uint16] | npt.NDArray[np.int32], Vocabulary]:
        """The ids, uint16 or int32 (tokens,), and their vocabulary. Ends the counter."""
        tokens = self._tokens()
        counts = self._counts[: len(tokens)]
        vocabulary, final = Vocabulary.from_counts(self.kind, tokens, counts, min_freq=min_freq, reserved=reserved)
        ids = self._ids
        ids.resize(self._length, refcheck=False)  # frees the rest in place
        dtype = np.dtype(np.uint16 if len(vocabulary) <= _SMALL else np.int32)
        result = ids if ids.dtype == dtype else np.empty(len(ids), dtype=dtype)
        final = final.astype(dtype)
        for start in range(0, len(ids), _STEP):
            result[start : start + _STEP] = final[ids[start : start + _STEP]]
        self._ids = np.empty(0, dtype=np.uint16)
        return result, vocabulary

    def _append(self, ids: npt.NDArray[np.integer[Any]], distinct: int) -> None:
        """Append provisional ids, all below ``distinct``."""
        if distinct > _SMALL and self._ids.dtype == np.uint16:
            wider = np.empty(len(self._ids), dtype=np.int32)
            wider[: self._length] = self._ids[: self._length]
            self._ids = wider
        if distinct > len(self._counts):
            self._counts = np.concatenate([self._counts, np.zeros(2 * distinct - len(self._counts), dtype=np.int64)])
        counts = np.bincount(ids)
        self._counts[: len(counts)] += counts
        self._ids[self._length : self._length + len(ids)] = ids
        self._length += len(ids)

    def _tokens(self) -> list[str]:
        """The distinct tokens by provisional id."""
        raise NotImplementedError


class CharacterCounter(Counter):
    """Characters, by a table over all code points."""

    kind = "char"

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._table = np.full(0x110000, -1, dtype=np.int64)  # int64, numpy's own index type
        self._known: list[int] = []

    def add(self, points: CodePoints) -> None:
        points = points[: len(self._ids) - self._length]
        if not len(points):
            return
        ids = self._table[points]
        if ids.min() < 0:
            new, first = np.unique(points[ids < 0], return_index=True)
            new = new[np.argsort(first)]
            self._table[new] = np.arange(len(self._known), len(self._known) + len(new))
            self._known.extend(new.tolist())
            ids = self._table[points]
        self._append(ids, len(self._known))

    def _tokens(self) -> list[str]:
        return list(map(chr, self._known))


class _NumberedByAppearance(dict[str, int]):
    """A dictionary that gives each new key the next number: one C call a word."""

    def __missing__(self, key: str) -> int:
        if len(key) > LONGEST_WORD:
            raise _too_long()
        number = self[key] = len(self)
        return number


class WordCounter(Counter):
    """Words, separated by white space; a word may continue in the next piece."""

    kind = "word"

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._numbers = _NumberedByAppearance()
        self._open: list[str] = []  # the parts of a word that the next piece may continue

    def add_text(self, text: str) -> None:
        if not text:
            return
        goes_on, stays_open = not text[0].isspace(), not text[-1].isspace()
        words = text.split()
        if goes_on:
            self._open.append(words.pop(0))
        if words or not goes_on or not stays_open:
            ended = self._open
            self._open = [words.pop()] if stays_open else []
            self._add_words(["".join(ended), *words] if ended else words)
        elif sum(map(len, self._open)) > LONGEST_WORD:
            raise _too_long()

    def close(self) -> None:
        self._add_words(["".join(self._open)] if self._open else [])
        self._open = []

    def _add_words(self, words: list[str]) -> None:
        del words[len(self._ids) - self._length :]
        if words:
            ids = np.fromiter(map(self._numbers.__getitem__, words), dtype=np.int64, count=len(words))
            self._append(ids, len(self._numbers))

    def _tokens(self) -> list[str]:
        words = list(self._numbers)
        self._numbers.clear()  # before the vocabulary makes a dictionary of the same words
        return words


def _too_long() -> CorpusError:
    return CorpusError(
        f"the text has more than {LONGEST_WORD:,} characters without white space, which is not a word: "
        "choose characters as tokens"
    )


def counter(tokens: str, capacity: int) -> Counter:
    """A new counter of characters or words."""
    return CharacterCounter(capacity) if tokens == "char" else WordCounter(capacity)
