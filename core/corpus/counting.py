"""Tokens to ids in one pass: ids in order of first appearance while reading, by frequency at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from core.corpus.draft import Draft, looked_up
from core.corpus.ids import Ids, smallest_type
from core.corpus.normalisation import CodePoints
from core.corpus.vocabulary import LONGEST_WORD, TokenKind, Vocabulary, narrow_code_points
from core.errors import CorpusError

# The types of provisional ids, each with the number of ids that it holds beside the sign of an unknown character.
_TYPES = tuple((np.dtype(kind), int(np.iinfo(kind).max)) for kind in (np.uint8, np.uint16, np.int32))


class Counter:
    """Collects the tokens of a text, up to ``capacity`` of them; 0 for all.

    Until the end the ids are provisional, in order of first appearance, each piece in the smallest type. They are kept
    in memory up to ``in_memory`` bytes, then in the draft that ``draft`` makes.
    """

    kind: ClassVar[TokenKind]

    def __init__(self, capacity: int = 0, draft: Callable[[], Draft] | None = None, in_memory: int = 0) -> None:
        self._capacity, self._make_draft, self._in_memory = capacity, draft, in_memory
        self.draft: Draft | None = None
        self._pieces: list[npt.NDArray[Any]] = []
        self._bytes = self._length = 0
        self._counts = np.zeros(1024, dtype=np.int64)
        self._begin()

    def __len__(self) -> int:
        return self._length

    @property
    def full(self) -> bool:
        """Whether ``capacity`` is reached."""
        return 0 < self._capacity <= self._length

    def _begin(self) -> None:
        """Set up what counts the tokens."""
        raise NotImplementedError

    def add(self, points: CodePoints) -> None:
        """Add the tokens of a piece of text, given as code points."""
        raise NotImplementedError

    def add_text(self, text: str) -> None:
        self.add(narrow_code_points(text))

    def close(self) -> None:
        """Add what the end of the text completes."""

    def discard(self) -> None:
        if self.draft is not None:
            self.draft.close()

    def vocabulary(self, min_freq: int, reserved: Sequence[str]) -> tuple[Vocabulary, npt.NDArray[np.int64]]:
        """The vocabulary, and the final id of each provisional one. Ends the counter."""
        tokens = self._tokens()
        counts = self._counts[: len(tokens)]
        return Vocabulary.from_counts(self.kind, tokens, counts, min_freq=min_freq, reserved=reserved)

    def finish(self, min_freq: int, reserved: Sequence[str]) -> tuple[Ids, Vocabulary]:
        """The ids in memory, in the smallest type, and their vocabulary. Ends the counter."""
        vocabulary, final = self.vocabulary(min_freq, reserved)
        table = final.astype(smallest_type(len(vocabulary)))
        result = np.empty(self._length, dtype=table.dtype)
        place = 0
        for number, ids in enumerate(self._pieces):
            result[place : place + len(ids)] = looked_up(table, ids)
            place += len(ids)
            self._pieces[number] = ids[:0]
        return result, vocabulary

    def drafted(self) -> Draft | None:
        """The draft, with all ids; None if there is no store. Raises StoreError."""
        if self.draft is None and self._make_draft is not None:
            self.draft = self._make_draft()
            for ids in self._pieces:
                self.draft.append(ids)
            self._pieces = []
        return self.draft

    def _make_room(self, distinct: int) -> None:
        if distinct > len(self._counts):
            self._counts = np.concatenate([self._counts, np.zeros(2 * distinct - len(self._counts), dtype=np.int64)])

    def _append(self, ids: npt.NDArray[Any]) -> None:
        """Append provisional ids, which are counted already."""
        self._length += len(ids)
        self._bytes += ids.nbytes
        if self.draft is not None:
            self.draft.append(ids)
            return
        self._pieces.append(ids)
        if self._make_draft is not None and self._bytes > self._in_memory:
            self.drafted()

    def _room(self) -> int | None:
        """How many tokens more are wanted; None for all."""
        return self._capacity - self._length if self._capacity else None

    def _tokens(self) -> list[str]:
        """The distinct tokens by provisional id."""
        raise NotImplementedError


class CharacterCounter(Counter):
    """Characters, by a table over all code points; in it, the largest number of its type is an unknown character."""

    kind = "char"

    def _begin(self) -> None:
        self._known: list[int] = []
        self._widen()

    def add(self, points: CodePoints) -> None:
        points = points[: self._room()]
        if not len(points):
            return
        ids = np.take(self._table, points)  # twice as fast as an index
        counts = self._counted(ids)
        if counts is None:
            new, first = np.unique(points[ids == self._unknown], return_index=True)
            new = new[np.argsort(first)]
            self._known.extend(new.tolist())
            self._widen()
            self._table[new] = np.arange(len(self._known) - len(new), len(self._known))
            ids = np.take(self._table, points)
            counts = self._counted(ids)
            assert counts is not None
        self._make_room(len(counts))
        self._counts[: len(counts)] += counts
        self._append(ids)

    def _counted(self, ids: npt.NDArray[Any]) -> npt.NDArray[np.int64] | None:
        """How often each id occurs; None if there is an unknown character among them."""
        if ids.itemsize > 2 and ids.max() == self._unknown:
            return None
        counts = _histogram(ids)
        return None if counts[self._unknown : self._unknown + 1].any() else counts[: len(self._known)]

    def _widen(self) -> None:
        """The table in the smallest type for what is known."""
        dtype, unknown = next(found for found in _TYPES if len(self._known) <= found[1])
        if not hasattr(self, "_table") or self._table.dtype != dtype:
            self._unknown = unknown
            self._table: npt.NDArray[Any] = np.full(0x110000, unknown, dtype=dtype)
            self._table[self._known] = np.arange(len(self._known))

    def _tokens(self) -> list[str]:
        return list(map(chr, self._known))


def _histogram(ids: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """How often each id occurs; bytes are counted in pairs, which is twice as fast."""
    if ids.itemsize > 1 or len(ids) < 1 << 16:
        return np.bincount(ids)
    even = len(ids) & ~1
    pairs = np.bincount(ids[:even].view(np.uint16), minlength=1 << 16).reshape(256, 256)
    counts: npt.NDArray[np.int64] = pairs.sum(axis=0) + pairs.sum(axis=1)
    counts[ids[even:]] += 1
    return counts


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

    def _begin(self) -> None:
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
        words = words[: self._room()]
        if words:
            ids = np.fromiter(map(self._numbers.__getitem__, words), dtype=np.int64, count=len(words))
            self._make_room(len(self._numbers))
            np.add.at(self._counts, ids, 1)
            self._append(ids.astype(smallest_type(len(self._numbers))))

    def _tokens(self) -> list[str]:
        words = list(self._numbers)
        self._numbers.clear()  # before the vocabulary makes a dictionary of the same words
        return words


def _too_long() -> CorpusError:
    return CorpusError(
        f"the text has more than {LONGEST_WORD:,} characters without white space, which is not a word: "
        "choose characters as tokens"
    )


def counter(tokens: str, capacity: int = 0, draft: Callable[[], Draft] | None = None, in_memory: int = 0) -> Counter:
    return (CharacterCounter if tokens == "char" else WordCounter)(capacity, draft, in_memory)
