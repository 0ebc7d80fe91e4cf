"""Downloading a known text: only on request, only the expected bytes, whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from core.corpus import catalogue
from core.corpus.catalogue import Download
from core.errors import CorpusError
from core.files import open_new, open_to_append
from core.units import counted

if TYPE_CHECKING:
    from core.corpus.transfer import Transfer

Progress = Callable[[int, int], None]
"""Called with the bytes received and the bytes in all. An exception stops the download, which can be resumed."""

_PIECE = 1 << 16
_SECONDS_WITHOUT_ANSWER = 20.0
_LARGEST_RATIO = 100
_LARGEST_TEXT = 1 << 30


def download(
    entry: Download | str,
    *,
    data_dir: Path | None = None,
    progress: Progress | None = None,
    seconds: float | None = None,
) -> Path:
    """Fetch a text of the catalogue into ``downloads`` in the data folder; from then on its name opens it.

    A partial download is resumed if the server supports it. Only bytes with the entry's size and sha256 get the text's
    name. ``seconds``: how long to wait for a silent server, 20 by default; three times as long for one that sends
    nothing of the text. Returns the text's path. Raises ``CorpusError`` with one sentence.
    """
    entry = catalogue.download_named(entry) if isinstance(entry, str) else entry
    folder = (data_dir or catalogue.DATA_DIR) / "downloads"
    target, unfinished = folder / f"{entry.name}.txt", folder / f"{entry.name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _part_file(unfinished, entry) as part:
            _fetch(entry, part, progress, seconds or _SECONDS_WITHOUT_ANSWER)
            part.flush()
            os.fsync(part.fileno())
            if entry.member is None:
                os.replace(unfinished, target)
            else:
                _extract(part, entry, target)
                unfinished.unlink()
    except OSError as error:
        raise CorpusError(
            f"{entry.name} cannot be written to {str(folder)!r} ({error.strerror or error}): "
            "make room there, or make the folder writable"
        ) from None
    return target


@contextmanager
def _part_file(path: Path, entry: Download) -> Iterator[BinaryIO]:
    """The file of the bytes fetched so far, locked for this process."""
    descriptor = open_to_append(path, os.O_RDWR)
    with os.fdopen(descriptor, "r+b") as part:
        try:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # between opening and locking, another process may have finished and renamed the file
            if not os.path.samestat(os.fstat(descriptor), os.stat(path)):
                raise BlockingIOError
        except (BlockingIOError, FileNotFoundError):
            raise CorpusError(f"{entry.name} is being downloaded already: wait until it is finished") from None
        yield part


def _fetch(entry: Download, part: BinaryIO, progress: Progress | None, seconds: float) -> None:
    """Complete ``part``, or raise ``CorpusError``; only a valid beginning is left behind."""
    part.seek(0)
    begun = hashlib.file_digest(cast(Any, part), "sha256")  # leaves it at its end
    resumed = 0 < part.tell() <= entry.bytes
    digest = _transferred(entry, part, begun, progress, seconds) if resumed else None
    if digest != entry.sha256:
        # there was no part, or it was the beginning of another file
        digest = _transferred(entry, part, None, progress, seconds)
    if digest != entry.sha256:
        part.truncate(0)
        raise CorpusError(
            f"{entry.name} from {entry.url} is not the expected text (its sha256 is {digest[:12]}..., expected "
            f"{entry.sha256[:12]}...): nothing was kept; the source may have changed"
        )


def _transferred(
    entry: Download, part: BinaryIO, begun: hashlib._Hash | None, progress: Progress | None, seconds: float
) -> str:
    """The sha256 of ``part`` once it has all bytes, in hexadecimal; ``begun``: the hash of the part to be continued."""
    digest = begun or hashlib.sha256()
    here = part.tell() if begun else 0
    if here == entry.bytes:
        return digest.hexdigest()
    with _transfer(entry, here, seconds) as transfer:
        if transfer.start != here:
            digest, here = hashlib.sha256(), 0  # the server sends all of it again
        part.seek(here)
        part.truncate()
        while piece := _next_piece(transfer, entry, here):
            if here + len(piece) > entry.bytes:
                part.truncate(0)
                raise CorpusError(
                    f"{entry.name} is larger than the expected {counted(entry.bytes, 'byte')}: nothing was kept"
                )
            part.write(piece)
            digest.update(piece)
            here += len(piece)
            if progress is not None:
                progress(here, entry.bytes)
    if here < entry.bytes:
        raise _cut(entry, here)
    return digest.hexdigest()


def _transfer(entry: Download, here: int, seconds: float) -> Transfer:
    """The server's answer from byte ``here`` on, or from the first one if it cannot. Raises ``CorpusError``."""
    # here, because urllib would cost the command line and the screen 40 ms
    from core.corpus.transfer import Transfer, TransferError

    try:
        return Transfer(entry.url, here, seconds)
    except TransferError as error:
        if here and error.code == 416:
            return _transfer(entry, 0, seconds)
        if error.code:
            words = f"the server of {entry.url} answers {error}; try again later"
        else:
            words = f"{entry.url} cannot be reached ({error}): check the network and try again"
        raise CorpusError(f"{entry.name} cannot be fetched, {words}") from None


def _next_piece(transfer: Transfer, entry: Download, here: int) -> bytes:
    """The next bytes from the network; none at the end."""
    from core.corpus.transfer import TransferError

    try:
        return transfer.read()
    except TransferError:
        raise _cut(entry, here) from None


def _cut(entry: Download, here: int) -> CorpusError:
    return CorpusError(
        f"the connection was cut after {here:,} of {counted(entry.bytes, 'byte')} of {entry.name}: "
        "download it again to continue from there"
    )


def _extract(archive: BinaryIO, entry: Download, target: Path) -> None:
    """Write the one expected file of a zip archive to ``target``. Other members are not touched."""
    limit = min(entry.bytes * _LARGEST_RATIO, _LARGEST_TEXT)
    temporary = target.with_suffix(".unpacked")
    try:
        temporary.unlink(missing_ok=True)
        with (
            zipfile.ZipFile(archive) as members,
            members.open(entry.member or "") as member,
            open_new(temporary) as text,
        ):
            written = 0
            while piece := member.read(_PIECE):  # counted here, because the sizes in the archive may be wrong
                written += len(piece)
                if written > limit:
                    raise CorpusError(
                        f"{entry.name}: its archive unpacks to more than {limit:,} bytes, which cannot be the text"
                    )
                text.write(piece)
            text.flush()
            os.fsync(text.fileno())
        os.replace(temporary, target)
    except KeyError:
        raise CorpusError(f"{entry.name}: its archive does not hold {entry.member!r}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        raise CorpusError(f"{entry.name}: its archive cannot be unpacked ({error})") from None
    finally:
        temporary.unlink(missing_ok=True)
