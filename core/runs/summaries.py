"""The summaries of all runs in a folder, kept: only a run whose files have changed is read again.

A run is taken for unchanged if inode, time of change and size of its folder and its files are those of the last
reading. What was read is also kept in ``.summaries`` beside the runs, for the next process. That file may be lost,
stale, damaged or deleted: a run that it does not describe exactly is read from its own files.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
import os
import threading
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.files import open_new, open_to_read
from core.runs.journal import NAME as JOURNAL
from core.runs.run import BEST, LATEST, LOG, METADATA, Run
from core.runs.summary import Reading, RunSummary, read_summary

NAME = ".summaries"
FORMAT = 1
# Reading as many runs takes some 20 ms: no file is written for fewer.
FEWEST_KEPT = 50
LARGEST_FILE = 1 << 28
# Two changes within the resolution of a file system's clock look the same: a reading is trusted once its files are
# this much older than it. The coarsest clock in use, that of FAT, has two seconds.
SETTLED_NANOSECONDS = 2_000_000_000
# Seconds of the processor after which a thread that reads many runs lets another one look at what is known.
LONGEST_HOLD = 0.25
# After this many seconds the unfinished file of another process is taken for one that a crash has left.
LONGEST_WRITING = 60.0
# What changes in place, or is replaced. The other files of a run are only made and removed, which changes the folder.
_FILES = (METADATA, JOURNAL, LATEST, BEST, LOG)
_MISSING = (0, 0, 0)
# Of a summary, in the order of a row in the file; the rest follows from where the folder is.
_FIELDS = tuple(item.name for item in dataclasses.fields(RunSummary) if item.name not in ("name", "path"))

Stamp = tuple[int, ...]


@dataclass(frozen=True)
class _Entry:
    """What is known of one folder; ``reading`` is None if it is not that of a run."""

    stamp: Stamp
    is_settled: bool
    reading: Reading | None
    order: tuple[float, str]

    @property
    def summary(self) -> RunSummary | None:
        """The summary while no process holds the run."""
        return self.reading.summary if self.reading else None


class Summaries:
    """The runs of one folder. All methods may be called from any thread; they use the disk."""

    def __init__(self, saves: Path) -> None:
        self.saves = saves
        self.unread = self.unchecked = 0
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._now: dict[str, RunSummary] = {}  # what each run was last seen as
        self._working: set[str] = set()  # the runs whose lock was held then
        self._from_file: set[str] = set()  # the runs that were not looked at since the file was read
        self._sorted: tuple[RunSummary, ...] = ()
        self._names: list[str] = []
        self._place = 0  # in ``_names``: where the next ``look`` continues
        self._folder: Stamp = ()
        self._is_loaded = self._has_changed = False
        self._unsaved: set[str] = set()

    def look(self, seconds: float = math.inf, first: Iterable[str] = ()) -> tuple[RunSummary, ...]:
        """The runs, newest first; the same tuple as before if nothing has changed.

        After about ``seconds`` of processor time the rest is left for the next call: ``unread`` is how many runs have
        not been read at all, ``unchecked`` how many are as the file beside the runs has them. The runs that are being
        trained and those called ``first`` are always looked at. Folders without any file of a run are ignored.
        """
        until = time.thread_time() + seconds
        with self._lock:
            queue = self._queue(first)
        looked = 0
        while True:
            with self._lock:
                pause = min(until, time.thread_time() + LONGEST_HOLD)
                while looked < len(queue):
                    self._check(queue[looked])
                    looked += 1
                    if time.thread_time() >= pause:
                        break
                if looked >= len(queue) or time.thread_time() >= until:
                    self._place += looked
                    self._finish()
                    return self._sorted
            time.sleep(0.001)  # a thread that waits for the lock has its turn

    def _queue(self, first: Iterable[str]) -> list[str]:
        """Look at the most important runs; return the names of all, beginning where the last look ended."""
        if not self._is_loaded:
            self._is_loaded = True
            self._load()
        self._list_names()
        for name in dict.fromkeys((*self._working, *first)):
            if name in self._entries:
                self._check(name)
        place = self._place % max(1, len(self._names))
        return self._names[place:] + self._names[:place]

    def _finish(self) -> None:
        """Sort what is known, and keep it if that is worth a file."""
        self.unread = max(0, len(self._names) - len(self._entries))
        self.unchecked = len(self._from_file)
        if self._has_changed:
            order = sorted(self._now, key=lambda name: self._entries[name].order, reverse=True)
            self._sorted = tuple(self._now[name] for name in order)
            self._has_changed = False
        if not self.unread and len(self._now) >= FEWEST_KEPT and len(self._unsaved) * 50 >= len(self._now):
            with contextlib.suppress(OSError):
                self._save()

    def _list_names(self) -> None:
        """Read the names of the folders, if they may have changed."""
        stamp = stamp_of(str(self.saves))
        if stamp == self._folder and self._names:
            return
        try:
            names = [name for name in os.listdir(self.saves) if not name.startswith(".")]
        except OSError:
            names = []
        self._folder = stamp if _is_settled(stamp) else ()
        # Those that were never read come first: the next look begins with them.
        self._names = sorted(names, key=self._entries.__contains__)
        self._place = 0
        for name in self._entries.keys() - set(names):
            self._forget(name)

    def _check(self, name: str) -> None:
        self._from_file.discard(name)
        stamp = stamp_of(f"{self.saves}/{name}", _FILES)
        entry, run = self._entries.get(name), Run(self.saves / name)
        if entry is None or entry.stamp != stamp or not entry.is_settled:
            reading = read_summary(run) if run.exists() else None
            order = (reading.summary.created_at, name) if reading else (0.0, name)
            # If the files change meanwhile, their next stamp is another than this one, which is older than the reading.
            entry = self._entries[name] = _Entry(stamp, _is_settled(stamp), reading, order)
            self._unsaved.add(name)
        now = entry.reading.now(run) if entry.reading and entry.reading.held else entry.summary
        if now is entry.summary:
            self._working.discard(name)
        else:
            self._working.add(name)
        if now == self._now.get(name):
            return
        self._has_changed = True
        if now is None:
            self._now.pop(name)
        else:
            self._now[name] = now

    def _forget(self, name: str) -> None:
        if self._entries.pop(name, None) is not None:
            self._unsaved.add(name)
        self._has_changed |= self._now.pop(name, None) is not None
        for names in (self._working, self._from_file):
            names.discard(name)

    # ------------------------------------------------------------------ the file

    def _load(self) -> None:
        """Take what the file describes; nothing if it is missing, damaged or of another version."""
        try:
            with open_to_read(self.saves / NAME) as file:
                head, _, body = file.read(LARGEST_FILE).partition(b"\n")
            if json.loads(head) != _head(body):
                return
            for name, stamp, state, values in json.loads(body):
                facts = dict(zip(_FIELDS, values, strict=True))
                summary = RunSummary(name, self.saves / name, **facts | {"tags": tuple(facts["tags"])})
                held = dataclasses.replace(summary, state=state) if state else None
                self._entries[name] = _Entry(tuple(stamp), True, Reading(summary, held), (summary.created_at, name))
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            self._entries = {}
        self._now = {name: entry.summary for name, entry in self._entries.items() if entry.summary}
        self._working = {name for name, entry in self._entries.items() if entry.reading and entry.reading.held}
        self._from_file, self._has_changed = set(self._entries), True

    def _save(self) -> None:
        """Replace the file. Raises OSError. Nothing is synced: after a crash it may be damaged or missing."""
        rows: list[Any] = []
        for name, entry in self._entries.items():
            reading = entry.reading
            # The sentence about a damaged run contains paths, and such runs are few.
            if reading and entry.is_settled and not reading.summary.problem and not reading.summary.remark:
                values = [getattr(reading.summary, field) for field in _FIELDS]
                rows.append([name, entry.stamp, reading.held.state if reading.held else "", values])
        body = json.dumps(rows, separators=(",", ":")).encode("ascii")
        new = self.saves / f"{NAME}.new"
        with contextlib.suppress(FileNotFoundError):
            if time.time() - os.lstat(new).st_mtime > LONGEST_WRITING:
                os.unlink(new)
        file = open_new(new)  # of several processes one writes
        try:
            with file:
                file.write(json.dumps(_head(body)).encode("ascii") + b"\n" + body)
            os.replace(new, self.saves / NAME)
        except BaseException:
            os.unlink(new)
            raise
        self._unsaved.clear()


def _head(body: bytes) -> dict[str, Any]:
    """The first line of the file: what the rest must be."""
    return {"format": FORMAT, "fields": list(_FIELDS), "bytes": len(body), "crc32": zlib.crc32(body)}


def stamp_of(path: str, files: Iterable[str] = ()) -> Stamp:
    """Inode, time of change and size of a file, or of a folder and of files in it.

    The time of change and not of modification: a program cannot set it, and changed permissions change it too.
    """
    stamp: list[int] = []
    for place in (path, *[f"{path}/{name}" for name in files]):
        try:
            status = os.stat(place)
        except (OSError, ValueError):
            stamp += _MISSING
        else:
            stamp += (status.st_ino, status.st_ctime_ns, status.st_size)
    return tuple(stamp)


def _is_settled(stamp: Stamp) -> bool:
    """Whether the last change is so long ago that a further one will have another time."""
    return time.time_ns() - max(stamp[1::3]) > SETTLED_NANOSECONDS


@functools.cache
def summaries_of(saves: Path) -> Summaries:
    """The summaries of a folder: one object in a process, so that nothing is read twice."""
    return Summaries(saves)
