"""Checkpoints: tensors in a safetensors file that is whole or absent.

A checkpoint is serialised to bytes, written to a temporary file in the same folder, flushed, fsynced, read back and
compared, then renamed over the old one, and the folder is fsynced. (``save_file`` of safetensors writes in place: a
crash in the middle of it would leave neither the old checkpoint nor the new one.) Tensors and JSON only: nothing here
can run code when it is read. The header holds a sha256 over all of it: a bit that flips on the disk is noticed.
"""

from __future__ import annotations

import contextlib
import hashlib
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
# What reading a file raises that is no whole checkpoint.
_DAMAGE = (
    safetensors.SafetensorError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, OverflowError,
)  # fmt: skip


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
    places: set[int] = set()
    for name, tensor in on_cpu.items():
        place = tensor.untyped_storage().data_ptr()
        if place in places:  # tied weights: safetensors wants each tensor to have its own memory
            on_cpu[name] = tensor.clone()
        places.add(place)
    words = json.dumps(facts)
    metadata = {"format": str(FORMAT), "facts": words, "sha256": _digest(on_cpu, words)}
    write_whole(path, safetensors.torch.save(on_cpu, metadata), disk)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left of its saves. The caller holds the run's lock: nobody is saving now."""
    for leftover in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            leftover.unlink()


def read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors (on the CPU) and facts of a checkpoint. Raises RunError with a sentence that names the file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise RunError(f"{path} is missing: this run has no saved weights yet") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from None
    try:
        words, digest = _metadata(data)
        tensors = safetensors.torch.load(data)
        if _digest(tensors, words) != digest:
            raise ValueError("its sha256 is another one")
        facts = json.loads(words)
        if not isinstance(facts, dict):
            raise ValueError("its facts are no object")
    except _DAMAGE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(
            f"{path} is no whole checkpoint ({reason[:200]}): it was cut, changed or written by something else"
        ) from None
    return tensors, facts


def _digest(tensors: Mapping[str, torch.Tensor], facts: str) -> str:
    """The sha256 of facts, names, types, shapes and numbers, in hexadecimal."""
    digest = hashlib.sha256(facts.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _metadata(data: bytes) -> tuple[str, str]:
    """The facts, as JSON, and the sha256 that the header names."""
    if len(data) < 8:
        raise ValueError("shorter than its header")
    (length,) = struct.unpack("<Q", data[:8])
    if length > min(LONGEST_HEADER, len(data) - 8):
        raise ValueError("its header is longer than the file")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    if metadata["format"] != str(FORMAT):
        raise ValueError(f"format {str(metadata['format'])[:20]}, this program knows format {FORMAT}")
    return str(metadata["facts"]), str(metadata["sha256"])
