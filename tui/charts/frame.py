"""The frame of a line chart: axes, ticks and their labels, drawn by plotext.

plotext gets places in cells, all within the picture, and no values of the data.
"""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import TypeAlias

Ticks: TypeAlias = tuple[tuple[float, str], ...]
"""Places along an axis, in cells, each with its label."""

_FIGURE = Lock()
"""plotext has one figure for the whole process."""


@lru_cache(16)
def frame(size: tuple[int, int], canvas: tuple[int, int], x_ticks: Ticks, y_ticks: Ticks) -> tuple[str, ...]:
    """Axes at the left and below a canvas, with ticks and their labels, as lines of text.

    Cached: while a curve grows, the frame is the same from draw to draw, and plotext takes 3 ms for it.
    """
    import plotext

    with _FIGURE:
        plotext.terminal.limit(False, False)  # a figure may be larger than the terminal
        figure = plotext.figure
        figure.clear()
        figure.plot_size(*size)
        figure.theme("colorless")
        figure.axes(False)
        figure.axes(True, axis=(0, 1), side=0)
        for axis, cells, ticks in zip("xy", canvas, (x_ticks, y_ticks), strict=True):
            ruler = figure.ruler(axis, 0)
            ruler.lim(0, max(1, cells - 1))
            ruler.ticks([place for place, _ in ticks], [label for _, label in ticks])
        return tuple(figure.build().string(colorless=True).split("\n"))
