"""Processes past their imports that programs are forked from, each shared by all processes of the suite."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent
FORKED = TESTS / "forked"


@contextlib.contextmanager
def fork_server(folder: Path, name: str, *modules: str, **environment: str) -> Iterator[Path]:
    """The socket of the server ``name``, which has imported ``modules``.

    The first that asks starts it; it ends with the last process that holds a connection to it.
    """
    path = folder / f"{name}.sock"
    with open(folder / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        held = _connection(path)
        if held is None:
            path.unlink(missing_ok=True)
            command = [sys.executable, str(FORKED / "server.py"), str(path), *modules]
            with open(folder / f"{name}.log", "wb") as errors:
                # All three streams: a program's are put in their places.
                server = subprocess.Popen(
                    command, cwd=TESTS.parent, env=os.environ | environment, stdin=subprocess.DEVNULL, stdout=errors,
                    stderr=errors,
                )  # fmt: skip
            while (held := _connection(path)) is None:
                assert server.poll() is None, (folder / f"{name}.log").read_text()
                time.sleep(0.02)
    with held:
        yield path


def _connection(path: Path) -> socket.socket | None:
    """A connection for which the server stays; None where there is no server, or one that is about to end."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
        connection.sendall(b"hold\n")
        if connection.recv(16):
            return connection
    except OSError:
        pass
    connection.close()
    return None
