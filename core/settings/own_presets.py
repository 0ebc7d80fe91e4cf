"""The user's own presets: one JSON file each, in ``presets`` of the user's configuration folder."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from core.errors import ConfigError, UserError, refusing
from core.files import configuration_folder, open_to_read, replace_whole, sync_folder
from core.settings.presets import PRESETS, Preset, offered_presets
from core.settings.run_config import RunConfig

LARGEST = 1 << 16  # bytes of a file
MOST = 1000  # files that are read
LONGEST_TITLE = 200
_NAME = re.compile(r"\w[\w.-]{0,59}")
_ENDING = ".json"


def presets_folder() -> Path:
    return configuration_folder() / "presets"


def own_presets(folder: Path | None = None) -> tuple[dict[str, Preset], list[str]]:
    """The user's presets by name, and a sentence for each file that is none."""
    folder = folder or presets_folder()
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(_ENDING) and not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return {}, []
    except OSError as error:
        return {}, [f"{folder} cannot be read: {error.strerror}"]
    presets, problems = {}, []
    for name in names[:MOST]:
        try:
            found = _read(folder / name)
            presets[found.name] = found
        except (OSError, ValueError, RecursionError, UserError) as error:
            problems.append(f"{folder / name} is not used: {getattr(error, 'strerror', None) or error}")
    if len(names) > MOST:
        problems.append(f"{folder} has more than {MOST:,} presets: the others are not read")
    return presets, problems


def preset_named(name: str) -> Preset:
    """The preset of that name, bundled or the user's own. Raises ConfigError with the known names."""
    if name in PRESETS:
        return PRESETS[name]
    own, problems = own_presets()
    if name not in own:
        damaged = "".join(f"; {problem}" for problem in problems)
        known = ", ".join((*offered_presets(), *own))
        raise ConfigError(f"there is no preset {name!r}: choose one of {known}{damaged}")
    return own[name]


def check_preset_name(name: str) -> str:
    """Return ``name``. Raises ConfigError if an own preset cannot have it."""
    if not _NAME.fullmatch(name) or len(name.encode("utf-8", "replace")) > 200:
        words = "use up to 60 letters, digits or -_., beginning with a letter or digit"
        raise ConfigError(f"{name!r} cannot be the name of a preset: {words}")
    if name in PRESETS:
        raise ConfigError(f"{name} is a bundled preset, which cannot be changed: choose another name")
    return name


def save_preset(name: str, title: str, config: RunConfig, folder: Path | None = None) -> Preset:
    """Save a preset, whole or not at all; one with this name is replaced. Raises UserError."""
    made = _preset(check_preset_name(name), title, config)
    data = json.dumps({"title": made.title, "config": config.to_dict()}, ensure_ascii=False, indent=1) + "\n"
    path = (folder or presets_folder()) / f"{name}{_ENDING}"
    with refusing(f"the preset cannot be saved in {path}", UserError):
        replace_whole(path, data.encode("utf-8", "surrogatepass"))
    return made


def delete_preset(name: str, folder: Path | None = None) -> None:
    path = (folder or presets_folder()) / f"{check_preset_name(name)}{_ENDING}"
    if not os.path.lexists(path):
        raise ConfigError(f"there is no preset {name!r} of your own")
    with refusing(f"the preset {path} cannot be deleted", UserError):
        path.unlink()
    sync_folder(path.parent)


def _read(path: Path) -> Preset:
    """The preset in a file. Raises OSError, ValueError, RecursionError, UserError."""
    name = check_preset_name(path.name.removesuffix(_ENDING))
    with open_to_read(path) as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} bytes")
    values: Any = json.loads(data.decode("utf-8", "surrogatepass"))
    if not isinstance(values, dict) or not isinstance(values.get("config"), dict):
        raise ValueError('it must be an object with "title" and "config"')
    return _preset(name, str(values.get("title", "")), RunConfig.from_dict(values["config"]))


def _preset(name: str, title: str, config: RunConfig) -> Preset:
    line = " ".join(title.split())[:LONGEST_TITLE]
    return Preset(name, line or f"{config.cell} on {Path(config.corpus).name}", config, "your own", own=True)
