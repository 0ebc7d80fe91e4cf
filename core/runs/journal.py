"""The journal of a run: ``metrics.jsonl``, append-only, one JSON object a line.

It is the truth for curves: the screen, the command line, a plot script and ``tail -f`` read the same lines. A torn last
line means "not yet"; a damaged line in the middle is skipped and counted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import json
import math
import operator
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

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
# From so many bytes on, importing msgspec takes less time than it saves.
LEAST_FOR_MSGSPEC = 1 << 16
EPOCH_FIGURES = (*(item.name for item in dataclasses.fields(EpochFinished)), "time")
"""What a row of an epoch has, in order; ``time`` is in seconds since 1970, 0 for none."""

# A line that does not begin as the writer begins an epoch.
_OTHER = re.compile(rb'\n(?!\{"event": "epoch"|\Z)([^\n]*)')
_FIGURES = operator.attrgetter(*EPOCH_FIGURES)
EpochRow = tuple[Any, ...]
Timed = tuple[Event, float]


class JournalWriter(contextlib.AbstractContextManager["JournalWriter"]):
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

    def __exit__(self, *_: object) -> None:
        self.close()


class JournalReader:
    """Reads a journal as it grows: ``offset`` bytes so far, with ``damaged_lines`` lines that are no events.

    ``rest`` is the beginning of a line whose end is not there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged_lines = 0
        self.offset = 0
        self.rest = b""
        self._skipping = False

    def poll(self, at_most: int = 1 << 24) -> list[Timed]:
        """The events since the last call with their times, 0 for none, in at most ``at_most`` further bytes.

        A missing or unreadable file has no events yet. A file that has lost whole lines was replaced: it is read from
        its beginning. One that has lost half a line belongs to a writer on a full disk.
        """
        found: list[Timed] = []
        for piece in self.pieces(at_most):
            if isinstance(piece, list):
                found += map(_epoch_of, piece)
            else:
                found.append(piece)
        return found

    def pieces(self, at_most: int = 1 << 24) -> Iterator[list[EpochRow] | Timed]:
        """The same, with epochs that follow one another as a list of rows: for columns, no event is needed."""
        lines = self._whole_lines(self._chunk(at_most))
        decode = _epoch_decoder() if len(lines) >= LEAST_FOR_MSGSPEC else _refuse
        epochs: list[Any] = []
        for block in _OTHER.split(b"\n" + lines):
            try:
                epochs += decode(block)
                continue
            except (ValueError, RecursionError):
                pass
            for found in map(self._from_json, block.split(b"\n")):
                if isinstance(found, SimpleNamespace):
                    epochs.append(found)
                elif found is not None:
                    if epochs:
                        yield list(map(_FIGURES, epochs))
                        epochs = []
                    yield found
        if epochs:
            yield list(map(_FIGURES, epochs))

    def _from_json(self, line: bytes) -> Timed | SimpleNamespace | None:
        """The event of a line; of an epoch an object with its figures; None for an empty or a damaged line."""
        if not line.strip():
            return None
        value = parsed_line(line) or {}
        event, moment = event_from_json(value), _moment(value.get("time"))
        if event is None:
            self.damaged_lines += 1
            return None
        return SimpleNamespace(**vars(event), time=moment) if type(event) is EpochFinished else (event, moment)

    def _chunk(self, at_most: int) -> bytes:
        try:
            with open_to_read(self.path) as file:
                size = os.fstat(file.fileno()).st_size
                if size < self.offset:
                    whole = self.offset - len(self.rest)
                    self.offset = whole if whole <= size and not self._skipping else 0
                    self.rest, self._skipping = b"", False
                file.seek(self.offset)
                chunk = file.read(at_most)
        except OSError:
            return b""
        self.offset += len(chunk)
        return chunk

    def _whole_lines(self, chunk: bytes) -> bytes:
        """The lines that ``chunk`` completes; the rest of it is kept for the next call."""
        data = self.rest + chunk
        end = data.rfind(b"\n") + 1
        lines, self.rest = data[:end], data[end:]
        if self._skipping and lines:
            lines = lines[lines.index(b"\n") + 1 :]
            self._skipping = False
        if self._skipping:
            self.rest = b""
        elif len(self.rest) > LONGEST_LINE:
            self.rest, self._skipping = b"", True
            self.damaged_lines += 1
        return lines


def _moment(value: Any) -> float:
    """The time of a line, in seconds since 1970; 0 if it is malformed."""
    return float(value) if isinstance(value, (int, float)) and 0 <= value < 1e12 else 0.0


def _epoch_of(row: EpochRow) -> tuple[EpochFinished, float]:
    event = object.__new__(EpochFinished)
    # The constructor of a frozen dataclass takes longer than all of this.
    object.__setattr__(event, "__dict__", dict(zip(EPOCH_FIGURES[:-1], row, strict=False)))
    return event, row[-1]


def _refuse(lines: bytes) -> list[Any]:
    raise ValueError


@functools.cache
def _epoch_decoder() -> Callable[[bytes], list[Any]]:
    """Decodes lines of epochs, by msgspec, to objects with their figures.

    Raises ValueError if any is not exactly the line of an epoch: an unknown key, a number out of range or of another
    type, or one that is missing. Such lines are read as JSON, which decides what they are.
    """
    from msgspec import Meta, defstruct
    from msgspec.json import Decoder

    whole = Annotated[int, Meta(ge=0, le=2**62)]
    kinds = {"int": whole, "float": float, "float | None": float | None}
    fields: list[Any] = [
        (item.name, kinds[str(item.type)], *([] if item.default is dataclasses.MISSING else [item.default]))
        for item in dataclasses.fields(EpochFinished)
    ]
    fields.append(("time", Annotated[float, Meta(ge=0, lt=1e12)], 0.0))
    options: dict[str, Any] = {"tag": EpochFinished.kind, "forbid_unknown_fields": True, "gc": False}
    decode: Callable[[bytes], list[Any]] = Decoder(
        defstruct("EpochLine", fields, tag_field="event", **options)
    ).decode_lines

    def epochs_of(lines: bytes) -> list[Any]:
        found = decode(lines)
        for epoch in found:
            if epoch.validation_perplexity is None and (epoch.validation_loss or 0.0) > LARGEST_LOSS:
                epoch.validation_perplexity = math.inf
        return found

    return epochs_of


def parsed_line(line: bytes) -> dict[str, Any] | None:
    """The JSON object of one line, or None for a damaged one."""
    if len(line) > LONGEST_LINE:
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_journal(path: Path) -> list[Timed]:
    """All events of a journal with their times, without those that a resume has undone; none if it is missing."""
    reader, events, before = JournalReader(path), list[Timed](), -1
    while reader.offset != before:
        before = reader.offset
        events += reader.poll()
    return standing(events)


def standing(events: list[Timed]) -> list[Timed]:
    """The valid events: each resume undoes the earlier events of epochs after its checkpoint. One pass from the end."""
    if not any(type(event) is RunResumed for event, _ in events):
        return events
    kept: list[Timed] = []
    least = math.inf  # the epoch of the earliest checkpoint that was resumed later
    for event, moment in reversed(events):
        epoch = getattr(event, "epoch", None)
        if isinstance(event, RunResumed):
            least = min(least, event.epoch)
        elif isinstance(epoch, int) and epoch > least:
            continue
        kept.append((event, moment))
    kept.reverse()
    return kept


def last_lines(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """The last objects of a journal, oldest first, if possible back to an epoch, and whether they are all of them.

    A missing journal has none. Raises OSError if it cannot be read.
    """
    end: tuple[list[bytes], bool] = [], True
    for end in journal_ends(path):
        if any((parsed_line(line) or {}).get("event") == "epoch" for line in reversed(end[0])):
            break
    lines, are_all = end
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
