"""Line charts: plotext draws curves, axes and ticks; ranges, ticks, legend and labels of reference lines are ours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from tui.charts.curve import LARGEST, decimate, finite_points
from tui.charts.drawing import Drawing, Palette, message
from tui.charts.grid import Grid, blank, header
from tui.charts.plot import Strokes, Ticks, frame, picture
from tui.charts.ticks import count_labels, linear_range, linear_ticks, log_range, log_ticks, tick_labels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

Marker: TypeAlias = Literal["solid", "dashed", "dotted", "points"]
MARKERS: tuple[Marker, ...] = ("solid", "dashed", "dotted", "points")

Range: TypeAlias = tuple[float | None, float | None]


@dataclass(frozen=True, eq=False)
class Series:
    """One curve. Without a marker or a colour of its own it gets those of its position among the others.

    Attributes:
        name: what the legend calls it; without one it stays out of the legend.
        x, y: equally long; what is not finite (or not positive on a logarithmic axis) is not drawn.
        color: a number in the palette, or a style string such as ``$success``.
        marker: how the line is drawn; "points" draws no line at all.
    """

    name: str
    x: ArrayLike
    y: ArrayLike
    color: int | str | None = None
    marker: Marker | None = None


@dataclass(frozen=True)
class ReferenceLine:
    """A labelled horizontal line at ``value``. ``stretch``: the y axis is made to reach it, wherever it lies."""

    value: float
    label: str
    stretch: bool = True


@dataclass(frozen=True)
class _Curve:
    """A series made ready: points in axis units, decimated."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    style: str
    marker: Marker


@dataclass(frozen=True)
class _Axis:
    """One axis in the units that are plotted (decades where logarithmic), with its ticks and their labels."""

    low: float
    high: float
    ticks: tuple[float, ...]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.high > self.low:  # numbers so near to one another, or so large, that their distance is lost
            object.__setattr__(self, "high", self.low + max(1e-9, abs(self.low) * 1e-9))

    def place(self, value: float, cells: int) -> float:
        """Where ``value`` stands, in cells from the middle of the first; the ends are the middles of the outermost."""
        return max(0.0, min(1.0, (value - self.low) / (self.high - self.low))) * (cells - 1)

    def places(self, values: NDArray[np.float64], cells: int) -> NDArray[np.float64]:
        """``place`` of each value."""
        import numpy as np

        return np.clip((values - self.low) / (self.high - self.low), 0.0, 1.0) * (cells - 1)


_DECADES = 300.0
"""A logarithmic axis goes no further, either way."""

_ASCII_MARKERS: dict[Marker, str] = {"solid": "*", "dashed": "+", "dotted": ".", "points": "o"}
_SAMPLES: dict[Marker, str] = {"solid": "⠒⠒⠒", "dashed": "⠒ ⠒", "dotted": "⠂⠂⠂", "points": "• •"}
_DASHES: dict[Marker, tuple[int, int]] = {"dashed": (6, 4), "dotted": (1, 3)}
"""Dots drawn and dots left out, along the line."""


def line_chart(
    series: Sequence[Series],
    *,
    width: int,
    height: int,
    log_y: bool = False,
    log_x: bool = False,
    x_label: str = "",
    y_label: str = "",
    palette: Palette | None = None,
    unicode: bool = True,
    x_range: Range | None = None,
    y_range: Range | None = None,
    reference_lines: Sequence[ReferenceLine] = (),
    integer_x: bool = False,
    placeholder: str = "nothing to draw yet",
) -> Drawing:
    """Curves over a common x, in exactly ``width`` by ``height`` cells.

    Legend and axis names stand in a row above and never cover a curve. In little room the legend goes first, then
    the axes' labels, then the axes.

    Args:
        x_range: the ends of the x axis, taken as they are; None for an end that follows the data, tidily.
        y_range: where the y axis must reach at least; it is stretched to show all data.
        integer_x: ticks of x at whole numbers only (epochs, ranks).
        unicode: braille dots and box lines, else ASCII alone.
        placeholder: the sentence shown where there is nothing to draw.
    """
    palette = palette or Palette()
    if width < 1 or height < 1:
        return blank(width, height)
    points = [finite_points(one.x, one.y, log_x, log_y) for one in series]
    if not any(xs.size for xs, _ in points):
        text = placeholder if unicode else placeholder.encode("ascii", "replace").decode()
        return message(text, width, height, palette.label)
    if log_x or log_y:
        import numpy as np

        def decades(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.clip(np.log10(values), -_DECADES, _DECADES)

        points = [(decades(xs) if log_x else xs, decades(ys) if log_y else ys) for xs, ys in points]

    with_header = height >= 7 and bool(y_label or any(one.name for one in series))
    figure_height = height - with_header
    with_axes = width >= 12 and figure_height >= 4
    with_labels = width >= 24 and figure_height >= 4
    canvas_height = figure_height - with_axes * (1 + with_labels)

    low_x, high_x = _x_limits([xs for xs, _ in points], x_range, log_x)
    curves = []
    for position, (one, (xs, ys)) in enumerate(zip(series, points, strict=True)):
        xs, ys = decimate(xs, ys, low_x, high_x, max(1, width - with_axes - 5 * with_labels))
        marker = one.marker or MARKERS[position % len(MARKERS)]
        curves.append(_Curve(one.name, xs, ys, palette.style(one.color, position), marker))
    references = [line for line in reference_lines if abs(line.value) <= LARGEST and (line.value > 0 or not log_y)]
    y_axis = _y_axis(curves, references, y_range, log_y, canvas_height)
    gutter = max(5, *(len(label) for label in y_axis.labels)) if with_labels else 0
    canvas_width = width - gutter - with_axes
    x_axis = _x_axis(low_x, high_x, log_x, integer_x, canvas_width)

    grid = Grid(width, figure_height)
    canvas = (canvas_width, canvas_height)
    if with_axes:
        _draw_axes(grid, canvas, gutter, x_axis, y_axis, with_labels, palette)
    first = gutter + with_axes
    names: list[tuple[int, str]] = []
    for line in sorted(references, key=lambda line: -line.value):
        place = _scaled(line.value, log_y)
        if y_axis.low - 1e-9 <= place <= y_axis.high + 1e-9:
            names.append((canvas_height - 1 - int(0.5 + y_axis.place(place, canvas_height)), line.label))
            grid.write(names[-1][0], first, "┈" * canvas_width, palette.reference)
    for curve in curves:
        if curve.x.size:
            grid.lay(picture(canvas, _strokes(curve, x_axis, y_axis, canvas, unicode)), first, curve.style)
    if with_labels:
        for row, name in names:
            grid.write_name(row, first, name, palette.reference)
        grid.write_x_name(gutter, x_label, palette.label)
    rows = grid.rows(unicode)
    if with_header:
        samples = _SAMPLES if unicode else {marker: symbol * 3 for marker, symbol in _ASCII_MARKERS.items()}
        legend = [(samples[curve.marker], curve.style, curve.name) for curve in curves if curve.name]
        rows.insert(0, header(y_label, legend, width, palette.label, unicode))
    return Drawing(rows, width)


def _draw_axes(
    grid: Grid,
    canvas: tuple[int, int],
    gutter: int,
    x_axis: _Axis,
    y_axis: _Axis,
    with_labels: bool,
    palette: Palette,
) -> None:
    """Axes, ticks and their labels."""
    x_ticks: Ticks = ()
    y_ticks: Ticks = ()
    if with_labels:
        x_ticks = tuple(
            (x_axis.place(at, canvas[0]), name) for at, name in zip(x_axis.ticks, x_axis.labels, strict=True)
        )
        y_ticks = tuple(
            (y_axis.place(at, canvas[1]), name.rjust(gutter))
            for at, name in zip(y_axis.ticks, y_axis.labels, strict=True)
        )
    lines = frame((grid.width, grid.height), canvas, x_ticks, y_ticks)
    tick_row = canvas[1] + 1
    grid.lay([line[:gutter] for line in lines], 0, palette.label)
    grid.lay([line[gutter:] for line in lines[:tick_row]], gutter, palette.axis)
    grid.lay(["" for _ in range(tick_row)] + [line[gutter:] for line in lines[tick_row:]], gutter, palette.label)


def _ends(wanted: Range | None) -> Range:
    """The ends asked for, those aside that no axis can have."""
    low, high = (None if end is None or not math.isfinite(end) else end for end in wanted or (None, None))
    return (None if low is None else max(-LARGEST, low)), (None if high is None else min(LARGEST, high))


def _scaled(value: float, log: bool) -> float:
    """A value in the units of its axis; one that a logarithmic axis does not know is infinitely far down."""
    if not log:
        return value
    return max(-_DECADES, min(_DECADES, math.log10(value))) if value > 0 else -math.inf


def _x_limits(values: Sequence[NDArray[np.float64]], x_range: Range | None, log: bool) -> tuple[float, float]:
    """The ends of the x axis, in its units."""
    filled = [xs for xs in values if xs.size]
    low, high = min(float(xs[0]) for xs in filled), max(float(xs[-1]) for xs in filled)
    wanted_low, wanted_high = _ends(x_range)
    if wanted_low is not None:
        scaled = _scaled(wanted_low, log)
        low = scaled if math.isfinite(scaled) else low
    if wanted_high is not None:
        scaled = _scaled(wanted_high, log)
        high = scaled if math.isfinite(scaled) else high
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        margin = 0.5 if log else (abs(low) / 10 or 1.0)
        low, high = (low, low + margin) if wanted_low is not None else (low - margin, low + margin)
    if log and high > _DECADES:
        low, high = min(low, _DECADES - 0.5), _DECADES
    return low, high


def _x_axis(low: float, high: float, log: bool, integers: bool, cells: int) -> _Axis:
    """The x axis over ``cells`` cells, with as many ticks as have room."""
    most = max(1, min(10, cells // 9))
    if log:
        ticks = log_ticks(10**low, 10**high, most)
        return _Axis(low, high, tuple(math.log10(tick) for tick in ticks), tuple(count_labels(ticks, cells)))
    ticks = linear_ticks(low, high, most, integers)
    return _Axis(low, high, tuple(ticks), tuple(count_labels(ticks, cells)))


def _y_axis(
    curves: Sequence[_Curve], references: Sequence[ReferenceLine], y_range: Range | None, log: bool, cells: int
) -> _Axis:
    """The y axis over ``cells`` cells: round ends around all that is to be seen, ticks with room between them."""
    values = [float(edge) for curve in curves if curve.y.size for edge in (curve.y.min(), curve.y.max())]
    values += [_scaled(line.value, log) for line in references if line.stretch]
    values += [_scaled(end, log) for end in _ends(y_range) if end is not None]
    values = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(values), max(values)
    most = max(2, cells * 2 // 5)
    if not log:
        low, high = linear_range(low, high, max(2, min(5, most)))
        ticks = linear_ticks(low, high, min(8, most))
        return _Axis(low, high, tuple(ticks), tuple(tick_labels(ticks)))
    low, high = log_range(10**low, 10**high)
    ticks = log_ticks(low, high, most)
    labels = tick_labels(ticks, equal_steps=high < low * 3)
    return _Axis(math.log10(low), math.log10(high), tuple(math.log10(tick) for tick in ticks), tuple(labels))


def _strokes(curve: _Curve, x_axis: _Axis, y_axis: _Axis, canvas: tuple[int, int], unicode: bool) -> Strokes:
    """A curve as points and lines between them; dashes are lines left out."""
    import numpy as np

    x, y = x_axis.places(curve.x, canvas[0]), y_axis.places(curve.y, canvas[1])
    columns, rows = x * 2, y * 4  # in dots of braille
    line = "braille" if unicode else _ASCII_MARKERS[curve.marker]
    tiny = np.ptp(columns) < 2 and np.ptp(rows) < 4  # a dot or two of braille, easily overlooked
    if curve.marker == "points" or tiny:
        return Strokes(tuple(x.tolist()), tuple(y.tolist()), (), "•" if unicode else line)
    if curve.marker == "solid" or not unicode:
        return Strokes(tuple(x.tolist()), tuple(y.tolist()), tuple(range(1, x.size)), line)
    on, off = _DASHES[curve.marker]
    period = on + off
    steps = np.maximum(np.abs(np.diff(columns)), np.abs(np.diff(rows)))
    length = np.append(0.0, np.cumsum(steps))
    if length[-1] > 8 * canvas[0]:  # more noise than line: dashes along it would be a thousand specks
        drawn = (columns[1:] + columns[:-1]) / 2 % period < on
        return Strokes(tuple(x.tolist()), tuple(y.tolist()), tuple((np.flatnonzero(drawn) + 1).tolist()), line)
    # Dashes are measured along the line, in dots, so that steep parts are dashed as flat ones are.
    starts = np.arange(0.0, length[-1], period)
    places = np.unique(np.concatenate([length, starts, np.minimum(starts + on - 1, length[-1])]))
    drawn = (places[1:] + places[:-1]) / 2 % period < on - 1
    kept = places % period <= on - 1 + 1e-6
    kept[1:] |= drawn
    kept[:-1] |= drawn
    connected = (np.cumsum(kept) - 1)[1:][drawn]
    xs, ys = np.interp(places[kept], length, x), np.interp(places[kept], length, y)
    return Strokes(tuple(xs.tolist()), tuple(ys.tolist()), tuple(connected.tolist()), line)
