"""The copy meter: the longest stretch of a text that stands literally in another one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.integer]
Classes = npt.NDArray[np.int32]

# Tokens of the long text that are looked at together: what is kept of them stays in the second-level cache.
_BLOCK = 1 << 18
# The first block is looked at in full: a small one tells soon how long a stretch is worth looking for.
_FIRST_BLOCK = 1 << 14
# Pairs of classes are looked up in a table of all pairs while it has at most so many entries, else by bisection.
_LARGEST_TABLE = 1 << 20


@dataclass(frozen=True)
class Stretch:
    """``output[start : start + length]`` is ``text[text_start : text_start + length]``; in tokens."""

    length: int
    start: int
    text_start: int

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {"length": self.length, "start": self.start, "text_start": self.text_start}


def longest_copy(text: Integers, output: Integers) -> Stretch:
    """The longest stretch of ``output`` that stands in ``text``, of several the first in the text; length 0 for none.

    Id 0, the unknown token, stands for many different ones and equals nothing, not even itself.

    The method is the prefix doubling of Karp, Miller & Rosenberg 1972 ("Rapid identification of repeated patterns in
    strings, trees and arrays"): the windows of the output are sorted into classes of equal ones, for the widths 1, 2,
    4, ...; the class of a window of double width is the pair of the classes of its halves. Each place of the text gets
    the class of the window that begins there, where the output has such a one; most places drop out at the first
    doublings. The exact length then follows bit by bit among the places that are left. It is exact: no hash, nothing
    to verify.

    Once a stretch is known, only a longer one is looked for: that holds a whole window of half its width at a multiple
    of this width, so a tree of aligned windows tells in two passes over the text where it is worth a closer look. (A
    suffix automaton of the output takes one pass, but of a Python loop; rolling hashes take a pass a length.)

    Args:
        text: (n,) ids, of any integer type.
        output: (m,) ids.
    """
    best = Stretch(0, 0, 0)
    if not len(output) or not len(text):
        return best
    finder = _Finder(np.asarray(output, dtype=np.int64))
    reach = len(output) - 1  # blocks overlap by all that a match could reach into the next one
    start, block = 0, _FIRST_BLOCK
    while start < len(text) and best.length < len(output):
        piece = text[start : start + block + reach]
        for first, last in finder.promising(piece, best.length + 1):
            found = finder.longest(piece[first:last])
            if found.length > best.length:
                best = Stretch(found.length, found.start, start + first + found.text_start)
        start, block = start + block, max(_BLOCK, 2 * len(output))
    return best


class _Pairs:
    """The classes of windows made of two neighbouring ones: (class of the first, class of the second) -> class.

    ``output`` (windows,) has the class of the window that begins at each place of the output, or -1.
    """

    def __init__(self, first: Classes, second: Classes, offset: int, num_classes: int, *, table: bool = True) -> None:
        """``first`` and ``second`` by place; the second window begins ``offset`` places behind the first."""
        self._base = num_classes
        count = max(len(second) - offset, 0)
        left, right = first[:count], second[offset : offset + count]
        known = (left >= 0) & (right >= 0)
        keys, classes = np.unique(self._keys(left[known], right[known]), return_inverse=True)
        self.output = np.full(count, -1, dtype=np.int32)
        self.output[known] = classes
        self.num_classes = len(keys)
        self._sorted = keys
        self._table: Classes | None = None
        if table and num_classes * num_classes <= _LARGEST_TABLE:
            self._table = np.full(num_classes * num_classes, -1, dtype=np.int32)
            self._table[keys] = np.arange(len(keys), dtype=np.int32)

    def _keys(self, left: Classes, right: Classes) -> npt.NDArray[np.int64]:
        return left.astype(np.int64) * self._base + right

    def of(self, left: Classes, right: Classes) -> Classes:
        """The classes of pairs that need not occur in the output, -1 where they do not; both parts are >= 0."""
        keys = self._keys(left, right)
        if self._table is not None:
            return self._table[keys]
        if not len(self._sorted):
            return np.full(len(keys), -1, dtype=np.int32)
        places = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        return np.where(self._sorted[places] == keys, places, -1).astype(np.int32)


class _Finder:
    """What is known of the output: its windows of width 1, 2, 4, ... by class."""

    def __init__(self, output: npt.NDArray[np.int64]) -> None:
        tokens = np.unique(output)
        # One more entry than there are ids, for all the ids of a text that the output has not.
        self._class_of_id = np.full(int(tokens[-1]) + 2, -1, dtype=np.int32)
        self._class_of_id[tokens] = np.arange(len(tokens), dtype=np.int32)
        self._class_of_id[0] = -1
        self._single = self._class_of_id[output]
        self._doublings: list[_Pairs] = []
        num_classes, width = len(tokens), 1
        last = self._single
        while 2 * width <= len(output):
            pairs = _Pairs(last, last, width, num_classes)
            if not pairs.num_classes:
                break
            self._doublings.append(pairs)
            last, num_classes, width = pairs.output, pairs.num_classes, 2 * width
        self._num_tokens = len(tokens)
        self._extensions: dict[tuple[int, int], _Pairs] = {}

    def _classes(self, level: int) -> tuple[Classes, int]:
        """By place in the output, the classes of windows of width 2**level, and how many classes there are."""
        if level == 0:
            return self._single, self._num_tokens
        pairs = self._doublings[level - 1]
        return pairs.output, pairs.num_classes

    def _known(self, text: Integers) -> Classes:
        """By place in the text, the class of the token there, -1 where the output has it not."""
        largest = len(self._class_of_id) - 1
        is_small = np.iinfo(text.dtype).max <= largest
        found: Classes = self._class_of_id[text if is_small else np.minimum(text, largest)]
        return found

    def promising(self, text: Integers, length: int) -> Iterator[tuple[int, int]]:
        """The parts of a text, (start, end), outside which there is no match of ``length`` tokens or more."""
        level = min(((length + 1) // 2).bit_length() - 1, len(self._doublings))
        width = 1 << level
        classes = self._known(text[: len(text) - len(text) % width])
        for pairs in self._doublings[:level]:
            left, right = classes[0::2], classes[1::2]
            places = np.flatnonzero((left >= 0) & (right >= 0))
            classes = np.full(len(left), -1, dtype=np.int32)
            classes[places] = pairs.of(left[places], right[places])
        places = np.flatnonzero(classes >= 0) * width
        if not len(places):
            return
        # A match around a window reaches at most so far to either side of it.
        reach = len(self._single)
        gaps = np.flatnonzero(np.diff(places) > 2 * reach + width)
        firsts = places[np.concatenate(([0], gaps + 1))]
        lasts = places[np.concatenate((gaps, [len(places) - 1]))]
        for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
            yield max(first - reach, 0), last + width + reach

    def longest(self, text: Integers) -> Stretch:
        """The longest match in a part of the text."""
        levels = [self._known(text)]
        places = np.flatnonzero(levels[0] >= 0)
        if not len(places):
            return Stretch(0, 0, 0)
        # Doubling: by place in the text, the class of the window of width 2**level that begins there.
        for level, pairs in enumerate(self._doublings):
            further, classes = _paired(pairs, levels[level][places], places, levels[level], 1 << level)
            if not len(further):
                break
            by_place = np.full(len(text), -1, dtype=np.int32)
            by_place[further] = classes
            levels.append(by_place)
            places = further
        # Then the rest of the length, bit by bit from above, where any of the places left can be extended.
        level = len(levels) - 1
        width, here = 1 << level, levels[level][places]
        windows, num_classes = self._classes(level)
        for bit in range(level - 1, -1, -1):
            if (width, bit) not in self._extensions:
                others, num_others = self._classes(bit)
                self._extensions[width, bit] = _Pairs(windows, others, width, max(num_classes, num_others), table=False)
            pairs = self._extensions[width, bit]
            further, classes = _paired(pairs, here, places, levels[bit], width)
            if len(further):
                places, here, windows, num_classes = further, classes, pairs.output, pairs.num_classes
                width += 1 << bit
        start = int(np.flatnonzero(windows == here[0])[0])
        return Stretch(width, start, int(places[0]))


def _paired(
    pairs: _Pairs, here: Classes, places: npt.NDArray[np.intp], others: Classes, offset: int
) -> tuple[npt.NDArray[np.intp], Classes]:
    """Where a window of the text has a fitting one ``offset`` places on: those places, and the classes of the pairs."""
    inside = places + offset < len(others)
    places, here = places[inside], here[inside]
    behind = others[places + offset]
    known = behind >= 0
    places = places[known]
    classes = pairs.of(here[known], behind[known])
    fitting = classes >= 0
    return places[fitting], classes[fitting]
