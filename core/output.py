"""Standard output and standard error that survive a closed stream, a full disk and a reader that has left.

Python's own streams then raise from every print and again at exit, and are None if they were closed at the start. After
``guard``, standard output raises ``OutputError`` once and discards everything after it; standard error never raises.
After ``tolerate``, which a training calls, nothing raises.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import IO, Any, TextIO

from core.errors import UserError


class OutputError(UserError):
    """Writing to standard output failed; ``reader_left`` says whether because its reader has closed the pipe."""

    def __init__(self, reason: str, *, reader_left: bool) -> None:
        super().__init__(f"standard output cannot be written ({reason}): redirect it to a place that can")
        self.reader_left = reader_left


class _Stream(io.RawIOBase):
    """The bytes of one stream; ``failed`` is the reason why writing failed, empty while it works."""

    def __init__(self, number: int, failed: str, is_tolerant: bool) -> None:
        self._number, self.failed, self.is_tolerant = number, failed, is_tolerant
        self._has_said = False

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        while not self.failed:
            try:
                return os.write(self._number, data)
            except BlockingIOError:  # another program that shares the terminal made it non-blocking
                select.select([], [self._number], [])
            except OSError as error:
                self.failed, code = error.strerror or str(error), error.errno
                return self._say(len(data), code == errno.EPIPE)
        return self._say(len(data), reader_left=False)

    def _say(self, length: int, reader_left: bool) -> int:
        if not self.is_tolerant and not self._has_said:
            self._has_said = True
            raise OutputError(self.failed, reader_left=reader_left)
        return length


_streams: list[_Stream] = []


def guard() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr``, before anything is printed.

    A closed descriptor becomes the null device, so that no file of the program gets its number and is printed into.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - for as long as the program runs
    sys.stdout, sys.stderr = _guarded(1, sys.stdout, False), _guarded(2, sys.stderr, True)


def _guarded(number: int, stream: IO[str] | None, is_tolerant: bool) -> TextIO:
    raw = _Stream(number, "it is closed" if stream is None else "", is_tolerant)
    _streams.append(raw)
    # A character that the terminal cannot encode is escaped and does not raise.
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, errors="backslashreplace", line_buffering=is_tolerant or raw.isatty()
    )


def tolerate() -> None:
    """From now on a failure of standard output does not raise: see ``failure``."""
    for stream in _streams:
        stream.is_tolerant = True


def failure() -> str:
    """The reason why writing to standard output failed; empty while it works."""
    return next((stream.failed for stream in _streams if stream.fileno() == 1), "")
