"""Lines and verses: which tokens end them, and the plan of an acrostic (藏头): verses with given beginnings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.config import END, START
from core.corpus.vocabulary import Vocabulary
from core.errors import UserError
from core.generation.options import LINE_END

SENTENCE_ENDS = "。！？"
WORD_ENDS = ".!?。！？"


def line_end(vocabulary: Vocabulary) -> str | None:
    """The token that ends a line, or None where the model knows none.

    Where a normalisation has turned line ends into blanks, a blank is the end of a line if the text is written without
    blanks between words: if more than half of it is Chinese, Japanese or Korean.
    """
    if START in vocabulary.reserved:
        return None  # each line is a text of its own, and ends with a token that is never written
    if "\n" in vocabulary:
        return "\n"
    if vocabulary.kind == "char" and " " in vocabulary:
        is_wide = np.array([len(token) == 1 and ord(token) >= 0x2E80 for token in vocabulary.tokens])
        if 2 * vocabulary.frequencies[is_wide].sum() > vocabulary.frequencies.sum():
            return " "
    return None


def verse_ends(vocabulary: Vocabulary) -> frozenset[int]:
    """The ids of the tokens that end a verse: line ends, and what ends a sentence in Chinese, or any word that does."""
    ends = {"\n", line_end(vocabulary) or "\n", *SENTENCE_ENDS}
    found = {vocabulary.token_to_id(token) for token in ends if token in vocabulary}
    if vocabulary.kind == "word":
        found |= {index for index, token in enumerate(vocabulary.tokens) if index and token[-1] in WORD_ENDS}
    return frozenset(found)


def stop_ids(vocabulary: Vocabulary, stop: str) -> frozenset[int]:
    """The ids of the tokens that end a text. Raises UserError for tokens that the model does not know."""
    if not stop:
        return frozenset()
    if stop == LINE_END and LINE_END not in vocabulary:
        token = line_end(vocabulary)
        if token is None and END not in vocabulary.reserved:
            raise UserError("stop: this model has read a text without line ends, name a token of it instead")
        return frozenset() if token is None else frozenset({vocabulary.token_to_id(token)})
    tokens = [stop] if stop in vocabulary else vocabulary.split(stop)
    unknown = [token for token in tokens if token not in vocabulary]
    if unknown or not tokens:
        named = ", ".join(repr(token[:20]) for token in unknown[:5]) or repr(stop[:20])
        raise UserError(f"stop must be {LINE_END} or tokens of the model's vocabulary, got {named}")
    return frozenset(vocabulary.token_to_id(token) for token in tokens)


def beginning(vocabulary: Vocabulary) -> list[int]:
    """What a model reads before the first token of a text: the start token, a line end, or the blank before a word."""
    for token in (START, "\n", " "):
        if token in vocabulary:
            return [vocabulary.token_to_id(token)]
    return []


@dataclass(frozen=True)
class Head:
    """The beginning of a verse: the token as it is shown, and its id (0 where the model does not know it)."""

    text: str
    id: int


class Acrostic:
    """The plan of one text whose verses begin with given tokens, exactly and in order.

    A verse ends with a line end or the end of a sentence, or when it has had its share: ``verse_length`` tokens, or an
    equal part of what is left of the text's length, so that the last head still has a place. A verse that was cut ends
    with a line end, where the model knows one. Directly behind a head no verse ends.
    """

    def __init__(self, heads: list[Head], vocabulary: Vocabulary, verse_length: int, length: int) -> None:
        """Raises UserError where there are more heads than tokens to write."""
        if len(heads) > length:
            raise UserError(f"length must be at least {len(heads):,}, one token for each head, got {length:,}")
        self._heads = heads
        self._ends = verse_ends(vocabulary)
        self._verse_length, self._left = verse_length, length
        self._verse = 0  # verses begun
        self._written = 0  # tokens of this verse
        self._share = 0  # tokens that this verse may have
        token = line_end(vocabulary)
        self._line_end = None if token is None else vocabulary.token_to_id(token)
        self.finished = False
        self.kept_open = self._ends
        """What must not be drawn directly behind a head."""

    @property
    def is_behind_head(self) -> bool:
        """Whether the token before this one was a head."""
        return self._written == 1

    @property
    def is_last_verse(self) -> bool:
        """Whether the last head has been written."""
        return self._verse == len(self._heads)

    def forced(self) -> Head | None:
        """What must come next whatever the model would like, or None where the model is free."""
        if self._written == 0:
            return self._heads[self._verse]
        if self._written == self._share - 1 and self._line_end is not None and not self.is_behind_head:
            return Head("", self._line_end)
        return None

    def wrote(self, token: int) -> None:
        """Take note of the token that has come."""
        is_head = self._written == 0
        if is_head:
            self._share = max(1, min(self._verse_length, self._left // (len(self._heads) - self._verse)))
            self._verse += 1
        self._written += 1
        self._left -= 1
        if self._written >= self._share or (token in self._ends and not is_head):
            self._written = 0
            self.finished = self.is_last_verse
