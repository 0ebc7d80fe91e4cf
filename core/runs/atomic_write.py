"""How a file is replaced so that it is whole at every moment: the old one or the new one."""

from __future__ import annotations

import contextlib
import os
from typing import BinaryIO

from core.runs.held_folder import HeldFolder


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

    def rename(self, folder: HeldFolder, source: str, target: str) -> None:
        """Put ``source`` in the place of ``target`` in one step. Raises OSError."""
        folder.rename(source, target)

    def sync_folder(self, folder: HeldFolder) -> None:
        """Force the renaming to the disk, where the system can."""
        folder.sync()


def write_whole(folder: HeldFolder, name: str, data: bytes, disk: Disk | None = None) -> None:
    """Put ``data`` into a file so that it is, at every moment, either the old one or the new one, whole.

    Raises OSError; the old file is then untouched and the temporary one is gone.
    """
    disk = disk or Disk()
    temporary = f".{name}.{os.getpid()}.tmp"
    with contextlib.suppress(OSError):
        folder.remove(temporary)  # of a killed process that had our number
    try:
        with folder.open_new(temporary) as file:
            disk.write(file, data)
            disk.flush(file)
            disk.fsync(file)
        disk.rename(folder, temporary, name)
    except BaseException:
        with contextlib.suppress(OSError):
            folder.remove(temporary)
        raise
    disk.sync_folder(folder)


def remove_leftovers(folder: HeldFolder) -> None:
    """Remove what a killed process left of its saves: nobody else is saving now."""
    for name in folder.names():
        if name.startswith(".") and name.endswith(".tmp"):
            with contextlib.suppress(OSError):
                folder.remove(name)
