"""Counting the n-grams of a text of any length: exact, in bounded memory, by sorted runs on the disk.

Keys are as in ``core.corpus.ngrams``. Distinct ones are collected in memory; when there are too many, they are written
to a file as a sorted run, and runs are merged block by block. Where a key would not fit into 63 bits, the text is read
several times, each time for the n-grams that begin with some of the tokens.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from core.corpus.ids import Ids, pieces
from core.corpus.ngrams import LARGEST_KEY, WIDEST_TABLE, Integers, packed, tabled
from core.errors import CorpusError

MOST_IN_MEMORY = 1 << 22
"""Distinct n-grams in memory; while they are merged they take up to 64 bytes each."""
STEP = 1 << 21
BLOCK = 1 << 15
MOST_RUNS = 32
Counted = tuple[Integers, Integers]
"""Distinct keys, ascending, and the count of each."""


@dataclass(frozen=True)
class GramCounts:
    """The n-grams of a text.

    Attributes:
        order: n.
        distinct: how many different ones there are.
        counts: each different count once, descending.
        times: how many n-grams have each of the ``counts``.
        top: the most frequent ones with their counts; of equally frequent ones those with lower ids first.
        disk_bytes: what the sorted runs took on the disk at most; 0 if memory was enough.
    """

    order: int
    distinct: int
    counts: Integers
    times: Integers
    top: list[tuple[tuple[int, ...], int]]
    disk_bytes: int = 0


def count_grams(
    ids: Ids, order: int, vocabulary_size: int, top: int, folder: Path, most: int = MOST_IN_MEMORY,
    largest_key: int = LARGEST_KEY,
) -> GramCounts:  # fmt: skip
    """Count the n-grams of ``ids`` (tokens,), all below ``vocabulary_size``; runs are written in ``folder``.

    ``most``: distinct ones in memory. Raises CorpusError if the disk fails.
    """
    runs = _Runs(folder, most)
    # so many first tokens have keys that fit
    width = min(vocabulary_size, max(1, largest_key // vocabulary_size ** (order - 1)))
    try:
        found = _Collected(top)
        for first in range(0, vocabulary_size, width):
            runs.begin()
            if width == vocabulary_size and width**order <= WIDEST_TABLE:
                blocks: Iterable[Counted] = [tabled(ids, order, vocabulary_size)]
            else:
                _collect(runs, ids, order, vocabulary_size, first, width)
                blocks = runs.merged()
            for keys, counts in blocks:
                found.add(keys, counts, first * vocabulary_size ** (order - 1), order, vocabulary_size)
        return GramCounts(order, found.distinct, *found.counts(), found.top(), runs.peak)
    except OSError as error:
        raise CorpusError(
            f"the n-grams of this text need room in {folder}, which cannot be written ({error.strerror or error}): "
            "free some space there, or choose fewer max_tokens"
        ) from None
    finally:
        runs.close()


def _collect(runs: _Runs, ids: Ids, order: int, size: int, first: int, width: int) -> None:
    for piece in pieces(ids, STEP, order - 1):
        beginnings = piece[: max(len(piece) - order + 1, 0)]
        if width == size:
            keys = packed(piece, order, size)
        else:
            places = np.flatnonzero((beginnings >= first) & (beginnings < first + width))
            keys = piece[places].astype(np.int64) - first
            for place in range(1, order):
                keys *= size
                keys += piece[places + place]
        if len(keys):
            keys.sort()
            runs.add(_reduced(keys, np.ones(len(keys), dtype=np.int64)))


class _Collected:
    """What is wanted of a stream of distinct n-grams."""

    def __init__(self, top: int) -> None:
        self.distinct = 0
        self._number = top
        self._top: list[tuple[int, tuple[int, ...]]] = []
        self._least = 0
        self._counts: list[Integers] = []
        self._times: dict[int, int] = {}

    def add(self, keys: Integers, counts: Integers, base: int, order: int, size: int) -> None:
        """Add some, with greater keys than all before."""
        self.distinct += len(keys)
        self._counts.append(counts)
        if sum(map(len, self._counts)) > MOST_IN_MEMORY:
            self._condense()
        places = np.flatnonzero(counts > self._least)
        if len(places) > self._number > 0:
            least = np.partition(counts[places], len(places) - self._number)[len(places) - self._number]
            places = places[counts[places] >= least]
        found = [(int(counts[place]), _unpacked(base + int(keys[place]), order, size)) for place in places.tolist()]
        if found:
            # equal counts: those with lower keys came first and stay first
            self._top = sorted(self._top + found, key=lambda gram: -gram[0])[: self._number]
            self._least = self._top[-1][0] if len(self._top) == self._number else 0

    def top(self) -> list[tuple[tuple[int, ...], int]]:
        return [(gram, count) for count, gram in self._top]

    def counts(self) -> tuple[Integers, Integers]:
        """``counts`` and ``times`` of ``GramCounts``."""
        self._condense()
        values = np.array(sorted(self._times, reverse=True), dtype=np.int64)
        return values, np.array([self._times[value] for value in values.tolist()], dtype=np.int64)

    def _condense(self) -> None:
        for counts in self._counts:
            for value, times in zip(*(part.tolist() for part in np.unique(counts, return_counts=True)), strict=True):
                self._times[value] = self._times.get(value, 0) + times
        self._counts = []


class _Runs:
    """Distinct keys with their counts: in memory, and in sorted runs on the disk.

    Attributes:
        peak: the most bytes on the disk at once.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._most = folder, most
        self._open = contextlib.ExitStack()
        self.peak = self._held = 0
        self.begin()

    def begin(self) -> None:
        self.close()
        self._memory: list[Counted] = []
        self._levels: list[list[_Run]] = [[]]

    def close(self) -> None:
        self._open.close()
        self._held = 0

    def add(self, counted: Counted) -> None:
        """Add distinct ascending keys. As in a binary counter, two results of about one size are merged at once."""
        self._memory.append(counted)
        while len(self._memory) > 1 and len(self._memory[-2][0]) <= 2 * len(self._memory[-1][0]):
            self._memory.append(_merged(self._memory.pop(), self._memory.pop()))
        if sum(len(keys) for keys, _ in self._memory) > self._most:
            self._write([self._in_memory()], 0)

    def merged(self) -> Iterator[Counted]:
        """All distinct keys with their counts, ascending, block by block."""
        runs = [run for level in self._levels for run in level]
        if not runs:
            return iter([self._in_memory()] if self._memory else [])
        if self._memory:
            self._write([self._in_memory()], 0)
            runs = [run for level in self._levels for run in level]
        return _blocks(runs)

    def _in_memory(self) -> Counted:
        while len(self._memory) > 1:
            self._memory.append(_merged(self._memory.pop(), self._memory.pop()))
        return self._memory.pop()

    def _write(self, blocks: Iterable[Counted], level: int) -> None:
        """Write a run; many runs of one level become one of the next."""
        self._folder.mkdir(0o700, parents=True, exist_ok=True)
        run = _Run(self._open.enter_context(tempfile.TemporaryFile(dir=self._folder)))  # noqa: SIM115
        for keys, counts in blocks:
            run.append(keys, counts)
            self._held += 16 * len(keys)
        self.peak = max(self.peak, self._held)
        if level == len(self._levels):
            self._levels.append([])
        self._levels[level].append(run)
        if len(self._levels[level]) == MOST_RUNS:
            full, self._levels[level] = self._levels[level], []
            self._write(_blocks(full), level + 1)
            for old in full:
                self._held -= 16 * old.length
                old.remove()


class _Run:
    """Ascending distinct keys and their counts in a file, as pairs."""

    def __init__(self, file: BinaryIO | Any) -> None:
        self._file, self.length = file, 0

    def append(self, keys: Integers, counts: Integers) -> None:
        self._file.write(np.stack([keys, counts], axis=1).tobytes())
        self.length += len(keys)

    def read(self, start: int, number: int) -> npt.NDArray[np.int64]:
        """``number`` pairs from ``start`` on, (number, 2)."""
        self._file.seek(16 * start)
        return np.frombuffer(self._file.read(16 * number), dtype=np.int64).reshape(-1, 2)

    def remove(self) -> None:
        """Free the space at once."""
        self._file.truncate(0)
        self._file.close()


def _blocks(runs: list[_Run]) -> Iterator[Counted]:
    """Runs merged: of each a window is in memory, and all keys up to the least of their ends are complete."""
    places = [0] * len(runs)
    windows = [np.zeros((0, 2), dtype=np.int64) for _ in runs]
    while True:
        for number, run in enumerate(runs):
            if not len(windows[number]) and places[number] < run.length:
                windows[number] = run.read(places[number], BLOCK)
                places[number] += len(windows[number])
        filled = [window for window in windows if len(window)]
        if not filled:
            return
        bound = min(int(window[-1, 0]) for window in filled)
        taken = []
        for number, window in enumerate(windows):
            count = int(np.searchsorted(window[:, 0], bound, side="right")) if len(window) else 0
            taken.append(window[:count])
            windows[number] = window[count:]
        pairs = np.concatenate(taken)
        pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
        yield _reduced(np.ascontiguousarray(pairs[:, 0]), pairs[:, 1])


def _merged(left: Counted, right: Counted) -> Counted:
    """Two results of ``_reduced`` as one."""
    keys = np.concatenate([left[0], right[0]])
    order = np.argsort(keys, kind="stable")  # the stable sort is fastest on two ascending runs
    return _reduced(keys[order], np.concatenate([left[1], right[1]])[order])


def _reduced(keys: Integers, counts: Integers) -> Counted:
    """Distinct keys with the sum of their counts, of ascending ``keys``."""
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[first], np.add.reduceat(counts, first)


def _unpacked(key: int, order: int, base: int) -> tuple[int, ...]:
    """The ids of the n-gram with this number."""
    digits = []
    for _ in range(order):
        key, digit = divmod(key, base)
        digits.append(digit)
    return tuple(reversed(digits))
