"""The trash of ``saves/``: deleted runs, whole, until they are restored, removed for good, or too old.

``saves/.trash/<moment>-<random>/<name>``: the folder of a run goes in and out by one rename, its name stays the run's,
and the folder around it tells when it was deleted. So nothing beside the run has to be written, which could be damaged.
No torch in this module: the screen deletes and restores runs with it.
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

from core.errors import RunError
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
        """The name that it had, and has again when it is restored."""
        return self.summary.name

    @property
    def path(self) -> Path:
        """Where its folder is now."""
        return self.summary.path

    def to_json(self) -> dict[str, Any]:
        """As ``runs trash --json`` prints it."""
        return {**self.summary.to_json(), "deleted": self.deleted}


def trash_folder(saves: Path) -> Path:
    """Where the deleted runs of ``saves`` are."""
    return saves / ".trash"


def delete_run(run: Run) -> Path:
    """Move a run into the trash; return where it is now.

    Raises RunError where an engine holds it or the disk refuses.
    """
    saves, trash = run.path.parent, trash_folder(run.path.parent)
    with run.lock():
        try:
            _make_trash(trash)
            entry = trash / f"{_now().strftime(_MOMENT)}-{secrets.token_hex(4)}"
            entry.mkdir(FOLDER_MODE)
            try:
                os.rename(run.path, entry / run.name)
            except BaseException:
                entry.rmdir()
                raise
            _sync(entry, trash, saves)
        except OSError as error:
            raise RunError(f"{run.name!r} cannot be deleted: {error.strerror or error}") from None
    return entry / run.name


def deleted_runs(saves: Path) -> list[DeletedRun]:
    """What is in the trash, what was deleted last first. Raises RunError where it cannot be looked into."""
    return [DeletedRun(run_summary(Run(path)), moment.isoformat()) for moment, path in reversed(deleted_places(saves))]


def deleted_places(saves: Path) -> list[tuple[datetime.datetime, Path]]:
    """The moment and the place of each deletion, the oldest first. What is not ours is passed over.

    Raises RunError where the trash cannot be looked into.
    """
    found = []
    for moment, folder in _folders(saves):
        with contextlib.suppress(OSError):
            found += [(moment, path) for path in folder.iterdir()]
    return found


def find_deleted(saves: Path, name: str) -> Path:
    """Where the run of that name is that was deleted last. Raises RunError with the names that there are."""
    entries = deleted_places(saves)
    for _, path in reversed(entries):
        if path.name == name:
            return path
    names = list(dict.fromkeys(path.name for _, path in reversed(entries)))
    there = "there are " + ", ".join(names[:8]) if names else "it is empty"
    raise RunError(f"there is no run {name!r} in the trash of {saves}; {there}")


def is_deleted(saves: Path, name: str) -> bool:
    """Whether a run of that name is in the trash."""
    with contextlib.suppress(RunError):
        return any(path.name == name for _, path in deleted_places(saves))
    return False


def restore_run(path: Path) -> Run:
    """Move the run at ``path`` out of the trash, under a free name where its own has been taken meanwhile.

    Raises RunError where it is gone, or the disk refuses.
    """
    saves = _saves_of(path)
    run = Run(path)
    with run.lock():
        try:
            target = _free_place(saves, run.name)
            # Fails where a folder with files in it has meanwhile taken the name: nothing is ever overwritten.
            os.rename(path, target)
            _sync(saves, path.parent)
        except OSError as error:
            raise RunError(f"{run.name!r} cannot be restored: {error.strerror or error}") from None
    with contextlib.suppress(OSError):
        path.parent.rmdir()
    return Run(target)


def remove_deleted(path: Path) -> None:
    """Remove a run in the trash for good. Raises RunError where an engine holds it or the disk refuses."""
    grave = _saves_of(path) / f".deleted-{secrets.token_hex(8)}"
    try:
        with Run(path).lock():
            # First out of the trash in one step, then away: a crash in between leaves no half a run to be restored.
            os.rename(path.parent, grave)
        with contextlib.suppress(FileNotFoundError):  # another process sweeps it away as well
            shutil.rmtree(grave)
    except OSError as error:
        raise RunError(f"{path.name!r} cannot be removed for good: {error.strerror or error}") from None


def empty_trash(saves: Path, age: datetime.timedelta | None = None) -> list[str]:
    """Remove for good what is in the trash, or was deleted so long ago; return the names. What resists stays.

    Raises RunError where the trash cannot be looked into.
    """
    removed = []
    for moment, path in deleted_places(saves):
        if age is None or _now() - moment >= age:
            with contextlib.suppress(RunError):
                remove_deleted(path)
                removed.append(path.name)
    return removed


def remove_outdated(saves: Path) -> list[str]:
    """Remove for good what has been in the trash for ``DAYS_KEPT`` days."""
    age = datetime.timedelta(days=DAYS_KEPT)
    try:
        removed, left = empty_trash(saves, age), _folders(saves)
    except RunError:
        return []
    for moment, folder in left:
        if _now() - moment >= age:
            with contextlib.suppress(OSError):
                folder.rmdir()  # empty, of a process that was killed in the midst of a deletion
    return removed


def kept_words(deleted: str) -> str:
    """How long what was deleted at that moment stays in the trash: ``29 days left``."""
    left = datetime.datetime.fromisoformat(deleted) + datetime.timedelta(days=DAYS_KEPT) - _now()
    return f"{counted(max(0, -(-left // datetime.timedelta(days=1))), 'day')} left"


def restored_words(before: str, after: str) -> str:
    """What to say of a run that is back, which may have another name now."""
    return f"{before} is back" + ("" if after == before else f" as {after}: there is another run {before} now")


def _folders(saves: Path) -> list[tuple[datetime.datetime, Path]]:
    """The folders of the trash, the oldest first. Raises RunError where it cannot be looked into."""
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
    """Make the trash, where there is none. Raises OSError where something else has its name."""
    try:
        trash.mkdir(FOLDER_MODE)
    except FileExistsError:
        if not stat.S_ISDIR(trash.lstat().st_mode):  # a link would lead the runs to another place
            raise OSError(f"{trash} is in the way: it is no folder") from None


def _saves_of(path: Path) -> Path:
    """The folder of runs whose trash has the run at ``path``."""
    return path.parent.parent.parent


def _free_place(saves: Path, name: str) -> Path:
    """``saves/name``, or with the first number behind it that makes it free."""
    target = saves / name
    for number in itertools.count(2):
        if not os.path.lexists(target):
            break
        stem, end = name, f"-{number}"
        while len(stem + end) > 100 or len(os.fsencode(stem + end)) > 200:
            stem = stem[:-1]
        target = saves / (stem + end)
    return target


def _sync(*folders: Path) -> None:
    for folder in folders:
        sync_folder(folder)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
