"""The trash of ``saves/``: deleted runs, whole, until they are restored, deleted permanently, or too old.

``saves/.trash/<moment>-<random>/<name>``: one rename moves the folder of a run in or out. It keeps the run's name, and
the name of the folder around it is the time of the deletion: no other file is written, which could be damaged. No torch
in this module: the screen deletes and restores runs with it.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import os
import re
import secrets
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import RunError, refusing
from core.files import FOLDER_MODE, sync_folder
from core.runs.run import Run
from core.runs.saves import check_saves
from core.runs.summary import RunSummary, run_summary
from core.units import counted

DAYS_KEPT = 30
_MOMENT = "%Y%m%dT%H%M%S.%fZ"
_ENTRY = re.compile(r"(\d{8}T\d{6}\.\d{6}Z)-[0-9a-f]{8}")


@dataclass(frozen=True)
class DeletedRun:
    """A run in the trash; ``deleted`` is an ISO date."""

    summary: RunSummary
    deleted: str

    @property
    def name(self) -> str:
        return self.summary.name

    @property
    def path(self) -> Path:
        return self.summary.path

    def to_json(self) -> dict[str, Any]:
        return {**self.summary.to_json(), "deleted": self.deleted}


def trash_folder(saves: Path) -> Path:
    return saves / ".trash"


def delete_run(run: Run) -> Path:
    """Move a run into the trash; return its path there. Raises RunError if an engine holds it or the disk fails."""
    saves, trash = run.path.parent, trash_folder(run.path.parent)
    with run.lock(), refusing(f"{run.name!r} cannot be deleted"):
        _make_trash(trash)
        entry = trash / f"{_now().strftime(_MOMENT)}-{secrets.token_hex(4)}"
        entry.mkdir(FOLDER_MODE)
        try:
            os.rename(run.path, entry / run.name)
        except BaseException:
            entry.rmdir()
            raise
        for folder in (entry, trash, saves):
            sync_folder(folder)
    return entry / run.name


def deleted_runs(saves: Path) -> list[DeletedRun]:
    """The runs in the trash, the last deleted first. Raises RunError if it cannot be read."""
    return [DeletedRun(run_summary(Run(path)), moment.isoformat()) for moment, path in reversed(deleted_places(saves))]


def deleted_places(saves: Path) -> list[tuple[datetime.datetime, Path]]:
    """The time and the path of each deleted run, the oldest first; other files are ignored. Raises RunError."""
    found = []
    for moment, folder in _folders(saves):
        with contextlib.suppress(OSError):
            found += [(moment, path) for path in folder.iterdir()]
    return found


def find_deleted(saves: Path, name: str) -> Path:
    """The path of the run of that name that was deleted last. Raises RunError with the names in the trash."""
    entries = deleted_places(saves)
    for _, path in reversed(entries):
        if path.name == name:
            return path
    names = list(dict.fromkeys(path.name for _, path in reversed(entries)))
    there = "there are " + ", ".join(names[:8]) if names else "it is empty"
    raise RunError(f"there is no run {name!r} in the trash of {saves}; {there}")


def is_deleted(saves: Path, name: str) -> bool:
    with contextlib.suppress(RunError):
        return any(path.name == name for _, path in deleted_places(saves))
    return False


def restore_run(path: Path) -> Run:
    """Move the run at ``path`` out of the trash, under a free name if its own is taken now.

    Raises RunError if it is gone, or the disk fails.
    """
    saves = path.parents[2]
    with Run(path).lock(), refusing(f"{path.name!r} cannot be restored"):
        target = _free_place(saves, path.name)
        # Fails if a folder with files in it has taken the name meanwhile: nothing is overwritten.
        os.rename(path, target)
        sync_folder(saves)
        sync_folder(path.parent)
    with contextlib.suppress(OSError):
        path.parent.rmdir()
    return Run(target)


def remove_deleted(path: Path) -> None:
    """Delete a run in the trash permanently. Raises RunError if an engine holds it or the disk fails."""
    grave = path.parents[2] / f".deleted-{secrets.token_hex(8)}"
    with refusing(f"{path.name!r} cannot be deleted permanently"):
        with Run(path).lock():
            # First out of the trash in one step: a crash leaves no partial run that could be restored.
            os.rename(path.parent, grave)
        with contextlib.suppress(FileNotFoundError):  # another process is removing it too
            shutil.rmtree(grave)


def empty_trash(saves: Path, age: datetime.timedelta | None = None) -> list[str]:
    """Delete the runs in the trash permanently, or those of that age; return their names. Failures are skipped.

    Raises RunError if the trash cannot be read.
    """
    removed = []
    for moment, path in deleted_places(saves):
        if age is None or _now() - moment >= age:
            with contextlib.suppress(RunError):
                remove_deleted(path)
                removed.append(path.name)
    return removed


def remove_outdated(saves: Path) -> list[str]:
    """Delete permanently what has been in the trash for ``DAYS_KEPT`` days; return the names."""
    age = datetime.timedelta(days=DAYS_KEPT)
    try:
        removed, left = empty_trash(saves, age), _folders(saves)
    except RunError:
        return []
    for moment, folder in left:
        if _now() - moment >= age:
            with contextlib.suppress(OSError):
                folder.rmdir()  # empty: its process was killed during a deletion
    return removed


def kept_words(deleted: str) -> str:
    """How long a run that was deleted at this time stays in the trash: ``29 days left``."""
    left = datetime.datetime.fromisoformat(deleted) + datetime.timedelta(days=DAYS_KEPT) - _now()
    return f"{counted(max(0, -(-left // datetime.timedelta(days=1))), 'day')} left"


def restored_words(before: str, after: str) -> str:
    """A sentence about a restored run, which may have another name now."""
    return f"{before} is back" + ("" if after == before else f" as {after}: there is another run {before} now")


def _folders(saves: Path) -> list[tuple[datetime.datetime, Path]]:
    """The folders of the trash, the oldest first. Raises RunError if it cannot be read."""
    check_saves(saves)
    check_saves(trash_folder(saves))
    found = []
    with contextlib.suppress(OSError):
        for folder in trash_folder(saves).iterdir():
            match = _ENTRY.fullmatch(folder.name)
            with contextlib.suppress(ValueError):
                if match is not None:
                    moment = datetime.datetime.strptime(match[1], _MOMENT).replace(tzinfo=datetime.UTC)
                    found.append((moment, folder))
    return sorted(found)


def _make_trash(trash: Path) -> None:
    """Create the trash if it is missing. Raises OSError if something else has its name."""
    try:
        trash.mkdir(FOLDER_MODE)
    except FileExistsError:
        if not stat.S_ISDIR(trash.lstat().st_mode):  # runs must not go where a link leads
            raise OSError(f"{trash} is in the way: it is no folder") from None


def _free_place(saves: Path, name: str) -> Path:
    """``saves/name``, or with the first number after it that is free."""
    target = saves / name
    for number in itertools.count(2):
        if not os.path.lexists(target):
            break
        stem, end = name, f"-{number}"
        while len(stem + end) > 100 or len(os.fsencode(stem + end)) > 200:
            stem = stem[:-1]
        target = saves / (stem + end)
    return target


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
