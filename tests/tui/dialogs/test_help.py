"""The help: the page of the pane first, a search over all pages, and the field that has the focus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.widgets import Input, Static

from tests.run_folders import make_run
from tests.tui.waiting import until
from tui.app import Playground
from tui.commands import pane_keys
from tui.dialogs.glossary import ALIASES, PANE_WORDS, WORDS, meanings
from tui.dialogs.help import HelpScreen
from tui.panes import PANES
from tui.panes.runs.run_table import RunTable
from tui.panes.train.pane import TrainPane

Make = Callable[[], Playground]


def words(app: Playground) -> str:
    return str(app.screen.query_one("#help-text", Static).content)


async def opened(app: Playground, pilot: Any, key: str = "f1") -> None:
    await pilot.press(key)
    await until(pilot, lambda: isinstance(app.screen, HelpScreen) and isinstance(app.focused, Input) and words(app))


async def test_what_is_typed_filters_all_pages(playground: Make) -> None:
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f6")
        await opened(app, pilot, "question_mark")
        assert "Keys in Runs" in words(app) and "Keys in Train" not in words(app)
        await pilot.press(*"overfits")
        await until(pilot, lambda: "held out" in words(app) and "Keys in Runs" not in words(app))
        assert words(app).count("not trained on") == 1, "each line once"
        await pilot.press("space", *"zzz?")
        await until(pilot, lambda: "No line of the help has 'overfits zzz?'" in words(app))
        await pilot.press("escape")
        await until(pilot, lambda: "Keys in Runs" in words(app))
        await pilot.press("right")
        await until(pilot, lambda: "Keys in Data" in words(app))
        await pilot.press("left", "left")
        await until(pilot, lambda: "[keymap]" in words(app))
        await pilot.click("#help-pages", offset=(2, 0))
        await until(pilot, lambda: "Keys in Runs" in words(app))
        await pilot.press("question_mark")
        await until(pilot, lambda: not isinstance(app.screen, HelpScreen))
        await opened(app, pilot)
        await pilot.press(*"[bold]", "escape", "escape")
        await until(pilot, lambda: not isinstance(app.screen, HelpScreen))


def test_keys_of_parts_are_listed_under_the_keys_they_have() -> None:
    pages = {name: dict(keys) for name, _, keys in pane_keys("runs", {"compare.metric": "f", "sweep.go": "h"})}
    assert pages["runs"]["f"].startswith("Compare: the next figure") and "m" in pages["runs"]
    assert pages["runs"]["h"].startswith("Sweep: train on what is left") and "g" in pages["runs"]
    assert pages["generate"]["home"] == "In a text: its first token"
    assert pages["inspect"]["pgup pgdn"] == "Ten rows of the view" and "home" in pages["inspect"]


async def test_the_focused_field_is_explained_and_changed_keys_are_listed(playground: Make) -> None:
    app = playground()
    app.update_keymap({"train.save": "f12"})
    async with app.run_test(size=(120, 40)) as pilot:
        form = app.query_one(TrainPane).form
        for name, key, expected in (
            ("clip", "question_mark", ("largest gradient norm", "above 0", "0.01", "--set clip", "can explode")),
            ("cell", "question_mark", ("type of recurrent unit", "one of rnn, gru, lstm")),
            ("corpus", "f1", ("name of a bundled text", "lyrics-zh")),
            ("patience", "f1", ("stop after N epochs", "no effect while held out is 0")),
        ):
            form.focus_setting(name)
            await pilot.pause()
            before = dict(form.texts)
            await opened(app, pilot, key)
            for part in expected:
                assert part in " ".join(words(app).split()), (name, part, words(app))
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, HelpScreen))
            assert form.texts == before, "? is not typed into a number"
        app.query_one(TrainPane).focus()
        await opened(app, pilot)
        line = next(line for line in words(app).splitlines() if "Save now" in line)
        assert line.split()[0] == "f12"
        assert any(
            "f12" in command.help for command in app.get_system_commands(app.screen) if "Save now" in command.title
        )


def test_every_pane_has_words_of_the_glossary() -> None:
    assert set(PANE_WORDS) == {pane.name for pane in PANES}
    for names in PANE_WORDS.values():
        assert len(meanings(names)) == len(set(names)) >= 3
    assert len(dict(WORDS)) == len(WORDS)


async def test_the_number_under_the_pointer_is_explained(playground: Make) -> None:
    app = playground()
    make_run(app.saves, "song", held_out=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f6")
        table = app.query_one("#runs-table", RunTable)
        await until(pilot, lambda: len(table.runs) == 1)
        heading = table.render_line(0).text
        for column, word in (("ppl", "perplexity"), ("held", "held out")):
            await pilot.hover("#runs-table", offset=(heading.index(column) + 2, 1))
            await opened(app, pilot, "question_mark")
            first = words(app).split("\n")
            assert first[0].startswith("song") and first[1].strip().startswith(word), first[:3]
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, HelpScreen))
        await pilot.hover("#runs-table", offset=(30, 9))
        await opened(app, pilot)
        assert "Keys in Runs" in words(app), "no number is there"


def test_every_alias_is_of_a_word() -> None:
    assert set(ALIASES) <= {word for word, _ in WORDS}
