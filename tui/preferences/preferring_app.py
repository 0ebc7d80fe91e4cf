"""An app with preferences: what its panes ask of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.app import App

from core.settings.run_config import RunConfig
from tui.preferences.preferences import Preferences
from tui.services import Remembered
from tui.text.keys import follow_keymap


class PreferringApp(App[None]):
    """The base of the playground. ``preferences`` are None where nothing is remembered."""

    preferences: Preferences | None = None
    keymap: Mapping[str, str] = {}
    """The keys that differ from those of the bindings, by binding id."""

    def __init__(self) -> None:
        super().__init__()
        follow_keymap({})

    @property
    def first_settings(self) -> RunConfig | None:
        return self.preferences.first_settings if self.preferences is not None else None

    @property
    def remembered(self) -> Remembered:
        return self.preferences.remembered if self.preferences is not None else Remembered()

    def remember(self, **changes: Any) -> None:
        if self.preferences is not None:
            self.preferences.memory.remember(**changes)

    def update_keymap(self, keymap: Mapping[str, str]) -> None:
        self.keymap = {**self.keymap, **keymap}
        follow_keymap(self.keymap)
        super().update_keymap(self.keymap)
