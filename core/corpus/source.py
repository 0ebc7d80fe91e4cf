"""The files of a text: one, or those of a folder or a pattern in the order of their names, opened safely.

A file is read in pieces; ``.gz`` and ``.zst`` are decompressed as streams. No numpy in this module.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from core.errors import CorpusError
from core.files import NotRegularError, is_broken_link, open_to_read

PIECE = 1 << 19
"""Bytes of a file that are read at once. The look-ups of one piece stay in the second-level cache."""
MOST_FILES = 10_000
# zstd turns three bytes into 128 kB at most: so many bytes at once never become more than 90 MB.
_COMPRESSED_PIECE = 2048
COMPRESSED = (".gz", ".zst")


@dataclass(frozen=True)
class FileFacts:
    """What identifies one file of a text.

    Attributes:
        name: relative to the folder of the text.
        sha256, bytes: of the text in it, decompressed.
        encoding: as Python names it.
    """

    name: str
    sha256: str
    bytes: int
    encoding: str


@dataclass(frozen=True)
class TextFacts:
    """What identifies a whole text; see ``core.corpus.reader.Corpus``."""

    sha256: str
    bytes: int
    encoding: str
    lines: int
    files: tuple[FileFacts, ...] = ()


@dataclass(frozen=True)
class TextPath:
    """A file of a text, and its name in it."""

    path: Path
    name: str


def files_of(path: Path) -> list[TextPath]:
    """The files of the text at ``path``: itself, those in a folder and below it, or those that match a pattern.

    In the order of their names; hidden ones and broken links are left out. Raises OSError, and CorpusError for none and
    for too many.
    """
    if path.is_dir():
        found = list(_in_folder(path))
    elif not os.path.lexists(path) and glob.has_magic(str(path)):
        base = Path(*(part for part in _parts_before_pattern(path)))
        matching = (Path(name) for name in glob.iglob(str(path), recursive=True))
        found = [TextPath(match, os.path.relpath(match, base)) for match in _limited(matching, path) if match.is_file()]
    else:
        return [TextPath(path, path.name)]
    if not found:
        raise CorpusError(f"{quoted(path)} has no files: choose a folder with text files in it, or a text file")
    return sorted(found, key=lambda file: file.name)


def matches_files(pattern: str) -> bool:
    """Whether it is a pattern such as ``texts/*.txt`` that a file or folder matches."""
    return glob.has_magic(pattern) and next(glob.iglob(pattern, recursive=True), None) is not None


def _parts_before_pattern(path: Path) -> Iterator[str]:
    for part in path.parts[:-1]:
        if glob.has_magic(part):
            return
        yield part


def _in_folder(folder: Path) -> Iterator[TextPath]:
    def failed(error: OSError) -> None:
        raise error

    def names() -> Iterator[Path]:
        for place, folders, files in os.walk(folder, onerror=failed):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from (Path(place, name) for name in files if not name.startswith("."))

    for path in _limited(names(), folder):
        if not is_broken_link(path):
            yield TextPath(path, path.relative_to(folder).as_posix())


def _limited(paths: Iterator[Path], source: Path) -> Iterator[Path]:
    for number, path in enumerate(paths):
        if number == MOST_FILES:
            raise CorpusError(f"{quoted(source)} has more than {MOST_FILES:,} files: choose a folder with fewer")
        yield path


def is_compressed(path: Path) -> bool:
    return path.suffix.lower() in COMPRESSED


def text_name(path: Path) -> str:
    """A name for the text at ``path``: without the ending, also of a compressed file; of a pattern, its folder's."""
    if glob.has_magic(str(path)) and not os.path.lexists(path):
        return next(reversed([part for part in _parts_before_pattern(path) if part not in (os.sep, "..")]), "texts")
    plain = Path(path.stem) if is_compressed(path) else path
    return path.resolve().name if path.is_dir() else plain.stem


class TextFile(AbstractContextManager["TextFile"]):
    """An open regular file. Raises ``CorpusError`` for anything else, without blocking.

    Attributes:
        path: as given.
        size: bytes on the disk when it was opened; later additions are not read.
        identity: device, inode, size, times of the last change of contents and of anything, in ns: while they are
            the same, so are the contents.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = open_to_read(path)
        except IsADirectoryError:
            raise CorpusError(f"{quoted(path)} is a folder: choose a text file in it") from None
        except NotRegularError as error:
            raise CorpusError(f"{quoted(path)} is {error.kind}: choose a regular text file") from None
        self._descriptor = self._file.fileno()
        self.identity = _identity(os.fstat(self._descriptor))
        self.size = self.identity[2]
        self._position = 0

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def is_unchanged(self) -> bool:
        return _identity(os.fstat(self._descriptor)) == self.identity

    def pieces(self, at_most: int) -> Iterator[tuple[bytes, bool, int]]:
        """The first ``at_most`` bytes of the text in it, decompressed; whether each piece is the last; and the bytes
        on the disk that were read for it.

        An empty text is one empty piece. Raises CorpusError, OSError.
        """
        self._position, before, position = 0, b"", 0
        for piece in self._cut(at_most):
            if before:
                yield before, False, position
            before, position = piece, self._position
        yield before, True, position

    def _cut(self, at_most: int) -> Iterator[bytes]:
        readers, done = {".gz": self._gzip, ".zst": self._zstd}, 0
        for part in readers.get(self.path.suffix.lower(), self._plain)():
            for start in range(0, len(part), PIECE):
                piece = part[start : start + PIECE][: at_most - done]
                done += len(piece)
                yield piece
                if done == at_most:
                    return

    def _plain(self) -> Iterator[bytes]:
        while self._position < self.size:
            piece = os.pread(self._descriptor, min(PIECE, self.size - self._position), self._position)
            if not piece:
                raise CorpusError(f"{quoted(self.path)} became shorter while it was read: read it again")
            self._position += len(piece)
            yield piece

    def _gzip(self) -> Iterator[bytes]:
        import gzip
        import zlib

        self._file.seek(0)
        try:
            with gzip.GzipFile(fileobj=self._file) as stream:
                while piece := stream.read(PIECE):
                    self._position = min(self._file.tell(), self.size)
                    yield piece
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise self._damaged("gzip", error) from None
        self._position = self.size

    def _zstd(self) -> Iterator[bytes]:
        import zstandard

        self._file.seek(0)
        decompressor = zstandard.ZstdDecompressor()
        frame, begun, held, size = decompressor.decompressobj(), False, [], 0
        try:
            while data := self._file.read(_COMPRESSED_PIECE):
                self._position = min(self._position + len(data), self.size)
                while data:
                    begun = True
                    held.append(frame.decompress(data))
                    size += len(held[-1])
                    if not frame.eof:
                        break
                    data, frame, begun = frame.unused_data, decompressor.decompressobj(), False
                if size >= PIECE:
                    yield b"".join(held)
                    held, size = [], 0
        except zstandard.ZstdError as error:
            raise self._damaged("zstd", error) from None
        if begun:
            raise self._damaged("zstd", "its last frame has no end")
        yield b"".join(held)

    def _damaged(self, kind: str, reason: object) -> CorpusError:
        words = " ".join(str(reason).split())[:200]
        return CorpusError(f"{quoted(self.path)} is cut or damaged as a {kind} file ({words}): fetch or pack it again")


def _identity(status: os.stat_result) -> tuple[int, int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def quoted(path: Path) -> str:
    """A path for an error message: quoted, control characters escaped."""
    return repr(str(path))
