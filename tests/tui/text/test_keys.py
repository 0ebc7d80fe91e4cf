"""Sentences name the keys that work: those of the bindings, and changed ones."""

from __future__ import annotations

from collections.abc import Callable

from textual.widgets import Static

from tests.tui.waiting import until
from tui.app import Playground
from tui.commands import all_bindings, key_words
from tui.text.keys import USUAL, follow_keymap, key, keyed


def test_the_keys_of_sentences_are_those_of_the_bindings() -> None:
    bindings = {binding.id: binding for binding in all_bindings(Playground)}
    assert {name: key_words(bindings[name], {}) for name in USUAL} == USUAL


def test_a_changed_key_is_named_in_its_place() -> None:
    try:
        follow_keymap({"train.train": "f8,ctrl+t", "runs.trash": "slash"})
        assert keyed("{train.train} trains, {train.step} steps: {x}") == "f8 trains, s steps: {x}"
        assert key("runs.trash") == "/"
    finally:
        follow_keymap({})


async def test_the_first_screen_names_changed_keys(playground: Callable[[], Playground]) -> None:
    app = playground()
    app.update_keymap({"train.train": "f8", "app.data": "ctrl+d"})
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.query_one("#welcome", Static).display)
        words = str(app.query_one("#welcome", Static).content)
        assert "f8      trains a new model" in words and "ctrl+d  chooses another text" in words
    assert key("train.train") == "f8"
    playground()
    assert key("train.train") == "ctrl+t", "another playground begins with the usual keys"
