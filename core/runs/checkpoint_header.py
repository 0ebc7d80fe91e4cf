"""The header of a checkpoint: the description of its contents, checked before the rest of the file is read.

A header is checked against the file's length: a file that was cut, or whose header is wrong, is recognised by reading a
few kilobytes, however large it is. No torch in this module: the list of runs reads headers.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from core.errors import RunError
from core.files import open_to_read
from core.units import counted

FORMAT = 1
# The header lists the tensors and contains the trainer's facts; a longer one is not ours.
LONGEST_HEADER = 1 << 18
# The exceptions of reading a file that is no whole checkpoint.
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RuntimeError, OverflowError)
_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "I64": 8,
    "U64": 8, "F64": 8,
}  # fmt: skip
_MOST_DIMENSIONS = 8
Opened = Callable[[Path], BinaryIO]


@dataclass(frozen=True)
class Header:
    """``bytes`` is its length in the file, ``facts`` the trainer's facts as JSON, ``shapes`` those of the tensors."""

    bytes: int
    facts: str
    sha256: str
    shapes: Mapping[str, tuple[int, ...]]

    def fact(self, name: str) -> Any:
        """One of the trainer's facts; None if it is missing."""
        try:
            return json.loads(self.facts).get(name)
        except DAMAGE:
            return None


def read_header(path: Path, opened: Opened = open_to_read) -> Header:
    """The header of a checkpoint. Raises RunError with a sentence that names the file."""
    try:
        with opened(path) as file:
            return checked_header(file)
    except OSError as error:
        raise unreadable(path, error) from None
    except DAMAGE as error:
        raise damaged(path, error) from None


def checked_header(file: BinaryIO) -> Header:
    """The header at the beginning of ``file``. Raises OSError, and one of ``DAMAGE`` if it does not match the file."""
    size = os.fstat(file.fileno()).st_size
    if size < 8:
        raise ValueError("shorter than its header")
    length = int.from_bytes(file.read(8), "little")
    if length > size - 8:
        raise ValueError("its header is longer than the file")
    if length > LONGEST_HEADER:
        raise ValueError(f"its header has {counted(length, 'byte')}, more than {LONGEST_HEADER:,}")
    entries = json.loads(file.read(length))
    if not isinstance(entries, dict) or not isinstance(entries.get("__metadata__"), dict):
        raise ValueError("its header has no metadata")
    metadata = entries.pop("__metadata__")
    if metadata["format"] != str(FORMAT):
        raise ValueError(f"format {str(metadata['format'])[:20]}, this program knows format {FORMAT}")
    facts, sha256 = metadata["facts"], metadata["sha256"]
    if not isinstance(facts, str) or not isinstance(sha256, str):
        raise ValueError("its facts are not text")
    return Header(8 + length, facts, sha256, _shapes(entries, size - 8 - length))


def unreadable(path: Path, error: OSError) -> RunError:
    if isinstance(error, FileNotFoundError):
        return RunError(f"{path} is missing")
    return RunError(f"{path} cannot be read: {error.strerror or error}")


def damaged(path: Path, error: BaseException) -> RunError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, KeyError):
        reason = f"its header lacks {reason}"
    return RunError(f"{path} is no whole checkpoint ({reason[:200]}): it was cut, changed or written by something else")


def _shapes(entries: Mapping[str, Any], size: int) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor. Raises one of ``DAMAGE`` if they do not fill ``size`` bytes without gap or overlap."""
    shapes: dict[str, tuple[int, ...]] = {}
    places: list[tuple[int, int]] = []
    for name, entry in entries.items():
        shape, (begin, end) = entry["shape"], entry["data_offsets"]
        if not isinstance(shape, list) or len(shape) > _MOST_DIMENSIONS:
            raise ValueError(f"the shape of {name[:50]!r} is not a list of numbers")
        if not all(type(number) is int and 0 <= number <= size for number in (*shape, begin, end)):
            raise ValueError(f"the shape or place of {name[:50]!r} is outside the file")
        if entry["dtype"] not in _BYTES:
            raise ValueError(f"{name[:50]!r} has the unknown type {str(entry['dtype'])[:20]!r}")
        if math.prod(shape) * _BYTES[entry["dtype"]] != end - begin:
            raise ValueError(f"the shape of {name[:50]!r} does not match its place")
        shapes[name] = tuple(shape)
        places.append((begin, end))
    reached = 0
    for begin, end in sorted(places):
        if begin != reached:
            raise ValueError("its tensors overlap, or there are gaps between them")
        reached = end
    if reached != size:
        raise ValueError(f"its tensors should have {counted(reached, 'byte')} and have {size:,}")
    return shapes
