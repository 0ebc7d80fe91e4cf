"""Applies the configuration to the app, saves the theme in it, and remembers what the person did last.

Both files are read in a thread during the imports, so that the first paint does not wait for a disk.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from textual.app import App
from textual.binding import Binding
from textual.theme import Theme

from core.errors import ConfigError
from core.files import open_to_read, replace_whole
from core.settings.own_presets import own_presets
from core.settings.presets import PRESETS, offered_presets
from core.settings.run_config import RunConfig
from core.settings.setting import shortened
from tui.preferences.configuration import LARGEST, Configuration, read_configuration, toml_values
from tui.preferences.keymap import checked_keymap
from tui.preferences.memory import Memory, memory_path
from tui.services import Remembered
from tui.text.safe import shown_text

PATIENCE = 0.1  # seconds that the first paint waits for a slow disk
MOST_SAID = 5  # of the mistakes in the file
_LINE = re.compile(r"^theme[ \t]*=.*$", re.MULTILINE)


class Preferences:
    """The preferences in ``config.toml`` at ``path``, and the memory in ``state.json`` at ``memory``.

    Attributes:
        configuration: the contents of the file.
        theme: the name of the theme that the file has; empty for the default.
        problems: a sentence for each mistake in the file. A file that is not valid TOML is never written.
        first_settings: what the form of a new run begins with; None for the first preset.
    """

    def __init__(self, path: Path, memory: Path | None = None, configuration: Configuration | None = None) -> None:
        """``configuration``: the contents of the file, if it has been read already."""
        self.path = path
        self.configuration = configuration or Configuration()
        self._is_read = configuration is not None
        self.theme = ""
        self.problems: list[str] = []
        self.first_settings: RunConfig | None = None
        self.memory = Memory(memory or memory_path())
        self._begun_with = ""
        self._reading = threading.Thread(target=self._read, name="preferences", daemon=True)
        self._reading.start()
        self._writing = asyncio.Lock()

    @property
    def remembered(self) -> Remembered:
        return self.memory.remembered

    def _read(self) -> None:
        self.memory.read()
        configuration = self.configuration if self._is_read else read_configuration(self.path)
        problems = [*configuration.problems]
        settings = self._first_settings(configuration, problems)
        self.configuration, self.theme = configuration, configuration.theme
        self.problems, self.first_settings = problems, settings

    def _first_settings(self, configuration: Configuration, problems: list[str]) -> RunConfig | None:
        """Those of the file if it names any, otherwise those of the last training."""
        name, defaults = configuration.preset, configuration.defaults
        if not name and not defaults:
            return self.memory.remembered.settings
        found = next(iter(offered_presets().values()))
        if name:
            presets = {**PRESETS, **(own_presets()[0] if name not in PRESETS else {})}
            if name not in presets:
                words = f"there is no preset {shortened(repr(name))}; i in Train and python -m core presets show them"
                problems.append(f"{self.path}: {words}")
            found = presets.get(name, found)
        try:
            return found.config.replace(**defaults)
        except ConfigError as error:
            problems.append(f"{self.path}: defaults are not used with this preset: {error}")
            return found.config

    def begin(
        self, app: App[Any], bindings: Callable[[], Iterable[Binding]] = tuple, base: dict[str, str] | None = None
    ) -> None:
        """Set theme and keys of the app, which is not running yet.

        ``bindings``: those of the whole playground, asked for only if the file changes any. ``base``: the keymap that
        the app has already.
        """
        self._reading.join(PATIENCE)
        if self.theme in app.available_themes:
            # Like ``theme = ...``, but without parsing all styles a second time: nothing is on screen yet.
            app.set_reactive(App.theme, self.theme)
            app.stylesheet.set_variables(app.get_css_variables())
        elif self.theme:
            words = f"names an unknown theme {shortened(repr(self.theme))}: ctrl+p, Theme lists all themes"
            self.problems.append(f"{self.path} {words}")
        if self.configuration.keymap:
            keymap, problems = checked_keymap(self.configuration.keymap, bindings(), base)
            app.update_keymap(keymap)
            self.problems += [f"{self.path}: {problem}" for problem in problems]
        self._begun_with = app.theme

    def follow(self, app: App[Any]) -> None:
        """Show what is wrong with the file, and save each theme that is chosen from now on."""
        more = len(self.problems) - MOST_SAID
        for problem in (*self.problems[:MOST_SAID], *([f"{self.path}: {more} more mistakes"] if more > 0 else ())):
            app.notify(shown_text(problem), severity="warning", timeout=10, markup=False)

        def changed(_: Theme) -> None:
            app.run_worker(self._keep(app), exit_on_error=False)

        app.theme_changed_signal.subscribe(app, changed)
        if app.theme != self._begun_with:
            changed(app.current_theme)

    async def _keep(self, app: App[Any]) -> None:
        async with self._writing:  # in order, so that the last theme is saved last
            if app.theme == self.theme:
                return
            theme = app.theme
            try:
                await asyncio.to_thread(remember_theme, self.path, theme)
            except (OSError, ValueError, RecursionError) as error:
                words = f"the theme cannot be saved in {self.path}: {getattr(error, 'strerror', None) or error}"
                app.notify(shown_text(words), severity="warning", markup=False)
            self.theme = theme


def remember_theme(path: Path, theme: str) -> None:
    """Write the theme into the file by an atomic replacement; its other contents and comments are kept.

    Raises OSError, and ValueError for invalid TOML, which is left unchanged.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    try:
        toml_values(path)
        with open_to_read(path) as file:
            text = file.read(LARGEST).decode()
    except FileNotFoundError:
        text = ""
    line = f'theme = "{theme}"'
    # In TOML top-level keys come before the first table.
    top = re.search(r"^\s*\[", text, re.MULTILINE)
    end = top.start() if top else len(text)
    head, rest = text[:end], text[end:]
    head = _LINE.sub(line, head, count=1) if _LINE.search(head) else f"{line}\n{head}"
    replace_whole(path, (head + rest).encode())
