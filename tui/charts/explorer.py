"""A chart that is explored: zoom, pan and a crosshair, with keys and with the mouse."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from tui.charts.widget import Chart

Range = tuple[float, float]
KEY_ZOOM = 0.5
WHEEL_ZOOM = 0.8
PAN = 0.25
"""The share of the view by which a key pans."""
FAST = 10
"""Columns that the crosshair moves with a key for larger steps."""
SMALLEST = 1e-6
"""The share of the whole axis that a view shows at least."""

MOVES = (
    ("left", "Left", "cross_left", "The crosshair to the left: it reads the values of all curves there; esc hides it"),
    ("right", "Right", "cross_right", "The crosshair to the right"),
    ("ctrl+left", "10 left", "cross_far_left", "The crosshair ten columns to the left"),
    ("ctrl+right", "10 right", "cross_far_right", "The crosshair ten columns to the right"),
    ("up", "Zoom in", "zoom_in", "Zoom in, at the crosshair if there is one; the mouse wheel zooms at the pointer"),
    ("down", "Zoom out", "zoom_out", "Zoom out"),
    ("shift+left", "Earlier", "pan_left", "Pan to the left; drag with the mouse"),
    ("shift+right", "Later", "pan_right", "Pan to the right"),
    ("home", "All", "whole", "The whole curve again; so does a double click"),
)


def explorer_keys(pane: str) -> list[BindingType]:
    """The bindings of a widget with a chart; its ``action_explore`` calls ``explore`` of that chart."""
    return [
        Binding(key, f"explore('{move}')", words, show=False, tooltip=f"Chart: {help}", id=f"{pane}.{move}")
        for key, words, move, help in MOVES
    ]


class Explorer(Chart):
    """A chart that shows the part ``view`` of its x axis; subclasses draw it."""

    view: reactive[Range | None] = reactive(None, repaint=False)
    """The ends of the x axis; None shows the whole."""
    cross: reactive[float | None] = reactive(None, repaint=False)
    """The x at which the values are read; None for no crosshair."""

    @dataclass
    class Explored(Message):
        """The view or the crosshair changed."""

        chart: Explorer

        def can_replace(self, message: Message) -> bool:
            """Only the latest counts."""
            return isinstance(message, type(self)) and message.chart is self.chart

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._dragged_from: tuple[int, Range] | None = None
        self._has_dragged = False

    def whole(self) -> Range:
        """The ends of the x axis if it shows everything."""
        raise NotImplementedError

    @property
    def latest(self) -> float:
        """The largest x that has a value; the axis may go on behind it."""
        return math.inf

    def _explored(self) -> None:
        self.invalidate(at_once=True)
        self.post_message(self.Explored(self))

    watch_view = watch_cross = _explored

    # ------------------------------------------------------------------ moves

    def explore(self, move: str) -> None:
        """Make one of ``MOVES``."""
        if move.startswith("zoom"):
            self.zoom(KEY_ZOOM if move == "zoom_in" else 1 / KEY_ZOOM, self.cross)
        elif move.startswith("pan"):
            self.pan(-PAN if move == "pan_left" else PAN)
        elif move == "whole":
            self.view = None
        else:
            self.move_cross((FAST if "far" in move else 1) * (-1 if move.endswith("left") else 1))

    def zoom(self, factor: float, at: float | None = None) -> None:
        """Show ``factor`` times as much of the axis; what is at x = ``at``, by default the middle, stays in place."""
        (low, high), (first, last) = self.view or self.whole(), self.whole()
        if at is None or not low <= at <= high:
            at = (low + high) / 2
        span = max((high - low) * factor, (last - first) * SMALLEST)
        if span >= last - first:
            self.view = None
            return
        start = at - (at - low) / (high - low) * span
        self._show_from(start, span)

    def pan(self, share: float) -> None:
        """Move the view by a share of itself, as far as there is something."""
        if self.view is not None:
            low, high = self.view
            self._show_from(low + share * (high - low), high - low)

    def _show_from(self, start: float, span: float) -> None:
        first, last = self.whole()
        start = min(max(start, first), max(first, last - span))
        self.view = (start, start + span)

    def move_cross(self, columns: int) -> None:
        """Move the crosshair; the first step left shows it at the latest value in view, the first right at the edge."""
        span = self.x_span
        if span is None:
            return
        edge: Literal[0, 1] = 1 if columns < 0 else 0
        if self.cross is None or not span.low <= self.cross <= span.high:
            self.cross = (span.low, min(span.high, max(span.low, self.latest)))[edge]
            return
        step = (span.high - span.low) / max(1, span.cells - 1)
        self.cross = min(max(self.cross + columns * step, span.low), span.high)

    # ------------------------------------------------------------------ the mouse

    def _at(self, event: events.MouseEvent) -> float | None:
        """The x under the pointer; None if there is no axis."""
        span = self.x_span
        return span.value_at(event.x) if span is not None else None

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.zoom(WHEEL_ZOOM, self._at(event))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.zoom(1 / WHEEL_ZOOM, self._at(event))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        span = self.x_span
        if span is not None and event.button == 1:
            self._dragged_from, self._has_dragged = (event.x, (span.low, span.high)), False
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        span = self.x_span
        if self._dragged_from is None or span is None:
            self.cross = self._at(event)
            return
        begin, (low, high) = self._dragged_from
        if event.x != begin:
            self._has_dragged = True
        if self._has_dragged and self.view is not None:
            self._show_from(low - (event.x - begin) * (high - low) / max(1, span.cells - 1), high - low)

    def on_mouse_up(self) -> None:
        self._dragged_from = None
        self.release_mouse()

    def on_click(self, event: events.Click) -> None:
        if event.chain == 2 and not self._has_dragged:
            self.view = None

    def on_leave(self) -> None:
        self.cross = None
