"""Scheduling a callback that also fires on a busy machine, or at intervals while a widget is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from textual.timer import Timer
from textual.widget import Widget


def schedule(widget: Widget, seconds: float, callback: Callable[[], object]) -> None:
    """Call ``callback`` in the message loop of ``widget`` after ``seconds``, or as soon after as possible.

    A one-shot timer of Textual that is late before it starts to wait, as a short one is on a busy machine, is skipped
    and never fires; code that waits for it before it sets another would wait forever.
    """
    if seconds <= 0:
        widget.call_later(callback)
    else:
        asyncio.get_running_loop().call_later(seconds, widget.call_later, callback)


class ShownTimers(Widget):
    """Mixin: what is called at intervals is called while the widget is shown only, and at once when it is shown."""

    def __init__(self, *children: Widget, **options: Any) -> None:
        super().__init__(*children, **options)
        self._shown_timers: list[tuple[Timer, Callable[[], object]]] = []

    def every(self, seconds: float, callback: Callable[[], object]) -> None:
        """Call ``callback`` each time that the widget is shown, and then at intervals of ``seconds``."""
        self._shown_timers.append((self.set_interval(seconds, callback, pause=True), callback))

    def on_show(self) -> None:
        for timer, callback in self._shown_timers:
            timer.reset()
            self.call_later(callback)

    def on_hide(self) -> None:
        for timer, _ in self._shown_timers:
            timer.pause()
