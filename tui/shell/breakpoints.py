"""The classes that a screen has by its size: the only place where a layout depends on columns and lines."""

from __future__ import annotations

from collections.abc import Callable

from textual.widget import Widget

HORIZONTAL = [(0, "-narrow"), (100, "-normal"), (160, "-wide")]
VERTICAL = [(0, "-short"), (32, "-tall"), (50, "-very-tall")]


def is_short(widget: Widget) -> bool:
    """Whether the screen of ``widget`` has few lines: long texts become shorter."""
    return widget.screen.has_class("-short")


def when_short_changes(widget: Widget, callback: Callable[[], object]) -> None:
    """Call ``callback`` each time that the screen of ``widget``, which is mounted, becomes short or stops being so."""
    before = is_short(widget)

    def look(_: object) -> None:
        nonlocal before
        if is_short(widget) != before:
            before = not before
            callback()

    widget.screen.screen_layout_refresh_signal.subscribe(widget, look)
