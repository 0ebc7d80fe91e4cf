"""The texts that have names: bundled with the project, or downloaded on request.

No numpy in this module: the screen imports it before its first paint.
"""

from __future__ import annotations

import contextlib
import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from core.corpus.source import COMPRESSED, files_of, matches_files
from core.errors import CorpusError
from core.units import counted

DATA_DIR = Path(__file__).resolve().parents[2] / "data"

_DOWNLOADS = "downloads"
_ENDINGS = (".txt", *(f".txt{ending}" for ending in COMPRESSED))
_DESCRIPTIONS = {
    "lyrics-zh": "song lyrics in Chinese, one line a verse",
    "verse-zh": "quatrains in Chinese, one poem a line",
    "tale-en": "a story in English",
}


@dataclass(frozen=True)
class Text:
    """A text that can be opened by its name.

    Its ``description`` is one line, empty for a file that the user put into the folder.
    """

    name: str
    path: Path
    bytes: int
    description: str
    downloaded: bool = False


@dataclass(frozen=True)
class Download:
    """A known text that can be downloaded.

    ``bytes`` and ``sha256`` are those of the file at ``url``; ``member`` is the name of the text in it if it is a zip
    archive.
    """

    name: str
    title: str
    url: str
    bytes: int
    sha256: str
    licence: str
    source: str
    member: str | None = None


DOWNLOADS = (
    Download(
        name="time-machine",
        title="The Time Machine, H. G. Wells, in English",
        url="https://d2l-data.s3-accelerate.amazonaws.com/timemachine.txt",
        bytes=178_979,
        sha256="8424dbd9532ac81f7e5f0b6add90e6952baea29158309d7d1bf3884f4e12c516",
        licence="public domain",
        source="Dive into Deep Learning, chapters 8 and 9",
    ),
    Download(
        name="tiny-shakespeare",
        title="a million characters of Shakespeare's plays, in English",
        url="https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        bytes=1_115_394,
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        licence="public domain",
        source="karpathy/char-rnn",
    ),
    Download(
        name="jay-chou-lyrics",
        title="lyrics of Jay Chou's songs, in Chinese",
        url="https://raw.githubusercontent.com/ShusenTang/Dive-into-DL-PyTorch/master/data/jaychou_lyrics.txt.zip",
        bytes=52_607,
        sha256="3cfedd7d174111cdad5a27eaffaa6a2432a2842cf2590a03dd8a97610ea07043",
        licence="copyrighted text, for private study",
        source="ShusenTang/Dive-into-DL-PyTorch",
        member="jaychou_lyrics.txt",
    ),
)


def texts(data_dir: Path | None = None) -> list[Text]:
    """The bundled texts, then the downloaded ones, by name. A missing folder has none."""
    folder = data_dir or DATA_DIR
    return _scan(folder, downloaded=False) + _scan(folder / _DOWNLOADS, downloaded=True)


def resolve(source: str, data_dir: Path | None = None) -> Path:
    """The file of a text, by its name or its path, or a folder or a pattern of files; a name takes precedence.

    Raises ``CorpusError`` with the nearest names if there is neither.
    """
    folder = data_dir or DATA_DIR
    if _is_name(source):
        for path in (*(folder / f"{source}{ending}" for ending in _ENDINGS), folder / _DOWNLOADS / f"{source}.txt"):
            if os.path.isfile(path):  # unlike Path.is_file, no error for a name that is too long
                return path
        if source != _DOWNLOADS and os.path.isdir(folder / source):
            return folder / source
    if not source.strip():
        raise CorpusError("no text was named: give the name of a bundled text or the path of a text file")
    try:
        path = Path(source).expanduser()
        path.stat()
    except PermissionError:
        raise CorpusError(f"{_shown(source)} is in a folder that may not be entered: choose a readable file") from None
    except (OSError, ValueError, RuntimeError):
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            if matches_files(os.path.expanduser(source)):
                return Path(source).expanduser()
        raise _not_found(source, folder) from None
    return path


def download_named(name: str) -> Download:
    """The catalogue's entry of that name. Raises ``CorpusError`` with the known names."""
    for entry in DOWNLOADS:
        if entry.name == name:
            return entry
    names = ", ".join(entry.name for entry in DOWNLOADS)
    raise CorpusError(f"there is no text {_shown(name)} to download; there are {names}")


def _shown(source: str) -> str:
    """Typed text for an error message: quoted, shortened, control characters escaped."""
    return repr(source if len(source) <= 200 else f"{source[:100]}...{source[-90:]}")


def _is_name(source: str) -> bool:
    return bool(source) and not source.startswith(".") and not any(mark in source for mark in ("/", os.sep, "\0"))


def _not_found(source: str, folder: Path) -> CorpusError:
    """The error for a text that does not exist or is not downloaded."""
    if any(entry.name == source for entry in DOWNLOADS):
        return CorpusError(f"{source} is not downloaded yet: fetch it with 'python -m core download {source}'")
    names = [text.name for text in texts(folder)]
    near = difflib.get_close_matches(source, [*names, *(entry.name for entry in DOWNLOADS)], n=3, cutoff=0.4)
    if near and _is_name(source):
        return CorpusError(
            f"there is no text {_shown(source)}: did you mean {' or '.join(near)}? A file is given by its path"
        )
    known = f", or one of {', '.join(names)}" if names else ""
    return CorpusError(f"there is no file {_shown(source)}: give the path of a text file{known}")


def _scan(folder: Path, *, downloaded: bool) -> list[Text]:
    titles = {entry.name: entry.title for entry in DOWNLOADS} if downloaded else _DESCRIPTIONS
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                ending = next((ending for ending in _ENDINGS if entry.name.endswith(ending)), "")
                name = entry.name.removesuffix(ending)
                if name.startswith(".") or (downloaded and ending != ".txt"):
                    continue
                if ending and entry.is_file():
                    found.append(Text(name, Path(entry.path), entry.stat().st_size, titles.get(name, ""), downloaded))
                elif not ending and not downloaded and name != _DOWNLOADS and entry.is_dir():
                    found += _folder(Path(entry.path))
    except OSError:
        pass  # a missing or unreadable folder has no texts
    return sorted(found, key=lambda text: text.name)


def _folder(path: Path) -> list[Text]:
    """A folder as a text of many files; none if it has none, or too many."""
    try:
        files = files_of(path)
        size = sum(file.path.stat().st_size for file in files)
    except (CorpusError, OSError):
        return []
    return [Text(path.name, path, size, f"a folder: {counted(len(files), 'file')}")]
