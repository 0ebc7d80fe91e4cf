"""The copy meter: the longest stretch of a text that occurs literally in another text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.corpus.ids import release

Integers = npt.NDArray[np.integer]
Hashes = npt.NDArray[np.uint64]

# Tokens of the text that are searched at once: a few arrays of this length fit into the caches. A smaller first block
# soon finds a stretch, and the later ones are searched only for a longer one.
BLOCK, FIRST_BLOCK = 1 << 17, 1 << 14
# The upper bits of a hash, by which a table excludes almost all windows.
TABLE_BITS = 20


@dataclass(frozen=True)
class Stretch:
    """``output[start : start + length]`` equals ``text[text_start : text_start + length]``; in tokens."""

    length: int
    start: int
    text_start: int


def searching(text: Integers, output: Integers, block: int = BLOCK) -> Iterator[Stretch | None]:
    """The longest stretch of ``output`` (m,) that occurs in ``text`` (n,), the first of several; length 0 for none.

    Yields None after each block of the text, which has thousands of them at 1 GB, and last the result.

    Id 0, the unknown token, is many different tokens and equals nothing, not even itself. By rolling hashes
    (Karp & Rabin 1987, "Efficient randomized pattern-matching algorithms"): windows of the text one token longer than
    the best stretch so far are looked up among those of the output; from a match the length grows in doubling steps at
    the places that are left. Matches are compared token by token, so the result is exact. ``block``, the tokens that
    are searched at once, changes only time and memory.
    """
    best, start, size = Stretch(0, 0, 0), 0, min(block, FIRST_BLOCK)
    block = max(block, 2 * len(output))
    powers = np.cumprod(np.full(block + len(output), 0x9E3779B97F4A7C15, dtype=np.uint64), dtype=np.uint64)
    written = _Windows(output, powers, 1 << 40)
    while start < len(text) and best.length < len(output):
        piece = text[start : start + size + len(output) - 1]  # blocks overlap by all that a match can reach
        found = _longer(_Windows(piece, powers, 1 << 41), written, best.length)
        if found is not None:
            best = Stretch(found.length, found.start, start + found.text_start)
        release(text)
        start, size = start + size, block
        yield None
    yield best


class _Windows:
    """The windows of some ids and their hashes, sum_j ids[j] * base ** j modulo 2 ** 64."""

    def __init__(self, ids: Integers, powers: Hashes, unknown: int) -> None:
        """Ids 0 become ``unknown``, ``unknown + 1``, ...: numbers that occur nowhere else."""
        self.ids = np.where(ids == 0, unknown + np.arange(len(ids)), ids).astype(np.uint64)
        self._powers = powers
        self._sums = np.concatenate(([np.uint64(0)], np.cumsum(self.ids * powers[: len(ids)])))

    def hashes(self, length: int) -> Hashes:
        """The hash of each window of ``length`` tokens, by its place."""
        count = max(len(self._sums) - length, 0)
        hashes: Hashes = (self._sums[length:] - self._sums[:count]) * self._powers[::-1][:count]
        return hashes


def _longer(text: _Windows, output: _Windows, length: int) -> Stretch | None:
    """The longest match of more than ``length`` tokens, or None."""
    best, places, step = None, None, 1
    while step:
        found, left = _match(text, output, length + step, places)
        if found is None:
            step //= 2
        else:
            best, places, length, step = found, left, found.length, 2 * step
    return best


def _match(
    text: _Windows, output: _Windows, length: int, places: npt.NDArray[np.intp] | None
) -> tuple[Stretch | None, npt.NDArray[np.intp]]:
    """The first match of ``length`` tokens at one of the ``places`` (None: anywhere), and all places that may match."""
    wanted, hashes = output.hashes(length), text.hashes(length)
    if places is None:
        shift = np.uint64(64 - TABLE_BITS)
        table = np.zeros(1 << TABLE_BITS, dtype=bool)
        table[wanted >> shift] = True
        places = np.flatnonzero(table[hashes >> shift])
    places = places[places < len(hashes)]
    places = places[np.isin(hashes[places], wanted)]
    for place in places.tolist():
        for start in np.flatnonzero(wanted == hashes[place]).tolist():
            if np.array_equal(text.ids[place : place + length], output.ids[start : start + length]):
                return Stretch(length, start, place), places
    return None, places
