"""Scheduling a callback that also fires on a busy machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

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
