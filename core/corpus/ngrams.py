"""Counting n-grams: each is packed into one integer; the integers are sorted and counted.

The text is read in pieces, so that memory grows with the number of distinct n-grams and not with the text.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from core.corpus.ids import Ids

Integers = npt.NDArray[np.int64]

LARGEST_KEY = 2**63 - 1
_STEP = 1 << 21
WIDEST_TABLE = 1 << 22


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
        self.keys, self.counts = self._count(ids)

    def __len__(self) -> int:
        return len(self.keys)

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

    def unpack(self, key: int) -> tuple[int, ...]:
        """The ids of a key."""
        if self._beginnings is not None:
            beginning, last = divmod(key, self._base)
            return (*self._beginnings.unpack(int(self._beginnings.keys[beginning])), last)
        return unpacked(key, self.order, self._base)

    def find(self, keys: Integers) -> Integers:
        """The place of each key in ``keys``, int64; -1 if it is missing."""
        if not len(self.keys):
            return np.full(len(keys), -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, place, -1)

    def most_frequent(self, number: int) -> list[tuple[tuple[int, ...], int]]:
        """The ids and the count of the most frequent n-grams; of equally frequent ones those with lower ids first."""
        places = np.arange(len(self.counts))
        if 0 < number < len(places):  # sort only the candidates: there may be millions of others
            least = np.partition(self.counts, len(places) - number)[len(places) - number]
            places = np.flatnonzero(self.counts >= least)
        places = places[np.argsort(-self.counts[places], kind="stable")][: max(number, 0)]
        return [(self.unpack(int(self.keys[place])), int(self.counts[place])) for place in places.tolist()]

    def _count(self, ids: Ids) -> tuple[Integers, Integers]:
        if self._base**self.order <= WIDEST_TABLE:
            table = np.zeros(self._base**self.order, dtype=np.int64)
            for keys in self._pieces(ids):
                table += np.bincount(keys, minlength=len(table))
            keys = np.flatnonzero(table)
            return keys, table[keys]
        # as in a binary counter, two results of about the same size are merged as soon as both exist
        runs: list[tuple[Integers, Integers]] = []
        for keys in self._pieces(ids):
            keys.sort()
            runs.append(reduced(keys, np.ones(len(keys), dtype=np.int64)))
            while len(runs) > 1 and len(runs[-2][0]) <= 2 * len(runs[-1][0]):
                runs.append(merged(runs.pop(), runs.pop()))
        while len(runs) > 1:
            runs.append(merged(runs.pop(), runs.pop()))
        return runs[0] if runs else (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))

    def _pieces(self, ids: Ids) -> Iterator[Integers]:
        for start in range(0, len(ids) - self.order + 1, _STEP):
            yield self.pack(ids[start : start + _STEP + self.order - 1])


def packed(ids: Ids, order: int, base: int) -> Integers:
    """The number of the n-gram at each position, with its ids as digits: int64 (tokens - order + 1,)."""
    number = max(len(ids) - order + 1, 0)
    keys = ids[:number].astype(np.int64)
    for place in range(1, order):
        keys *= base
        keys += ids[place : place + number]
    return keys


def unpacked(key: int, order: int, base: int) -> tuple[int, ...]:
    """The ids of such a number."""
    digits = []
    for _ in range(order):
        key, digit = divmod(key, base)
        digits.append(digit)
    return tuple(reversed(digits))


def merged(left: tuple[Integers, Integers], right: tuple[Integers, Integers]) -> tuple[Integers, Integers]:
    """Two results of ``reduced`` as one."""
    keys = np.concatenate([left[0], right[0]])
    order = np.argsort(keys, kind="stable")  # the stable sort is fastest on two ascending runs
    return reduced(keys[order], np.concatenate([left[1], right[1]])[order])


def reduced(keys: Integers, counts: Integers) -> tuple[Integers, Integers]:
    """Distinct keys with the sum of their counts, of ascending ``keys``."""
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[first], np.add.reduceat(counts, first)
