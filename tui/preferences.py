"""The user's preferences: the theme, in ``config.toml`` of the user's configuration folder.

The file is read in a thread during the imports, so that the first paint does not wait for a disk. Its other contents
are kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import threading
from pathlib import Path
from typing import Any

from textual.app import App
from textual.theme import Theme

from core.files import make_folders, open_new, open_to_read, sync_folder
from tui.text.safe import shown_text

LARGEST = 1 << 20
PATIENCE = 0.1  # seconds that the first paint waits for a slow disk
_LINE = re.compile(r"^theme[ \t]*=.*$", re.MULTILINE)


def preferences_path() -> Path:
    """The path of the user's preferences; it follows ``XDG_CONFIG_HOME``."""
    from platformdirs import user_config_path

    return user_config_path("rnn-playground") / "config.toml"


class Preferences:
    """The preferences in the file at ``path``.

    Attributes:
        theme: the name of the theme; empty for the default.
        problem: a sentence if the file is invalid, else empty. An invalid file is never written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.theme = ""
        self.problem = ""
        self._begun_with = ""
        self._reading = threading.Thread(target=self._read, name="preferences", daemon=True)
        self._reading.start()
        self._writing = asyncio.Lock()

    def _read(self) -> None:
        try:
            values = _values(self.path)
            theme = values.get("theme", "")
            if not isinstance(theme, str):
                raise ValueError(f"theme must be a name in quotes, such as 'playground-light', got {theme!r:.40}")
            self.theme = theme
        except FileNotFoundError:
            pass
        except (OSError, ValueError, RecursionError) as error:
            self.problem = f"{self.path} is not used: {getattr(error, 'strerror', None) or error}"

    def begin(self, app: App[Any]) -> None:
        """Set the theme of the app, which is not running yet."""
        self._reading.join(PATIENCE)
        if self.theme in app.available_themes:
            # Like ``theme = ...``, but without parsing all styles a second time: nothing is on screen yet.
            app.set_reactive(App.theme, self.theme)
            app.stylesheet.set_variables(app.get_css_variables())
        elif self.theme:
            self.problem = f"{self.path} names an unknown theme {self.theme!r}: ctrl+p, Theme lists all themes"
        self._begun_with = app.theme

    def follow(self, app: App[Any]) -> None:
        """Show what is wrong with the file, and save each theme that is chosen from now on."""
        if self.problem:
            app.notify(shown_text(self.problem), severity="warning", markup=False)

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
    """Write the theme into the file by an atomic replacement.

    Raises OSError, and ValueError for invalid TOML, which is left unchanged.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    try:
        _values(path)
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
    make_folders(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    try:
        with open_new(temporary) as file:
            file.write((head + rest).encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def _values(path: Path) -> dict[str, Any]:
    """The contents of the file. Raises OSError, ValueError, RecursionError."""
    with open_to_read(path) as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} bytes")
    import tomllib  # takes 3 ms, only if there is a file

    return tomllib.loads(data.decode())
