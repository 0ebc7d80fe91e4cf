"""What a terminal sends, read as what was typed, also where a slow line delivers it in one piece or damaged."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.driver import Driver
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, _character_to_key

BEGIN_SEQUENCES = "[O]P_^X"  # escape and one of these begins what a terminal sends by itself


def steady(driver: type[Driver]) -> type[Driver]:
    """``driver``, which reads on after bytes that are no UTF-8: a noisy line sends such, and they are no keys.

    Textual's ends the app at them.
    """
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


def part_escape() -> None:
    """Have escape and a key read as these two.

    Textual knows some such pairs as what Option and a key mean on some keyboards (``¡`` for escape and 1), and takes
    the others for alt and a key, or for ``^`` and a key. Nothing in the playground is bound to those, and hands that
    type over a slow line mean escape.
    """
    table = cast("dict[str, Any]", ANSI_SEQUENCES_KEYS)
    for character in map(chr, range(1, 127)):
        keys: tuple[object, ...] = table.get(character, ())
        if not keys and character.isprintable():
            name = character if character.isalnum() else _character_to_key(character)
            name = KEY_NAME_REPLACEMENTS.get(name, name)
            keys = (SimpleNamespace(value=name),)
        before = table.get(f"\x1b{character}")
        # What are keys of their own stays: option with an arrow or with backspace, shift with tab.
        if keys and character not in "\x1b" + BEGIN_SEQUENCES and not isinstance(before, tuple):
            table[f"\x1b{character}"] = (Keys.Escape, *keys)
