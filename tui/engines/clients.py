"""The engines of the app: one client for each open run, a standby engine, and the journals of the runs on screen.

Everything here runs on the app's event loop and blocks on nothing; files are read in threads. Events are
posted as messages (see tui/messages.py); nothing here touches a widget.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.message import Message

from core.engine.answers import RunAnswer
from core.engine.client import EngineClient
from core.engine.requests import Create, Hello, Open
from core.errors import EngineError, RunError
from core.events import Event, State, StateChanged, event_from_json
from core.runs.run import Run
from core.settings.run_config import RunConfig
from tui.engines.journal_tail import tail_journal
from tui.engines.loss import WORKING, loss_in_words
from tui.engines.standby import Standby, retrieve_exception
from tui.messages import DevicesFound, EngineLost, JournalGrew, RunFolderSeen, RunOpened, RunsChanged, RunStateChanged

NEXT_STANDBY = 4.0  # seconds until the next standby engine starts: its imports would slow the training just begun
RELEASE_PATIENCE = 5.0  # seconds that an idle engine may take to release its run


class Engines:
    """Clients of engines, by run folder.

    ``post`` posts a message; ``standby`` starts an engine, ``attach`` finds the engine of a run; tests replace both.
    """

    def __init__(
        self,
        post: Callable[[Message], object],
        saves: Path,
        data: Path | None = None,
        standby: Callable[[], Awaitable[EngineClient]] | None = None,
        attach: Callable[[Path], Awaitable[EngineClient]] | None = None,
    ) -> None:
        self._post_message = post
        self._saves = saves
        self._data = data
        self._start = standby or EngineClient.standby
        self._standby = Standby(self._started)
        self._attach = attach or EngineClient.attach
        self._clients: dict[Path, EngineClient] = {}
        self._locks: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tails: dict[Path, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._states: dict[Path, str] = {}
        self._gone: set[Path] = set()  # followed runs whose folder has disappeared
        self.closed = False

    def _post(self, message: Message) -> None:
        if not self.closed:
            self._post_message(message)

    # ------------------------------------------------------------------ the standby engine

    def prepare(self, delay: float = 0.0) -> None:
        """Start a standby engine after ``delay`` seconds, unless there is one."""
        if delay:
            self._run_task(self._prepare_after(delay))
        elif not self.closed:
            self._standby.prepare()

    async def _prepare_after(self, delay: float) -> None:
        await asyncio.sleep(delay)
        self.prepare()

    @property
    def ready(self) -> bool:
        return self._standby.client is not None

    async def laboratory(self) -> EngineClient:
        return await self._standby.borrow()

    async def _started(self) -> EngineClient:
        client = await self._start()
        with contextlib.suppress(EngineError, RunError):
            await self._post_devices(client)
        return client

    # ------------------------------------------------------------------ clients

    async def client(self, run: Path) -> EngineClient:
        """The client of the engine of ``run``; if it has none, the standby engine opens the run.

        Raises RunError if the run cannot be opened, EngineError if no engine can be started.
        """
        async with self._locks[run]:
            return self._known(run) or await self._attached(run) or await self._open(run, await self._take())

    async def attached(self, run: Path) -> bool:
        """Connect to the engine of ``run`` if it has one; starts none. Raises RunError."""
        async with self._locks[run]:
            with contextlib.suppress(EngineError):
                return bool(self._known(run) or await self._attached(run))
        return False

    def _known(self, run: Path) -> EngineClient | None:
        client = self._clients.get(run)
        return client if client is not None and not client.closed else None

    async def _attached(self, run: Path) -> EngineClient | None:
        try:
            client = await self._attach(run)
        except EngineError:
            return None
        return await self._open(run, client)

    async def _open(self, run: Path, client: EngineClient) -> EngineClient:
        try:
            answer = await client.ask(Open(run))
        except BaseException:
            await client.close()
            raise
        self._keep(run, client, answer)
        return client

    async def _take(self) -> EngineClient:
        client = await self._standby.take()
        self.prepare(NEXT_STANDBY)
        return client

    async def create(self, config: RunConfig, name: str | None = None) -> Path:
        client = await self._take()
        try:
            answer = await client.ask(Create(config, self._saves, name, self._data))
        except BaseException:
            await client.close()
            self.prepare()
            raise
        self._keep(answer.run, client, answer)
        self._post(RunsChanged())
        return answer.run

    def _keep(self, run: Path, client: EngineClient, answer: RunAnswer) -> None:
        self._clients[run] = client
        self._states[run] = answer.state
        client.listen(lambda message: self._broadcast(run, message), lambda: self._lost(run, client, answer.stays))
        self._post(RunOpened(run, answer))

    def has_client(self, run: Path) -> bool:
        return self._known(run) is not None

    def state(self, run: Path) -> str:
        """The last known state; idle for an unknown run."""
        return self._states.get(run, State.IDLE)

    def training(self) -> list[Path]:
        """The runs that are training or paused in engines of this app."""
        return [run for run, client in self._clients.items() if not client.closed and self.state(run) in WORKING]

    async def release(self, run: Path) -> None:
        """Disconnect from the engine of ``run`` and wait until it has released it, unless it trains or is paused."""
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
        """Ask an engine for the devices and their memory again, if any engine has started."""
        client = next((client for client in self._clients.values() if not client.closed), self._standby.client)
        if client is not None:
            with contextlib.suppress(EngineError, RunError):
                await self._post_devices(client)

    async def close(self) -> None:
        """Disconnect from all engines: those that train continue, idle ones exit."""
        self.closed = True
        tasks = [*self._tails.values(), *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        clients = list(self._clients.values())
        self._clients.clear()
        await asyncio.gather(self._standby.close(), *(client.close() for client in clients), return_exceptions=True)

    async def _post_devices(self, client: EngineClient) -> None:
        self._post(DevicesFound((await client.ask(Hello())).devices))

    def _broadcast(self, run: Path, message: dict[str, Any]) -> None:
        event = event_from_json(message)
        if isinstance(event, StateChanged):
            self._states[run] = event.state
            self._post(RunStateChanged(run, event.state, event.epoch, event.message))

    def _lost(self, run: Path, client: EngineClient, stays: bool) -> None:
        if self._clients.get(run) is client:
            del self._clients[run]
            if stays or self.state(run) in WORKING:  # not the end of a training that a command ran
                self._run_task(self._report_loss(run))

    async def _report_loss(self, run: Path) -> None:
        state = self._states.pop(run, State.IDLE)
        if state in WORKING:
            self._states[run] = State.INTERRUPTED
            self._post(RunStateChanged(run, State.INTERRUPTED, 0))
        reason = await asyncio.to_thread(loss_in_words, run, state)
        self._post(EngineLost(run, reason))

    # ------------------------------------------------------------------ journals

    def follow(self, run: Path) -> None:
        """Post the journal of ``run`` from its beginning, as JournalGrew, until ``unfollow``."""
        if run not in self._tails and not self.closed:
            self._tails[run] = asyncio.create_task(self._tail(run), name="journal-tail")
            self._tails[run].add_done_callback(retrieve_exception)

    async def unfollow(self, run: Path) -> None:
        """Stop posting the journal of ``run``."""
        tail = self._tails.pop(run, None)
        self._gone.discard(run)
        if tail is not None:
            tail.cancel()
            await asyncio.gather(tail, return_exceptions=True)

    async def _tail(self, run: Path) -> None:
        await tail_journal(
            run,
            publish=lambda events: self._publish(run, events),
            is_training=lambda: self.state(run) == State.TRAINING,
            check=lambda: self._check(run),
        )

    def _publish(self, run: Path, events: tuple[Event, ...]) -> None:
        state = next((event for event in reversed(events) if isinstance(event, StateChanged)), None)
        if state is not None and not self.has_client(run):
            self._states[run] = state.state
        self._post(JournalGrew(run, events))

    async def _check(self, run: Path) -> None:
        """Find out whether the run's folder is still there, and, if it trains elsewhere, whether it has an engine."""
        exists = await asyncio.to_thread(_may_exist, run)
        if exists == (run in self._gone):
            (self._gone.discard if exists else self._gone.add)(run)
            self._post(RunFolderSeen(run, exists))
        if self.state(run) not in WORKING or self.has_client(run):
            return
        if not await asyncio.to_thread(Run(run).is_held):
            self._states[run] = State.INTERRUPTED
            self._post(RunStateChanged(run, State.INTERRUPTED, 0, "its engine ended before the run did"))

    def _run_task(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _may_exist(path: Path) -> bool:
    """Whether there is something at ``path``, or the disk cannot say. Reads the disk."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
