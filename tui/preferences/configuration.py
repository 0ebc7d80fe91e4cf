"""``config.toml``: the file with which a person configures the playground. No Textual here: it is read at the start.

Whatever is wrong in it becomes a sentence; the rest of the file is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from core.errors import ConfigError
from core.files import configuration_folder, open_to_read
from core.settings.presets import offered_presets
from core.settings.run_config import RunConfig
from core.settings.setting import Value, shortened

LARGEST = 1 << 20  # bytes
_TEXTS = {
    "theme": "a name in quotes, such as 'playground-light'",
    "preset": "a name in quotes, such as 'tale-en'",
    "device": "a name in quotes, such as 'cpu'",
}
Kind = TypeVar("Kind", str, dict[str, Any])
_TABLES = ("folders", "defaults", "keymap")
_FOLDERS = ("saves", "data")


@dataclass(frozen=True)
class Configuration:
    """The contents of the file, without what is wrong in it.

    Attributes:
        theme: the name of the theme.
        preset: the name of the preset that the form begins with.
        device: what new runs train on.
        folders: ``saves`` and ``data``, as paths.
        defaults: settings of a new run, over those of the preset.
        keymap: keys by binding id, not checked against the bindings yet.
        problems: a sentence for each mistake.
    """

    theme: str = ""
    preset: str = ""
    device: str = ""
    folders: Mapping[str, Path] = field(default_factory=dict)
    defaults: Mapping[str, Value] = field(default_factory=dict)
    keymap: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def preferences_path() -> Path:
    """The path of the user's ``config.toml``."""
    return configuration_folder() / "config.toml"


def read_configuration(path: Path) -> Configuration:
    """The configuration in the file, empty if there is none. Raises nothing: see ``Configuration.problems``."""
    try:
        values = toml_values(path)
    except FileNotFoundError:
        return Configuration()
    except (OSError, ValueError, RecursionError) as error:
        words = f"{path} is not used: {getattr(error, 'strerror', None) or error}"
        return Configuration(problems=(words,))
    problems: list[str] = []
    texts = {name: _of_kind(values, name, str, words, problems) for name, words in _TEXTS.items()}
    for name in values.keys() - _TEXTS.keys() - set(_TABLES):
        problems.append(_unknown("a key", name, (*_TEXTS, *_TABLES)))
    below = "a table, a line [{}] with its keys below it"
    tables = {name: _of_kind(values, name, dict, below.format(name), problems) for name in _TABLES}
    return Configuration(
        **texts,
        folders=dict(_folders(tables["folders"], problems)),
        defaults=_defaults(tables["defaults"], problems),
        keymap=dict(_keymap(tables["keymap"], problems)),
        problems=tuple(f"{path}: {problem}" for problem in problems),
    )


def toml_values(path: Path) -> dict[str, Any]:
    """The contents of the file. Raises OSError, ValueError, RecursionError."""
    with open_to_read(path) as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} bytes")
    import tomllib  # takes 3 ms, only if there is a file

    return tomllib.loads(data.decode())


def _of_kind(values: Mapping[str, Any], name: str, kind: type[Kind], words: str, problems: list[str]) -> Kind:
    """The value of a key, which must be ``words``; an empty one if it is not there, or of another kind."""
    value = values.get(name, kind())
    if isinstance(value, kind):
        return value
    problems.append(f"{name} must be {words}, got {_given(value)}")
    return kind()


def _folders(table: Mapping[str, Any], problems: list[str]) -> Iterator[tuple[str, Path]]:
    for name, value in table.items():
        if name not in _FOLDERS:
            problems.append(_unknown("a folder", name, _FOLDERS))
        elif not isinstance(value, str) or not value or "\0" in value:
            problems.append(f"folders.{name} must be a path in quotes, got {_given(value)}")
        else:
            try:
                path = Path(value).expanduser()
            except RuntimeError:
                path = Path(value)
            if path.is_absolute():
                yield name, path
            else:
                problems.append(f"folders.{name} must be a path from / or ~, got {_given(value)}")


def _defaults(table: Mapping[str, Any], problems: list[str]) -> dict[str, Value]:
    defaults: dict[str, Value] = {}
    for name, value in table.items():
        try:
            defaults[name] = RunConfig.setting(name).check(value)
        except ConfigError as error:
            problems.append(f"defaults: {error}")
    try:
        next(iter(offered_presets().values())).config.replace(**defaults)
    except ConfigError as error:
        problems.append(f"defaults are not used: {error}")
        return {}
    return defaults


def _keymap(table: Mapping[str, Any], problems: list[str]) -> Iterator[tuple[str, str]]:
    # An id without quotes, train.save = "…", is a table in TOML.
    for name, value in table.items():
        for binding, keys in (
            [(f"{name}.{part}", keys) for part, keys in value.items()] if isinstance(value, dict) else [(name, value)]
        ):
            if isinstance(keys, str) and keys.strip():
                yield binding, keys
            else:
                problems.append(f"keymap {binding} must be keys in quotes, such as 'ctrl+t,f8', got {_given(keys)}")


def _unknown(kind: str, name: str, known: tuple[str, ...]) -> str:
    import difflib

    near = difflib.get_close_matches(name[:100], known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"{shortened(repr(name))} is not {kind} of this file; {hint}"


def _given(value: object) -> str:
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else "a list"
    return shortened(repr(value) if isinstance(value, str) else str(value).lower())
