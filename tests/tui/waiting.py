"""The one way in which the tests of the screen wait."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import Callable
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from textual.app import App


class Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Says when all that can run now has run: the event loop then waits, instead of having a glance at its files."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[asyncio.Future[None]] = []

    def select(self, timeout: float | None = None) -> Any:
        """As the selector below, and without a wait where somebody waits for just that."""
        if self.waiting and timeout != 0:
            for future in self.waiting:
                if not future.done():
                    future.set_result(None)
            self.waiting.clear()
            timeout = 0
        return super().select(timeout)


class Policy(asyncio.DefaultEventLoopPolicy):
    """Makes event loops of which ``all_ran`` knows whether they have something to do."""

    selectors: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, Selector]] = WeakKeyDictionary()

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """A loop with a selector of ours."""
        selector = Selector()
        loop = asyncio.SelectorEventLoop(selector)
        self.selectors[loop] = selector
        return loop


async def all_ran(seconds: float = 1.0) -> None:
    """Let everything run that can run now; what waits for a timer or a thread goes on waiting.

    On a busy machine the pilot's own pause ends too early: it takes a process that gets no time for one that is idle.
    Ends after ``seconds`` where there is always something to run.
    """
    loop = asyncio.get_running_loop()
    ran: asyncio.Future[None] = loop.create_future()
    Policy.selectors[loop].waiting.append(ran)
    await asyncio.wait([ran], timeout=seconds)


async def drawn(app: App[Any], seconds: float = 0.0) -> None:
    """Wait ``seconds``, then until what can run has run and the screen has been drawn."""
    await asyncio.sleep(seconds)
    await all_ran()
    is_drawn = asyncio.Event()
    if app.is_running and app.screen_stack and app.call_after_refresh(is_drawn.set):
        with contextlib.suppress(TimeoutError):  # an app that is leaving draws no more
            await asyncio.wait_for(is_drawn.wait(), 1.0)
        await all_ran()


async def until(pilot: Any, condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Let the app work until ``condition`` holds; fails after ``seconds``. ``pilot`` is None where there is no app."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        if pilot is not None:
            await drawn(pilot.app)
        if condition():
            return
        while not condition():
            assert loop.time() < end, f"the condition did not hold within {seconds:g} s"
            await asyncio.sleep(0.01)
        if pilot is None:
            return
