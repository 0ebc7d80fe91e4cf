"""Curves as dots of braille, two columns by four rows in each cell.

Our own rasteriser: plotext's public interface takes 45 us a point, 10 ms for one noisy curve 120 cells wide; this one
takes 0.2 ms. Each curve is drawn by itself: in one picture, curves that share a cell would have one colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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


def braille(curve: Strokes, width: int, height: int) -> list[str]:
    """A picture of a curve: ``height`` lines of ``width`` braille characters."""
    import numpy as np

    x, y, ends = curve.x, curve.y, curve.connected
    spans = np.maximum(np.abs(np.diff(x.astype(np.intp))), np.abs(np.diff(y.astype(np.intp))))
    steps = np.maximum(spans[ends - 1], 1)
    end = np.repeat(ends, steps)
    part = (np.arange(end.size) - np.repeat(np.cumsum(steps) - steps, steps)) / np.repeat(steps, steps)
    columns = np.append(x, x[end - 1] + (x[end] - x[end - 1]) * part).astype(np.intp)
    rows = np.append(y, y[end - 1] + (y[end] - y[end - 1]) * part).astype(np.intp)
    dots = np.zeros((ROWS * height, COLUMNS * width), np.uint8)
    dots[rows, columns] = 1
    codes = 0x2800 + np.einsum("yrxc,rc->yx", dots.reshape(height, ROWS, width, COLUMNS), np.array(_BITS))
    text = codes.astype("<u4").tobytes().decode("utf-32-le")
    return [text[start : start + width] for start in range(0, len(text), width)]
