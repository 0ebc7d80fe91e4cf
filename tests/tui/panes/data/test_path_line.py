"""A text that is named by its path."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Button, Input, OptionList

from tests.tui.pane_harness import PaneApp
from tests.tui.panes.data.harness import SIZE, Describer, computed
from tests.tui.waiting import until
from tui.dialogs.path_input import PathInput
from tui.forms.rows import Rows
from tui.messages import CorpusChosen
from tui.panes.data.pane import DataPane
from tui.panes.data.text_list import TextList
from tui.shell.footer import KeyLine


async def test_the_footer_of_the_path_says_enter_and_escape(folder: Path) -> None:
    app = PaneApp(DataPane(), folder / "saves", data=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        app.pane.focus()
        await until(pilot, lambda: app.query_one(TextList).has_focus and app.query_one(TextList).option_count)

        def in_footer() -> dict[str, str]:
            return {key.key: key.words for key in app.query_one(KeyLine).keys if key.key in ("enter", "escape", "u")}

        assert in_footer() == {"u": "Use this text"}, "nothing to leave"
        await pilot.press("p")
        await until(pilot, lambda: in_footer() == {"enter": "Show it", "escape": "Texts"})
        app.query_one("#path-line", Input).value = f"{folder}/"
        await until(pilot, lambda: in_footer() == {"enter": "Show it", "escape": "Close list"})
        await pilot.press("down")
        await until(pilot, lambda: in_footer() == {"enter": "Take it", "escape": "Close list"})
        await pilot.press("up")
        await until(pilot, lambda: in_footer() == {"enter": "Show it", "escape": "Close list"})
        await pilot.press("escape")
        await until(pilot, lambda: in_footer() == {"enter": "Show it", "escape": "Texts"})
        await pilot.press("escape")
        await until(pilot, lambda: app.query_one(TextList).has_focus)


async def test_a_path_is_completed_and_read(folder: Path, describer: Describer) -> None:
    (folder / "own").mkdir()
    (folder / "own" / "poems-zh.txt").write_text("诗", encoding="utf-8")
    (folder / "own" / "poems-en.txt").write_text("poem", encoding="utf-8")
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await computed(pilot, app)
        await pilot.press("p")
        line = app.query_one("#path-line", Input)
        line.value = f"{folder}/own/p"
        await until(pilot, lambda: app.query_one("#path-matches", OptionList).option_count == 2)
        await until(pilot, lambda: app.query_one(PathInput).completion)
        await pilot.press("tab")
        await until(pilot, lambda: line.value == f"{folder}/own/poems-")
        await until(pilot, lambda: app.query_one("#path-matches", OptionList).option_count == 2)
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: describer.asked[-1][0] == f"{folder}/own/poems-zh.txt")
        await until(pilot, lambda: not app.query_one("#data-use", Button).disabled)
        assert not app.query_one("#path-matches").display
        await pilot.press("enter")
        await until(pilot, lambda: app.of(CorpusChosen))
        assert app.of(CorpusChosen)[0].settings["corpus"] == f"{folder}/own/poems-zh.txt"
        await pilot.press("escape")
        await until(pilot, lambda: app.query_one("#data-texts").has_focus)


async def test_tab_passes_through_an_empty_line(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    app.remember(files=(f"{folder}/own.txt",))
    async with app.run_test(size=SIZE) as pilot:
        await computed(pilot, app)
        line, matches = app.query_one("#path-line", Input), app.query_one("#path-matches", OptionList)
        await pilot.press("tab")
        await until(pilot, lambda: line.has_focus and matches.display)
        await pilot.press("tab")
        await until(pilot, lambda: app.query_one(Rows).has_focus)
        assert line.value == "" and not matches.display
        await pilot.press("shift+tab")
        await until(pilot, lambda: line.has_focus and matches.display)
        line.value = f"{folder}/no-such"
        await until(pilot, lambda: not matches.display)
        line.value = f"{folder}/"
        await until(pilot, lambda: matches.option_count == 2)
        await pilot.press("tab")
        await until(pilot, lambda: app.query_one(Rows).has_focus)
        assert line.value == f"{folder}/" and not matches.display, "of two texts none is completed"


async def test_enter_takes_the_match_that_the_arrows_chose_and_else_what_was_typed(
    folder: Path, describer: Describer
) -> None:
    for name in ("poems-en", "poems-zh"):
        (folder / f"{name}.txt").write_text("诗", encoding="utf-8")
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await computed(pilot, app)
        await pilot.press("p")
        line, matches = app.query_one("#path-line", Input), app.query_one("#path-matches", OptionList)
        line.value = f"{folder}/poems"
        await until(pilot, lambda: matches.option_count == 2)
        await pilot.press("down", "down", "shift+tab")
        await until(pilot, lambda: line.has_focus)
        await pilot.press("enter")
        await until(pilot, lambda: describer.asked[-1][0] == f"{folder}/poems-zh.txt")
        line.value = f"{folder}/poems"
        await until(pilot, lambda: matches.display)
        await pilot.press("down", "up")
        assert line.has_focus and matches.highlighted is None
        await pilot.press("enter")
        await until(pilot, lambda: describer.asked[-1][0] == f"{folder}/poems")
