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
        if pilot is not None:
            await pilot.pause()
        if condition():
            return
        assert loop.time() < end, f"the condition did not hold within {seconds:g} s"
        await asyncio.sleep(0.02)
