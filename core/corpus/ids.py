"""Token ids: the smallest integers that hold a vocabulary, and arrays of them that may be mapped from a file."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.int32] | npt.NDArray[np.int64]


def smallest_type(size: int) -> np.dtype[Any]:
    """The type of the ids below ``size``: uint8, uint16 or int32; torch has all three."""
    return np.dtype(np.uint8 if size <= 1 << 8 else np.uint16 if size <= 1 << 16 else np.int32)


def pieces(ids: Ids, size: int, overlap: int = 0) -> Iterator[Ids]:
    """Consecutive pieces of ``size`` tokens, and ``overlap`` of the next piece; mapped pages are released behind."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size + overlap]
        release(ids)


def release(ids: npt.NDArray[Any]) -> None:
    """Unmap the pages of ids that are mapped from a file: they are mapped again when they are read.

    Without it, a process that has read a text has all of it in its resident memory.
    """
    contents = _mapping(ids)
    if contents is not None and hasattr(mmap, "MADV_DONTNEED"):
        contents.madvise(mmap.MADV_DONTNEED)


def is_mapped(ids: npt.NDArray[Any]) -> bool:
    return _mapping(ids) is not None


def _mapping(ids: npt.NDArray[Any]) -> mmap.mmap | None:
    base: Any = ids
    while isinstance(base, (np.ndarray, memoryview)):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return base if isinstance(base, mmap.mmap) else None
