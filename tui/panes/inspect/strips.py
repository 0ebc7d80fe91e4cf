"""Strips: vectors as rows of cells, coloured by sign and size, with a sign in each cell for eyes without colour."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise

from tui.charts.drawing import Run
from tui.themes import QUIET

LIMITS = (0.05, 0.3, 0.65)
"""Shares of the scale from which on a value is of the next level."""
SIGNS = {-3: "▼", -2: "▾", -1: "-", 0: "·", 1: "+", 2: "▴", 3: "▲"}
STYLES = {
    -3: "$background 50% on $secondary 90%",
    -2: "$foreground 45% on $secondary 50%",
    -1: "$foreground 35% on $secondary 22%",
    0: "$foreground 30%",
    1: "$foreground 35% on $primary 22%",
    2: "$foreground 45% on $primary 50%",
    3: "$background 50% on $primary 90%",
}
TEXT_STYLES = {
    -3: "$background on $secondary 90%",
    -2: "$foreground on $secondary 50%",
    -1: "$foreground on $secondary 22%",
    0: "$foreground",
    1: "$foreground on $primary 22%",
    2: "$foreground on $primary 50%",
    3: "$background on $primary 90%",
}
"""The styles of characters of a text that are coloured by a value."""
BROKEN = ("!", "$text-error")
"""A value that is not finite."""


def level(value: float, scale: float) -> int:
    """The level of a value, from -3 to 3; ``scale`` is the size of the strongest one."""
    if not scale > 0 or not math.isfinite(value):
        return 0
    share = abs(value) / scale
    size = sum(share >= limit for limit in LIMITS)
    return size if value >= 0 else -size


def summary(values: Sequence[float], cells: int) -> list[float]:
    """At most ``cells`` values: of each part of the vector the one of the largest magnitude, with its sign."""
    count = len(values)
    if count <= cells:
        return list(values)
    edges = [place * count // cells for place in range(cells + 1)]
    return [max(values[first:end], key=lambda value: abs(value) if value == value else math.inf)
            for first, end in pairwise(edges)]  # fmt: skip


def largest(values: Iterable[float]) -> float:
    """The largest magnitude among the finite values; 0 without any."""
    return max((abs(value) for value in values if math.isfinite(value)), default=0.0)


def strip(values: Sequence[float], cells: int, scale: float | None = None) -> list[Run]:
    """The vector in at most ``cells`` cells; ``scale`` is its own largest magnitude where it is not given."""
    shown = summary(values, cells)
    scale = largest(values) if scale is None else scale
    marks = [BROKEN if not math.isfinite(value) else _mark(level(value, scale)) for value in shown]
    return [("".join(sign for sign, _ in group), style) for style, group in groupby(marks, key=lambda mark: mark[1])]


def _mark(of_level: int) -> Run:
    return SIGNS[of_level], STYLES[of_level]


def legend(low: str = "negative", high: str = "positive") -> list[Run]:
    """What the cells mean."""
    signs = [_mark(place) for place in range(-3, 4)]
    return [(f"{low} ", QUIET), *signs, (f" {high}", QUIET)]


def per_cell_words(count: int, cells: int) -> str:
    """How many values a cell stands for: ``a cell: strongest of 4 units``; empty if it is one."""
    each = math.ceil(count / max(1, cells))
    return f"a cell: strongest of {each} units" if each > 1 else "a cell: one unit"
