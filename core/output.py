"""Standard output and standard error, which may be closed, on a full disk, or gone with whoever read them.

Python's own streams raise then from any print, once more when the program ends, and are None where they were closed
from the first. After ``guard`` standard output raises ``OutputError``, a sentence, once, and takes everything in
silence from then on; a command that does more than print, a training, says ``tolerate`` first. Standard error never
raises.
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
    """Standard output takes no more; ``reader_left`` says whether that is because nobody reads it any longer."""

    def __init__(self, reason: str, *, reader_left: bool) -> None:
        super().__init__(f"standard output takes no more ({reason}): give it a place that can be written to")
        self.reader_left = reader_left


class _Stream(io.RawIOBase):
    """The bytes of one of the streams; ``failed`` says why it takes no more, empty while it does."""

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
            except BlockingIOError:  # whoever shares the terminal with us made it so
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
    """Put streams like this in the place of ``sys.stdout`` and ``sys.stderr``. For a program's first lines.

    What was closed becomes the null device, so that no file of the program gets its number and is printed into.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - for as long as the program runs
    sys.stdout, sys.stderr = _guarded(1, sys.stdout, False), _guarded(2, sys.stderr, True)


def _guarded(number: int, stream: IO[str] | None, is_tolerant: bool) -> TextIO:
    raw = _Stream(number, "it is closed" if stream is None else "", is_tolerant)
    _streams.append(raw)
    # A terminal that knows no Chinese is no reason to stop.
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, errors="backslashreplace", line_buffering=is_tolerant or raw.isatty()
    )


def tolerate() -> None:
    """What standard output does not take from now on is no error: see ``failure``."""
    for stream in _streams:
        stream.is_tolerant = True


def failure() -> str:
    """Why standard output takes no more; empty while it does."""
    return next((stream.failed for stream in _streams if stream.fileno() == 1), "")
