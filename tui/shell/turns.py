"""Keys and clicks take turns: each one is handled once the one before has had all its effects.

Textual queues a key at the widget that has the focus when it arrives; the key bubbles up to the app, which looks up its
action by the focus at that later moment. Effects are delayed too: a focus moves with the next message, a dialog opens
after several. Keys that arrive in one piece, as over a slow line, would reach widgets that the user has already left.
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
"""The widgets whose queues an event passes, from its target up to the app."""

PATIENCE = 1.0  # seconds that a busy widget can delay the next key
UNSEEN = 20  # keys at most between two paints of the screen
ROUNDS = 20  # of waiting: a key without effect takes two, one that opens a dialog four
_MOVES = frozenset(("up", "down", "left", "right", "pageup", "pagedown", "home", "end", "tab", "shift+tab"))


class Turns:
    """Passes keys and clicks to ``hand`` in the app's message loop, one at a time."""

    def __init__(self, app: App[Any], hand: Callable[[events.Event], Awaitable[None]]) -> None:
        self._app = app
        self._hand = hand
        self._waiting: deque[events.Event] = deque()
        self._turn: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many keys and clicks wait for their turn."""
        return len(self._waiting)

    async def take(self, event: events.Event) -> None:
        """Pass ``event`` on, now or in its turn."""
        if self._turn is not None:
            if isinstance(event, events.MouseMove) and self._waiting and isinstance(self._waiting[-1], type(event)):
                self._waiting.pop()  # only the latest position of the pointer counts
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
                # Nothing is painted between keys that wait already; a click needs what the user saw.
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
        """The way of ``event``, or that of a key if there is none."""
        app = self._app
        if not app.screen_stack:
            return [app]  # the app is closing
        target: DOMNode | None = app.focused
        if isinstance(event, events.MouseEvent):
            with contextlib.suppress(NoWidget, NoScreen):
                target, _ = app.get_widget_at(event.x, event.y)
        return [*(target or app.screen).ancestors_with_self, app]

    async def _settled(self, event: events.Event, way: Way) -> None:
        """Wait until ``event`` has passed its ``way`` and has had its effects."""
        only_moves = isinstance(event, events.Paste) or (
            isinstance(event, events.Key)
            and (event.key in _MOVES or (event.is_printable and isinstance(way[0], Input)))
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await _passed(way)
                if only_moves:
                    return  # a held key would continue after its release if each waited for all effects
                for _ in range(ROUNDS):
                    before, way = way, self._way()
                    await _passed(way)
                    if way == before and not any(node.message_queue_size for node in way):
                        break
        await self._drawn()

    async def _drawn(self) -> None:
        """Wait until the screen has been refreshed, and for callbacks that wait for that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                drawn = asyncio.Event()
                if self._app.screen_stack and self._app.screen.call_after_refresh(drawn.set):
                    await drawn.wait()
                await _passed(self._way())


async def _passed(way: Way) -> None:
    """Wait until all messages that are in the queues of ``way`` now have been handled."""
    for node in way:
        passed = asyncio.Event()
        if node.call_later(passed.set):
            await passed.wait()
