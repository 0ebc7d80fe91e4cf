"""The metadata of a run, ``run.json``: its settings, its text, its size, and how it was computed."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.corpus.source import MOST_FILES, FileFacts
from core.errors import ConfigError, RunError
from core.files import read_regular
from core.record import MALFORMED, read_record, record_as_json
from core.settings.fit import Fit
from core.settings.run_config import RunConfig

FORMAT = 1
LARGEST_RUN_FILE = 4 << 20
_LONGEST_TEXT = 10_000
_MOST_TAGS = 1000
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+\\?(?:"|\Z)', re.DOTALL)


@dataclass(frozen=True)
class CorpusIdentity:
    """The text that a run was trained on, as needed to find it and to check that it is the same.

    ``sha256`` covers the ``bytes`` that were read, 0 in files of older versions. ``files`` are those of a folder, of a
    pattern or of a compressed text; else empty.
    """

    name: str
    sha256: str
    tokens: int
    vocabulary: int
    path: str
    bytes: int = 0
    files: tuple[FileFacts, ...] = ()


@dataclass(frozen=True)
class RunMetadata:
    """The contents of ``run.json``; ``backend`` is how the last checkpoint was computed, empty in older files.

    ``fit`` is how epochs and schedule were fitted to a time budget, None without one. ``tags`` and ``note`` are the
    user's, see ``core.runs.annotation``.
    """

    config: RunConfig
    corpus: CorpusIdentity
    parameters: int
    created: str
    versions: Mapping[str, str]
    backend: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    note: str = ""
    fit: Fit | None = None

    def to_json(self) -> dict[str, Any]:
        values = {"format": FORMAT, **record_as_json(self)}
        optional = ("backend", "tags", "note", "fit")
        return {name: value for name, value in values.items() if value or name not in optional}

    def encoded(self) -> bytes:
        """The bytes of ``run.json``. A path that is not UTF-8 contains surrogates, which are kept."""
        return json.dumps(self.to_json(), ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass") + b"\n"


def read_metadata(path: Path) -> RunMetadata:
    """Read a ``run.json``. Raises RunError, which says what is missing or damaged."""
    with of_our_form(path):
        metadata = read_record(RunMetadata, read_object(path, format=FORMAT))
        _check(metadata)
        return metadata


@contextlib.contextmanager
def of_our_form(path: Path) -> Iterator[None]:
    """What reading a record from ``path`` raises becomes a RunError that names the file."""
    try:
        yield
    except ConfigError as error:
        raise RunError(f"{path} has a wrong setting: {str(error)[:400]}") from None
    except (*MALFORMED, RecursionError) as error:
        raise RunError(f"{path} is damaged or foreign: {type(error).__name__} {str(error)[:100]}") from None


def read_object(path: Path, largest: int = LARGEST_RUN_FILE, format: int | None = None) -> dict[str, Any]:
    """The JSON object in a file of at most ``largest`` bytes; memory: at most 30 times the file.

    With ``format``, the object must say that it has this one. Raises RunError.
    """
    try:
        data, size = read_regular(path, largest)
        if size > largest:
            raise RunError(f"{path} has {size:,} bytes, more than a file of this kind can have")
        value = _parsed(data)
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise RunError(f"there is no run {path.parent.name!r} in {path.parent.parent}") from None
        raise RunError(f"{path} is missing: {path.parent} is not a run folder, or not a whole one") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise RunError(f"{path} is cut or damaged: it is not valid JSON") from None
    if not isinstance(value, dict):
        raise RunError(f"{path} is foreign: it is not a JSON object")
    if format is not None and value["format"] != format:
        raise RunError(f"{path} has format {repr(value['format'])[:40]}, this program knows format {format}")
    return value


def _parsed(data: bytes) -> Any:
    """The value of a JSON text. Raises ValueError, RecursionError. A long text that is not an object is not parsed."""
    if data[:1] != b"{" or data[-16:].rstrip()[-1:] != b"}":
        return json.loads(data) if len(data) <= LARGEST_RUN_FILE else json.loads(data[:1])
    # Texts and numbers take a dozen times their bytes in memory; lists and objects take more, and our files have few.
    few = 64 + len(data) // 64
    if data.count(b"[") + data.count(b"{") > few:
        bare = _STRINGS.sub(b"", data)
        if bare.count(b"[") + bare.count(b"{") > few:
            raise ValueError("too many lists and objects")
    return json.loads(data)


def _check(metadata: RunMetadata) -> None:
    """Raise ValueError for a negative count, or a text that is too long."""
    corpus = metadata.corpus
    if min(metadata.parameters, corpus.tokens, corpus.vocabulary, corpus.bytes) < 0:
        raise ValueError("a count is negative")
    if len(corpus.files) > MOST_FILES:
        raise ValueError(f"there are more than {MOST_FILES:,} files")
    names = [text for file in corpus.files for text in (file.name, file.sha256, file.encoding)]
    texts = (metadata.created, corpus.name, corpus.sha256, corpus.path, metadata.note, *metadata.tags, *names)
    if max(map(len, texts)) > _LONGEST_TEXT:
        raise ValueError(f"a text has more than {_LONGEST_TEXT:,} characters")
    if len(metadata.tags) > _MOST_TAGS:
        raise ValueError(f"there are more than {_MOST_TAGS:,} tags")
