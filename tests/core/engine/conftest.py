"""Engines that are forked from the test: real processes that can be killed, without the seconds that imports take."""

from __future__ import annotations

import gc
import itertools
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core import devices
from core.engine.engine import Engine, write_log_to
from core.engine.protocol import LAST_EVENTS, encoded
from core.engine.session import Session
from core.files import open_to_append


class Talk:
    """A connection that waits: one request after the other, each with its events."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self._lines = self.socket.makefile("rb")
        self._ids = itertools.count(1)
        self.others: list[dict[str, Any]] = []
        """What came in for nobody or somebody else, in order."""

    def send(self, name: str, /, **fields: Any) -> int:
        """Ask; return the id."""
        number = next(self._ids)
        self.socket.sendall(encoded({"id": number, "request": name, **fields}))
        return number

    def receive(self) -> dict[str, Any]:
        """The next message. Raises EOFError where the engine has gone."""
        line = self._lines.readline()
        if not line:
            raise EOFError
        message: dict[str, Any] = json.loads(line)
        return message

    def last(self, number: int) -> dict[str, Any]:
        """Wait for the last event of a request."""
        while True:
            message = self.receive()
            if message.get("id") == number and message["event"] in LAST_EVENTS:
                return message
            self.others.append(message)

    def ask(self, name: str, /, **fields: Any) -> dict[str, Any]:
        """Ask, and wait for the last event."""
        return self.last(self.send(name, **fields))

    def rest(self) -> list[dict[str, Any]]:
        """All that comes until the engine has gone."""
        found = []
        try:
            while True:
                found.append(self.receive())
        except (EOFError, ConnectionError):
            return found

    def close(self) -> None:
        """Leave."""
        self._lines.close()
        self.socket.close()


class ForkedEngine:
    """An engine in a child of this process. ``talk`` is a connection to it."""

    def __init__(self, session: Callable[[], Session] | None, prepare: Callable[[], object], log: Path) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            _serve(session, prepare, writing, log)
        os.close(writing)
        self.code: int | None = None
        self._signalled = time.monotonic()
        self._reading, self._log = reading, log

    def begin(self) -> None:
        """Wait until it listens, and connect."""
        with os.fdopen(self._reading, "rb") as pipe:
            is_there, _, _ = select.select([pipe], [], [], 60)
            told = pipe.read() if is_there else b""
        assert told, f"the engine did not start: {self._log.read_text()}"
        self.path = Path(os.fsdecode(told))
        self.talk = Talk(self.path)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._signalled = time.monotonic()
        os.kill(self.pid, number)

    def wait(self, seconds: float = 15.0) -> int:
        """Wait until it has ended; return its exit code, negative for a signal. Far less than what it was doing."""
        deadline = time.monotonic() + seconds
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
                print(f"gone {time.monotonic() - self._signalled:.2f} s after the signal")
            assert time.monotonic() < deadline, f"the engine still runs after {seconds} s"
            time.sleep(0.005)
        return self.code

    def close(self) -> None:
        """End it in any case."""
        if hasattr(self, "talk"):
            self.talk.close()
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait(60)


def _serve(session: Callable[[], Session] | None, prepare: Callable[[], object], told: int, log: Path) -> None:
    """In the child: an engine as the command line makes one."""
    code = 1
    try:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        gc.freeze()  # as ``python -m core`` does; a collection would copy all pages that this process shares
        # OpenMP's pool does not survive a fork: where this process has used one, its child would wait for it for ever.
        devices.cores = lambda: 1
        write_log_to(open_to_append(log))
        sys.stderr = os.fdopen(2, "w", closefd=False)  # pytest's own writes to a number that a socket gets below
        os.closerange(3, told)  # whoever reads what the tests print must not wait for this process
        os.closerange(told + 1, 1024)
        engine = Engine(session() if session is not None else None)
        engine.stop_on_signals(signal.SIGTERM)
        prepare()
        os.write(told, os.fsencode(engine.start()))
        os.close(told)
        engine.run()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


@pytest.fixture(scope="module", autouse=True)
def _held_by_others() -> None:
    """A training that fails collects garbage: not through all that was imported and made since the suite began."""
    gc.freeze()


@pytest.fixture
def forked(runtime: Path, one_thread: None, tmp_path: Path) -> Iterator[Callable[..., ForkedEngine]]:
    """Start an engine: with the session that ``session`` makes in it, or none; then ``prepare`` is called in it."""
    started: list[ForkedEngine] = []

    def start(
        session: Callable[[], Session] | None = None, prepare: Callable[[], object] = lambda: None
    ) -> ForkedEngine:
        started.append(ForkedEngine(session, prepare, tmp_path / f"engine-{len(started)}.log"))
        started[-1].begin()
        return started[-1]

    yield start
    for engine in started:
        engine.close()
