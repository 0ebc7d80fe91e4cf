"""Charts as widgets: drawn only while visible and after a change, a few times a second; only changed cells are sent."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from textual.geometry import Region, Size
from textual.strip import Strip
from textual.visual import Visual
from textual.widget import Widget

from tui.charts import Drawing, blank, is_loaded, preload
from tui.scheduling import schedule

if TYPE_CHECKING:
    from textual.theme import Theme

    from tui.charts.axis import XSpan

Draw: TypeAlias = Callable[[int, int], Drawing]
"""Returns the drawing for a width and a height."""

REDRAW_SECONDS = 0.25


class Chart(Widget):
    """Shows the drawing of a function.

    The function is called at most once in ``REDRAW_SECONDS``, however often ``invalidate`` is called (the first time at
    once, and again for the last change), and never while the chart is not visible. Rows that have not changed are not
    sent to the terminal again. The first chart of all is drawn once what draws it has been imported, in a thread.
    """

    DEFAULT_CSS = "Chart { width: 1fr; height: 1fr; }"
    ALLOW_SELECT = False

    def __init__(self, draw: Draw | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._draw = draw
        self._drawing: Drawing | None = None
        self._drawn_at = -math.inf
        self._strips: list[Strip] | None = None
        self._stale = False
        self._scheduled = False
        self._is_loading = False

    def show(self, draw: Draw) -> None:
        self._draw = draw
        self.invalidate()

    def draw(self, width: int, height: int) -> Drawing:
        """The drawing in exactly this size."""
        return self._draw(width, height) if self._draw is not None else blank(width, height)

    @property
    def x_span(self) -> XSpan | None:
        """Where x is on the drawing that is shown."""
        return self._drawing.x_span if self._drawing is not None else None

    def invalidate(self, at_once: bool = False) -> None:
        """Schedule a redraw because the data changed. ``at_once`` if a person waits for it, as after a key."""
        self._stale = True
        if not self.is_attached or (self._scheduled and not at_once):
            return
        wait = 0.0 if at_once else self._drawn_at + REDRAW_SECONDS - time.monotonic()
        self._scheduled = True
        schedule(self, wait, self._redraw)  # after the pending messages, which may change more

    def _redraw(self) -> None:
        """Draw again, and have the changed rows painted."""
        self._scheduled = False
        if not self._stale or not self.size or not self.is_on_screen or not self._can_draw():
            return  # on_show draws it
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

    def _can_draw(self) -> bool:
        """Whether drawing needs no import any more; otherwise begin it."""
        if not is_loaded() and not self._is_loading:
            self._is_loading = True
            self.run_worker(self._load())
        return is_loaded()

    async def _load(self) -> None:
        await asyncio.to_thread(preload)
        self._is_loading = False
        self.invalidate(at_once=True)

    def _paint(self) -> None:
        """Update the drawing if the data or the size changed, and its strips."""
        width, height = self.size
        drawing = self._drawing
        if self._stale or drawing is None or (drawing.width, drawing.height) != (width, height):
            self._stale = False
            self._drawn_at = time.monotonic()
            self._drawing = drawing = self.draw(width, height)
        self._strips = Visual.to_strips(self, drawing, width, height, self.visual_style, apply_selection=False)

    def render_line(self, y: int) -> Strip:
        """One row of the drawing (called by Textual)."""
        drawing = self._drawing
        has_size = drawing is not None and Size(drawing.width, drawing.height) == self.size
        if (self._strips is None or not has_size) and self._can_draw():
            self._paint()
        if self._strips is not None and y < len(self._strips):
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
        """The colours may have changed (called by Textual)."""
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
