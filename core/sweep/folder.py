"""The folder of a sweep, beside the runs: what defines it, the outcome of each run, and who is working on it.

``saves/.sweeps/NAME/`` has ``sweep.json``; for each run that was begun its values and its outcome, ``RUN.json``, and a
lock, ``RUN.lock``, which the process has that trains it; the trials of a search, ``study.jsonl``, which are Optuna's.
Every file but the last is written whole or not at all. The locks are flocks: they end with their processes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from core.errors import RunError, refusing
from core.files import make_folders, open_to_append, open_to_read, replace_whole
from core.record import read_record, record_as_json
from core.runs.lock import is_held
from core.runs.metadata import of_our_form, read_object
from core.runs.run import Run
from core.settings.setting import Value
from core.sweep.sweep import Sweep

FORMAT = 1
SWEEPS = ".sweeps"
DESCRIPTION, STUDY, LOG, STOP = "sweep.json", "study.jsonl", "sweep.log", "stop"
_WORKING, _CHANGING = "working.lock", "changing.lock"


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    ``state`` is empty until it has ended, then one of ``core.events.State``, ``PRUNED`` or ``GIVEN_UP``. ``message`` is
    the reason of a failure. ``place`` is the machine that has the run, if it is not in this folder:
    ``loss`` is then its best so far, in nats.
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    state: str = ""
    message: str = ""
    place: str = ""
    loss: float | None = None


PRUNED = "pruned"
# Its machine was silent for long: another run takes its place in the search, and it no longer counts.
GIVEN_UP = "given up"


Lock = BinaryIO
"""The open file of a lock that was taken, until it is closed, or until all processes that have it have ended."""


class SweepFolder:
    """The files of one sweep in ``saves``. All methods use the disk."""

    def __init__(self, saves: Path, name: str) -> None:
        self.saves = saves
        self.name = name
        self.path = saves / SWEEPS / name
        self.study_path = self.path / STUDY
        self.log_path = self.path / LOG

    # ------------------------------------------------------------------ what defines it

    def exists(self) -> bool:
        """Whether there is a sweep of this name, damaged or not."""
        return os.path.lexists(self.path / DESCRIPTION)

    def read(self) -> Sweep:
        """The sweep. Raises RunError for a missing or damaged description."""
        path = self.path / DESCRIPTION
        if not self.exists():
            known = [folder.name for folder in sweeps_in(self.saves)]
            there = "there are " + ", ".join(known[:8]) if known else "there are none yet"
            raise RunError(f"there is no sweep {self.name!r} in {self.saves}; {there}")
        with of_our_form(path):
            sweep = read_record(Sweep, read_object(path, format=FORMAT))
            if sweep.name != self.name:
                raise RunError(f"{path} describes another sweep, {sweep.name[:60]!r}")
            _ = sweep.varied
            return sweep

    def write(self, sweep: Sweep) -> None:
        """Write what defines the sweep. Raises RunError; what was there is then unchanged."""
        self._replace(DESCRIPTION, {"format": FORMAT, **record_as_json(sweep)})

    def begin(self, sweep: Sweep) -> Sweep:
        """Create the sweep, or find it begun. Returns it, with the number of trials and the pruner that are wanted now.

        Raises RunError if another sweep has this name, or a run that is not of this sweep one of its names.
        """
        self._make()
        with self.changing():
            if self.exists():
                before = self.read()
                if before.same_runs(sweep):
                    if before != sweep:
                        self.write(sweep)
                    return sweep
                if any(Run(self.saves / name).exists() for name in self.run_names()) or self.is_working():
                    raise RunError(
                        f"there is already a sweep {self.name!r} with other settings: python -m core sweep "
                        f"{self.name} continues it; choose another name for a new one"
                    )
                self._clear()  # all its runs were deleted
            self._refuse_taken(sweep)
            self.write(sweep)
        return sweep

    def _refuse_taken(self, sweep: Sweep) -> None:
        """Raise RunError if a run of another origin has a name that the sweep needs."""
        with contextlib.suppress(FileNotFoundError):
            there = set(os.listdir(self.saves))
            pattern = re.compile(re.escape(sweep.trial_name(0)[:-3]) + r"\d{3,}")
            names = {run.name for run in sweep.runs()} if sweep.is_grid else set(filter(pattern.fullmatch, there))
            for name in sorted(names & there):
                raise RunError(f"there is already a run {name!r} in {self.saves}: choose another name for the sweep")

    def _clear(self) -> None:
        for name in os.listdir(self.path):
            if not name.endswith(".lock"):
                os.unlink(self.path / name)

    # ------------------------------------------------------------------ its runs

    def run_names(self) -> list[str]:
        """The runs that were begun, in the order of their names."""
        ending = ".json"
        with contextlib.suppress(OSError):
            return sorted(
                name.removesuffix(ending)
                for name in os.listdir(self.path)
                if name.endswith(ending) and name != DESCRIPTION and not name.startswith(".")
            )
        return []

    def outcome(self, run: str) -> Outcome | None:
        """What is known of a run; None if it was not begun. Raises RunError for a damaged file."""
        path = self.path / f"{run}.json"
        if not os.path.lexists(path):
            return None
        with of_our_form(path):
            value = read_object(path)
            loss = value.get("loss")
            words = (str(value["state"]), str(value["message"]), str(value.get("place", "")))
            return Outcome(dict(value["values"]), *words, None if loss is None else float(loss))

    def set_outcome(self, run: str, outcome: Outcome) -> None:
        """Write what became of a run. Raises RunError."""
        self._replace(f"{run}.json", record_as_json(outcome))

    def claim(self, run: str) -> Lock | None:
        """The lock of a run, which whoever trains it has; None if another process has it. Raises RunError."""
        return self._lock(f"{run}.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)

    # ------------------------------------------------------------------ who is working on it

    def work(self) -> Lock:
        """To be held by each process that works on the sweep; ``is_working`` then says so. Raises RunError."""
        self._make()
        lock = self._lock(_WORKING, fcntl.LOCK_SH)
        assert lock is not None
        return lock

    def is_working(self) -> bool:
        """Whether a process works on the sweep now."""
        # Two callers at the same moment may see each other: asked twice, they do not.
        return all(is_held(self.path / _WORKING, shared=True) for _ in range(2))

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """While something is decided that only one process at a time may decide. Raises RunError."""
        lock = self._lock(_CHANGING, fcntl.LOCK_EX)
        assert lock is not None
        with lock:
            yield

    def ask_to_stop(self) -> None:
        """Ask all processes that work on the sweep to stop; they look a few times a second. Raises RunError."""
        self._replace(STOP, {})

    def is_asked_to_stop(self) -> bool:
        """Whether ``ask_to_stop`` was called after the last ``forget_stop``."""
        return os.path.lexists(self.path / STOP)

    def forget_stop(self) -> None:
        """To be called by a process that begins to work on the sweep."""
        with contextlib.suppress(OSError):
            os.unlink(self.path / STOP)

    def last_words(self) -> str:
        """The last line of the log of a process that ``core.sweep.launch`` started; empty if there is none."""
        try:
            with open_to_read(self.log_path) as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - (1 << 12)))
                lines = file.read().decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1][:400] if lines else ""

    # ------------------------------------------------------------------ files

    def _make(self) -> None:
        with refusing(f"no sweep can be made in {self.saves}"):
            make_folders(self.path)

    def _replace(self, name: str, value: dict[str, Any]) -> None:
        data = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False).encode("utf-8", "surrogatepass")
        with refusing(f"{self.path / name} cannot be written"):
            replace_whole(self.path / name, data + b"\n")

    def _lock(self, name: str, how: int) -> Lock | None:
        path = self.path / name
        with refusing(f"{path} cannot be written to"):
            descriptor = open_to_append(path, os.O_RDWR)
        file = os.fdopen(descriptor, "rb")
        try:
            fcntl.flock(file, how)
        except OSError as error:
            file.close()
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return None
            raise RunError(f"{path} cannot be locked: {error.strerror}") from None
        return file


def sweeps_in(saves: Path) -> list[SweepFolder]:
    """The sweeps beside the runs of ``saves``, by name."""
    try:
        names = sorted(os.listdir(saves / SWEEPS))
    except OSError:
        return []
    return [folder for name in names if (folder := SweepFolder(saves, name)).exists()]
