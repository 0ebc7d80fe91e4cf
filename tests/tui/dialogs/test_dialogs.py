"""Dialogs and lists bear keys, clicks and changes of size at any moment: before they stand and after they closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from textual import events
from textual.app import App, ComposeResult
from textual.command import CommandPalette
from textual.screen import Screen
from textual.widgets import Button, Input, OptionList, Static

from core.engine.answers import BackendChange
from core.runs.store import check_name
from core.runs.summary import RunSummary
from core.settings.presets import PRESETS
from tests.tui.pane_harness import PaneApp
from tests.tui.waiting import until
from tui.app import Playground
from tui.commands import app_keys, pane_keys
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.dialog import Dialog, Palette
from tui.dialogs.export import Exportable, ExportDialog
from tui.dialogs.help import HelpScreen
from tui.dialogs.help_pages import help_pages
from tui.dialogs.name import NameDialog
from tui.dialogs.path_dialog import PathDialog
from tui.forms.drop_down import DropDown, PagedList
from tui.panes.runs.annotation_dialog import AnnotationDialog
from tui.panes.train.own_presets import PresetDialog
from tui.panes.train.preset_dialog import PresetScreen
from tui.panes.train.sweep import SweepDialog
from tui.panes.train.training import backend_question

RUN = RunSummary("one", Path("one"), "finished", 1, 1, 2.0, None, "rnn", "lyrics-zh", 9, 9, "2026-01-02T03:04:05+00:00")
DIALOGS: dict[str, Callable[[], Screen[Any]]] = {
    "confirm": lambda: ConfirmDialog("Really?", "Think.", "Do it"),
    "danger": lambda: ConfirmDialog("Really?", "Think.", "Delete", danger=True),
    "name": lambda: NameDialog("Name", "song", "Save", check_name),
    "help": lambda: HelpScreen(help_pages(None, pane_keys("train", {}), app_keys(Playground.BINDINGS, {}))),
    "preset": lambda: PresetScreen(next(iter(PRESETS.values()))),
    "own preset": lambda: PresetDialog(replace(next(iter(PRESETS.values())), own=True)),
    "annotation": lambda: AnnotationDialog([RUN]),
    "other backend": lambda: backend_question(BackendChange("it was computed otherwise", as_before=True)),
    "export": lambda: ExportDialog(Exportable("Export", "one", (Path("one"),))),
    "path": lambda: PathDialog("Add", "A file.", "Add", lambda path: None),
    "sweep": lambda: SweepDialog(next(iter(PRESETS.values())).config, "sweep-1"),
    "palette": Palette,
}
MOMENTS = (0, 1, 2, 4, 6, 10, 14, 20, 28)  # turns of the loop between a call and the end of the dialog
KEYS = ("enter", "escape", "x", "backspace", "tab", "pagedown", "enter", "enter", "escape", "y")


class Host(App[None]):
    """Something to push dialogs onto."""

    def compose(self) -> ComposeResult:
        yield Static("below")


def keys_at_once(app: App[None]) -> None:
    """All of them before any of them has been looked at: nothing lets them take turns here."""
    for key in KEYS:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


async def test_a_burst_of_keys_before_a_dialog_stands_and_behind_it(trials: int) -> None:
    for _ in range(trials):
        app = Host()
        async with app.run_test() as pilot:
            for name, made in DIALOGS.items():
                await pilot.resize_terminal(60, 16)
                answers: list[object] = []
                app.push_screen(made(), answers.append)
                keys_at_once(app)
                await pilot.pause()
                keys_at_once(app)
                await pilot.resize_terminal(80, 24)
                keys_at_once(app)
                for _ in range(3):  # whatever of it is still there
                    await pilot.press("escape")
                await until(pilot, lambda app=app: len(app.screen_stack) == 1)
                assert len(answers) == 1, name


async def test_a_dialog_closes_itself_and_nothing_below_it() -> None:
    app = Host()
    async with app.run_test() as pilot:
        for name, made in DIALOGS.items():
            below, dialog = ConfirmDialog("Below", "It stays.", "Do it"), made()
            app.push_screen(below)
            app.push_screen(dialog)
            await pilot.pause()
            for _ in range(3):
                dialog.dismiss(None)
            await until(pilot, lambda below=below: app.screen is below)
            assert below.is_current and len(app.screen_stack) == 2, name
            await app.pop_screen()


async def test_parts_that_do_not_stand_yet_are_not_looked_for() -> None:
    """A dialog that is closed before its parts were mounted, and one that is told of a key or a size then."""
    app = Host()
    async with app.run_test() as pilot:
        for name, made in DIALOGS.items():
            if name == "palette":
                continue  # Textual's own
            dialog = made()
            app.push_screen(dialog)
            dialog.post_message(events.Resize(app.size, app.size))
            if isinstance(dialog, NameDialog):
                line = Input(id="name-input")
                dialog.post_message(Input.Changed(line, "so/ng"))
                dialog.post_message(Input.Submitted(line, "so/ng"))
            dialog.dismiss(None)
            dialog.post_message(events.Resize(app.size, app.size))
            await pilot.pause()
            assert len(app.screen_stack) == 1, name


def kinds_of(base: type[Screen[Any]]) -> set[type[Screen[Any]]]:
    """The subclasses of ``base`` that have none themselves."""
    return {kind for direct in base.__subclasses__() for kind in (kinds_of(direct) or {direct})}


async def test_every_dialog_is_centred_and_leaves_the_screen_below_in_sight(tmp_path: Path) -> None:
    seen: set[type[Screen[Any]]] = set()
    for size in ((80, 24), (120, 40)):
        app = PaneApp(Static("\n".join(["below" * 30] * 60)), tmp_path)
        async with app.run_test(size=size) as pilot:
            for name, made in DIALOGS.items():
                if name == "palette":
                    continue  # Textual's own
                dialog = made()
                app.push_screen(dialog)
                await until(pilot, lambda dialog=dialog: dialog.children and dialog.children[0].region)
                box = dialog.children[0].region
                assert abs(box.x - (size[0] - box.right)) <= 1, (name, size, box)
                assert abs(box.y - (size[1] - box.bottom)) <= 1, (name, size, box)
                assert "below" in app.export_screenshot() and dialog.styles.background.a < 1, (name, size)
                seen.add(type(dialog))
                await app.pop_screen()
    assert {kind for kind in kinds_of(Dialog) if kind.__module__.startswith("tui.")} == seen, "each is in the table"


async def test_a_stray_enter_destroys_nothing() -> None:
    app = Host()
    async with app.run_test() as pilot:
        answers: list[object] = []
        for keys in (["enter"], ["left", "enter"], ["right", "enter"]):
            app.push_screen(DIALOGS["danger"](), answers.append)
            await pilot.pause()
            await pilot.press(*keys)
            await until(pilot, lambda: len(app.screen_stack) == 1)
        assert answers == [None, "yes", "yes"]


async def test_a_palette_is_clicked_away_once() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(Palette())
        await pilot.pause()
        palette = app.screen
        click = events.Click(palette, 79, 23, 0, 0, 1, False, False, False, 79, 23)
        assert isinstance(palette, CommandPalette)
        palette.post_message(click)
        palette.post_message(click)
        app.post_message(events.Key("escape", None))
        await until(pilot, lambda: len(app.screen_stack) == 1)


class Lists(App[None]):
    """Lists that have no height."""

    CSS = "#list, #values { height: 0; } SelectOverlay { height: 0; border: none; max-height: 0; }"

    def compose(self) -> ComposeResult:
        yield PagedList(*(f"line {number}" for number in range(20)), id="list")
        yield DropDown(((f"value {number}", number) for number in range(20)), id="values")
        yield Button("other")


class NarrowLists(Lists):
    """Lists between borders that take all the room there is."""

    CSS = "#list, SelectOverlay { border: round red; padding: 0 3; height: auto; }"


async def test_lists_on_a_screen_that_is_narrower_than_their_borders() -> None:
    for width in (1, 3, 7):
        app = NarrowLists()
        async with app.run_test(size=(width, 20)) as pilot:
            app.query_one(DropDown).expanded = True
            await pilot.press("pagedown", "down", "escape")
            assert app.is_running, width


async def test_pages_of_a_list_without_a_height() -> None:
    app = Lists()
    async with app.run_test(size=(20, 1)) as pilot:
        app.query_one(DropDown).expanded = True
        for options in app.query(OptionList):
            options.highlighted = 3
            options.focus()
            await pilot.press("pagedown", "pageup", "end", "home", "down", "up")
        await pilot.pause()
        assert app.is_running and len(app.query(OptionList)) == 2


async def test_what_waits_for_a_dialog_to_be_drawn_is_done_where_it_closes_before(trials: int) -> None:
    apart = max(1, len(MOMENTS) // trials)  # by default each dialog closes at one moment, and at every moment one
    app = Host()
    async with app.run_test() as pilot:
        for place, (name, made) in enumerate(DIALOGS.items()):
            for turns in MOMENTS[place % apart :: apart]:
                await app.push_screen(made())
                await pilot.pause()
                dialog, called = app.screen, []
                app.screen_stack[0].query_one(Static).call_after_refresh(called.append, turns)
                for _ in range(turns):
                    dialog.refresh()
                    await asyncio.sleep(0)
                dialog.dismiss()
                await until(pilot, lambda called=called: called and len(app.screen_stack) == 1, 3.0)
                assert called == [turns], name


async def test_a_click_on_a_line_that_has_just_gone() -> None:
    app = NarrowLists()
    async with app.run_test(size=(40, 30)) as pilot:
        lines = app.query_one(PagedList)
        lines.focus()
        await pilot.pause()
        x, y = lines.region.x + 5, lines.region.y + 8
        style = app.screen.get_style_at(x, y)
        assert style.meta["option"] == 7
        lines.clear_options()
        lines.add_option("only one")
        lines.post_message(events.Click(lines, 5, 8, 0, 0, 1, False, False, False, x, y, style))
        await pilot.pause()
        assert app.is_running and lines.highlighted is None
