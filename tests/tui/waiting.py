"""The one way in which the tests of the screen wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


async def until(pilot: Any, condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Let the app work until ``condition`` holds; fails after ``seconds``. ``pilot`` is None where there is no app."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        if pilot is None:
            await asyncio.sleep(0.01)
        else:  # with a delay: without one it waits until the process is idle, up to a second while a run trains
            await pilot.pause(0.01)
        if condition():
            return
        assert loop.time() < end, f"the condition did not hold within {seconds:g} s"
