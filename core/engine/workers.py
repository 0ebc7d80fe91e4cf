"""Workers: the team of a run, started on this machine by the engine, or by torchrun on one machine or several.

An engine that trains on more than one device starts the other workers itself. They meet in a private folder, and talk
over the loopback. Under torchrun all workers run the same command, and it restarts them; the one of rank 0 is the
engine, and remembers its run where those that are restarted find it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch.distributed.elastic.multiprocessing.subprocess_handler import SubprocessHandler

from core.engine.failure import write_failure
from core.errors import RunError, WorkersLostError
from core.files import open_to_append, open_to_read
from core.process import program_environment, temporary_folder
from core.runs.held_folder import HeldFolder
from core.training import distributed, following
from core.training.distributed import Team, loopback, meeting_place

_RUN = "rnn-playground/run"
_FOLDER = "rnn-workers-"
# The age in seconds from which a folder without a lock is one that a killed engine has left.
_YOUNG_SECONDS = 60.0


def local_team(size: int, log: HeldFolder | None = None) -> Team:
    """Start ``size`` - 1 other workers on this machine. What they print is added to the run's log, or to
    standard error, when they are ended.

    Raises WorkersLostError if one does not start, or not within ``IMPORTING_PATIENCE``.
    """
    loopback()
    folder, lock = _meeting_folder()
    environment = program_environment()
    others: list[SubprocessHandler] = []

    def end() -> None:
        for worker in others:
            with contextlib.suppress(ProcessLookupError):
                worker.close(following.END_SIGNAL)
            worker.proc.wait()
        said = "".join(_end_of(log) for log in sorted(folder.glob("*.log")))
        if said.strip():
            write_failure(WorkersLostError(f"what the other workers said:\n{said}"), log)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)

    try:
        for rank in range(1, size):
            arguments = ("-m", following.__name__, str(folder), str(rank), str(size))
            said = str(folder / f"{rank}.log")
            others.append(SubprocessHandler(sys.executable, arguments, environment, said, said, rank, None))
        began = time.monotonic()
        while missing := [rank for rank in range(1, size) if not following.ready_file(folder, rank).exists()]:
            if any(worker.proc.poll() is not None for worker in others):
                raise WorkersLostError("a worker could not be started")
            if time.monotonic() - began > distributed.IMPORTING_PATIENCE:
                raise WorkersLostError(
                    f"worker {missing[0]} of {size} was started and did not import torch within "
                    f"{distributed.IMPORTING_PATIENCE:g} s: something stops it, or the disk with the packages is slow"
                )
            time.sleep(0.01)
        return Team(0, size, meeting_place(folder, size), end)
    except BaseException:
        end()
        raise


def _meeting_folder() -> tuple[Path, int]:
    """A new folder of this user alone, and the descriptor of its lock, which says that its engine lives.

    Folders that killed engines have left are removed. A young one may be about to be locked.
    """
    for left in temporary_folder().glob(f"{_FOLDER}*"):
        with contextlib.suppress(OSError):
            facts = left.lstat()
            is_ours = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid()
            if is_ours and time.time() - facts.st_mtime > _YOUNG_SECONDS:
                os.close(_locked(left))
                shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=_FOLDER))
    return folder, _locked(folder)


def _locked(folder: Path) -> int:
    """Lock a folder of workers until the descriptor is closed. Raises OSError where a process has locked it."""
    descriptor = open_to_append(folder / "lock")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _end_of(log: Path) -> str:
    with open_to_read(log) as file:
        return file.read()[-10_000:].decode("utf-8", "replace")


@cache
def _joined() -> Team:
    store, rank, size = next(iter(dist.rendezvous("env://")))  # type: ignore[attr-defined]
    # Workers that are restarted may find the same store, with the addresses of those before them.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    own = dist.PrefixStore(f"attempt-{attempt}-of-{size}", store)  # type: ignore[attr-defined]
    return Team(rank, size, own)


def torchrun_team() -> Team:
    """The workers that torchrun has started, this process included. Raises RunError where they have ended."""
    if _joined().is_broken:
        raise RunError("the other workers have ended: start torchrun again to continue")
    return _joined()


def run_begun() -> Path | None:
    """The run that workers of this torchrun have begun before they were restarted; None at the first start."""
    store = _store()
    return Path(os.fsdecode(store.get(_RUN))) if store is not None and store.check([_RUN]) else None


def remember(run: Path) -> None:
    """Keep the path of a run for workers that are restarted."""
    store = _store()
    if store is not None:
        store.set(_RUN, os.fsencode(run.resolve()))


def _store() -> Any:
    """The store of torchrun itself, which outlives the workers; None if something else has started them."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None
    return dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)  # type: ignore[attr-defined]


def follow_torchrun() -> int:
    """Be a worker of torchrun that does not lead, to the end."""
    following.ignore_signals()
    following.run_follower(torchrun_team(), int(os.environ.get("LOCAL_RANK", "0")))
    return 0
