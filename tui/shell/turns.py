"""Keys and clicks take turns: each one is for the screen that the one before it has left behind.

Textual puts a key into the queue of the widget that has the focus when it comes in; it goes from queue to queue up to
the app, and only there it is looked up what it does, by the focus of that later moment. What it does is put off in
turn: a focus moves with the next message, a dialog stands after some more. Keys that come in one piece, as a slow
line delivers them, so reach widgets that the user has left with the key before. Here the next one is handed on when
the one before has had all its effects.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from textual import events
from textual.app import App
from textual.dom import DOMNode, NoScreen
from textual.errors import NoWidget
from textual.widgets import Input

Way: TypeAlias = list[DOMNode]

PATIENCE = 1.0  # seconds: after them a widget that is busy with something else does not hold the keys any more
UNSEEN = 20  # keys at most between two pictures of the screen
ROUNDS = 20  # of waiting; it takes two where nothing comes of a key, four where a dialog opens
_MOVES = frozenset(("up", "down", "left", "right", "pageup", "pagedown", "home", "end", "tab", "shift+tab"))


class Turns:
    """Hands what is typed and clicked to ``hand``, in the app's message loop, one at a time."""

    def __init__(self, app: App[Any], hand: Callable[[events.Event], Awaitable[None]]) -> None:
        self._app = app
        self._hand = hand
        self._waiting: deque[events.Event] = deque()
        self._turn: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many keys and clicks have not been handed on yet."""
        return len(self._waiting)

    async def take(self, event: events.Event) -> None:
        """Hand ``event`` on, at once or when it is its turn."""
        if self._turn is not None:
            if isinstance(event, events.MouseMove) and self._waiting and isinstance(self._waiting[-1], type(event)):
                self._waiting.pop()  # only where the pointer has come to counts
            self._waiting.append(event)
        elif isinstance(event, events.MouseMove):
            await self._hand(event)
        else:
            way = self._way(event)
            await self._hand(event)
            self._turn = asyncio.create_task(self._go_on(event, way), name="turns")

    async def _go_on(self, event: events.Event, way: Way) -> None:
        try:
            await self._settled(event, way)
            while self._waiting and self._app.is_running:
                # What is seen between two keys that have both been typed is worth no drawing; for a click it is.
                with self._app.batch_update():
                    for _ in range(UNSEEN):
                        event = self._waiting.popleft()
                        way = self._way(event)
                        self._app.call_later(self._hand, event)
                        await self._settled(event, way)
                        if not self._waiting or isinstance(self._waiting[0], events.MouseEvent):
                            break
                await self._drawn()
        finally:
            self._turn = None

    def _way(self, event: events.Event | None = None) -> Way:
        """Whose queues ``event`` goes through; without one, those that a key would go through now."""
        app = self._app
        if not app.screen_stack:
            return [app]  # on the way out
        target: DOMNode | None = app.focused
        if isinstance(event, events.MouseEvent):
            with contextlib.suppress(NoWidget, NoScreen):
                target, _ = app.get_widget_at(event.x, event.y)
        return [*(target or app.screen).ancestors_with_self, app]

    async def _settled(self, event: events.Event, way: Way) -> None:
        """Wait until ``event`` has been on its whole ``way``, and has had its effects."""
        only_moves = isinstance(event, events.Paste) or (
            isinstance(event, events.Key)
            and (event.key in _MOVES or (event.is_printable and isinstance(way[0], Input)))
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await _passed(way)
                if only_moves:
                    return  # not all that follows from it: a held key would run on after it was let go
                for _ in range(ROUNDS):
                    before, way = way, self._way()
                    await _passed(way)
                    if way == before and not any(node.message_queue_size for node in way):
                        break
        await self._drawn()

    async def _drawn(self) -> None:
        """Wait until the screen is drawn, or else would be, and for what was put off until then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                drawn = asyncio.Event()
                if self._app.screen_stack and self._app.screen.call_after_refresh(drawn.set):
                    await drawn.wait()
                await _passed(self._way())


async def _passed(way: Way) -> None:
    """Wait until all that is in the queues of ``way`` now has been dealt with, one after the other."""
    for node in way:
        passed = asyncio.Event()
        if node.call_later(passed.set):
            await passed.wait()
