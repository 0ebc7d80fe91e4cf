"""The chart of several runs: their curves over one another, each with its colour and its sign."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.reactive import reactive

from core.runs.metrics import AXES, METRICS
from core.scales import LOG, Scale
from core.units import count_text, perplexity_text
from tui.charts import Drawing, Series, XAxis, YAxis, line_chart
from tui.charts.axis import TickKind
from tui.charts.explorer import Explorer, Range
from tui.panes.runs.compare_runs import Compared, Line

if TYPE_CHECKING:
    from tui.charts.curve import Points
    from tui.charts.levels import Levels

DIM = "30%"


class RunsChart(Explorer):
    """The lines of a ``Compared``; the ``pinned`` run is drawn over the others."""

    shown: reactive[Compared] = reactive(lambda: Compared(is_complete=False), repaint=False)
    pinned: reactive[Path | None] = reactive(None, repaint=False)
    scale: reactive[Scale] = reactive(LOG, repaint=False)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Of the last drawing: a crosshair that moves, or one run that grows, leaves most of them as they are.
        self._points: dict[tuple[Levels, float, float, int], Points] = {}

    def watch_shown(self, before: Compared, after: Compared) -> None:
        if before.what.axis != after.what.axis:
            self.view = self.cross = None
        self.invalidate()

    def _changed(self) -> None:
        self.invalidate(at_once=True)

    watch_pinned = watch_scale = _changed

    def whole(self) -> Range:
        """From 0, or the first time of day, to the last point of all runs."""
        extents = [extent for line in self.shown.lines if (extent := line.raw.extent) is not None]
        if not extents:
            return 0.0, 1.0
        low = min(low for low, _ in extents) if self.shown.what.axis == "time" else 0.0
        high = max(high for _, high in extents)
        return low, high if high > low else low + 1.0

    def draw(self, width: int, height: int) -> Drawing:
        what, (low, high) = self.shown.what, self.view or self.whole()
        lines = sorted(self.shown.lines, key=lambda line: line.path == self.pinned)
        before, self._points = self._points, {}

        def series_of(line: Line, levels: Levels, style: str, sign: str) -> Series:
            key = (levels, low, high, width)
            points = self._points[key] = before.get(key) or levels.points(low, high, width)
            return Series("", *points, style, "solid", sign, is_decimated=True)

        series = [series_of(line, line.raw, f"{line.style} {DIM}", "") for line in lines if line.smooth is not None]
        series += [series_of(line, line.smooth or line.raw, line.style, line.sign) for line in lines]
        title = METRICS[what.metric].label + (f" over {AXES[what.axis].label}" if what.axis != "epoch" else "")
        title = self.scale.named(title) + (f", smoothed {what.smoothing:g}" if what.smoothing else "")
        nothing = "too large to draw" if any(one.above for one in self.shown.summaries) else "no epoch yet"
        ticks: TickKind = "time" if what.axis == "time" else "whole" if what.axis in ("epoch", "step") else "numbers"
        return line_chart(
            series,
            width,
            height,
            XAxis("epoch" if what.axis == "epoch" else "", range=(low, high), ticks=ticks, cross=self.cross),
            YAxis(title, self.scale, METRICS[what.metric].ends, ceiling=self.shown.ceiling),
            placeholder="reading …" if not self.shown.is_complete else nothing,
        )


def value_text(metric: str) -> Callable[[float], str]:
    if metric.endswith("perplexity"):
        return perplexity_text
    if metric == "tokens_per_second":
        return lambda value: count_text(round(value))
    return "{:.4g}".format
