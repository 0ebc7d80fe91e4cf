"""What ``run.json`` says of a run: its settings, its text, its size, and what computed it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.errors import ConfigError, RunError
from core.events import read_backend
from core.files import open_to_read
from core.settings.run_config import RunConfig

FORMAT = 1
LARGEST_RUN_FILE = 4 << 20
_LONGEST_TEXT = 10_000
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+\\?(?:"|\Z)', re.DOTALL)


@dataclass(frozen=True)
class CorpusIdentity:
    """Which text a run was trained on: enough to find it again and to know that it is the same.

    ``bytes`` are those that were read and that the sha256 is of; 0 where an older version did not say.
    """

    name: str
    sha256: str
    tokens: int
    vocabulary: int
    path: str
    bytes: int = 0


@dataclass(frozen=True)
class RunMetadata:
    """The contents of ``run.json``.

    ``backend`` is how the last checkpoint was computed; empty where an older version did not say.
    """

    config: RunConfig
    corpus: CorpusIdentity
    parameters: int
    created: str
    versions: Mapping[str, str]
    backend: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As stored."""
        return {
            "format": FORMAT,
            "config": self.config.to_dict(),
            "corpus": asdict(self.corpus),
            "parameters": self.parameters,
            "created": self.created,
            "versions": dict(self.versions),
            **({"backend": dict(self.backend)} if self.backend else {}),
        }

    def encoded(self) -> bytes:
        """The bytes of ``run.json``. A path that is no UTF-8 has surrogates in it, and is kept."""
        return json.dumps(self.to_json(), ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass") + b"\n"


def read_metadata(path: Path) -> RunMetadata:
    """Read a ``run.json``. Raises RunError with a sentence that names the file and what is missing or damaged."""
    value = read_object(path)
    try:
        if value["format"] != FORMAT:
            raise RunError(f"{path} has format {repr(value['format'])[:40]}, this program knows format {FORMAT}")
        corpus = value["corpus"]
        return RunMetadata(
            config=RunConfig.from_dict(value["config"]),
            corpus=CorpusIdentity(
                _text(corpus, "name"), _text(corpus, "sha256"), _count(corpus, "tokens"), _count(corpus, "vocabulary"),
                _text(corpus, "path"), _count({"bytes": 0, **corpus}, "bytes"),
            ),
            parameters=_count(value, "parameters"),
            created=_text(value, "created"),
            versions={str(name)[:100]: str(version)[:100] for name, version in dict(value["versions"]).items()},
            backend=read_backend(value.get("backend", {})),
        )  # fmt: skip
    except ConfigError as error:
        raise RunError(f"{path} holds a wrong setting: {str(error)[:400]}") from None
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise RunError(f"{path} is damaged or foreign: {type(error).__name__} {str(error)[:100]}") from None


def read_object(path: Path, largest: int = LARGEST_RUN_FILE) -> dict[str, Any]:
    """The JSON object in a file of at most ``largest`` bytes. Raises RunError with a sentence that names the file.

    Memory: some 30 times the file at most, whatever is in it.
    """
    try:
        with open_to_read(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > largest:
                raise RunError(f"{path} has {size:,} bytes, more than a file of this kind can have")
            value = _parsed(file.read(largest))
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise RunError(f"there is no run {path.parent.name!r} in {path.parent.parent}") from None
        raise RunError(f"{path} is missing: {path.parent} is no run folder, or no whole one") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise RunError(f"{path} is cut or damaged: it is not valid JSON") from None
    if not isinstance(value, dict):
        raise RunError(f"{path} is foreign: it holds no JSON object")
    return value


def _parsed(data: bytes) -> Any:
    """The value of a JSON text. Raises ValueError, RecursionError; what is no object is not parsed at all."""
    if data[:1] != b"{" or data[-16:].rstrip()[-1:] != b"}":
        return json.loads(data) if len(data) <= LARGEST_RUN_FILE else json.loads(data[:1])
    # Texts and numbers take a dozen times their bytes in memory; lists and objects, of which our files have few, more.
    few = 64 + len(data) // 64
    if data.count(b"[") + data.count(b"{") > few:
        bare = _STRINGS.sub(b"", data)
        if bare.count(b"[") + bare.count(b"{") > few:
            raise ValueError("more lists and objects than any of our files has")
    return json.loads(data)


def _text(value: Mapping[str, Any], name: str) -> str:
    text = value[name]
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
        raise ValueError(f"{name} is no text of at most {_LONGEST_TEXT:,} characters")
    return text


def _count(value: Mapping[str, Any], name: str) -> int:
    number = value[name]
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**63:
        raise ValueError(f"{name} is no count")
    return number
