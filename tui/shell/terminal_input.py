"""The input of a terminal, read as it was typed even if a slow line delivers it in one piece or damaged."""

from __future__ import annotations

import unicodedata
from types import SimpleNamespace
from typing import Any, cast

# There is no public way: a driver gets the keys after they were looked up here, when escape and 1 are the key of a
# typed ``¡`` already.
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.driver import Driver
from textual.keys import KEY_NAME_REPLACEMENTS, Keys

BEGIN_SEQUENCES = "[O]P_^X"  # escape and one of these begins a sequence of the terminal


def steady(driver: type[Driver]) -> type[Driver]:
    """``driver``, but it ignores bytes that are not UTF-8, as a noisy line sends them: Textual would end the app."""
    if not hasattr(driver, "run_input_thread"):
        return driver

    class SteadyDriver(driver):  # type: ignore[misc, valid-type]
        def run_input_thread(self) -> None:
            while True:
                try:
                    super().run_input_thread()
                    return
                except UnicodeDecodeError:
                    continue

    return SteadyDriver


def _key_name(character: str) -> str:
    """Textual's name of a printable key: ``a``, ``exclamation_mark``."""
    name = character if character.isalnum() else unicodedata.name(character).lower().replace("-", "_").replace(" ", "_")
    return KEY_NAME_REPLACEMENTS.get(name, name)


def part_escape() -> None:
    """Read escape followed by a key as these two keys.

    Textual reads such pairs as Option and a key (``¡`` for escape and 1), alt and a key, or ``^`` and a key. The
    playground has no such keys, and over a slow line a quick user means escape.
    """
    table = cast("dict[str, Any]", ANSI_SEQUENCES_KEYS)
    for character in map(chr, range(1, 127)):
        keys: tuple[object, ...] = table.get(character, ())
        if not keys and character.isprintable():
            keys = (SimpleNamespace(value=_key_name(character)),)
        before = table.get(f"\x1b{character}")
        # Existing keys stay: option with an arrow or with backspace, shift with tab.
        if keys and character not in "\x1b" + BEGIN_SEQUENCES and not isinstance(before, tuple):
            table[f"\x1b{character}"] = (Keys.Escape, *keys)
