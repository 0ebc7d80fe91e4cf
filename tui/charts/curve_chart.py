"""The chart of a run that is watched: figures over epochs, live, with reference lines."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from textual.reactive import reactive

from core.scales import LINEAR, LOG, Ends, Scale, linear_ends
from tui.charts import Drawing, GrowingCurve, Marker, ReferenceLine, Series, XAxis, YAxis, line_chart
from tui.charts.explorer import Explorer, Range


@dataclass(frozen=True, eq=False)
class LiveSeries:
    """A ``Series`` whose points are read from a ``GrowingCurve`` each time the chart is drawn."""

    name: str
    curve: GrowingCurve
    color: int | str | None = None
    marker: Marker | None = None

    change: Callable[[float], float] | None = None
    """What is drawn of each value; None for the values themselves."""

    def points(self, since: float | None) -> Series:
        """The series as it is now, from ``since`` on."""
        x, y = self.curve.points(since)
        heights = [self.change(value) if value > 0 else math.nan for value in y.tolist()] if self.change else y
        return Series(self.name, x, heights, self.color, self.marker)


class CurveChart(Explorer):
    """Curves over epochs, as of the perplexity in training and on held-out text, with reference lines.

    The x axis extends to the end of the run if that is known, else to a round number beyond the latest point, so that
    a new point changes a few cells and not the whole picture. Each change is drawn after the pending messages: whoever
    sets ``series`` decides how often.
    """

    series: reactive[tuple[LiveSeries, ...]] = reactive((), repaint=False, always_update=True)
    """What is drawn. Set it again after a curve has grown."""
    references: reactive[tuple[ReferenceLine, ...]] = reactive((), repaint=False)
    """Horizontal lines."""
    end: reactive[float | None] = reactive(None, repaint=False)
    """The epoch that the x axis includes; None if the end of the run is not known."""
    scale: reactive[Scale] = reactive(LOG, repaint=False)
    """Of the y axis."""
    least_y: reactive[float | None] = reactive(1.0, repaint=False)
    """A value that a y axis that is not linear includes while the whole curve is shown; a perplexity is at least 1."""
    ends: reactive[Ends | None] = reactive(None, repaint=False)
    """Values that the y axis always includes, as 0 and 1 of a share; None if it follows the curve."""
    ceiling: reactive[float] = reactive(math.inf, repaint=False)
    """A value above which the curves do not extend the y axis."""
    window: reactive[int | None] = reactive(None, repaint=False)
    """Number of latest epochs that are shown; None for all."""
    smoothing: reactive[float] = reactive(0.0, repaint=False)
    """The weight of the moving average that is drawn over the dimmed curve; 0 for none."""

    y_label = "perplexity"
    value_text: Callable[[float], str] = staticmethod("{:.4g}".format)
    """How the crosshair shows a value."""

    def _changed(self) -> None:
        self.invalidate(at_once=True)

    watch_series = watch_references = watch_end = watch_scale = watch_least_y = watch_ends = _changed
    watch_ceiling = watch_smoothing = _changed

    def watch_window(self) -> None:
        self.view = None
        self._changed()

    @property
    def latest(self) -> float:
        return max((one.curve.latest for one in self.series), default=0.0)

    def whole(self) -> Range:
        """All epochs, or the latest ones; the ends change seldom, because the whole picture changes with them."""
        latest = self.latest
        if self.window is not None:
            step = max(1, self.window // 10)
            high = max(float(self.window), math.ceil(latest / step) * step)
            return high - self.window, high
        if self.end is not None and self.end >= latest:
            return 0.0, max(1.0, self.end)
        return 0.0, max(10.0, linear_ends(0.0, latest)[1])

    def draw(self, width: int, height: int) -> Drawing:
        """The curves with the points that they have now."""
        import numpy as np

        low, high = self.view or self.whole()
        near = self.window is not None or self.view is not None
        is_wide = self.scale is not LINEAR and not near  # on a linear axis, what is far would flatten the curves
        included = self.ends or ((self.least_y, None) if is_wide else None)
        references = [replace(line, stretch=line.stretch and is_wide) for line in self.references]
        shown = [one.points(low if near and not self.smoothing else None) for one in self.series]
        heights = np.concatenate([np.asarray(one.y, np.float64) for one in shown] or [np.empty(0)])
        is_above = bool((heights > self.ceiling).any() and (heights <= self.ceiling).any())
        title, shown = (self._title(is_above), shown) if self.cross is None else self._read(shown, self.cross)
        series = [part for one in shown for part in self._smoothed(one)] if self.smoothing else shown
        return line_chart(
            series,
            width,
            height,
            XAxis("epoch", range=(low, high), ticks="whole", cross=self.cross),
            YAxis(title, self.scale, included, references, self.ceiling),
            placeholder="no epoch yet",
        )

    def _smoothed(self, one: Series) -> list[Series]:
        """A curve, dimmed and without its name, and its moving average."""
        if one.marker == "points":
            return [one]
        from core.runs.comparison import smoothed
        from tui.charts.curve import finite_points

        x, y = finite_points(one.x, one.y)
        raw = replace(one, name="", color=f"{one.color} 35%" if isinstance(one.color, str) else one.color)
        return [raw, replace(one, x=x, y=smoothed(x, y, self.smoothing))]

    def _title(self, is_above: bool) -> str:
        """What the y axis is, and whether there is more above it."""
        title = self.scale.named(self.y_label)
        title += f", last {self.window:,}" if self.window is not None and self.view is None else ""
        title += f", smoothed {self.smoothing:g}" if self.smoothing else ""
        return title + ("; some values are above the chart" if is_above else "")

    def _read(self, shown: Sequence[Series], cross: float) -> tuple[str, list[Series]]:
        """What the curves have at the crosshair: the title, and the curves with their values in the legend."""
        from tui.charts.levels import Levels

        epoch, read, title = round(cross), [], f"epoch {round(cross):,}"
        for one in shown:
            point = Levels(one.x, one.y).nearest(epoch) if one.marker != "points" else None
            words = self.value_text(point[1]) if point is not None else "–"
            if one.marker == "points":
                read.append(replace(one, name=""))
            elif one.name:
                read.append(replace(one, name=f"{one.name} {words}"))
            else:  # a single curve, which the axis names
                title = f"{self.y_label} {words}"
                read.append(one)
        return title, read
