"""Line charts: curves over a common x, with axes, reference lines and a legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from core.scales import LARGEST, LINEAR, Ends
from tui.charts.axis import FittedAxis, ReferenceLine, XAxis, XSpan, YAxis
from tui.charts.curve import decimate, finite_points, pieces_below
from tui.charts.dots import COLUMNS, MARKERS, ROWS, Canvas, Marker, strokes
from tui.charts.drawing import AXIS, CROSS, LABEL, REFERENCE, SERIES, Drawing, blank, message
from tui.charts.frame import Ticks, frame
from tui.charts.grid import LINE, Grid, header

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

_SAMPLES: dict[Marker, str] = {"solid": "⠒⠒⠒", "dashed": "⠒ ⠒", "dotted": "⠂⠂⠂", "points": "• •"}
_POINT = "•"
_CROSS = "│"
PLAIN_X, PLAIN_Y = XAxis(), YAxis()
SIGNS = 5
"""Places across a chart at which the sign of a curve is put on it."""


@dataclass(frozen=True, eq=False)
class Series:
    """One curve. A marker or a colour that is None follows from its position among the others.

    Attributes:
        name: its name in the legend; without one it is not in the legend.
        x, y: equally long; values that are not finite, or not allowed on the scale of an axis, are not drawn.
        color: its number in ``SERIES``, or a style string such as ``$success``.
        marker: how the line is drawn; "points" draws no line at all.
        sign: a character drawn on the line at a few places, to distinguish lines without their colour.
        is_decimated: there are at most about two points a column already, none outside the range that is shown.
    """

    name: str
    x: ArrayLike
    y: ArrayLike
    color: int | str | None = None
    marker: Marker | None = None
    sign: str = ""
    is_decimated: bool = False


@dataclass(frozen=True)
class _Drawn:
    """A series with its look, its points in the units of the axes."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    style: str
    marker: Marker
    sign: str = ""

    @property
    def sample(self) -> str:
        """The line as the legend shows it."""
        return f"⠒{self.sign}⠒" if self.sign else _SAMPLES[self.marker]


_PlacedLine: TypeAlias = tuple[float, ReferenceLine]
"""A reference line and its place in the units of the y axis."""


@dataclass(frozen=True)
class _Plane:
    """The canvas: its first column in the grid, its size in cells, and the axes along it."""

    left: int
    width: int
    height: int
    x: FittedAxis
    y: FittedAxis

    @property
    def top(self) -> float:
        """A curve that is higher has left the canvas."""
        return self.y.high + 1e-9 * (self.y.high - self.y.low)

    def row(self, y: float) -> int:
        """The row of cells in which a value is."""
        return self.height - 1 - int(0.5 + self.y.places(y, self.height))

    def dots(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Points in dots from the upper left corner. The ends of an axis are the middles of the outermost cells."""
        rows = self.height - 1 - self.y.places(y, self.height)
        return (self.x.places(x, self.width) + 0.5) * COLUMNS, (rows + 0.5) * ROWS


def line_chart(
    series: Sequence[Series],
    width: int,
    height: int,
    x: XAxis = PLAIN_X,
    y: YAxis = PLAIN_Y,
    *,
    placeholder: str = "nothing to draw yet",
) -> Drawing:
    """Curves over a common x, in exactly ``width`` by ``height`` cells, or ``placeholder`` if there is no point.

    Legend and axis names are in a row above and never cover a curve. As the room shrinks, the legend is left out
    first, then the labels of the axes, then the axes.
    """
    if width < 1 or height < 1:
        return blank(width, height)
    curves = [_drawn(one, position, x, y) for position, one in enumerate(series)]
    if not any(curve.x.size for curve in curves):
        return message(placeholder, width, height, LABEL)
    with_header = height >= 7 and bool(y.label or any(curve.name for curve in curves))
    grid = Grid(width, height - with_header)
    with_axes = width >= 12 and grid.height >= 4
    with_labels = width >= 24 and grid.height >= 4
    canvas_height = grid.height - with_axes - with_labels

    low, high = _x_ends(curves, x)
    columns = max(1, width - with_axes - 5 * with_labels)
    curves = [
        curve if one.is_decimated else _decimated(curve, low, high, columns)
        for one, curve in zip(series, curves, strict=True)
    ]
    lines = [(y.scale.place(line.value), line) for line in y.lines if abs(line.value) <= LARGEST]
    lines = [(place, line) for place, line in lines if place > -math.inf]
    fitted_y = y.fitted(*_y_extent(curves, lines, y), canvas_height)
    gutter = max(5, *map(len, fitted_y.labels)) if with_labels else 0
    left = gutter + with_axes
    plane = _Plane(left, width - left, canvas_height, x.fitted(low, high, width - left), fitted_y)

    if with_axes:
        _draw_axes(grid, plane, with_labels)
    names = _draw_references(grid, plane, lines, REFERENCE)
    if x.cross is not None:
        _draw_cross(grid, plane, x.scale.place(x.cross), CROSS)
    _draw_lines(grid, plane, curves)
    for number, curve in enumerate(curves):
        _draw_signs(grid, plane, curve, number / len(curves))
    if with_labels:
        for row, name in names:
            grid.write_name(row, left, name, REFERENCE)
        grid.write_x_name(gutter, x.label, LABEL)
    rows = grid.rows()
    if with_header:
        legend = [(curve.sample, curve.style, curve.name) for curve in curves if curve.name]
        rows.insert(0, header(y.label, legend, width, LABEL))
    span = XSpan(left, plane.width, plane.x.low, plane.x.high) if x.scale is LINEAR else None
    return Drawing(rows, width, span)


def _drawn(series: Series, position: int, x: XAxis, y: YAxis) -> _Drawn:
    """A series at its position among the others, with the points that can be drawn."""
    xs, ys = finite_points(series.x, series.y, x.scale, y.scale)
    marker = series.marker or MARKERS[position % len(MARKERS)]
    color = position if series.color is None else series.color
    style = color if isinstance(color, str) else SERIES[color % len(SERIES)]
    return _Drawn(series.name, x.scale.forward(xs), y.scale.forward(ys), style, marker, series.sign)


def _decimated(curve: _Drawn, low: float, high: float, columns: int) -> _Drawn:
    x, y = decimate(curve.x, curve.y, low, high, columns)
    return replace(curve, x=x, y=y)


def _x_ends(curves: Sequence[_Drawn], axis: XAxis) -> Ends:
    """The ends of the x axis; x is ascending in each curve."""
    filled = [curve.x for curve in curves if curve.x.size]
    return axis.ends(min(float(x[0]) for x in filled), max(float(x[-1]) for x in filled))


def _y_extent(curves: Sequence[_Drawn], lines: Sequence[_PlacedLine], axis: YAxis) -> Ends:
    """The lowest and the highest value that the y axis has to include."""
    ceiling = axis.scale.place(min(axis.ceiling, LARGEST))
    heights = [low for curve in curves if (low := curve.y[curve.y < ceiling]).size] or [c.y for c in curves if c.y.size]
    values = [float(edge) for y in heights for edge in (y.min(), y.max())]
    values += [place for place, line in lines if line.stretch]
    values += [end for end in axis.places if end is not None]
    return min(values, default=0.0), max(values, default=0.0)


def _draw_axes(grid: Grid, plane: _Plane, with_labels: bool) -> None:
    """Axes, ticks and their labels."""
    x_ticks: Ticks = ()
    y_ticks: Ticks = ()
    gutter = plane.left - 1
    if with_labels:
        x_ticks = tuple(zip(plane.x.places(plane.x.ticks, plane.width).tolist(), plane.x.labels, strict=True))
        labels = [label.rjust(gutter) for label in plane.y.labels]
        y_ticks = tuple(zip(plane.y.places(plane.y.ticks, plane.height).tolist(), labels, strict=True))
    lines = frame((grid.width, grid.height), (plane.width, plane.height), x_ticks, y_ticks)
    labels_row = plane.height + 1
    grid.lay([line[:gutter] for line in lines], 0, LABEL)
    grid.lay([line[gutter:] for line in lines[:labels_row]], gutter, AXIS)
    grid.lay([""] * labels_row + [line[gutter:] for line in lines[labels_row:]], gutter, LABEL)


def _draw_references(grid: Grid, plane: _Plane, lines: Sequence[_PlacedLine], style: str) -> list[tuple[int, str]]:
    """Reference lines; returns the row and the label of each, from the top down."""
    names: list[tuple[int, str]] = []
    for place, line in sorted(lines, key=lambda one: -one[0]):
        if plane.y.low - 1e-9 <= place <= plane.y.high + 1e-9:
            names.append((plane.row(place), line.label))
            grid.write(names[-1][0], plane.left, LINE * plane.width, style)
    return names


def _draw_cross(grid: Grid, plane: _Plane, x: float, style: str) -> None:
    """A vertical line, behind the curves."""
    if plane.x.low <= x <= plane.x.high:
        column = plane.left + int(0.5 + plane.x.places(x, plane.width))
        for row in range(plane.height):
            grid.write(row, column, _CROSS, style)


def _draw_signs(grid: Grid, plane: _Plane, curve: _Drawn, phase: float) -> None:
    """The sign of a curve at its end and at a few places, elsewhere on each curve, since ``phase`` differs."""
    import numpy as np

    if not curve.sign or not curve.x.size:
        return
    every = max(1, plane.width // SIGNS)
    places = (np.arange(SIGNS) + phase) * every
    x = plane.x.low + (plane.x.high - plane.x.low) * places / max(1, plane.width - 1)
    x = np.append(x[(x > curve.x[0]) & (x < curve.x[-1])], curve.x[-1])
    y = np.interp(x, curve.x, curve.y)
    x, y = x[y <= plane.top], y[y <= plane.top]
    columns = (plane.x.places(x, plane.width) + 0.5).astype(int)
    rows = plane.height - 1 - (plane.y.places(y, plane.height) + 0.5).astype(int)
    for column, row in zip(columns.tolist(), rows.tolist(), strict=True):
        grid.write(row, plane.left + column, curve.sign, curve.style)


def _draw_lines(grid: Grid, plane: _Plane, curves: Sequence[_Drawn]) -> None:
    """Lines, and over them the points of curves that have no lines, each a whole cell."""
    import numpy as np

    canvas, points = Canvas(plane.width, plane.height), []
    pieces = ((curve, piece) for curve in curves for piece in pieces_below(curve.x, curve.y, plane.top))
    for curve, piece in ((curve, piece) for curve, piece in pieces if piece[0].size):
        x, y = plane.dots(*piece)
        # A line that is not longer than a cell is easily overlooked.
        if curve.marker == "points" or (np.ptp(x) < COLUMNS and np.ptp(y) < ROWS):
            points.append((x // COLUMNS, y // ROWS, curve.style))
        else:
            canvas.draw(strokes(x, y, curve.marker, COLUMNS * plane.width), curve.style)
    canvas.lay(grid, plane.left)
    for columns, rows, style in points:
        for column, row in zip(columns.astype(int).tolist(), rows.astype(int).tolist(), strict=True):
            grid.write(row, plane.left + column, _POINT, style)
