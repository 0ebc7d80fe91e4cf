"""The Data pane: choosing a text, its statistics, and what is wrong with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Button, Input, Static, Tab, TabbedContent

from tests.tui.pane_harness import PaneApp
from tests.tui.panes.data.harness import SIZE, Describer, computed
from tests.tui.parts import errors, form_of, setting_row, title, train_pane
from tests.tui.waiting import until
from tui.app import Playground
from tui.commands import described
from tui.dialogs.path_input import PathInput
from tui.forms.form import Form
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
        await pilot.press("u")
        await until(pilot, lambda: app.notices == [f"This text cannot be used: {notice.content}"])
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
        assert app.of(CorpusChosen)[0].settings == {"corpus": "first", "max_tokens": 5000}, "the others are Train's"
        form_of(app).edit("batch_size", "0")
        await until(pilot, lambda: "between 1 and 65,536, got 0" in setting_row(form_of(app), "batch_size").error)
        await pilot.press("u")
        assert len(app.of(CorpusChosen)) == 1 and len(describer.asked) == 2
        await until(pilot, lambda: len(app.notices) == 1)
        wrong = setting_row(form_of(app), "batch_size").error
        assert app.notices == [f"This text cannot be used: {wrong}"]


async def opened(pilot: Any, app: Playground) -> None:
    """Open the Data pane, and wait until its text can be used."""
    await pilot.press("f2")
    await until(pilot, lambda: app.query("#data-use") and app.shown_pane.id == "pane-data")
    await until(pilot, lambda: not app.query_one("#data-use", Button).disabled)


async def used(pilot: Any, app: Playground) -> dict[str, str]:
    """Use the text, and return the form of Train."""
    await pilot.press("u")
    await until(pilot, lambda: app.shown_pane.id == "pane-train")
    return dict(train_pane(app).form.texts)


async def test_it_begins_with_the_settings_of_train_and_takes_its_own_there(
    playground: Callable[[], Playground], data_dir: Path, tmp_path: Path, describer: Describer
) -> None:
    (data_dir / "a.txt").write_text("first of the list")
    path = str(tmp_path / "own.txt")
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        form = train_pane(app).form
        shown = {"max_tokens": "0", "tokens": "word", "min_freq": "2", "batch_size": "7", "num_steps": "9"}
        form.change({**shown, "corpus": "lyrics-zh", "num_hiddens": "0"})
        form.edit("validation_fraction", "2")  # which is wrong, and none of the pane's
        before = dict(form.texts)
        await opened(pilot, app)
        own = app.query_one(DataPane).query_one(Form)
        assert own.texts.items() >= shown.items() and app.query_one(TextList).highlighted == 1
        assert await used(pilot, app) == before, "its own text changes nothing"

        form.change({"num_steps": "none", "corpus": " "})
        train_pane(app).show_plan()
        await opened(pilot, app)
        assert own.texts["num_steps"] == "9" and describer.asked[-1][0] == "lyrics-zh", "what is wrong is not taken"
        await pilot.press("f3")
        form.change({"corpus": path, "num_steps": "11"})
        form.edit("max_tokens", "12")
        await opened(pilot, app)
        assert app.query_one(TextList).highlighted is None and app.query_one(PathInput).value == path
        assert describer.asked[-1][0] == path and describer.asked[-1][1]["max_tokens"] == 12
        own.edit("batch_size", "3")
        await pilot.press("f3")
        form.edit("max_tokens", "13")
        form.edit("batch_size", "4")
        await opened(pilot, app)
        assert (own.texts["max_tokens"], own.texts["batch_size"]) == ("13", "3"), "what was changed here stays"
        app.query_one(TextList).focus()
        await pilot.press("home")
        await until(pilot, lambda: describer.asked[-1][0] == "a")
        await pilot.press("f3")
        form.edit("max_tokens", "14")
        await opened(pilot, app)
        assert app.query_one(TextList).highlighted == 0, "a look at another text stays"
        await pilot.press("f3")
        form.edit("max_tokens", "13")
        form.edit("corpus", "lyrics-zh")
        await opened(pilot, app)
        assert app.query_one(TextList).highlighted == 1, "until Train has another one"
        app.query_one(TextList).focus()
        await pilot.press("home")
        await until(pilot, lambda: not app.query_one("#data-use", Button).disabled)
        taken = await used(pilot, app)
        assert (taken["corpus"], taken["max_tokens"], taken["batch_size"]) == ("a", "13", "3")
        form.edit("corpus", "lyrics-zh")
        await opened(pilot, app)
        assert app.query_one(TextList).highlighted == 1
        form.edit("batch_size", "8")  # and before Train has read it:
        app.query_one(DataPane).action_use()
        await until(pilot, lambda: app.shown_pane.id == "pane-train")
        assert form.texts["batch_size"] == "8"


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


async def test_the_answer_about_one_text_is_never_taken_for_another(
    folder: Path, describer: Describer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_module, "DEBOUNCE", 0.5)
    go = asyncio.Event()

    async def slow(source: str, **values: Any) -> dict[str, Any]:
        facts = await describer(source, **values)
        if source == "first":
            await go.wait()
        return facts

    monkeypatch.setattr(data_module, "describe", slow)
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        app.pane.focus()
        numbers = app.query_one("#data-facts")
        await until(pilot, lambda: describer.asked)
        await pilot.press("down")
        go.set()
        await pilot.pause(0.1)
        await pilot.press("enter")
        await until(pilot, lambda: app.of(CorpusChosen))
        assert app.of(CorpusChosen)[0].settings["corpus"] == "second"
        assert numbers.styles.opacity == 1
        go.clear()
        await pilot.press("up")
        await until(pilot, lambda: describer.asked[-1][0] == "first")
        assert numbers.display and numbers.styles.opacity < 1, "those of the other text are dimmed"
        form_of(app).edit("batch_size", "0")
        go.set()
        await until(pilot, lambda: title(app.query_one("#data-view")) == "first · 1,234 characters")
        assert app.query_one("#data-use", Button).disabled


async def test_a_text_too_short_is_described_in_the_words_of_the_form(folder: Path) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await computed(pilot, app)
        form_of(app).edit("batch_size", "10")
        form_of(app).edit("validation_fraction", "0.25")
        await until(pilot, lambda: title(app.query_one("#data-view")) == "first · 479 characters")
        await computed(pilot, app)
        app.query_one(TabbedContent).active = "data-batches"
        batches = app.query_one("#batch-text", Static)
        await until(pilot, lambda: "sequential · 1 batch an epoch" in str(batches.content))
        form_of(app).edit("num_steps", "40")
        words = "too short for one batch: batch x steps needs 401 tokens to train on, there are 360"
        await until(pilot, lambda: words in " ".join(str(batches.content).split()))


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
