"""Server: the sockets of an engine. A thread with an asyncio loop reads requests into a queue and sends the answers.

The thread that uses torch never touches a socket: a client that stops reading (a stopped terminal) costs it nothing,
and is disconnected when too much data is waiting for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import os
import queue
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.engine import protocol
from core.engine.protocol import ProtocolError, decoded, encoded
from core.errors import RunError

# Bytes that may wait for a client; with more it is disconnected.
MOST_UNREAD = 16 << 20
# Clients at once.
MOST_CLIENTS = 100
# Requests of one client that may wait for the engine; until it takes one, no more are read from that client.
MOST_WAITING = 32


@dataclass(frozen=True)
class Received:
    """A message from a client; ``client`` is the address of the answer."""

    client: int
    message: dict[str, Any]


@dataclass(frozen=True)
class _Connection:
    transport: asyncio.WriteTransport
    room: asyncio.Semaphore


class Server:
    """Listens on one Unix socket; ``inbox`` has the requests, and None when a client has disconnected."""

    def __init__(self) -> None:
        self.inbox: queue.SimpleQueue[Received | None] = queue.SimpleQueue()
        self.path: Path | None = None
        self._connections: dict[int, _Connection] = {}
        self._numbers = itertools.count(1)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Event
        self._thread: threading.Thread | None = None

    def start(self, run: Path | None = None) -> Path:
        """Listen for ``run``, or as a standby engine. The socket gets its name only when it already listens."""
        folder = protocol.runtime_folder()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        new = folder / f"new-{os.getpid()}.sock"
        with exclusive_folder(folder):
            clear_leftovers(folder)
            new.unlink(missing_ok=True)
            listener.bind(str(new))
            os.chmod(new, 0o600)
            listener.listen(128)
        self.path = new
        self.move(run)
        is_ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(listener, is_ready), name="engine-server", daemon=True)
        self._thread.start()
        is_ready.wait()
        if self._loop is None:
            raise RunError(f"the engine cannot listen at {self.path}: see its log")
        return self.path

    def move(self, run: Path | None) -> None:
        """Change the name of the socket to that of ``run``. The caller holds the run's lock: an old socket is stale."""
        target = protocol.standby_socket(os.getpid()) if run is None else protocol.run_socket(run)
        assert self.path is not None
        with exclusive_folder(target.parent):
            os.replace(self.path, target)
        self.path = target

    def hide(self) -> None:
        """Remove the name of the socket; connected clients stay connected."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()
            self.path = None

    @property
    def num_clients(self) -> int:
        return len(self._connections)

    def is_connected(self, client: int) -> bool:
        return client in self._connections

    def taken(self, request: Received) -> None:
        """To be called for each request taken from the inbox: its client may send another."""
        connection = self._connections.get(request.client)
        if connection is not None:
            self._call(connection.room.release)

    def send(self, client: int, message: dict[str, Any]) -> None:
        """Send a message to one client; it is dropped if the client has disconnected."""
        self._call(self._write, client, encoded(message))

    def broadcast(self, message: dict[str, Any]) -> None:
        for client in list(self._connections):
            self.send(client, message)

    def close(self, timeout: float = 1.0) -> None:
        """Send what is waiting, for ``timeout`` seconds at most, and stop listening."""
        self.hide()
        if self._thread is not None:
            self._call(lambda: self._closing.set())
            self._thread.join(timeout)

    def _call(self, function: Any, *arguments: Any) -> None:
        """Call a function in the loop of the server's thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has closed
                self._loop.call_soon_threadsafe(function, *arguments)

    # ------------------------------------------------------------------ in the thread

    def _run(self, listener: socket.socket, is_ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(listener, is_ready))
        finally:
            is_ready.set()  # also if it could not start

    async def _serve(self, listener: socket.socket, is_ready: threading.Event) -> None:
        self._closing, loop = asyncio.Event(), asyncio.get_running_loop()
        # Without descriptors left, accepting fails until one is free: asyncio tries again each second.
        loop.set_exception_handler(lambda _loop, _context: None)
        server = await asyncio.start_unix_server(self._serve_client, sock=listener, limit=protocol.LONGEST_MESSAGE)
        self._loop = loop
        is_ready.set()
        await self._closing.wait()
        server.close()
        while any(connection.transport.get_write_buffer_size() for connection in self._connections.values()):
            await asyncio.sleep(0.01)
        for connection in self._connections.values():
            connection.transport.abort()

    async def _serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_accepted = len(self._connections) < MOST_CLIENTS and protocol.peer_is_user(writer.get_extra_info("socket"))
        if not is_accepted:
            writer.transport.abort()
            return
        number = next(self._numbers)
        connection = self._connections[number] = _Connection(writer.transport, asyncio.Semaphore(MOST_WAITING))
        try:
            while (line := await reader.readline()).endswith(b"\n"):
                try:
                    message = decoded(line)
                except ProtocolError as error:
                    self._write(number, encoded({"event": "error", "message": str(error), "mendable": True}))
                    await asyncio.sleep(0)  # other clients have their turn
                    continue
                await connection.room.acquire()
                self.inbox.put(Received(number, message))
        except (OSError, ValueError, MemoryError):  # ValueError: a line that is too long
            pass
        finally:
            del self._connections[number]
            writer.transport.abort()
            self.inbox.put(None)  # wakes the engine, which may have no other client

    def _write(self, client: int, data: bytes) -> None:
        connection = self._connections.get(client)
        if connection is None or connection.transport.is_closing():
            return
        connection.transport.write(data)
        if connection.transport.get_write_buffer_size() > MOST_UNREAD:
            connection.transport.abort()


@contextlib.contextmanager
def exclusive_folder(folder: Path, patience: float = 1.0) -> Iterator[None]:
    """Only one engine at a time changes the folder of sockets: a new socket that does not listen yet looks stale.

    After ``patience`` seconds the block runs anyway: an engine that was suspended inside it must not stop others.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                time.sleep(0.005)
        yield
    finally:
        os.close(descriptor)


def clear_leftovers(folder: Path) -> None:
    """Remove the sockets of engines that have died, to which nothing can connect."""
    for path in folder.glob("*.sock"):
        probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            probe.settimeout(1.0)
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError:
            pass
        finally:
            probe.close()
