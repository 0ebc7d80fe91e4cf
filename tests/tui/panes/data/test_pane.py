"""The Data pane: choosing a text, its statistics, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Button, Input, Static, Tab, TabbedContent

from tests.tui.pane_harness import PaneApp
from tests.tui.panes.data.harness import SIZE, Describer, computed
from tests.tui.parts import errors, form_of, setting_row, title
from tests.tui.waiting import until
from tui.commands import described
from tui.dialogs.path_input import PathInput
from tui.messages import CorpusChosen
from tui.panes.data import pane as data_module
from tui.panes.data.pane import DataPane
from tui.panes.data.text_list import TextList


async def test_the_help_names_every_view(folder: Path) -> None:
    app = PaneApp(DataPane(), folder / "saves", data=folder)
    async with app.run_test(size=SIZE):
        views = [str(tab.label).lower() for tab in app.query(Tab).results(Tab)]
        key = next(binding for binding in described(DataPane.BINDINGS) if binding.id == "data.view")
        assert key.tooltip.lower() == ", ".join(views)


async def test_it_begins_with_the_first_text_and_says_what_is_wrong(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await computed(pilot, app)
        assert [source for source, _ in describer.asked] == ["first"]
        assert title(app.query_one("#data-view")) == "first · 1,234 characters"
        numbers = app.query_one("#corpus-numbers", Static)
        await until(pilot, lambda: str(numbers.content))
        words = str(numbers.content)
        assert "1,234" in words and "abababab" in words and "(35, 32, 57)" in words
        describer.error = "there is no file '[bold]\x1b': give a path"
        await pilot.press("down")
        notice = app.query_one("#data-notice", Static)
        await until(pilot, lambda: notice.display)
        await until(pilot, lambda: str(notice.content) == "there is no file '[bold]\\x1b': give a path")
        assert not app.query_one("#data-tabs").display and app.query_one("#data-use", Button).disabled
        describer.error = ""
        await pilot.press("up")
        await computed(pilot, app)
        assert not notice.display


async def test_enter_takes_the_text_to_train_and_no_wrong_number(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await computed(pilot, app)
        form_of(app).edit("max_tokens", "5,000")
        await until(pilot, lambda: len(describer.asked) == 2)
        await computed(pilot, app)
        await pilot.press("enter")
        await until(pilot, lambda: app.of(CorpusChosen))
        assert app.of(CorpusChosen)[0].settings == {
            "corpus": "first", "normalise": "spaces", "tokens": "char", "documents": "stream", "max_tokens": 5000,
            "min_freq": 0,
        }  # fmt: skip
        form_of(app).edit("batch_size", "0")
        await until(pilot, lambda: "between 1 and 65,536, got 0" in setting_row(form_of(app), "batch_size").error)
        await pilot.press("u")
        assert len(app.of(CorpusChosen)) == 1 and len(describer.asked) == 2


async def test_a_click_selects_and_a_double_click_uses(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await computed(pilot, app)
        texts = app.query_one(TextList)
        for index in (1, 0, 0):
            await pilot.click(TextList, offset=(3, index))
            await until(pilot, lambda index=index: texts.highlighted == index)
            await computed(pilot, app)
            await pilot.pause(0.6)
            assert not app.of(CorpusChosen), "a look is no use"
        await pilot.click(TextList, offset=(3, 1), times=2)
        await until(pilot, lambda: app.of(CorpusChosen))  # though it had not been read yet
        assert [event.settings["corpus"] for event in app.of(CorpusChosen)] == ["second"]


async def test_a_text_that_is_used_before_it_is_read(
    folder: Path, describer: Describer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_module, "DEBOUNCE", 0.5)
    for keys, taken in ((("enter",), True), (("enter", "up"), False), (("up", "down"), False)):
        app = PaneApp(DataPane(), folder, data=folder)
        async with app.run_test(size=SIZE) as pilot:
            await computed(pilot, app)
            await pilot.press("down", *keys)
            await computed(pilot, app)
            await pilot.pause()
            assert bool(app.of(CorpusChosen)) is taken, keys


async def test_fast_typing_is_computed_once(
    folder: Path, describer: Describer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_module, "DEBOUNCE", 1.5)
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await computed(pilot, app)
        form_of(app).focus_setting("num_steps")
        await pilot.press("1", "2", "3")
        assert app.query_one("#data-use", Button).disabled
        await computed(pilot, app)
        assert [values["num_steps"] for _, values in describer.asked] == [35, 123]


async def test_poems_are_chosen_and_taken_to_train(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await computed(pilot, app)
        form = form_of(app)
        form.focus_setting("documents")
        await pilot.press("right")
        await until(pilot, lambda: "choose normalise=none" in setting_row(form, "documents").error)
        form.focus_setting("normalise")
        await pilot.press("home")
        await computed(pilot, app)
        assert not errors(form)
        asked = describer.asked[-1][1]
        assert (asked["documents"], asked["normalise"]) == ("lines", "none")
        await pilot.press("enter")
        await until(pilot, lambda: app.of(CorpusChosen))
        assert app.of(CorpusChosen)[0].settings["documents"] == "lines"


async def test_every_view_can_be_reached(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await computed(pilot, app)
        seen = []
        for _ in range(6):
            seen.append(app.query_one(TabbedContent).active)
            await pilot.press("v")
            await pilot.pause()
        assert len(set(seen)) == 6 and app.query_one(TabbedContent).active == seen[0]


async def test_the_text_is_shown_as_text(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=(200, 60)) as pilot:
        await computed(pilot, app)
        await app.query_one(PathInput).query_one(Input).action_submit()
        app.query_one(PathInput).post_message(PathInput.Submitted(str(folder / "second.txt")))
        await until(pilot, lambda: "second" in describer.asked[-1][0])
        await until(
            pilot, lambda: str(app.query_one("#data-head", Static).content).startswith("[bold]red[/] \\x1b[31m")
        )
