"""The one way in which the tests of the screen wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


async def all_ran(seconds: float = 1.0) -> None:
    """Let everything run that can run now; what waits for a timer or a thread goes on waiting.

    On a busy machine the pilot's own pause ends too early: it takes a process that gets no time for one that is idle.
    """
    loop: Any = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop._ready and loop.time() < end:
        await asyncio.sleep(0)


async def until(pilot: Any, condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Let the app work until ``condition`` holds; fails after ``seconds``. ``pilot`` is None where there is no app.

    A pause of the pilot asks every widget, 10 ms of the processor: only before a look that may be the last one.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        if pilot is not None:  # with a delay: without one it waits until the process is idle, up to a second
            await pilot.pause(0.01)
            await all_ran()
        if condition():
            return
        while not condition():
            assert loop.time() < end, f"the condition did not hold within {seconds:g} s"
            await asyncio.sleep(0.01)
        if pilot is None:
            return
