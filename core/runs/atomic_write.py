"""Atomic replacement of a file: at every moment it is the old one or the new one, whole."""

from __future__ import annotations

import contextlib
import os
from typing import BinaryIO

from core.runs.held_folder import HeldFolder


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


def write_whole(folder: HeldFolder, name: str, data: bytes, disk: Disk | None = None) -> None:
    """Replace a file by ``data``. Raises OSError; the old file is then unchanged and the temporary one removed."""
    disk = disk or Disk()
    temporary = f".{name}.{os.getpid()}.tmp"
    with contextlib.suppress(OSError):
        folder.remove(temporary)  # of a killed process with the same number
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
    """Remove the temporary files of killed processes; no other process is saving now."""
    for name in folder.names():
        if name.startswith(".") and name.endswith(".tmp"):
            with contextlib.suppress(OSError):
                folder.remove(name)
