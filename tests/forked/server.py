"""``python server.py SOCKET MODULE ...``: starts programs by forking, past their imports, which take seconds.

``sitecustomize.py`` beside it asks for each ``python -m core ...``, and stays until it ends; a terminal of the tests
asks for what it shows. The code of the programs is unchanged.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import termios
import time
import traceback
from typing import Any

STREAMS = 3
HOLD = b"hold\n"


def _slow_down(seconds: float) -> None:
    """Wait before each batch: a training without end, beside which a test does something else, takes no processor."""
    from core.engine.session import Session

    advance = Session.advance

    def slowly(session: Session) -> Any:
        time.sleep(seconds)
        return advance(session)

    Session.advance = slowly  # type: ignore[method-assign]


def _become(facts: dict[str, Any], streams: list[int]) -> None:
    """In the child: run the program as a new process would, and end."""
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for stream, target in zip(streams, facts["streams"], strict=True):
            os.dup2(stream, target)
        for target in {*range(STREAMS)} - {*facts["streams"]}:
            os.close(target)
        os.closerange(STREAMS, 1024)
        if facts.get("terminal"):
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.environ.clear()
        os.environ.update(facts["environment"])
        os.chdir(facts["folder"])
        sys.argv = facts["arguments"]
        program = sys.argv[0]
        if (pace := os.environ.get("RNN_PLAYGROUND_FORK_PACE")) and program.split(".")[0] == "core":
            _slow_down(float(pace))
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(number, "w" if number else "r", closefd=False) if number in facts["streams"] else None
            for number in range(STREAMS)
        )
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
        if program.endswith(".py"):
            runpy.run_path(program, run_name="__main__")
        else:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        os._exit(code)


class Server:
    """One connection for each program: one that is lost ends its program.

    Others are held by the processes of the suite; the server ends with the last of them.
    """

    def __init__(self, path: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._programs: dict[int, socket.socket] = {}
        self._held: set[socket.socket] = set()
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(path)
        self._listening.listen(64)
        ended, woken = os.pipe()
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a ctrl+c at the suite is the suite's
        self._ended = ended
        for file in (self._listening, ended):
            self._selector.register(file, selectors.EVENT_READ)

    def run(self) -> None:
        """Serve until nobody holds a connection any more."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj in self._held:
                    self._held.remove(key.fileobj)
                    self._selector.unregister(key.fileobj)
                    if not self._held:
                        for pid in self._programs:
                            os.kill(pid, signal.SIGKILL)
                        return
                if key.fileobj is self._listening:
                    self._start(self._listening.accept()[0])
                elif key.fd == self._ended:
                    os.read(self._ended, 4096)
                    self._reap()
                elif key.data in self._programs:
                    os.kill(key.data, signal.SIGKILL)
                    self._selector.unregister(key.fileobj)

    def _start(self, connection: socket.socket) -> None:
        """Whoever asks may be killed meanwhile."""
        streams: list[int] = []
        pid = 0
        try:
            data, streams, _, _ = socket.recv_fds(connection, 1 << 20, STREAMS)
            while not data.endswith(b"\n"):
                more = connection.recv(1 << 20)
                if not more:
                    raise ConnectionResetError
                data += more
            if data == HOLD:
                connection.sendall(HOLD)
                self._held.add(connection)
                self._selector.register(connection, selectors.EVENT_READ)
                return
            pid = os.fork()
            if pid == 0:
                _become(json.loads(data), streams)
            self._programs[pid] = connection
            connection.sendall(b"%d\n" % pid)
            self._selector.register(connection, selectors.EVENT_READ, pid)
        except OSError:
            if pid:
                os.kill(pid, signal.SIGKILL)
            else:
                connection.close()
        finally:
            for stream in streams:
                os.close(stream)

    def _reap(self) -> None:
        while self._programs:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            connection = self._programs.pop(pid)
            try:
                self._selector.unregister(connection)
                connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
            except (OSError, KeyError):
                pass  # whoever asked has gone
            connection.close()


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    for module in sys.argv[2:]:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # a collection in a child would copy all pages of torch
    Server(sys.argv[1]).run()
