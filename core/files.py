"""Files that somebody else may have put there, opened so that no pipe, device or link in their place does any harm.

The one way in which this program opens a file by a path that it did not make itself: nothing is waited for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from pathlib import Path
from typing import BinaryIO

# At most; a stricter umask is respected. Others may look, nobody else may write.
FILE_MODE = 0o644
FOLDER_MODE = 0o755
_PIECE = 1 << 20


class NotRegularError(OSError):
    """There is something of that name which is neither a file nor a folder; ``kind`` says what."""

    def __init__(self, kind: str, path: Path) -> None:
        super().__init__(errno.EINVAL, f"it is {kind}, no file", str(path))
        self.kind = kind


def open_to_read(path: Path) -> BinaryIO:
    """A regular file, open for reading. Raises OSError for anything else, without waiting for a pipe or a device."""
    _check_regular(os.stat(path), path)  # before it is opened: opening alone does something to some devices
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(path, "rb", opener=lambda name, _: os.open(name, flags)))
        _check_regular(os.fstat(file.fileno()), path)
        stack.pop_all()  # from here on it is the caller's to close
    return file


def open_to_append(path: Path, flags: int = os.O_RDWR | os.O_APPEND) -> int:
    """The descriptor of a regular file, open for writing, made where it is missing.

    A link is not followed: what it leads to is no file of the run. Raises OSError.
    """
    with contextlib.suppress(FileNotFoundError):
        _check_regular(os.lstat(path), path)
    safe = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(path, flags | safe, FILE_MODE)
    try:
        _check_regular(os.fstat(descriptor), path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_new(path: Path) -> BinaryIO:
    """A file that was not there before, open for writing. Raises OSError where something has the name already."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return open(path, "wb", opener=lambda name, _: os.open(name, flags, FILE_MODE))


def write_new(path: Path, data: bytes) -> None:
    """Make a file with these bytes. Raises OSError."""
    with open_new(path) as file:
        file.write(data)


def copy_new(source: Path, target: Path) -> None:
    """Copy a regular file to a place where there is none yet. Raises OSError."""
    with open_to_read(source) as old, open_new(target) as new:
        shutil.copyfileobj(old, new, _PIECE)


def make_folders(path: Path) -> None:
    """Make a folder and those above it that are missing. Raises OSError."""
    try:
        path.mkdir(FOLDER_MODE)
    except FileNotFoundError:
        make_folders(path.parent)
        path.mkdir(FOLDER_MODE, exist_ok=True)
    except OSError:
        if not path.is_dir():
            raise


def _check_regular(status: os.stat_result, path: Path) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise NotRegularError("a link" if stat.S_ISLNK(status.st_mode) else "a pipe or a device", path)
