"""Atomic replacement of a file: at every moment it is the old one or the new one, whole."""

from __future__ import annotations

import contextlib
import os

from core.runs.held_folder import HeldFolder


def write_whole(folder: HeldFolder, name: str, data: bytes) -> None:
    """Replace a file by ``data``. Raises OSError; the old file is then unchanged and the temporary one removed."""
    disk, temporary = folder.disk, f".{name}.{os.getpid()}.tmp"
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
