"""The details of each generated token, stored compactly: some bytes a token, no objects."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.generation.events import Likeliest, WrittenToken

KEPT_TOKENS = 10
"""Tokens of a distribution that are kept."""
LIMITS = (1.0, 3.0, 6.0)
"""The bits of surprise at which each next level begins."""
LEVELS = ("under 1 bit", "1 to 3", "3 to 6", "6 and more")
"""The levels in words."""
SHADINGS = ("plain", "colour", "marks")
"""How a text shows surprise: not at all, by its background, or by dim, plain, bold and bold underlined."""


@dataclass(frozen=True)
class TokenDetail:
    """One token: what it added to the text, its surprise in bits, and the most likely tokens of two distributions.

    ``drawn`` is the one after all filters, ``model`` the model's own; as (token, probability).
    """

    text: str
    surprise: float
    drawn: Likeliest
    model: Likeliest

    @property
    def probability(self) -> float:
        """The token's probability for the model itself."""
        return float(2.0**-self.surprise)

    def place_in(self, distribution: Likeliest) -> int | None:
        """The rank of this token in a distribution, or None; a blank or line end before it is ignored."""
        for name in (self.text, self.text.lstrip("\n ")):
            for place, (token, _) in enumerate(distribution):
                if token == name:
                    return place
        return None

    @property
    def was_filtered(self) -> bool:
        """Whether filters have visibly changed the distribution."""
        own = dict(self.model)
        return sum(abs(own.get(name, 0.0) - probability) for name, probability in self.drawn) > 0.01


class TokenDetails(Sequence[TokenDetail]):
    """The tokens of one text, in order. ``starts`` are their first characters, counted from the first token's."""

    def __init__(self) -> None:
        self.starts = array("L")
        self.bits = array("f")
        self.end = 0
        self._texts: list[str] = []
        self._numbers: dict[str, int] = {}  # of each different text
        self._own = array("L")
        # For each token KEPT_TOKENS entries drawn from and KEPT_TOKENS of the model's; -1 where there are fewer.
        self._names = array("l")
        self._probabilities = array("f")

    def add(self, tokens: Sequence[WrittenToken]) -> None:
        for token in tokens:
            entries = [*token.top[:KEPT_TOKENS]]
            entries += [("", -1.0)] * (KEPT_TOKENS - len(entries))
            entries += token.model[:KEPT_TOKENS]
            entries += [("", -1.0)] * (2 * KEPT_TOKENS - len(entries))
            self._names.extend(self._number(name) if probability >= 0 else -1 for name, probability in entries)
            self._probabilities.extend(probability for _, probability in entries)
            self._own.append(self._number(token.text))
            self.starts.append(self.end)
            self.bits.append(token.surprise)
            self.end += len(token.text)

    def _number(self, text: str) -> int:
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self._texts)
            self._texts.append(text)
        return number

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        first = 2 * KEPT_TOKENS * (index % len(self))
        drawn, model = (self._distribution(first + part) for part in (0, KEPT_TOKENS))
        return TokenDetail(self._texts[self._own[index]], self.bits[index], drawn, model)

    def _distribution(self, first: int) -> Likeliest:
        entries = zip(
            self._names[first : first + KEPT_TOKENS], self._probabilities[first : first + KEPT_TOKENS], strict=True
        )
        return tuple((self._texts[name], probability) for name, probability in entries if name >= 0)

    def at(self, character: int) -> int:
        """The token that a character belongs to, or the nearest."""
        return min(max(0, bisect_right(self.starts, character) - 1), len(self) - 1)

    def span(self, index: int) -> tuple[int, int]:
        """The first and last offset of a token, without a blank or line end before it."""
        start, text = self.starts[index], self._texts[self._own[index]]
        lead = len(text) - len(text.lstrip("\n ")) if len(text) > 1 else 0
        return start + min(lead, len(text) - 1) if text else start, start + len(text)

    def level(self, index: int) -> int:
        """The level of a token's surprise, an index of ``LEVELS``."""
        return bisect_right(LIMITS, self.bits[index])

    @property
    def mean(self) -> float:
        """Bits a token."""
        return sum(self.bits) / len(self.bits) if self.bits else 0.0
