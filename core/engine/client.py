"""EngineClient: one connection to one engine, for asyncio. No torch in this module: the screen talks through it.

client = await EngineClient.standby()                      # a fresh engine, past its imports
run = await client.ask(Create(config, saves))
await client.ask(Train())
async for event in client.job(Generate(GenerationRequest("分开", 50))): ...
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import subprocess
import threading
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

from core.engine import protocol
from core.engine.answers import AnswerT
from core.engine.protocol import LAST_EVENTS, decoded, encoded
from core.engine.requests import REQUESTS, EventT, JobRequest, Request
from core.errors import EngineError, UserError, refusing
from core.files import open_to_read
from core.process import start_core
from core.record import MALFORMED

Broadcast = Callable[[dict[str, Any]], None]
# Seconds that an engine may need to import torch from a cold network disk.
START_TIMEOUT = 120.0


class EngineClient:
    """A connection to an engine. Requests may overlap; each receives the events with its own id."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Queue[dict[str, Any]]] = {}
        self._broadcast: Broadcast = lambda message: None
        self._lost: Callable[[], None] = lambda: None
        self.closed = False
        self._listener = asyncio.create_task(self._listen(), name="engine-client")

    # ------------------------------------------------------------------ connecting

    @classmethod
    async def connect(cls, path: Path) -> EngineClient:
        """Connect to the socket at ``path``. Raises EngineError if no engine listens there."""
        with refusing(f"no engine listens at {path}", EngineError):
            reader, writer = await asyncio.open_unix_connection(str(path), limit=protocol.LONGEST_MESSAGE)
        if not protocol.peer_is_user(writer.get_extra_info("socket")):
            writer.close()
            raise EngineError(f"the process that listens at {path} belongs to another user")
        return cls(reader, writer)

    @classmethod
    async def attach(cls, run: Path) -> EngineClient:
        """Connect to the engine of ``run``. Raises EngineError if it has none, RunError if there is no run."""
        return await cls.connect(await asyncio.to_thread(protocol.run_socket, run))

    @classmethod
    async def standby(cls) -> EngineClient:
        """Start an engine without a run and wait until it has finished its imports. Raises EngineError."""
        return await cls.connect(await start_engine())

    # ------------------------------------------------------------------ requests

    def listen(self, broadcast: Broadcast, lost: Callable[[], None]) -> None:
        """Call ``broadcast`` with every message for all clients, and ``lost`` once when the connection is lost."""
        self._broadcast, self._lost = broadcast, lost
        if self.closed:
            lost()

    @property
    def process(self) -> int:
        """The process id of the engine; 0 if the system does not say."""
        return protocol.peer_process(self._writer.get_extra_info("socket"))

    @property
    def is_suspended(self) -> bool:
        """Whether the process is stopped, by ctrl+z or SIGSTOP; False if the system does not say."""
        try:
            with open_to_read(Path(f"/proc/{self.process}/stat")) as file:
                return file.read().rpartition(b")")[2].split()[:1] == [b"T"]
        except OSError:
            return False

    async def ask(self, request: Request[AnswerT]) -> AnswerT:
        """Send a request and return its answer. Raises RunError or EngineError with the engine's sentence."""
        event = await self.request(request.kind, **request.to_json())
        try:
            return request.read_answer(event)
        except (UserError, *MALFORMED):
            raise _unknown_form(request) from None

    async def job(self, request: JobRequest[EventT]) -> AsyncGenerator[EventT, None]:
        """Send a request and yield the events that answer it; closed early, the work is cancelled.

        Raises RunError or EngineError with the engine's sentence.
        """
        async with contextlib.aclosing(self.stream(request.kind, **request.to_json())) as messages:
            async for message in messages:
                if message.get("event") == "cancelled":
                    return
                try:
                    event = request.read_event(message)
                except (UserError, *MALFORMED):
                    raise _unknown_form(request) from None
                yield event

    async def request(self, name: str, /, **fields: Any) -> dict[str, Any]:
        """Send a request and return its last event. Raises RunError or EngineError with the engine's sentence."""
        last: dict[str, Any] = {}
        async for event in self.stream(name, **fields):
            last = event
        return last

    async def stream(self, name: str, /, **fields: Any) -> AsyncGenerator[dict[str, Any], None]:
        """Send a request and yield its events up to the last one; left early, a ``JobRequest`` is cancelled.

        Raises RunError or EngineError if the last one is an error.
        """
        if self.closed:
            raise EngineError("the engine has gone")
        number = next(self._ids)
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._waiting[number] = queue
        finished = False
        try:
            await self._send({"id": number, "request": name, **fields})
            while not finished:
                event = await queue.get()
                finished = event.get("event") in LAST_EVENTS
                if event.get("event") == "error":
                    raise protocol.failure(event)
                yield event
        finally:
            del self._waiting[number]
            if not finished and not self.closed and issubclass(REQUESTS.get(name, Request), JobRequest):
                with contextlib.suppress(EngineError):
                    await self._send({"id": next(self._ids), "request": "cancel", "target": number})

    async def close(self) -> None:
        """Disconnect. The engine continues if it trains, and exits if it is idle."""
        self._lost = lambda: None
        self._listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listener
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        self._end()

    async def _send(self, message: dict[str, Any]) -> None:
        with refusing("the engine has gone", EngineError):
            self._writer.write(encoded(message))
            await self._writer.drain()

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                message = decoded(line)
                queue = self._waiting.get(message.get("id", 0))
                if queue is not None:
                    queue.put_nowait(message)
                elif "id" not in message:
                    self._broadcast(message)
        except (OSError, ValueError):
            pass
        finally:
            self._writer.close()  # an engine that is still there must not count this client
            self._end()
            self._lost()

    def _end(self) -> None:
        self.closed = True
        for queue in self._waiting.values():
            queue.put_nowait({"event": "error", "message": "the engine has gone"})


def _unknown_form(request: Request[Any]) -> EngineError:
    return EngineError(
        f"the engine's answer to {request.kind} has an unknown form: the engine may be of another version"
    )


async def start_engine(*arguments: str, timeout: float = START_TIMEOUT) -> Path:
    """Start ``python -m core engine`` and wait until it listens; return its socket. Raises EngineError.

    It is not started by asyncio: an event loop that closes kills its children, and training must outlive the app.
    """
    pipe = subprocess.PIPE
    process = await asyncio.to_thread(start_core, "engine", *arguments, stdout=pipe, stderr=pipe)
    assert process.stdout is not None and process.stderr is not None
    try:
        line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), timeout)
        return Path(str(decoded(line)["socket"]))
    except (TimeoutError, ValueError, KeyError):
        process.kill()
        words = (await asyncio.to_thread(process.stderr.read)).decode(errors="replace").strip().splitlines()
        raise EngineError(f"the engine did not start: {words[-1] if words else 'it said nothing'}") from None
    except asyncio.CancelledError:
        process.kill()  # this also ends the thread that waits for its first line
        raise
    finally:
        threading.Thread(target=process.wait, name="engine-reaper", daemon=True).start()
