"""A pseudo-terminal that writes down when each byte came. It draws nothing while it records: that would cost the
program the processor that it is measured on. What the screen looked like at a moment is found out afterwards."""

from __future__ import annotations

import codecs
import contextlib
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil
import pyte

from tests.e2e.terminal import Terminal, screen_lines
from tests.processes import processes_of

PROJECT = Path(__file__).resolve().parents[2]


def has_all(*words: str) -> Callable[[str], bool]:
    """A condition: all the words are on the screen."""
    return lambda text: all(word in text for word in words)


is_ready = has_all("Playground", " GB")  # the standby engine has told which devices there are


class Recorder(Terminal):
    """A program in a terminal; ``chunks`` are the times (``perf_counter``) and bytes of all that it printed."""

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], columns: int = 120, lines: int = 40
    ) -> None:
        self.chunks: list[tuple[float, bytes]] = []
        self._came = threading.Condition()
        self.size = (columns, lines)
        self.began = time.perf_counter()
        super().__init__(command, columns=columns, lines=lines, environment=environment, folder=PROJECT)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 1 << 16)
            except OSError:
                data = b""
            moment = time.perf_counter()
            with self._came:
                if data:
                    self.chunks.append((moment, data))
                self._came.notify_all()
            if not data:
                return

    def wait_bytes(self, wanted: str, seconds: float = 60.0, since: int = 0) -> float:
        """Wait until ``wanted`` is printed, in one piece, after the first ``since`` chunks; return when it was."""
        marker, tail = wanted.encode(), b""
        deadline = time.perf_counter() + seconds
        index = since
        while True:
            with self._came:
                while index >= len(self.chunks):
                    left = deadline - time.perf_counter()
                    if left <= 0 or not self._came.wait(left):
                        raise TimeoutError(f"waited {seconds} s for {wanted!r} on\n{self.screen_text()}")
                moment, data = self.chunks[index]
            index += 1
            tail = tail[-len(marker) :] + data
            if marker in tail:
                return moment

    def wait_screen(self, condition: Callable[[str], bool], seconds: float = 60.0) -> None:
        """Wait until the screen fulfils a condition, looking seldom. For the way to a measurement, not for one."""
        deadline = time.perf_counter() + seconds
        while not condition(self.screen_text()):
            if time.perf_counter() > deadline:
                raise TimeoutError(f"waited {seconds} s on\n{self.screen_text()}")
            time.sleep(0.3)

    def screens(self, since: float = 0.0) -> Iterator[tuple[float, str]]:
        """The screen after each chunk from the moment ``since`` on, and when that was."""
        screen = pyte.Screen(*self.size)
        stream = pyte.Stream(screen)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for moment, data in list(self.chunks):
            with contextlib.suppress(TypeError):  # private modes that pyte does not know; they draw nothing
                stream.feed(decoder.decode(data))
            if moment >= since:
                yield moment, "\n".join(screen_lines(screen))

    def screen_text(self) -> str:
        """The screen as it is now."""
        return max(self.screens(), default=(0.0, ""), key=lambda pair: pair[0])[1]

    def first(self, condition: Callable[[str], bool], since: float = 0.0) -> float:
        """When the screen fulfilled a condition first, at or after ``since``. Fails with the screen."""
        text = ""
        for moment, text in self.screens(since):
            if condition(text):
                return moment
        raise TimeoutError(f"the screen never came to it:\n{text}")

    def bytes_between(self, begin: float, end: float) -> int:
        """How much was printed in a span of time."""
        return sum(len(data) for moment, data in list(self.chunks) if begin <= moment < end)

    def click(self, words: str) -> None:
        """Click on the first place where the screen says ``words``."""
        for y, line in enumerate(self.screen_text().splitlines()):
            if words in line:
                x = line.index(words)
                for ending in "Mm":
                    self.type(f"\x1b[<0;{x + 2};{y + 1}{ending}")
                return
        raise LookupError(f"{words!r} is not on the screen:\n{self.screen_text()}")


@contextlib.contextmanager
def workplace() -> Iterator[tuple[Path, dict[str, str]]]:
    """An empty folder and the environment for programs that keep their sockets in it; they are ended at the end."""
    folder = Path(tempfile.mkdtemp(prefix="rnn-", dir="/tmp"))
    runtime = str(folder / "sockets")
    try:
        # As on the machine of a person: Python keeps what it compiled, and finds it at the next start.
        left_out = ("PYTHONDONTWRITEBYTECODE", "LC_ALL")
        kept = {name: value for name, value in os.environ.items() if name not in left_out}
        chinese = {"LANG": "C.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}  # the playground opens on the lyrics
        yield folder, {**kept, **chinese, "RNN_PLAYGROUND_RUNTIME": runtime, "XDG_STATE_HOME": str(folder / "state"),
                       "XDG_CONFIG_HOME": str(folder / "config")}  # fmt: skip
    finally:
        for process in processes_of(runtime):
            with contextlib.suppress(psutil.Error):
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def playground(
    saves: Path, environment: Mapping[str, str], *, columns: int = 120, lines: int = 40
) -> Iterator[Recorder]:
    """``python -m tui`` in a terminal."""
    command = [sys.executable, "-m", "tui", "--saves", str(saves)]
    terminal = Recorder(command, environment=environment, columns=columns, lines=lines)
    try:
        yield terminal
    finally:
        terminal.close()
