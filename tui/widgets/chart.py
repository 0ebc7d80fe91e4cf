"""Charts as widgets: drawn when seen and when changed, a few times a second, and only the changed cells sent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.strip import Strip
from textual.visual import Visual
from textual.widget import Widget

from tui.charts import Curve, Drawing, Palette, ReferenceLine, Series, line_chart
from tui.charts.ticks import linear_range
from tui.later import later

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from textual.theme import Theme

Draw: TypeAlias = Callable[[int, int], Drawing]
"""Draws what there is to draw in a given width and height."""

REDRAW_SECONDS = 0.25


class Chart(Widget):
    """Shows what a drawing function draws.

    However often ``invalidate`` is called, the function is called at most once in ``REDRAW_SECONDS`` (at once the first
    time, and again for the last change), and never while the chart cannot be seen. Rows that come out as before are
    not sent to the terminal again.
    """

    DEFAULT_CSS = "Chart { width: 1fr; height: 1fr; }"
    ALLOW_SELECT = False

    def __init__(self, draw: Draw | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.palette = Palette()
        self._draw = draw
        self._drawing: Drawing | None = None
        self._drawn_at = -math.inf
        self._strips: list[Strip] | None = None
        self._stale = False
        self._scheduled = False

    def show(self, draw: Draw) -> None:
        """Draw with another function from now on."""
        self._draw = draw
        self.invalidate()

    def draw(self, width: int, height: int) -> Drawing:
        """What is to be seen, in exactly this size."""
        if self._draw is None:
            return Drawing([((" " * width, ""),)] * height, width)
        return self._draw(width, height)

    def invalidate(self, at_once: bool = False) -> None:
        """Say that the data changed. ``at_once`` where a person waits for it, as after a key."""
        self._stale = True
        if not self.is_attached or (self._scheduled and not at_once):
            return
        wait = 0.0 if at_once else self._drawn_at + REDRAW_SECONDS - time.monotonic()
        self._scheduled = True
        later(self, wait, self._redraw)  # after the messages at hand, which may bring more

    def _redraw(self) -> None:
        """Draw what changed since the last time, and have the changed rows painted."""
        self._scheduled = False
        if not self._stale or not self.size or not self.is_on_screen:
            return  # on_show comes back to it
        before = self._drawing
        self._paint()
        after = self._drawing
        assert after is not None
        if before is None or (before.width, before.height) != (after.width, after.height):
            self.refresh()
        else:
            regions = changed_regions(before, after)
            if regions:
                self.refresh(*regions)

    def _paint(self) -> None:
        """Bring drawing and strips up to date."""
        width, height = self.size
        drawing = self._drawing
        if self._stale or drawing is None or (drawing.width, drawing.height) != (width, height):
            self._stale = False
            self._drawn_at = time.monotonic()
            self._drawing = drawing = self.draw(width, height)
        self._strips = Visual.to_strips(self, drawing, width, height, self.visual_style, apply_selection=False)

    def render_line(self, y: int) -> Strip:
        """One row, drawn before."""
        drawing = self._drawing
        if self._strips is None or drawing is None or Size(drawing.width, drawing.height) != self.size:
            self._paint()
        assert self._strips is not None
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self.visual_style.rich_style)

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, self._theme_changed)

    def on_show(self) -> None:
        if self._stale:
            self.invalidate(at_once=True)

    def _theme_changed(self, theme: Theme) -> None:
        self._strips = None
        self.refresh()

    def notify_style_update(self) -> None:
        """Colours may be others from now on (called by Textual)."""
        self._strips = None
        super().notify_style_update()


def changed_regions(before: Drawing, after: Drawing) -> list[Region]:
    """Where two drawings of one size differ: for each row that does, the columns from the first change to the last."""
    regions: list[Region] = []
    for y, (old, new) in enumerate(zip(before.rows, after.rows, strict=True)):
        if old == new:
            continue
        old_text, new_text = before.lines[y], after.lines[y]
        if len(old_text) != after.width or len(new_text) != after.width:  # wide characters: columns are not characters
            regions.append(Region(0, y, after.width, 1))
            continue
        old_styles = [style for text, style in old for _ in text]
        new_styles = [style for text, style in new for _ in text]
        differing = [
            x
            for x in range(after.width)
            if old_text[x] != new_text[x] or (old_styles[x] != new_styles[x] and new_text[x] != " ")
        ]
        if differing:
            regions.append(Region(differing[0], y, differing[-1] + 1 - differing[0], 1))
    return regions


class CurveChart(Chart):
    """Curves over epochs: perplexity in training and on held-out text, with reference lines.

    Series grow without end in bounded memory (see ``Curve``). The x axis reaches to the end of the run where that is
    known, else to a round number beyond the latest point, so that a new point changes a few cells and not the picture.
    """

    log_y: reactive[bool] = reactive(True, repaint=False)
    """Logarithmic y axis."""
    window: reactive[int | None] = reactive(None, repaint=False)
    """Show the last so many epochs only; None for all."""

    def __init__(
        self,
        *,
        x_label: str = "epoch",
        y_label: str = "perplexity",
        placeholder: str = "no epoch yet",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.x_label = x_label
        self.y_label = y_label
        self.placeholder = placeholder
        self._looks: dict[str, Series] = {}
        self._curves: dict[str, Curve] = {}
        self._references: tuple[ReferenceLine, ...] = ()
        self._end: float | None = None

    def set_series(self, series: Sequence[Series]) -> None:
        """Show these series, with the points they have; more may be added by name."""
        self._looks = {one.name: replace(one, x=(), y=()) for one in series}
        self._curves = {one.name: Curve() for one in series}
        for one in series:
            self._curves[one.name].extend(one.x, one.y)
        self.invalidate()

    def append(self, name: str, x: float, y: float) -> None:
        """One more point of a series; a new name begins a new series."""
        self.extend(name, [x], [y])

    def extend(self, name: str, x: ArrayLike, y: ArrayLike) -> None:
        """More points of a series, in the order of x."""
        if name not in self._curves:
            self._looks[name] = Series(name, (), ())
            self._curves[name] = Curve()
        self._curves[name].extend(x, y)
        self.invalidate()

    def replace_points(self, name: str, x: ArrayLike, y: ArrayLike) -> None:
        """Other points for a series that is there."""
        curve = self._curves[name]
        curve.clear()
        curve.extend(x, y)
        self.invalidate()

    def set_references(self, lines: Sequence[ReferenceLine]) -> None:
        """Show these horizontal lines."""
        if tuple(lines) != self._references:
            self._references = tuple(lines)
            self.invalidate()

    def set_end(self, epochs: float | None) -> None:
        """The x axis reaches at least so far; None where nobody knows."""
        if epochs != self._end:
            self._end = epochs
            self.invalidate()

    def watch_log_y(self) -> None:
        self.invalidate(at_once=True)

    def watch_window(self) -> None:
        self.invalidate(at_once=True)

    def draw(self, width: int, height: int) -> Drawing:
        """The curves as they stand."""
        latest = max((curve.latest for curve in self._curves.values()), default=0.0)
        low, high = self._x_range(latest)
        near = self.window is not None
        series = []
        for name, curve in self._curves.items():
            x, y = curve.points(since=low if near else None)
            series.append(replace(self._looks[name], x=x, y=y))
        references = [replace(line, stretch=line.stretch and self.log_y and not near) for line in self._references]
        title = self.y_label + (", log scale" if self.log_y else "")
        return line_chart(
            series,
            width=width,
            height=height,
            log_y=self.log_y,
            x_label=self.x_label,
            y_label=f"{title}, last {self.window:,}" if self.window is not None else title,
            palette=self.palette,
            x_range=(low, high),
            y_range=(1.0, None) if self.log_y and not near else None,
            reference_lines=references,
            integer_x=True,
            placeholder=self.placeholder,
        )

    def _x_range(self, latest: float) -> tuple[float, float]:
        """The ends of the x axis. They move seldom, for each time the whole picture moves with them."""
        if self.window is not None:
            step = max(1, self.window // 10)
            high = max(float(self.window), math.ceil(latest / step) * step)
            return high - self.window, high
        if self._end is not None and self._end >= latest:
            return 0.0, max(1.0, self._end)
        return 0.0, max(10.0, linear_range(0.0, latest)[1])
