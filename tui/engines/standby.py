"""The standby engine: an engine without a run, started early because its imports take seconds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from core.engine.client import EngineClient
from core.errors import EngineError

DIED = "the engine ended right after its start: run python -m core engine to see why"


class Standby:
    """At most one standby engine; ``start`` starts one."""

    def __init__(self, start: Callable[[], Coroutine[Any, Any, EngineClient]]) -> None:
        self._start = start
        self._task: asyncio.Task[EngineClient] | None = None
        self._closed = False

    def prepare(self) -> None:
        """Start an engine, unless there is one already."""
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(self._start(), name="standby-engine")
            self._task.add_done_callback(retrieve_exception)

    @property
    def client(self) -> EngineClient | None:
        """The client of the standby engine, once it has started."""
        task = self._task
        is_ready = task is not None and task.done() and not task.cancelled() and task.exception() is None
        return task.result() if task is not None and is_ready else None

    async def take(self) -> EngineClient:
        """Take the engine for a run; the next one has to be prepared. Raises EngineError if none can be started."""
        return await self._wait(keep=False)

    async def borrow(self) -> EngineClient:
        """The engine, for a request that needs no run; it stays on standby. Raises EngineError if none starts."""
        return await self._wait(keep=True)

    async def _wait(self, keep: bool) -> EngineClient:
        for _ in range(2):  # an engine that died on standby is replaced once
            self.prepare()
            task = self._task
            if task is None:
                break
            await asyncio.wait((task,))
            if self._task is task and (not keep or self.client is None or self.client.closed):
                self._task = None
            client = task.result()  # raises the error of its start
            if not client.closed:
                return client
        raise EngineError(DIED)

    async def close(self) -> None:
        """Disconnect from the engine, which then exits, or stop its start."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await (await self._task).close()


def retrieve_exception(task: asyncio.Task[Any]) -> None:
    """Look at the exception of a task that is not awaited: asyncio would print a warning over the screen."""
    if not task.cancelled():
        task.exception()
