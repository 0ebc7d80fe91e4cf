"""Something to do a little later, and surely."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from textual.widget import Widget


def later(widget: Widget, seconds: float, callback: Callable[[], object]) -> None:
    """Call ``callback`` among the messages of ``widget``, ``seconds`` from now or as soon after as there is time.

    A one-shot timer of Textual's that is late before it begins to wait, as a short one is on a busy machine, is passed
    over and never fires. Whoever waits for it before setting another one waits forever.
    """
    if seconds <= 0:
        widget.call_later(callback)
    else:
        asyncio.get_running_loop().call_later(seconds, widget.call_later, callback)
