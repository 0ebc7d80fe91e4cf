"""The token store: the ids of large texts in files that are mapped into memory, in the user's cache.

An entry is named by the sha256 of a text and by how it is read. It is written beside, synced and renamed, so it is
whole or absent, and two processes that write the same one do not harm each other. An entry that is removed while it is
in use stays until its readers end.

    ids | vocabulary as JSON | facts as JSON | trailer: magic, length and sha256 of the facts

The facts have checksums of the vocabulary and of each block of ids, and a time of change that is set last: an entry
that anything has written to since is checked whole, any other in a few blocks. What is damaged is removed.

A second kind of file says which sha256 the files of a text had, by device, inode, size and times of change, so that a
gigabyte need not be read again for its name. Files changed less than two seconds before they were read are not
entered: a later change might not show in their times. Nobody can set the time of the last change of anything.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import mmap
import os
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.corpus.draft import BLOCK, Draft, failing
from core.corpus.ids import Ids, smallest_type
from core.corpus.source import TextFacts
from core.corpus.vocabulary import Vocabulary
from core.errors import CorpusError
from core.files import open_to_read, replace_whole
from core.record import MALFORMED, read_record, record_as_json
from core.units import bytes_text

SPOT_CHECKS = 16
VARIABLE = "RNN_PLAYGROUND_CACHE_GB"
SMALLEST = 16 << 20
"""Smaller texts, in bytes, are read in less time than it takes to keep them well."""
_BOUND_GB = 50.0
_FORMAT = 1
_MAGIC = b"RNNTOKEN"
_TRAILER = struct.Struct("<8sQ32s")
_RACY_NS = 2_000_000_000
_DAMAGED = (*MALFORMED, CorpusError, OSError, RecursionError, struct.error)


@dataclass(frozen=True)
class Entry:
    """A kept text, for a list: its name, tokens and bytes on the disk, and when it was last used, in seconds."""

    name: str
    tokens: int
    bytes: int
    used: float


Kept = tuple[Ids, Vocabulary]
"""A text from the store."""


class TokenStore:
    """The store in one folder.

    Attributes:
        folder: created when something is kept.
        bound: bytes that all entries may take; the least recently used are removed for new ones. 0 keeps nothing.
        smallest: bytes of the smallest text that is kept.
        problem: a sentence if an entry was damaged, or could not be kept.
    """

    def __init__(
        self, folder: Path, bound: int, smallest: int = SMALLEST, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self.folder, self.bound, self.smallest = folder, bound, smallest
        self.problem = ""
        self._clock = clock

    # ------------------------------------------------------------------ what the files of a text are

    def facts_of(self, identities: Sequence[Sequence[Any]]) -> TextFacts | None:
        """The facts of a text whose files have these identities; None if they are not known."""
        with contextlib.suppress(*_DAMAGED), open_to_read(self._facts_path(identities)) as file:
            return read_record(TextFacts, json.loads(file.read(1 << 26)))
        return None

    def learn(self, identities: Sequence[Sequence[Any]], changed_ns: int, began_ns: int, facts: TextFacts) -> None:
        """Note the facts of files that were last changed at ``changed_ns`` and read from ``began_ns`` on."""
        if self.bound and began_ns - changed_ns > _RACY_NS:
            with contextlib.suppress(OSError):
                replace_whole(self._facts_path(identities), json.dumps(record_as_json(facts)).encode())

    def now(self) -> int:
        return self._clock()

    def _facts_path(self, identities: Sequence[Sequence[Any]]) -> Path:
        return self.folder / f"{_digest(identities)}.text"

    # ------------------------------------------------------------------ entries

    def draft(self) -> Draft:
        """A file for the ids of a text. Raises StoreError."""
        return Draft(self.folder, hidden=not self.bound)

    def find(self, facts: TextFacts, reading: dict[str, Any]) -> Kept | None:
        """The ids and the vocabulary of a text that was read so; None if they are not kept, or damaged."""
        path = self._path(facts, reading)
        try:
            with open_to_read(path) as file:
                kept = _read(file.fileno())
                status = os.fstat(file.fileno())
                with contextlib.suppress(OSError):
                    os.utime(file.fileno(), ns=(self._clock(), status.st_mtime_ns))
            return kept
        except FileNotFoundError:
            return None
        except _DAMAGED:
            self.problem = "the kept tokens of the text were damaged: the text was read again"
            with contextlib.suppress(OSError):
                path.unlink()
            return None

    def keep(
        self, draft: Draft, final: npt.NDArray[Any], vocabulary: Vocabulary, facts: TextFacts, reading: dict[str, Any],
        name: str,
    ) -> Ids:  # fmt: skip
        """Keep a text: the final id of each provisional one in the draft. Returns the ids. Raises StoreError."""
        with failing():
            dtype = smallest_type(len(vocabulary))
            draft, checksums = draft.numbered(final, dtype)
            size = draft.length * dtype.itemsize
            words = json.dumps(vocabulary.to_json(), ensure_ascii=False).encode("utf-8", "surrogatepass")
            sealed = self._clock() // _RACY_NS * _RACY_NS
            told = {
                "format": _FORMAT, "name": name, "dtype": dtype.name, "tokens": draft.length, "checksums": checksums,
                "vocabulary": [len(words), hashlib.sha256(words).hexdigest()], "changed_ns": sealed,
            }  # fmt: skip
            described = json.dumps(told).encode()
            trailer = _TRAILER.pack(_MAGIC, len(described), hashlib.sha256(described).digest())
            draft.write_at(size, words + described + trailer)
            total = size + len(words) + len(described) + len(trailer)
            if not self.bound:
                pass
            elif total > self.bound:
                self.problem = (
                    f"the tokens take {bytes_text(total)}, more than the cache may hold ({bytes_text(self.bound)}, "
                    f"{VARIABLE}): they are not kept, and the next start reads the text again"
                )
            else:
                self._make_room(total)
                draft.publish(self._path(facts, reading), sealed)
            ids = _mapped(draft.descriptor, draft.length, dtype)
            draft.close()
            return ids

    def entries(self) -> list[Entry]:
        """What is kept, the most recently used first."""
        found = []
        for path, status in self._files():
            with contextlib.suppress(*_DAMAGED), open_to_read(path) as file:
                facts = _facts(file.fileno(), status.st_size)
                found.append(Entry(str(facts["name"]), int(facts["tokens"]), status.st_size, status.st_atime))
        return sorted(found, key=lambda entry: -entry.used)

    @property
    def bytes(self) -> int:
        """What all entries take on the disk."""
        return sum(status.st_size for _, status in self._files())

    def clear(self) -> int:
        """Remove everything that no process is writing; returns the bytes of the entries. Raises OSError."""
        freed = self.bytes
        self._sweep()
        for path in [path for path, _ in self._files()] + list(self.folder.glob("*.text")):
            path.unlink(missing_ok=True)
        return freed

    def _path(self, facts: TextFacts, reading: dict[str, Any]) -> Path:
        encodings = [facts.encoding, *(file.encoding for file in facts.files[1:])]
        return self.folder / f"{_digest([facts.sha256, encodings, reading])}.tokens"

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        found = []
        with contextlib.suppress(OSError):
            for path in self.folder.glob("*.tokens"):
                with contextlib.suppress(OSError):
                    found.append((path, path.stat()))
        return found

    def _make_room(self, size: int) -> None:
        """Remove what killed processes have left, and the least recently used entries."""
        self._sweep()
        files = sorted(self._files(), key=lambda found: found[1].st_atime_ns)
        held = sum(status.st_size for _, status in files)
        for path, status in files:
            if held + size <= self.bound:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                held -= status.st_size

    def _sweep(self) -> None:
        for path in self.folder.glob(".making-*"):
            with contextlib.suppress(OSError), open_to_read(path) as file:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)  # its maker holds it while it lives
                path.unlink()


def default_store() -> TokenStore:
    """The user's store, in their cache; one that keeps nothing, and leaves nothing there, where they want none.

    Raises CorpusError for a wrong ``RNN_PLAYGROUND_CACHE_GB``.
    """
    from platformdirs import user_cache_path

    given = os.environ.get(VARIABLE, "")
    try:
        gigabytes = float(given) if given else _BOUND_GB
        if not 0 <= gigabytes < 1e9:
            raise ValueError
    except ValueError:
        raise CorpusError(f"{VARIABLE} must be a number of gigabytes, 0 keeps nothing, got {given[:50]!r}") from None
    cache = user_cache_path("rnn-playground") / "tokens" if gigabytes else Path(tempfile.gettempdir())
    return TokenStore(cache, int(gigabytes * 1e9))


def _read(descriptor: int) -> Kept:
    """The contents of an entry, checked. Raises one of ``_DAMAGED``."""
    status = os.fstat(descriptor)
    facts = _facts(descriptor, status.st_size)
    dtype, length = np.dtype(str(facts["dtype"])), int(facts["tokens"])
    words_length, words_digest = facts["vocabulary"]
    words = os.pread(descriptor, words_length, length * dtype.itemsize)
    if hashlib.sha256(words).hexdigest() != words_digest:
        raise ValueError("the vocabulary is damaged")
    vocabulary = Vocabulary.from_json(json.loads(words))
    if dtype != smallest_type(len(vocabulary)):
        raise ValueError("ids of another type")
    checksums = facts["checksums"]
    blocks: Any = range(len(checksums))
    if status.st_mtime_ns == facts["changed_ns"]:
        chosen = np.random.default_rng().integers(0, max(1, len(checksums)), SPOT_CHECKS)
        blocks = sorted({0, len(checksums) - 1, *chosen.tolist()})
    end = length * dtype.itemsize
    for block in blocks:
        data = os.pread(descriptor, min(BLOCK, end - block * BLOCK), block * BLOCK)
        if zlib.crc32(data) != checksums[block]:
            raise ValueError("a block is damaged")
    return _mapped(descriptor, length, dtype), vocabulary


def _facts(descriptor: int, size: int) -> dict[str, Any]:
    """The facts at the end of an entry. Raises one of ``_DAMAGED``."""
    magic, length, digest = _TRAILER.unpack(os.pread(descriptor, _TRAILER.size, max(0, size - _TRAILER.size)))
    described = os.pread(descriptor, length, max(0, size - _TRAILER.size - length)) if length < size else b""
    if magic != _MAGIC or hashlib.sha256(described).digest() != digest:
        raise ValueError("the end is damaged")
    facts: dict[str, Any] = json.loads(described)
    if facts["format"] != _FORMAT or facts["tokens"] < 1:
        raise ValueError("another format")
    return facts


def _mapped(descriptor: int, length: int, dtype: np.dtype[Any]) -> Ids:
    contents = mmap.mmap(descriptor, length * dtype.itemsize, access=mmap.ACCESS_READ)
    return np.frombuffer(contents, dtype=dtype)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:40]
