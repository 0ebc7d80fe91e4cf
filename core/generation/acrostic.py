"""Lines and verses: the tokens that end them, and the plan of an acrostic (藏头): verses with given initials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.corpus.vocabulary import Vocabulary
from core.errors import UserError
from core.generation.options import LINE_END, OPTIONS
from core.settings.run_config import END, START

SENTENCE_ENDS = "。！？"
WORD_ENDS = ".!?。！？"


def line_end(vocabulary: Vocabulary) -> str | None:
    """The token that ends a line, or None if the vocabulary has none.

    If the normalisation replaced line breaks by spaces, it is the space in a text without spaces between words: more
    than half of it is Chinese, Japanese or Korean.
    """
    if START in vocabulary.reserved:
        return None  # each line is a separate text, and ends with a token that is never written
    if "\n" in vocabulary:
        return "\n"
    if vocabulary.kind == "char" and " " in vocabulary:
        is_wide = np.array([len(token) == 1 and ord(token) >= 0x2E80 for token in vocabulary.tokens])
        if 2 * vocabulary.frequencies[is_wide].sum() > vocabulary.frequencies.sum():
            return " "
    return None


def verse_ends(vocabulary: Vocabulary) -> frozenset[int]:
    """The ids of the tokens that end a verse: line breaks and Chinese full stops, and words that end a sentence."""
    ends = {"\n", line_end(vocabulary) or "\n", *SENTENCE_ENDS}
    found = {vocabulary.token_to_id(token) for token in ends if token in vocabulary}
    if vocabulary.kind == "word":
        found |= {index for index, token in enumerate(vocabulary.tokens) if index and token[-1] in WORD_ENDS}
    return frozenset(found)


def stop_ids(vocabulary: Vocabulary, stop: str) -> frozenset[int]:
    """The ids of the tokens that end a text. Raises UserError for tokens that are not in the vocabulary."""
    if not stop:
        return frozenset()
    if stop == LINE_END and LINE_END not in vocabulary:
        token = line_end(vocabulary)
        if token is None and END not in vocabulary.reserved:
            raise UserError("stop: the text of this model has no line ends, name one of its tokens instead")
        return frozenset() if token is None else frozenset({vocabulary.token_to_id(token)})
    tokens = [stop] if stop in vocabulary else vocabulary.split(stop)
    unknown = [token for token in tokens if token not in vocabulary]
    if unknown or not tokens:
        named = ", ".join(repr(token[:20]) for token in unknown[:5]) or repr(stop[:20])
        raise UserError(f"stop must be {LINE_END} or tokens of the model's vocabulary, got {named}")
    return frozenset(vocabulary.token_to_id(token) for token in tokens)


def beginning(vocabulary: Vocabulary) -> list[int]:
    """The ids before the first token of a text: the start token, a line break, or the space before a word."""
    return [vocabulary.token_to_id(token) for token in (START, "\n", " ") if token in vocabulary][:1]


@dataclass(frozen=True)
class Initial:
    """The first token of a verse, as it is shown, and its id (0 if it is not in the vocabulary)."""

    text: str
    id: int


class Acrostic:
    """The plan of one text whose verses begin with given tokens, exactly and in order.

    A verse ends with a line break, at the end of a sentence, or when its share is used up: ``verse_length`` tokens, or
    an equal part of the tokens that are left, so that there is room for the last initial. A verse that is cut ends with
    a line break, if the vocabulary has one. No verse ends directly after its initial.
    """

    def __init__(self, initials: list[Initial], vocabulary: Vocabulary, verse_length: int, length: int) -> None:
        """Raises UserError for more initials than tokens to write."""
        if len(initials) > length:
            raise OPTIONS["length"].refusal(
                f"must be at least {len(initials):,}, one token for each initial, got {length:,}"
            )
        self._initials = initials
        self.verse_ends = verse_ends(vocabulary)
        """Ids that end a verse, and must not be sampled directly after an initial."""
        self._verse_length, self._left = verse_length, length
        self._verse = 0  # verses begun
        self._written = 0  # tokens of this verse
        self._share = 0  # tokens that this verse may have
        token = line_end(vocabulary)
        self._line_end = None if token is None else vocabulary.token_to_id(token)
        self.finished = False

    @property
    def is_after_initial(self) -> bool:
        return self._written == 1

    @property
    def is_last_verse(self) -> bool:
        return self._verse == len(self._initials)

    def forced(self) -> Initial | None:
        """The token that must come next, or None if the model may choose."""
        if self._written == 0:
            return self._initials[self._verse]
        if self._written == self._share - 1 and self._line_end is not None and not self.is_after_initial:
            return Initial("", self._line_end)
        return None

    def wrote(self, token: int) -> None:
        is_initial = self._written == 0
        if is_initial:
            self._share = max(1, min(self._verse_length, self._left // (len(self._initials) - self._verse)))
            self._verse += 1
        self._written += 1
        self._left -= 1
        if self._written >= self._share or (token in self.verse_ends and not is_initial):
            self._written = 0
            self.finished = self.is_last_verse
