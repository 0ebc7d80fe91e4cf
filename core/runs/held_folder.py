"""The locked folder of a run: the holder of the lock writes into that folder, wherever it is moved.

A path is only a name: ``mv`` gives it to another folder while an engine trains. So the holder of the lock keeps the
folder itself open, and opens, renames and removes every file relative to that descriptor. A folder that was deleted, or
whose lock file was removed (another engine could then hold the run too), is never written to again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
from pathlib import Path
from typing import BinaryIO

from core.errors import RunError
from core.files import open_new, open_to_append, open_to_read
from core.runs import lock

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class FolderLostError(OSError):
    """The folder or its lock was deleted while it was held: nothing more may be written there."""


class Disk:
    """The steps of a save, one method each, where tests inject faults. All raise OSError."""

    def write(self, file: BinaryIO, data: bytes) -> None:
        file.write(data)

    def flush(self, file: BinaryIO) -> None:
        file.flush()

    def fsync(self, file: BinaryIO) -> None:
        os.fsync(file.fileno())

    def rename(self, folder: HeldFolder, source: str, target: str) -> None:
        folder.rename(source, target)

    def sync_folder(self, folder: HeldFolder) -> None:
        folder.sync()


class HeldFolder(contextlib.AbstractContextManager["HeldFolder"]):
    """A run's folder and its lock, until ``close`` or the end of the process.

    Every method that writes raises OSError, and FolderLostError once the folder is lost; ``lost`` is then a sentence,
    else empty.
    """

    disk = Disk()

    def __init__(self, path: Path) -> None:
        """Take the lock. Raises RunError if an engine holds it, or the folder is missing or not writable."""
        self.lost = ""
        self._path = path
        try:
            self._folder = os.open(path, _FOLDER)
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(f"there is no run {path.name!r} in {path.parent}") from None
        except (OSError, ValueError) as error:  # ValueError: a path with a zero byte in it
            raise RunError(f"{path} cannot be opened: {getattr(error, 'strerror', None) or error}") from None
        self._lock = -1
        try:
            self._lock = lock.acquire(path / lock.NAME, self._folder)
            if not self._is_at(path) or not self._has_lock():
                raise RunError(f"run {path.name!r} has just been renamed or deleted")
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> Path:
        """The path of the folder now, if the system knows it, else the last known one."""
        if self._folder >= 0 and not self._is_at(self._path):
            path = path_of(self._folder)
            if path is not None and self._is_at(path):
                self._path = path
        return self._path

    def check(self) -> None:
        """Raise FolderLostError if nothing more may be written to this folder."""
        if not self.lost and (self._folder < 0 or not self._has_lock()):
            path = self.path
            what = f"{path / lock.NAME} was removed" if self._is_at(path) else f"{path} was deleted"
            self.lost = f"{what} while an engine had the run open: training has stopped and nothing more is written"
        if self.lost:
            raise FolderLostError(errno.ENOENT, self.lost)

    # ------------------------------------------------------------------ files, by name

    def open_to_read(self, path: Path) -> BinaryIO:
        """The file with the name of ``path`` in this folder, see ``files.open_to_read``."""
        return open_to_read(path, self._folder)

    def open_to_append(self, path: Path, flags: int = os.O_RDWR | os.O_APPEND) -> int:
        """The descriptor of a file, created if it is missing, see ``files.open_to_append``."""
        self.check()
        return open_to_append(path, flags, self._folder)

    def open_new(self, name: str) -> BinaryIO:
        self.check()
        return open_new(Path(name), self._folder)

    def rename(self, source: str, target: str) -> None:
        self.check()
        os.rename(source, target, src_dir_fd=self._folder, dst_dir_fd=self._folder)

    def remove(self, name: str) -> None:
        self.check()
        os.unlink(name, dir_fd=self._folder)

    def state_of(self, name: str) -> tuple[int, ...]:
        """The inode, the size and the time of the last change of a file; empty if it cannot be found."""
        try:
            found = os.stat(name, dir_fd=self._folder, follow_symlinks=False)
        except OSError:
            return ()
        return found.st_ino, found.st_size, found.st_mtime_ns

    def names(self) -> list[str]:
        return os.listdir(self._folder)

    def sync(self) -> None:
        """Sync the names of its files to the disk, if the file system supports it."""
        with contextlib.suppress(OSError):
            os.fsync(self._folder)

    # ------------------------------------------------------------------ the folder itself

    def move(self, parent: int, path: Path) -> None:
        """Rename the folder to ``path``, in its own parent, whose descriptor is ``parent``."""
        self.check()
        # Fails if a folder with files in it has taken the name meanwhile: nothing is overwritten.
        os.rename(self._path.name, path.name, src_dir_fd=parent, dst_dir_fd=parent)
        self._path = path

    def close(self) -> None:
        """Release the run; further calls do nothing."""
        for descriptor in (self._lock, self._folder):
            if descriptor >= 0:
                os.close(descriptor)
        self._lock = self._folder = -1

    def __exit__(self, *_: object) -> None:
        self.close()

    def _is_at(self, path: Path) -> bool:
        try:
            return os.path.samestat(os.fstat(self._folder), os.stat(path))
        except (OSError, ValueError):
            return False

    def _has_lock(self) -> bool:
        """Whether the folder still contains the locked file itself."""
        try:
            found = os.stat(lock.NAME, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            # A disk that does not answer for a while has lost nothing; a stale handle of a network disk has.
            return error.errno not in (errno.ENOTDIR, errno.ESTALE)
        return os.path.samestat(os.fstat(self._lock), found)


def path_of(folder: int) -> Path | None:
    """The path of an open folder, if the system knows it."""
    with contextlib.suppress(OSError, ValueError):
        if sys.platform == "darwin":
            return Path(os.fsdecode(fcntl.fcntl(folder, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")))
        return Path(os.readlink(f"/proc/self/fd/{folder}"))
    return None
