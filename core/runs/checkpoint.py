"""Checkpoints: tensors in a safetensors file that is whole or absent.

A checkpoint is serialised to bytes, written to a temporary file in the same folder, flushed, fsynced, read back and
compared, then renamed over the old one, and the folder is fsynced. (``save_file`` of safetensors writes in place: a
crash in the middle of it would leave neither the old checkpoint nor the new one.) Tensors and JSON only: nothing here
can run code when it is read.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import safetensors
import safetensors.torch
import torch

from core.errors import RunError

FORMAT = 1
# The header of a checkpoint lists its tensors and holds the trainer's facts; a longer one is not ours.
LONGEST_HEADER = 16 << 20


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
        return path.read_bytes()

    def rename(self, source: Path, target: Path) -> None:
        """Put ``source`` in the place of ``target`` in one step. Raises OSError."""
        os.replace(source, target)

    def fsync_folder(self, folder: Path) -> None:
        """Force the renaming to the disk, where the system can (not every file system takes it)."""
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
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
    try:
        with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags | os.O_CLOEXEC, 0o644)) as file:
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


def write_checkpoint(
    path: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any], disk: Disk | None = None
) -> None:
    """Save ``tensors`` (on any device) and JSON-able ``facts``. Raises OSError; the old one is then untouched."""
    on_cpu = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    metadata = {"format": str(FORMAT), "facts": json.dumps(facts)}
    write_whole(path, safetensors.torch.save(on_cpu, metadata), disk)


def read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors (on the CPU) and facts of a checkpoint. Raises RunError with a sentence that names the file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise RunError(f"{path} is missing: this run has no saved weights yet") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from None
    try:
        facts = _facts(data)
        tensors = safetensors.torch.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(
            f"{path} is no whole checkpoint ({reason[:200]}): it was cut, changed or written by something else"
        ) from None
    return tensors, facts


def _facts(data: bytes) -> dict[str, Any]:
    if len(data) < 8:
        raise ValueError("shorter than its header")
    (length,) = struct.unpack("<Q", data[:8])
    if length > min(LONGEST_HEADER, len(data) - 8):
        raise ValueError("its header is longer than the file")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    if metadata["format"] != str(FORMAT):
        raise ValueError(f"format {str(metadata['format'])[:20]}, this program knows format {FORMAT}")
    facts = json.loads(metadata["facts"])
    if not isinstance(facts, dict):
        raise ValueError("its facts are no object")
    return facts
