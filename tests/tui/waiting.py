"""The one way in which the tests of the screen wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


async def until(pilot: Any, condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Let the app work until ``condition`` holds; fails after ``seconds``. ``pilot`` is None where there is no app.

    A pause of the pilot asks every widget, 10 ms of the processor: only before a look that may be the last one.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        if pilot is not None:  # with a delay: without one it waits until the process is idle, up to a second
            await pilot.pause(0.01)
        if condition():
            return
        while not condition():
            assert loop.time() < end, f"the condition did not hold within {seconds:g} s"
            await asyncio.sleep(0.01)
        if pilot is None:
            return
