"""plotext as the engine: the frame of a chart, and one picture for each curve.

Curves are drawn each for itself, to be laid over one another: in one figure, curves that share a cell would share its
colour, dots and all, and nobody could tell them apart.

plotext is given places in cells, all of them within the picture, never values of the data: its kernel is native code
that ends the process when a number is out of its depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, TypeAlias

Ticks: TypeAlias = tuple[tuple[float, str], ...]
"""Places along an axis, in cells, each with its label."""


@dataclass(frozen=True)
class Strokes:
    """Points of a curve, in cells from the lower left one, and those to which a line leads from the one before.

    ``symbol`` is one character for each cell, or "braille" for eight dots in each.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    connected: tuple[int, ...]
    symbol: str


@cache
def _screen() -> Any:
    """A terminal of plotext's that sets no limit to a figure's size; figures need one, and never write to it."""
    import plotext

    return type(plotext.terminal)().limit(False, False)


def _figure(size: tuple[int, int], canvas: tuple[int, int], with_axes: bool) -> Any:
    """A fresh figure of ``size`` whose canvas has one unit a cell."""
    import plotext

    figure = type(plotext.figure)(parent=_screen())
    figure.plot_size(*size)
    figure.theme("colorless")
    figure.axes(False)
    if with_axes:
        figure.axes(True, axis=(0, 1), side=0)
    for axis, cells in zip("xy", canvas, strict=True):
        figure.ruler(axis, 0).lim(0, max(1, cells - 1))
        figure.ruler(axis, 0).ticks([])
    return figure


@lru_cache(16)
def frame(size: tuple[int, int], canvas: tuple[int, int], x_ticks: Ticks, y_ticks: Ticks) -> tuple[str, ...]:
    """Axes at the left and below, with ticks and their labels, as lines of text.

    It is the same for draw after draw while a curve grows, and half of what there is to draw.
    """
    figure = _figure(size, canvas, with_axes=True)
    for axis, ticks in (("x", x_ticks), ("y", y_ticks)):
        if ticks:
            figure.ruler(axis, 0).ticks([place for place, _ in ticks], [label for _, label in ticks])
    return tuple(figure.build().string(colorless=True).split("\n"))


@lru_cache(16)
def picture(canvas: tuple[int, int], strokes: Strokes) -> tuple[str, ...]:
    """One curve, as lines of text. One that has not changed, as published figures do not, is not drawn again.

    The signal is filled point by point and handed over directly: the public ``figure.signal(x, y)`` and ``figure.draw``
    copy a marker for each point and ask each for its colour, 10 us a point, which would be most of the time of a draw.
    """
    import plotext

    figure = _figure(canvas, canvas, with_axes=False)
    marker = plotext.marker(strokes.symbol)
    # A signal takes no more points than it was made for: beyond, the kernel aborts.
    signal = type(figure.signal([], []))(len(strokes.x))
    signal._set_marker(marker)
    for x, y in zip(strokes.x, strokes.y, strict=True):
        signal._append_point(x, y, marker)
    for index in strokes.connected:
        signal._set_connected(index, True)
    figure._signals._add(signal)
    return tuple(str(figure.build().string(colorless=True)).split("\n"))
