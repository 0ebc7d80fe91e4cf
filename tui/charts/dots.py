"""Curves as dots of braille, two columns by four rows in each cell.

Our own rasteriser: plotext's public interface takes 45 us a point, 10 ms for one noisy curve 120 cells wide; this one
takes 0.2 ms. Each curve is drawn by itself: in one picture, curves that share a cell would have one colour.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tui.charts.grid import Grid

Marker: TypeAlias = Literal["solid", "dashed", "dotted", "points"]
MARKERS: tuple[Marker, ...] = ("solid", "dashed", "dotted", "points")

COLUMNS, ROWS = 2, 4
"""Dots in a cell."""

_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot in the code of a braille character."""

_DASHES: dict[Marker, tuple[int, int]] = {"dashed": (6, 4), "dotted": (1, 3)}
"""Dots drawn and dots left out, along the line."""


@dataclass(frozen=True)
class Strokes:
    """Points of a curve, in dots from the upper left corner; a line leads to the ``connected`` ones."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    connected: NDArray[np.intp]


def strokes(x: NDArray[np.float64], y: NDArray[np.float64], marker: Marker, columns: int) -> Strokes:
    """The line through these points over ``columns`` of dots; dashes are lines that are left out."""
    import numpy as np

    if marker not in _DASHES:
        return Strokes(x, y, np.arange(1, x.size))
    on, off = _DASHES[marker]
    period = on + off
    steps = np.maximum(np.abs(np.diff(x)), np.abs(np.diff(y)))
    length = np.append(0.0, np.cumsum(steps))
    if length[-1] > 4 * columns:  # noise: dashes along it would be specks
        return Strokes(x, y, np.flatnonzero((x[1:] + x[:-1]) / 2 % period < on) + 1)
    # Dashes are measured along the line, in dots, so that steep parts are dashed like flat ones.
    starts = np.arange(0.0, length[-1], period)
    places = np.unique(np.concatenate([length, starts, np.minimum(starts + on - 1, length[-1])]))
    drawn = (places[1:] + places[:-1]) / 2 % period < on - 1
    kept = places % period <= on - 1 + 1e-6
    kept[1:] |= drawn
    kept[:-1] |= drawn
    connected = (np.cumsum(kept) - 1)[1:][drawn]
    return Strokes(np.interp(places[kept], length, x), np.interp(places[kept], length, y), connected)


def braille(curve: Strokes, width: int, height: int) -> NDArray[np.uint8]:
    """A picture of a curve, ``height`` by ``width`` cells: the dots of each as bits, 0 where the curve is not."""
    import numpy as np

    x, y, ends = curve.x, curve.y, curve.connected
    whole_x, whole_y = x.astype(np.intp), y.astype(np.intp)
    spans = np.maximum(np.abs(np.diff(whole_x)), np.abs(np.diff(whole_y)))
    steps = np.maximum(spans[ends - 1], 1)
    end = np.repeat(ends, steps)
    part = (np.arange(end.size) - np.repeat(np.cumsum(steps) - steps, steps)) / np.repeat(steps, steps)
    columns = np.append(whole_x, (x[end - 1] + (x[end] - x[end - 1]) * part).astype(np.intp))
    rows = np.append(whole_y, (y[end - 1] + (y[end] - y[end - 1]) * part).astype(np.intp))
    dots = np.zeros((ROWS, COLUMNS, height, width), np.bool_)
    dots[rows % ROWS, columns % COLUMNS, rows // ROWS, columns // COLUMNS] = True
    cells = np.zeros((height, width), np.uint8)
    for bits, row in zip(_BITS, dots, strict=True):
        for bit, column in zip(bits, row, strict=True):
            cells |= column.view(np.uint8) * np.uint8(bit)
    return cells


class Canvas:
    """Curves laid over one another in one array, written into a grid at once: many curves cost little more."""

    def __init__(self, width: int, height: int) -> None:
        import numpy as np

        self._width, self._height = width, height
        self._cells = np.zeros((height, width), np.uint8)
        self._styles = np.zeros((height, width), np.intp)
        self._names: list[str] = []

    def draw(self, curve: Strokes, style: str) -> None:
        """Lay a curve over those that are there: in one cell there is one colour."""
        cells = braille(curve, self._width, self._height)
        is_ink = cells > 0
        self._cells[is_ink] = cells[is_ink]
        self._styles[is_ink] = len(self._names)
        self._names.append(style)

    def lay(self, grid: Grid, left: int) -> None:
        """Lay the curves over a grid, from its column ``left`` on; blanks are transparent."""
        import numpy as np

        for row in np.flatnonzero(self._cells.any(axis=1)).tolist():
            inked = np.flatnonzero(self._cells[row])
            styles = self._styles[row, inked]
            cuts = np.flatnonzero((np.diff(inked) != 1) | (np.diff(styles) != 0)) + 1
            bounds = [0, *cuts.tolist(), inked.size]
            text = "".join(map(chr, (0x2800 + self._cells[row, inked].astype(np.intp)).tolist()))
            columns, names = inked.tolist(), styles.tolist()
            for start, end in itertools.pairwise(bounds):
                grid.put(row, left + columns[start], text[start:end], self._names[names[start]])
