"""Where an export goes: a file that is whole or absent, and never in the place of another unless asked."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from core.errors import UserError, refusing
from core.files import make_folders, replace_whole
from core.runs.run import Run

REPLACEABLE = "name another, or replace it with --force"
"""The end of the sentence about a file that is in the way."""


def write_file(path: Path, data: bytes, *, replace: bool = False) -> None:
    """Write ``data`` to ``path``, whole or not at all: beside it, synced, then put in place in one step.

    A link is followed. Without ``replace`` an existing file is refused, also one that appears meanwhile. Raises
    UserError with a sentence that names the path.
    """
    target = check_destination(path, replace=replace)
    try:
        replace_whole(target, data, place=os.replace if replace else _place)
    except FileExistsError:
        raise _taken(path) from None
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None


def make_folder(path: Path) -> None:
    """Create a folder and its parents where they are missing. Raises UserError, also inside the folder of a run."""
    _refuse_run_folder(path, path.absolute())
    with refusing(f"the folder {path} cannot be made", UserError):
        make_folders(path)


def _place(temporary: Path, target: Path) -> None:
    """Give the finished file its name, where nothing has it. Raises FileExistsError."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        os.rename(temporary, target)


def check_destination(path: Path, *, replace: bool = False) -> Path:
    """The file that ``path`` means. Raises UserError for one that must not be written, before anything is computed."""
    try:
        target = path.resolve()
        folder = _status(target.parent)
        found = _status(target) if folder else None
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, a zero byte in it, a circle of links
        raise UserError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from None
    if folder is None:
        raise UserError(f"there is no folder {path.parent}: make it first, or name another place")
    _refuse_run_folder(path, target.parent)
    if found is not None and stat.S_ISDIR(found.st_mode):
        raise UserError(f"{path} is a folder: name a file")
    if found is not None and not stat.S_ISREG(found.st_mode):
        raise UserError(f"{path} is not a regular file: name another, or - for standard output")
    if found is not None and not replace:
        raise _taken(path)
    if not os.access(target.parent, os.W_OK | os.X_OK, effective_ids=True):
        raise UserError(f"{path} cannot be written: {os.strerror(errno.EACCES)}")
    return target


def _refuse_run_folder(path: Path, folder: Path) -> None:
    if any(Run(place).exists() for place in (folder, *folder.parents)):
        raise UserError(f"{path} is in the folder of a run, which keeps only its own files: name another place")


def _status(path: Path) -> os.stat_result | None:
    """None where there is nothing. Raises OSError where that cannot be known."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _taken(path: Path) -> UserError:
    return UserError(f"there is already a file {path}: {REPLACEABLE}")
