"""Server: the socket side of an engine. A thread of its own reads requests into a queue and writes out what is sent.

The thread that owns torch never touches a socket: a client that reads nothing (a stopped terminal) costs it nothing,
and is dropped when too much waits for it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import queue
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.engine.protocol import (
    LONGEST_MESSAGE,
    ProtocolError,
    decoded,
    encoded,
    peer_is_user,
    run_socket,
    runtime_folder,
    standby_socket,
)

# A client that lets this much wait is no longer listening.
MOST_UNREAD = 16 << 20
# So many clients at once; a program that opens more has lost count of them.
MOST_CLIENTS = 100
# Where so many requests of one client wait for the owner of torch, no more of it are read: it waits, and nobody else.
MOST_WAITING = 32
# Seconds until the server looks again where something kept it from going on.
PAUSE = 0.05


@dataclass(frozen=True)
class Request:
    """What a client asked; ``client`` is the address for the answer."""

    client: int
    message: dict[str, Any]


@dataclass
class _Connection:
    socket: socket.socket
    number: int
    expected: int = selectors.EVENT_READ
    waiting: int = 0
    has_lines: bool = False
    unread: bytearray = field(default_factory=bytearray)
    unsent: bytearray = field(default_factory=bytearray)


class Server:
    """Listens on one Unix socket; ``inbox`` holds what has come in."""

    def __init__(self) -> None:
        self.inbox: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self.path: Path | None = None
        self._lock = threading.Lock()
        self._connections: dict[int, _Connection] = {}
        self._numbers = itertools.count(1)
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._closing = False
        self._listener: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, name="engine-server", daemon=True)

    def start(self, run: Path | None = None) -> Path:
        """Listen for ``run``, or as a standby engine. The socket shows up only when it already listens."""
        folder = runtime_folder()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        in_making = folder / f"new-{os.getpid()}.sock"
        with _folder_for_oneself(folder):
            clear_leftovers(folder)
            in_making.unlink(missing_ok=True)
            self._listener.bind(str(in_making))
            os.chmod(in_making, 0o600)
            self._listener.listen(128)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self.path = in_making
        self.move(run)
        self._thread.start()
        return self.path

    def move(self, run: Path | None) -> None:
        """Be found at ``run`` from now on. The caller holds the run's lock: what stands there already is left over."""
        target = standby_socket(os.getpid()) if run is None else run_socket(run)
        assert self.path is not None
        with _folder_for_oneself(target.parent):
            os.replace(self.path, target)
        self.path = target

    def hide(self) -> None:
        """Be found by nobody any more; who is connected stays so."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
            self.path = None

    @property
    def num_clients(self) -> int:
        """How many are connected."""
        return len(self._connections)

    def is_connected(self, client: int) -> bool:
        """Whether that client is still there."""
        return client in self._connections

    def taken(self, request: Request) -> None:
        """To be called for each request that is taken from the inbox: its client may send more."""
        with self._lock:
            connection = self._connections.get(request.client)
            if connection is None:
                return
            connection.waiting -= 1
            has_room = connection.waiting == MOST_WAITING // 2
        if has_room:
            self._wake()

    def send(self, client: int, message: dict[str, Any]) -> None:
        """Queue a message for one client; nothing happens where it has gone."""
        with self._lock:
            connection = self._connections.get(client)
            if connection is not None:
                connection.unsent += encoded(message)
        self._wake()

    def broadcast(self, message: dict[str, Any]) -> None:
        """Queue a message for all clients."""
        for client in list(self._connections):
            self.send(client, message)

    def close(self, timeout: float = 1.0) -> None:
        """Send what is queued, for ``timeout`` seconds at most, and stop listening."""
        self.hide()
        self._closing = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout)
        else:
            self._close_all()

    # ------------------------------------------------------------------ in the thread

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._waker.send(b"\0", socket.MSG_DONTWAIT)

    def _serve(self) -> None:
        while not (self._closing and not any(item.unsent for item in self._connections.values())):
            for connection in list(self._connections.values()):
                self._hear(connection)
                self._expect(connection)
            for key, mask in self._selector.select():
                if key.fileobj is self._woken:
                    with contextlib.suppress(OSError):
                        self._woken.recv(4096)
                elif key.fileobj is self._listener:
                    self._accept()
                else:
                    self._exchange(key.data, mask)
        self._close_all()

    def _expect(self, connection: _Connection) -> None:
        """Wait for what this client can do next; give up one that has not read for too long."""
        unsent = len(connection.unsent)
        if unsent > MOST_UNREAD:
            self._drop(connection)
            return
        reads = 0 if connection.waiting >= MOST_WAITING else selectors.EVENT_READ
        wanted = reads | (selectors.EVENT_WRITE if unsent else 0)
        if wanted == connection.expected:
            return
        if not connection.expected:
            self._selector.register(connection.socket, wanted, connection)
        elif wanted:
            self._selector.modify(connection.socket, wanted, connection)
        else:
            self._selector.unregister(connection.socket)
        connection.expected = wanted

    def _close_all(self) -> None:
        for connection in list(self._connections.values()):
            self._drop(connection)
        if self._listener is not None:
            self._listener.close()
        self._selector.close()
        self._waker.close()
        self._woken.close()

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            accepted, _ = self._listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                time.sleep(PAUSE)  # whoever waits goes on waiting, and would be seen again at once
            return
        if len(self._connections) >= MOST_CLIENTS or not peer_is_user(accepted):
            accepted.close()
            return
        accepted.setblocking(False)
        connection = _Connection(accepted, next(self._numbers))
        self._selector.register(accepted, selectors.EVENT_READ, connection)
        with self._lock:
            self._connections[connection.number] = connection

    def _exchange(self, connection: _Connection, mask: int) -> None:
        try:
            if mask & selectors.EVENT_WRITE:
                with self._lock:
                    sent = connection.socket.send(connection.unsent)
                    del connection.unsent[:sent]
            if mask & selectors.EVENT_READ:
                received = connection.socket.recv(1 << 16)
                if not received:
                    raise ConnectionResetError
                self._receive(connection, received)
        except BlockingIOError:
            pass
        except (OSError, MemoryError):
            self._drop(connection)

    def _receive(self, connection: _Connection, received: bytes) -> None:
        connection.unread += received
        connection.has_lines |= b"\n" in received
        if len(connection.unread) > LONGEST_MESSAGE and not connection.has_lines:
            raise ConnectionResetError

    def _hear(self, connection: _Connection) -> None:
        """Put into the inbox what has come from this client in whole lines, up to ``MOST_WAITING`` at a time."""
        begin = 0
        while connection.has_lines and connection.waiting < MOST_WAITING:
            end = connection.unread.find(b"\n", begin)
            if end < 0:
                connection.has_lines = False
                break
            try:
                message = decoded(bytes(connection.unread[begin:end]))
                with self._lock:
                    connection.waiting += 1
                self.inbox.put(Request(connection.number, message))
            except ProtocolError as error:
                with self._lock:
                    connection.unsent += encoded({"event": "error", "message": str(error), "mendable": True})
            begin = end + 1
        del connection.unread[:begin]

    def _drop(self, connection: _Connection) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection.socket)
        connection.socket.close()
        with self._lock:
            self._connections.pop(connection.number, None)
        # The owner of torch may be waiting for a request; it wants to know that somebody left.
        self.inbox.put(None)


@contextlib.contextmanager
def _folder_for_oneself(folder: Path, patience: float = 1.0) -> Iterator[None]:
    """Put sockets in their places one engine at a time: a new one, not listening yet, looks like one left over.

    After ``patience`` seconds it goes on all the same: an engine that was stopped in the middle holds up no other.
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
    """Remove the sockets of engines that died: nobody answers there any more."""
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
