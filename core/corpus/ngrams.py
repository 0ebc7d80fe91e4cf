"""The n-grams of a text in memory: each is packed into one integer; the integers are sorted and counted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.corpus.ids import Ids, pieces

Integers = npt.NDArray[np.int64]

LARGEST_KEY = 2**63 - 1
WIDEST_TABLE = 1 << 22
_STEP = 1 << 21


class NGrams:
    """The distinct n-grams of a text and how often each occurs.

    An n-gram of ids is the number with these digits in the base of the vocabulary's size. Where that would not fit
    into 63 bits, the distinct (n-1)-grams are numbered, and that number replaces the first n-1 digits.

    Attributes:
        order: n.
        keys: int64 (distinct,), ascending.
        counts: int64 (distinct,), of each key.
    """

    def __init__(self, ids: Ids, order: int, vocabulary_size: int, largest_key: int = LARGEST_KEY) -> None:
        """``ids`` (tokens,), all below ``vocabulary_size``. Shorter texts than ``order`` have no n-grams."""
        self.order = order
        self._base = vocabulary_size
        self._beginnings: NGrams | None = None
        if order > 1 and vocabulary_size**order > largest_key:
            self._beginnings = NGrams(ids, order - 1, vocabulary_size, largest_key)
        if self._beginnings is None and vocabulary_size**order <= WIDEST_TABLE:
            self.keys, self.counts = tabled(ids, order, vocabulary_size)
        else:
            self.keys, self.counts = np.unique(self.pack(ids), return_counts=True)

    @property
    def total(self) -> int:
        """The number of n-grams in the text, repeated ones included."""
        return int(self.counts.sum())

    def pack(self, ids: Ids) -> Integers:
        """The key of the n-gram at each position, int64 (tokens - order + 1,); -1 if its beginning is unknown."""
        number = max(len(ids) - self.order + 1, 0)
        if self.order == 1:
            return ids.astype(np.int64)
        if self._beginnings is None:
            return packed(ids, self.order, self._base)
        beginning = self._beginnings.find(self._beginnings.pack(ids[: max(len(ids) - 1, 0)]))
        last = ids[self.order - 1 : self.order - 1 + number].astype(np.int64)
        return np.where(beginning >= 0, beginning * self._base + last, -1)

    def find(self, keys: Integers) -> Integers:
        """The place of each key in ``keys``, int64; -1 if it is missing."""
        if not len(self.keys):
            return np.full(len(keys), -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, place, -1)


def packed(ids: Ids, order: int, base: int) -> Integers:
    """The number of the n-gram at each position, with its ids as digits: int64 (tokens - order + 1,)."""
    number = max(len(ids) - order + 1, 0)
    keys = ids[:number].astype(np.int64)
    for place in range(1, order):
        keys *= base
        keys += ids[place : place + number]
    return keys


def tabled(ids: Ids, order: int, size: int) -> tuple[Integers, Integers]:
    """The distinct numbers of the n-grams, ascending, and their counts, by a table of all ``size ** order``."""
    table = np.zeros(size**order, dtype=np.int64)
    for piece in pieces(ids, _STEP, order - 1):
        table += np.bincount(packed(piece, order, size), minlength=len(table))
    keys = np.flatnonzero(table)
    return keys, table[keys]
