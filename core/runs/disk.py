"""How a file is replaced so that it is whole at every moment: the old one or the new one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import BinaryIO

from core.files import open_new, open_to_read


class Disk:
    """The steps of a save, one method each: the seam at which tests inject faults."""

    def write(self, file: BinaryIO, data: bytes) -> None:
        """Write all of ``data``. Raises OSError."""
        file.write(data)

    def flush(self, file: BinaryIO) -> None:
        """Hand what is buffered to the system. Raises OSError."""
        file.flush()

    def fsync(self, file: BinaryIO) -> None:
        """Force the file to the disk. Raises OSError."""
        os.fsync(file.fileno())

    def read_back(self, path: Path) -> bytes:
        """What the file holds now. Raises OSError."""
        with open_to_read(path) as file:
            return file.read()

    def rename(self, source: Path, target: Path) -> None:
        """Put ``source`` in the place of ``target`` in one step. Raises OSError."""
        os.replace(source, target)

    def fsync_folder(self, folder: Path) -> None:
        """Force the renaming to the disk, where the system can (not every file system takes it)."""
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def write_whole(path: Path, data: bytes, disk: Disk | None = None) -> None:
    """Put ``data`` into ``path`` so that the file is, at every moment, either the old one or the new one, whole.

    Raises OSError; the old file is then untouched and the temporary one is gone.
    """
    disk = disk or Disk()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with contextlib.suppress(OSError):
        temporary.unlink()  # of a killed process that had our number
    try:
        with open_new(temporary) as file:
            disk.write(file, data)
            disk.flush(file)
            disk.fsync(file)
        if disk.read_back(temporary) != data:
            raise OSError(f"{temporary} does not read back as it was written")
        disk.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    disk.fsync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left of its saves. The caller holds the run's lock: nobody is saving now."""
    for leftover in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            leftover.unlink()
