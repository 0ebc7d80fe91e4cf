"""Drafts: ids of a text on the disk while it is read, before their final numbers are known."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.files import open_new

BLOCK = 1 << 22
"""Bytes of ids that one checksum covers."""
_STEP = 1 << 20


class StoreError(Exception):
    """The store cannot be written; the message is the reason."""


@contextlib.contextmanager
def failing() -> Iterator[None]:
    """OSErrors as StoreError."""
    try:
        yield
    except OSError as error:
        raise StoreError(error.strerror or str(error)) from None


class Draft(contextlib.AbstractContextManager["Draft"]):
    """Provisional ids on the disk, each stretch in the type that it came in. Its file is removed with ``close``."""

    def __init__(self, folder: Path, hidden: bool = False) -> None:
        """A ``hidden`` one has no name, so that nothing is left of it. Raises StoreError."""
        with failing():
            folder.mkdir(0o700, parents=True, exist_ok=True)
            self._path: Path | None = folder / f".making-{secrets.token_hex(8)}"
            self._file = open_new(self._path, readable=True)
            self.descriptor = self._file.fileno()
            with contextlib.suppress(OSError):  # some network disks have no locks
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if hidden:
                self._path.unlink()
                self._path = None
        self._folder, self._hidden = folder, hidden
        self._stretches: list[tuple[np.dtype[Any], int]] = []
        self._end = self.length = 0

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, ids: npt.NDArray[Any]) -> None:
        """Append some ids. Raises StoreError."""
        if not self._stretches or self._stretches[-1][0] != ids.dtype:
            self._stretches.append((ids.dtype, 0))
        self._stretches[-1] = (ids.dtype, self._stretches[-1][1] + len(ids))
        self.write_at(self._end, ids)
        self._end += ids.nbytes
        self.length += len(ids)

    def write_at(self, place: int, data: Any) -> None:
        """Write all of ``data`` at ``place``. Raises StoreError."""
        with failing():
            left = memoryview(data).cast("B")
            while left:
                written = os.pwrite(self.descriptor, left, place)
                left, place = left[written:], place + written

    def numbered(self, final: npt.NDArray[Any], dtype: np.dtype[Any]) -> tuple[Draft, list[int]]:
        """A draft of ``final[ids]`` in place of ``ids``, and the checksums of its blocks. Raises StoreError."""
        in_place = all(dtype.itemsize <= kind.itemsize for kind, _ in self._stretches)
        target = self if in_place else Draft(self._folder, self._hidden)
        checksums, table, place = _Checksums(), final.astype(dtype), 0
        with failing():
            for ids in self._read():
                data = memoryview(np.ascontiguousarray(looked_up(table, ids)).data).cast("B")
                target.write_at(place, data)
                checksums.update(data)
                place += len(data)
            os.ftruncate(target.descriptor, place)
        target.length = self.length
        if target is not self:
            self.close()
        return target, checksums.done()

    def publish(self, path: Path, sealed: int) -> None:
        """Give the file its name, when all of it is on the disk. Raises OSError."""
        assert self._path is not None
        os.fsync(self.descriptor)
        os.utime(self.descriptor, ns=(sealed, sealed))
        os.replace(self._path, path)
        self._path = None

    def close(self) -> None:
        """Close the file, and remove it if it has no name of its own."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
            self._path = None
        self._file.close()

    def _read(self) -> Iterator[npt.NDArray[Any]]:
        place = 0
        for dtype, count in self._stretches:
            for start in range(0, count, _STEP):
                wanted = min(_STEP, count - start) * dtype.itemsize
                data = os.pread(self.descriptor, wanted, place)
                if len(data) != wanted:
                    raise OSError("it was cut while it was written")
                place += wanted
                yield np.frombuffer(data, dtype)


def looked_up(table: npt.NDArray[Any], ids: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """``table[ids]``; of bytes by ``bytes.translate``, which is three times as fast."""
    if table.itemsize == ids.itemsize == 1:
        whole = np.zeros(256, dtype=np.uint8)
        whole[: len(table)] = table
        return np.frombuffer(ids.tobytes().translate(whole.tobytes()), dtype=np.uint8)
    found: npt.NDArray[Any] = np.take(table, ids)
    return found


class _Checksums:
    """CRC-32 of each block of what is fed to it in parts of any size."""

    def __init__(self) -> None:
        self._done: list[int] = []
        self._open = self._filled = 0

    def update(self, data: memoryview) -> None:
        while data:
            part = data[: BLOCK - self._filled]
            self._open, self._filled = zlib.crc32(part, self._open), self._filled + len(part)
            data = data[len(part) :]
            if self._filled == BLOCK:
                self._done.append(self._open)
                self._open = self._filled = 0

    def done(self) -> list[int]:
        return [*self._done, self._open] if self._filled else self._done
