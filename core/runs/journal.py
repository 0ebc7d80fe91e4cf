"""The journal of a run: ``metrics.jsonl``, append-only, one JSON object a line.

It is the truth for curves: the screen, the command line, a plot script and ``tail -f`` read the same lines. A torn last
line means "not yet"; a damaged line in the middle is skipped and counted.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.events import LARGEST_LOSS, EpochFinished, Event, RunResumed, event_from_json
from core.files import open_to_read, read_regular
from core.runs.held_folder import HeldFolder

NAME = "metrics.jsonl"

# A longer line is no event; the reader skips it and does not keep it in memory.
LONGEST_LINE = 1 << 22
# Lines that are kept in memory while the disk is full.
MOST_PENDING = 100_000
# Bytes of a journal's end that are read, in steps: usually the first contains an epoch.
END_SIZES = (1 << 13, 1 << 16, 1 << 20, 1 << 24)
# Nearly every line of a long journal is an epoch in the form of the writer below: matching it takes a third of the time
# of a JSON parser. A line in any other form, or with numbers of many digits, is read as JSON.
_NUMBER = rb"(-?(?:0|[1-9]\d{0,29})(?:\.\d{1,30})?(?:[eE][-+]?\d{1,4})?)"
_OPTIONAL = rb"(?:null|" + _NUMBER + rb")"
_WHOLE = rb"(0|[1-9]\d{0,17})"
_FIELDS = {
    "epoch": _WHOLE, "step": _WHOLE, "perplexity": _NUMBER, "validation_perplexity": _OPTIONAL, "loss": _NUMBER,
    "gradient_norm": _NUMBER, "learning_rate": _NUMBER, "tokens_per_second": _NUMBER, "seconds": _NUMBER,
}  # fmt: skip
_EPOCH = re.compile(
    rb'^\{"event": "epoch"' + b"".join(b', "%b": %b' % (name.encode(), form) for name, form in _FIELDS.items())
    + b'(?:, "validation_loss": %b)?' % _OPTIONAL
    + b'(?:, "clipped": %b, "clip_factor": %b)?, "time": %b}\n' % (_OPTIONAL, _OPTIONAL, _NUMBER),
    re.MULTILINE,
)  # fmt: skip


class JournalWriter:
    """Appends events to a journal, each line by one ``write``, so that a reader sees whole lines."""

    def __init__(self, folder: HeldFolder) -> None:
        """Open the journal and end a torn last line. Raises OSError, also if it is not a regular file."""
        self._folder = folder
        self._file = folder.open_to_append(folder.path / NAME)
        size = os.fstat(self._file).st_size
        self._pending: deque[bytes] = deque(maxlen=MOST_PENDING)
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            self._pending.append(b"\n")
            with contextlib.suppress(OSError):
                self.flush()

    def append(self, event: Event) -> None:
        """Write one event, with ``time`` in seconds since 1970.

        If the disk is full, training continues: the line is kept and tried again with the next event.
        """
        line = json.dumps({**event.to_json(), "time": round(time.time(), 3)}, ensure_ascii=False, allow_nan=False)
        self._pending.append(line.encode("utf-8", "surrogatepass") + b"\n")
        with contextlib.suppress(OSError):
            self.flush()

    def flush(self) -> None:
        """Write the pending lines. Raises OSError; the lines are then kept."""
        while self._pending:
            self._folder.check()  # of a lost folder, another engine may be writing this journal
            line = self._pending[0]
            before, written = os.fstat(self._file).st_size, 0
            try:
                while written < len(line):
                    taken = os.write(self._file, line[written:])
                    if not taken:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    written += taken
            except OSError:
                # Remove half a line; only the holder of the run's lock writes here.
                if written:
                    os.ftruncate(self._file, before)
                raise
            self._pending.popleft()

    def sync(self) -> None:
        """Sync the journal to the disk. Raises OSError."""
        self.flush()
        os.fsync(self._file)

    def close(self) -> None:
        """Write the pending lines, if possible, and close the file; further calls do nothing."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                self.flush()
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class JournalReader:
    """Reads a journal as it grows: ``offset`` bytes so far, with ``damaged_lines`` lines that are no events."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged_lines = 0
        self.offset = 0
        self._rest = b""
        self._skipping = False

    def poll(self, at_most: int = 1 << 24) -> list[tuple[Event, float]]:
        """The events since the last call with their times, in at most ``at_most`` further bytes.

        A missing or unreadable file has no events yet. A file that has lost whole lines was replaced: it is read from
        its beginning. One that has lost half a line belongs to a writer on a full disk.
        """
        try:
            with open_to_read(self.path) as file:
                size = os.fstat(file.fileno()).st_size
                if size < self.offset:
                    whole = self.offset - len(self._rest)
                    self.offset = whole if whole <= size and not self._skipping else 0
                    self._rest, self._skipping = b"", False
                file.seek(self.offset)
                chunk = file.read(at_most)
        except OSError:
            return []
        self.offset += len(chunk)
        lines = self._whole_lines(chunk)
        found: list[tuple[Event, float]] = []
        end = 0
        for match in _EPOCH.finditer(lines):
            if (start := match.start()) != end:
                self._read_any(lines[end:start], found)
            end = match.end()
            found.append(_epoch(*match.groups()))
        self._read_any(lines[end:], found)
        return found

    def _whole_lines(self, chunk: bytes) -> bytes:
        """The lines that ``chunk`` completes; the rest of it is kept for the next call."""
        data = self._rest + chunk
        end = data.rfind(b"\n") + 1
        lines, self._rest = data[:end], data[end:]
        if self._skipping and lines:
            lines = lines[lines.index(b"\n") + 1 :]
            self._skipping = False
        if self._skipping:
            self._rest = b""
        elif len(self._rest) > LONGEST_LINE:
            self._rest, self._skipping = b"", True
            self.damaged_lines += 1
        return lines

    def _read_any(self, lines: bytes, found: list[tuple[Event, float]]) -> None:
        """Add the events of lines with any contents."""
        for line in filter(bytes.strip, lines.split(b"\n")):
            value = parsed_line(line) or {}
            event = event_from_json(value)
            if event is None:
                self.damaged_lines += 1
            else:
                found.append((event, _moment(value.get("time"))))


def _moment(value: Any) -> float:
    """The time of a line, in seconds since 1970; 0 if it is malformed."""
    return float(value) if isinstance(value, (int, float)) and 0 <= value < 1e12 else 0.0


def _epoch(
    epoch: bytes, step: bytes, perplexity: bytes, held_out: bytes | None, loss: bytes, norm: bytes, rate: bytes,
    pace: bytes, seconds: bytes, held_out_loss: bytes | None, clipped: bytes | None, factor: bytes | None,
    time: bytes,
) -> tuple[EpochFinished, float]:  # fmt: skip
    """The event and the time of an epoch's line, from the texts of its numbers; None for null."""
    loss_there = None if held_out_loss is None else float(held_out_loss)
    is_beyond = held_out is None and (loss_there or 0.0) > LARGEST_LOSS
    # The constructor of a frozen dataclass takes longer than all of this.
    event = object.__new__(EpochFinished)
    values = {
        "epoch": int(epoch), "step": int(step), "perplexity": float(perplexity), "loss": float(loss),
        "validation_perplexity": math.inf if is_beyond else None if held_out is None else float(held_out),
        "validation_loss": loss_there, "gradient_norm": float(norm), "learning_rate": float(rate),
        "tokens_per_second": float(pace), "seconds": float(seconds),
        "clipped": None if clipped is None else float(clipped),
        "clip_factor": None if factor is None else float(factor),
    }  # fmt: skip
    object.__setattr__(event, "__dict__", values)
    return event, _moment(float(time))


def parsed_line(line: bytes) -> dict[str, Any] | None:
    """The JSON object of one line, or None for a damaged one."""
    if len(line) > LONGEST_LINE:
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_journal(path: Path) -> list[Event]:
    """All events of a journal, without those that a resume has undone; none if the file is missing."""
    reader = JournalReader(path)
    events: list[Event] = []
    while True:
        before = reader.offset
        events += [event for event, _ in reader.poll()]
        if reader.offset == before:
            return standing(events)


def standing(events: list[Event]) -> list[Event]:
    """The valid events: each resume undoes the earlier events of epochs after its checkpoint. One pass from the end."""
    if not any(type(event) is RunResumed for event in events):
        return events
    kept: list[Event] = []
    least = math.inf  # the epoch of the earliest checkpoint that was resumed later
    for event in reversed(events):
        epoch = getattr(event, "epoch", None)
        if isinstance(event, RunResumed):
            least = min(least, event.epoch)
        elif isinstance(epoch, int) and epoch > least:
            continue
        kept.append(event)
    kept.reverse()
    return kept


def epochs(events: list[Event]) -> list[EpochFinished]:
    """The epochs among the events, in order."""
    return [event for event in events if isinstance(event, EpochFinished)]


def last_lines(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """The last objects of a journal, oldest first, if possible back to an epoch, and whether they are all of them.

    A missing journal has none. Raises OSError if it cannot be read.
    """
    lines: list[bytes] = []
    are_all = True
    for lines, are_all in journal_ends(path):
        if any((parsed_line(line) or {}).get("event") == "epoch" for line in reversed(lines)):
            break
    return [value for line in lines if (value := parsed_line(line)) is not None], are_all


def journal_ends(path: Path) -> Iterator[tuple[list[bytes], bool]]:
    """Longer and longer ends of a journal: their lines, damaged ones too, and whether they are all of it.

    To be left at the first that has what is wanted. A missing journal has none. Raises OSError if it cannot be read.
    """
    for size in END_SIZES:
        try:
            data, whole = read_regular(path, size, is_end=True)
        except FileNotFoundError:
            return
        pieces = data.split(b"\n")
        # A resume may have undone all epochs that are near the end.
        if whole <= size or size != END_SIZES[0] or b'"resumed"' not in data:
            yield list(filter(bytes.strip, pieces if whole <= size else pieces[1:])), whole <= size
        if whole <= size:
            return
