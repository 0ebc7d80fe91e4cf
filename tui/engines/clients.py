"""The engines behind the runs: one standby engine kept ready, one client a run, one journal tail for the run on screen.

Everything here runs on the app's event loop and waits for nothing but asyncio; files are read in threads. What happens
is told by messages (see tui/messages.py); nothing here touches a widget.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.message import Message

from core.engine.answers import RunAnswer
from core.engine.client import EngineClient
from core.engine.requests import Create, Hello, Open
from core.errors import EngineError, RunError
from core.events import EpochFinished, State, StateChanged, event_from_json
from core.files import open_to_read
from core.runs.journal import JournalReader
from core.runs.run import Run
from core.settings.run_config import RunConfig
from tui.messages import DevicesFound, EngineLost, JournalGrew, RunOpened, RunsChanged, RunStateChanged

WORKING = (State.TRAINING, State.PAUSED)
QUICK_POLL = 0.04  # seconds between two looks at the journal of a run that trains, until its first epoch is there
CALM_POLL = 0.25  # and from then on: each look takes the training a little of a processor
SLOW_POLL = 0.4  # and of one that does not
CHUNK = 1 << 20  # bytes of journal at a time: a long curve appears piece by piece instead of all at once
MANY = 1000  # events after which there are probably more at once
HELD_CHECK = 2.0  # seconds between two looks at whether somebody still trains a run that we have no client of
NEXT_STANDBY = 4.0  # seconds before the next standby engine starts: its imports would slow the training just begun
LAST_WORDS = 60.0  # seconds before its end within which an engine's words are taken for the reason of it
RELEASE_PATIENCE = 5.0  # seconds that an idle engine may take to let go of its run


class Engines:
    """Clients of engines, by run folder.

    ``post`` takes the messages; ``standby`` and ``attach`` are how engines are started and found; tests bring
    their own.
    """

    def __init__(
        self,
        post: Callable[[Message], object],
        saves: Path,
        data: Path | None = None,
        standby: Callable[[], Awaitable[EngineClient]] | None = None,
        attach: Callable[[Path], Awaitable[EngineClient]] | None = None,
    ) -> None:
        self._take = post
        self._saves = saves
        self._data = data
        self._start = standby or EngineClient.standby
        self._attach = attach or EngineClient.attach
        self._clients: dict[Path, EngineClient] = {}
        self._locks: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._standby: asyncio.Task[EngineClient] | None = None
        self._tails: dict[Path, asyncio.Task[None]] = {}
        self._chores: set[asyncio.Task[None]] = set()
        self._states: dict[Path, str] = {}
        self.closed = False

    def _post(self, message: Message) -> None:
        if not self.closed:
            self._take(message)

    # ------------------------------------------------------------------ the standby engine

    def prepare(self, delay: float = 0.0) -> None:
        """See to it that a standby engine is ready, or on its way, ``delay`` seconds from now."""
        if delay:
            self._chore(self._prepare_later(delay))
        elif self._standby is None and not self.closed:
            self._standby = asyncio.create_task(self._started(), name="standby-engine")
            self._standby.add_done_callback(_retrieved)

    @property
    def ready(self) -> bool:
        """Whether a standby engine is past its imports."""
        standby = self._standby
        return standby is not None and standby.done() and not standby.cancelled() and standby.exception() is None

    async def _prepare_later(self, delay: float) -> None:
        await asyncio.sleep(delay)
        self.prepare()

    async def _started(self) -> EngineClient:
        client = await self._start()
        with contextlib.suppress(EngineError, RunError):
            await self._tell_devices(client)
        return client

    async def _take_standby(self) -> EngineClient:
        """A fresh engine, now ours. Raises EngineError where none can be started."""
        for _ in range(2):
            self.prepare()
            standby = self._standby
            assert standby is not None
            try:
                client = await asyncio.shield(standby)
            finally:
                if self._standby is standby and standby.done():
                    self._standby = None
            if not client.closed:  # one that died while it waited is replaced once
                return client
        raise EngineError("the engine ended right after its start: run python -m core engine to see why")

    async def laboratory(self) -> EngineClient:
        """The standby engine, for what needs no run: it goes on standing by. Raises EngineError where none starts."""
        for _ in range(2):
            self.prepare()
            standby = self._standby
            if standby is None:
                break
            await asyncio.wait((standby,))
            if self._standby is standby and (not self.ready or standby.result().closed):
                self._standby = None
            client = standby.result()  # raises what kept it from starting
            if not client.closed:
                return client
        raise EngineError("the engine ended right after its start: run python -m core engine to see why")

    # ------------------------------------------------------------------ clients

    async def client(self, run: Path) -> EngineClient:
        """The client of the engine that holds ``run``; without one, the run is opened in the standby engine.

        Raises RunError for a run that cannot be opened, EngineError for an engine that cannot be had.
        """
        async with self._locks[run]:
            return await self._client(run)

    async def _client(self, run: Path) -> EngineClient:
        known = self._clients.get(run)
        if known is not None and not known.closed:
            return known
        try:
            client = await self._attach(run)
        except EngineError:
            client = await self._take_standby()
            self.prepare(NEXT_STANDBY)
        try:
            answer = await client.ask(Open(run))
        except BaseException:
            await client.close()
            raise
        self._keep(run, client, answer)
        return client

    async def attached(self, run: Path) -> bool:
        """Attach to the engine that holds ``run``, if there is one; never starts any. Raises RunError."""
        async with self._locks[run]:
            known = self._clients.get(run)
            if known is not None and not known.closed:
                return True
            try:
                client = await self._attach(run)
            except EngineError:
                return False
            try:
                answer = await client.ask(Open(run))
            except EngineError:
                await client.close()
                return False
            self._keep(run, client, answer)
            return True

    async def create(self, config: RunConfig, name: str | None = None) -> Path:
        """Make a new run in the standby engine and return its folder. Raises RunError, EngineError."""
        client = await self._take_standby()
        self.prepare(NEXT_STANDBY)
        try:
            answer = await client.ask(Create(config, self._saves, name, self._data))
            run = answer.run
        except BaseException:
            await client.close()
            self.prepare()
            raise
        self._keep(run, client, answer)
        self._post(RunsChanged())
        return run

    def _keep(self, run: Path, client: EngineClient, answer: RunAnswer) -> None:
        self._clients[run] = client
        self._states[run] = answer.state
        client.listen(lambda message: self._heard(run, message), lambda: self._lost(run, client))
        self._post(RunOpened(run, answer))

    def has_client(self, run: Path) -> bool:
        """Whether there is an engine behind ``run`` that we talk to."""
        client = self._clients.get(run)
        return client is not None and not client.closed

    def state(self, run: Path) -> str:
        """The last state heard of; idle for a run never heard of."""
        return self._states.get(run, State.IDLE)

    def training(self) -> list[Path]:
        """The runs that train, or are paused in the midst of it, in engines of ours."""
        return [run for run, client in self._clients.items() if not client.closed and self.state(run) in WORKING]

    async def release(self, run: Path) -> None:
        """Leave the engine of ``run`` so that an idle one exits, and wait until it let go. One that trains is kept."""
        async with self._locks[run]:
            client = self._clients.get(run)
            if client is None or self.state(run) in WORKING:
                return
            del self._clients[run]
            await client.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RELEASE_PATIENCE):
                    while await asyncio.to_thread(Run(run).is_held):
                        await asyncio.sleep(0.05)

    async def refresh_devices(self) -> None:
        """Ask an engine for the devices and their memory again; silent where none is at hand."""
        clients = [client for client in self._clients.values() if not client.closed]
        if not clients and self.ready and self._standby is not None:
            clients = [self._standby.result()]
        for client in clients[:1]:
            with contextlib.suppress(EngineError, RunError):
                await self._tell_devices(client)

    async def close(self) -> None:
        """Leave every engine: those that train go on, idle ones exit."""
        self.closed = True
        tasks = [*self._tails.values(), *self._chores]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        clients = list(self._clients.values())
        if self._standby is not None:
            self._standby.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                clients.append(await self._standby)
        self._clients.clear()
        await asyncio.gather(*(client.close() for client in clients), return_exceptions=True)

    async def _tell_devices(self, client: EngineClient) -> None:
        self._post(DevicesFound((await client.ask(Hello())).devices))

    def _heard(self, run: Path, message: dict[str, Any]) -> None:
        event = event_from_json(message)
        if isinstance(event, StateChanged):
            self._states[run] = event.state
            self._post(RunStateChanged(run, event.state, event.epoch, event.message))

    def _lost(self, run: Path, client: EngineClient) -> None:
        if self._clients.get(run) is client:
            del self._clients[run]
            self._chore(self._tell_loss(run))

    async def _tell_loss(self, run: Path) -> None:
        state = self._states.pop(run, State.IDLE)
        if state in WORKING:
            self._states[run] = State.INTERRUPTED
            self._post(RunStateChanged(run, State.INTERRUPTED, 0))
        reason = await asyncio.to_thread(loss_in_words, run, state)
        self._post(EngineLost(run, reason, Run(run).log_path))

    # ------------------------------------------------------------------ journals

    def follow(self, run: Path) -> None:
        """Tail the journal of ``run`` from its beginning until ``unfollow``; what comes is told in JournalGrew."""
        if run not in self._tails and not self.closed:
            self._tails[run] = asyncio.create_task(self._tail(run), name="journal-tail")
            self._tails[run].add_done_callback(_retrieved)

    async def unfollow(self, run: Path) -> None:
        """No longer tail the journal of ``run``."""
        tail = self._tails.pop(run, None)
        if tail is not None:
            tail.cancel()
            await asyncio.gather(tail, return_exceptions=True)

    async def _tail(self, run: Path) -> None:
        reader = JournalReader(Run(run).journal_path)
        loop = asyncio.get_running_loop()
        next_check, pause = 0.0, QUICK_POLL
        while True:
            events = tuple(event for event, _ in await asyncio.to_thread(reader.poll, CHUNK))
            if events:
                state = next((event for event in reversed(events) if isinstance(event, StateChanged)), None)
                if state is not None and not self.has_client(run):
                    self._states[run] = state.state
                self._post(JournalGrew(run, events))
                if any(isinstance(event, EpochFinished) for event in events):
                    pause = CALM_POLL
                if len(events) < MANY:
                    await asyncio.sleep(pause)
                continue
            if self.state(run) in WORKING and not self.has_client(run) and loop.time() >= next_check:
                next_check = loop.time() + HELD_CHECK
                if not await asyncio.to_thread(Run(run).is_held):
                    self._states[run] = State.INTERRUPTED
                    self._post(RunStateChanged(run, State.INTERRUPTED, 0, "its engine ended before the run did"))
            await asyncio.sleep(pause if self.state(run) == State.TRAINING else SLOW_POLL)

    def _chore(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)


def _retrieved(task: asyncio.Task[Any]) -> None:
    """Look at a task's exception, which nobody may be waiting for: asyncio would print a warning over the screen."""
    if not task.cancelled():
        task.exception()


def loss_in_words(run: Path, state: str) -> str:
    """Why an engine went away, as far as its log tells, and what to change. Reads a file."""
    try:
        with open_to_read(Run(run).log_path) as file:
            facts = os.fstat(file.fileno())
            file.seek(max(0, facts.st_size - 4096))
            # What stands there from an earlier engine is not why this one went.
            is_new = abs(time.time() - facts.st_mtime) < LAST_WORDS
            log = file.read(4096).decode(errors="replace").lower() if is_new else ""
    except OSError:
        log = ""
    if any(words in log for words in ("out of memory", "allocate memory", "memoryerror", "bad_alloc")):
        return "The engine ran out of memory: make batch, steps or hidden smaller, or take another device."
    if state in WORKING and not log:
        return (
            "The engine was killed in the midst of training: train goes on from the last checkpoint. Where memory ran "
            "short the system does that; a smaller batch, fewer steps or hidden units need less of it."
        )
    if state in WORKING:
        return "The engine ended in the midst of training: train goes on from the last checkpoint."
    return "The engine ended: what is asked next starts another one."
