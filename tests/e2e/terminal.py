"""A real terminal for tests: a pseudo-terminal with a program in it, and an emulator that keeps its screen."""

from __future__ import annotations

import codecs
import contextlib
import copy
import fcntl
import json
import os
import pty
import select
import signal
import socket
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyte

KEYS = {
    "enter": "\r", "escape": "\x1b", "tab": "\t", "backspace": "\x7f", "delete": "\x1b[3~", "up": "\x1b[A",
    "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D", "f1": "\x1bOP", "f2": "\x1bOQ", "f3": "\x1bOR",
    "f4": "\x1bOS", "f5": "\x1b[15~", "f6": "\x1b[17~", "f7": "\x1b[18~", "space": " ",
}  # fmt: skip

# The variable with the socket of the server that screens are forked from; without it, or for another command, the
# program is started.
FORKED_BY = "RNN_PLAYGROUND_SCREEN_SERVER"

ALTERNATE = 1049
# The alternate screen, the mouse, pasting in brackets.
SCREEN_MODES = tuple(b"\x1b[?%d" % number for number in (ALTERNATE, 1000, 1003, 2004))


class AlternateScreen(pyte.Screen):
    """A screen that knows the other one, which programs draw on: blank when it is entered, gone when it is left."""

    _main: Any = None

    def set_mode(self, *modes: int, **options: Any) -> None:
        """Enter the alternate screen, or what pyte knows."""
        if ALTERNATE in modes and self._main is None:
            self._main = (copy.deepcopy(self.buffer), copy.copy(self.cursor))
            self.erase_in_display(2)
        super().set_mode(*modes, **options)

    def reset_mode(self, *modes: int, **options: Any) -> None:
        """Leave the alternate screen, or what pyte knows."""
        super().reset_mode(*modes, **options)
        if ALTERNATE in modes and self._main is not None:
            self.buffer, self.cursor = self._main
            self._main = None
            self.dirty.update(range(self.lines))


def screen_lines(screen: pyte.Screen) -> list[str]:
    """The lines of a screen. (``screen.display`` fails where half of a wide character has been written over.)"""
    columns = range(screen.columns)
    return ["".join(screen.buffer[line][column].data for column in columns).rstrip() for line in range(screen.lines)]


class Terminal:
    """A program in a terminal of ``columns`` x ``lines``; a thread feeds what it prints to the emulator."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 120,
        lines: int = 40,
        environment: Mapping[str, str],
        folder: Path,
        emulate: bool = True,
    ) -> None:
        self._emulate = emulate
        self.screen = AlternateScreen(columns, lines)
        self.output = bytearray()
        self._stream = pyte.Stream(self.screen)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._lock = threading.Lock()
        self._text: str | None = None  # until more is printed
        environment = {**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        server = environment.get(FORKED_BY)
        self._fork: socket.socket | None = None
        if server and command[0] == sys.executable and (command[1:3] == ("-m", "tui") or command[1].endswith(".py")):
            self._ask(server, command[1 + (command[1] == "-m") :], environment, folder)
        else:
            self._start(command, environment, folder)
        self._exit: int | None = None
        self._reading = threading.Event()
        self._reading.set()
        self.resize(columns, lines)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _start(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(command[0], list(command), dict(environment))

    def _ask(self, server: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self._master, program_side = pty.openpty()
        self.resize(self.screen.columns, self.screen.lines)  # the program asks for it at once
        self._fork = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._fork.connect(server)
        facts = {"arguments": list(arguments), "environment": dict(environment), "folder": str(folder),
                 "streams": [0, 1, 2], "terminal": True}  # fmt: skip
        socket.send_fds(self._fork, [b" "], [program_side] * 3)
        self._fork.sendall(json.dumps(facts).encode() + b"\n")
        os.close(program_side)
        self._answers = self._fork.makefile()
        self.pid = int(self._answers.readline())

    def _read(self) -> None:
        while True:
            self._reading.wait()
            try:
                data = os.read(self._master, 1 << 16)
            except OSError:
                return
            if not data:
                return
            with self._lock:
                self._text = None
                self.output += data
                if not self._emulate:
                    del self.output[: -1 << 20]
                    continue
                # pyte does not know the private modes that set a colour's fallback; they draw nothing.
                with contextlib.suppress(TypeError):
                    self._stream.feed(self._decoder.decode(data))

    @property
    def descriptor(self) -> int:
        """Where what is typed goes in."""
        return self._master

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size; whoever draws on it is told."""
        with self._lock:
            self._text = None
            self.screen.resize(lines, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def stall(self) -> None:
        """Read nothing any more, as a terminal at the end of a line that hangs; what is on its way is still taken."""
        self._reading.clear()

    def go_on(self) -> None:
        """Read again."""
        self._reading.set()

    @property
    def is_sane(self) -> bool:
        """Whether the terminal is as a shell expects it: lines, echo, signals by keys, its own screen, a cursor."""
        wanted = termios.ICANON | termios.ECHO | termios.ISIG
        output = bytes(self.output)
        return (
            termios.tcgetattr(self._master)[3] & wanted == wanted
            and all(output.rfind(mode + b"l") >= output.rfind(mode + b"h") for mode in SCREEN_MODES)
            and output.rfind(b"\x1b[?25h") >= output.rfind(b"\x1b[?25l")
        )

    @property
    def text(self) -> str:
        """The screen as lines; a wide character stands once."""
        with self._lock:
            if self._text is None:
                self._text = "\n".join(screen_lines(self.screen))
            return self._text

    def press(self, *keys: str) -> None:
        """Press keys by name (``enter``, ``f3``, ``ctrl+t``) or as characters, one after the other."""
        for key in keys:
            if key.startswith("ctrl+"):
                self.type(chr(ord(key[5:]) & 0x1F))
            else:
                self.type(KEYS.get(key, key))
            time.sleep(0.03)  # as hands do: an escape that is followed at once means another key

    def type(self, text: str) -> None:
        """Type text."""
        os.write(self._master, text.encode())

    def wait(self, condition: str | Callable[[str], bool], seconds: float = 30.0) -> str:
        """Wait until the screen has the text, or fulfils the condition; return the screen. Fails with the screen."""
        test = (lambda text: condition in text) if isinstance(condition, str) else condition
        deadline = time.monotonic() + seconds
        while not test(text := self.text):
            assert time.monotonic() < deadline, f"waited {seconds} s for {condition!r} on\n{text}"
            is_shown = not self._reader.is_alive()  # all that the program has left on the screen
            assert self.alive or not is_shown or test(self.text), (
                f"the program ended before {condition!r}; its screen:\n{text}"
            )
            time.sleep(0.05)
        return text

    @property
    def alive(self) -> bool:
        """Whether the program still runs."""
        if self._exit is None and self._fork is not None:
            if select.select([self._fork], [], [], 0)[0]:
                self._exit = int(self._answers.readline())
        elif self._exit is None:
            with contextlib.suppress(ChildProcessError):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self._exit = os.waitstatus_to_exitcode(status)
        return self._exit is None

    def wait_exit(self, seconds: float = 10.0) -> int:
        """Wait until the program has ended; return its exit code, negative for a signal."""
        deadline = time.monotonic() + seconds
        while self.alive:
            assert time.monotonic() < deadline, f"the program still runs after {seconds} s:\n{self.text}"
            time.sleep(0.02)
        assert self._exit is not None
        if self._reading.is_set():
            self._reader.join(2.0)  # what it wrote last may still have to be read
        return self._exit

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send the program a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def hang_up(self) -> None:
        """Take the terminal away, as a dropped connection does."""
        self.go_on()
        master, self._master = self._master, -1  # its number may be another terminal's soon
        with contextlib.suppress(OSError):
            os.close(master)

    def close(self) -> None:
        """End whatever is left."""
        if self.alive:
            self.kill()
            self.wait_exit()
        self.go_on()
        self._reader.join(2.0)
        self.hang_up()
