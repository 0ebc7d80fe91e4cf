"""Opening files that may have been replaced by a pipe, a device or a link: opening never blocks."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

# A stricter umask is respected. Others may read; only the owner may write.
FILE_MODE = 0o644
FOLDER_MODE = 0o755
_KINDS = {stat.S_IFLNK: "a link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


class NotRegularError(OSError):
    """The path is neither a file nor a folder; ``kind`` says what it is."""

    def __init__(self, kind: str, path: Path) -> None:
        super().__init__(errno.EINVAL, f"it is {kind}, no file", str(path))
        self.kind = kind


def open_to_read(path: Path, folder: int | None = None) -> BinaryIO:
    """A regular file, open for reading. Raises OSError for anything else, without blocking.

    With ``folder``, the descriptor of a folder, this and the functions below open the file with the name of ``path`` in
    it, wherever ``path`` leads now.
    """
    return os.fdopen(_open_regular(path, folder)[0], "rb")


def read_regular(path: Path, at_most: int, is_end: bool = False) -> tuple[bytes, int]:
    """The first bytes of a regular file, or its last ones, and its size. Raises OSError as ``open_to_read`` does.

    One call of the system reads them: a list of runs reads thousands of small files.
    """
    descriptor, size = _open_regular(path)
    try:
        return os.pread(descriptor, min(size, at_most), max(0, size - at_most) if is_end else 0), size
    finally:
        os.close(descriptor)


def is_broken_link(path: Path) -> bool:
    """Whether it is a link to something that is not there."""
    return os.path.islink(path) and not os.path.exists(path)


def open_to_append(path: Path, flags: int = os.O_RDWR | os.O_APPEND, folder: int | None = None) -> int:
    """The descriptor of a regular file, open for writing, created if missing. Raises OSError, also for a link."""
    place = path if folder is None else path.name
    with contextlib.suppress(FileNotFoundError):
        _check_regular(os.stat(place, dir_fd=folder, follow_symlinks=False), path)
    safe = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(place, flags | safe, FILE_MODE, dir_fd=folder)
    try:
        _check_regular(os.fstat(descriptor), path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_new(path: Path, folder: int | None = None, readable: bool = False) -> BinaryIO:
    """A new file, open for writing, and for reading too if ``readable``. Raises OSError if the name is taken."""
    flags = (os.O_RDWR if readable else os.O_WRONLY) | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    place = path if folder is None else path.name
    return open(place, "wb", opener=lambda name, _: os.open(name, flags, FILE_MODE, dir_fd=folder))


def make_folders(path: Path) -> None:
    """Create a folder and its missing parents, and sync their names to the disk. Raises OSError."""
    try:
        path.mkdir(FOLDER_MODE)
    except FileNotFoundError:
        make_folders(path.parent)
        path.mkdir(FOLDER_MODE, exist_ok=True)
    except OSError:
        if not path.is_dir():
            raise
        return
    sync_folder(path.parent)


def replace_whole(path: Path, data: bytes, *, place: Callable[[Path, Path], object] | None = None) -> None:
    """Write a file by an atomic replacement, and create its folders. Raises OSError; the old file is then unchanged.

    ``place`` gives the finished file its name, in another way than ``os.replace``.
    """
    make_folders(path.parent)
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open_new(temporary) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        (place or os.replace)(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    sync_folder(path.parent)


def configuration_folder() -> Path:
    """The user's folder for the files that configure the playground; it follows ``XDG_CONFIG_HOME``."""
    from platformdirs import user_config_path

    return user_config_path("rnn-playground")


def sync_folder(path: Path) -> None:
    """Sync the names in a folder to the disk, if the file system supports it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _open_regular(path: Path, folder: int | None = None) -> tuple[int, int]:
    """The descriptor of a regular file, open for reading, and its size."""
    place = path if folder is None else path.name
    # Before opening: some devices react to being opened.
    _check_regular(os.stat(place, dir_fd=folder), path)
    descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        _check_regular(status, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status.st_size


def _check_regular(status: os.stat_result, path: Path) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise NotRegularError(_KINDS.get(stat.S_IFMT(status.st_mode), "a device"), path)
