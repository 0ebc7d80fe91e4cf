"""The Runs pane: the list, its keys, its dialogs, and what cannot be done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from textual.widgets import Button, Input, Static

from core.errors import EngineError
from core.runs.run import list_runs
from tests.tui.pane_harness import PaneApp, ScriptedClient, make_run, settled
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.name import NameDialog
from tui.messages import RunChosen, RunDeleted, RunRenamed, RunsChanged
from tui.panes.runs import RunsPane
from tui.widgets.run_details import perplexities
from tui.widgets.run_table import RunTable

SIZE = (120, 40)


@pytest.fixture
def saves(tmp_path: Path) -> Path:
    """Three runs, the newest called ``c``."""
    folder = tmp_path / "saves"
    for day, name in enumerate("abc", 1):
        make_run(folder, name, epochs=day, created=f"2026-01-0{day}T00:00:00+00:00")
    return folder


def rows(app: PaneApp) -> list[list[str]]:
    """What stands in the table."""
    table = app.query_one(RunTable)
    return [[cell.plain.strip() for cell in table.get_row_at(index)] for index in range(table.row_count)]


async def listed(pilot: object, app: PaneApp, count: int = 3) -> None:
    """Wait for the list."""
    app.pane.focus()
    await settled(pilot, lambda: app.query_one(RunTable).row_count == count and app.query_one(RunTable).has_focus)


async def test_without_runs_it_says_how_the_first_one_is_made(tmp_path: Path) -> None:
    app = PaneApp(RunsPane(), tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        notice = app.query_one("#runs-notice", Static)
        await settled(pilot, lambda: "no runs yet" in str(notice.content))
        assert "press Train" in str(notice.content)
        assert notice.display and not app.query_one(RunTable).display
        assert all(button.disabled for button in app.query(Button))


async def test_newest_first_with_their_figures(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        assert [row[0] for row in rows(app)] == ["c", "b", "a"]
        assert rows(app)[0][:4] == ["c", "✓ finished", "3/250", "937.4"]
        assert "scratch rnn 256" in rows(app)[0]


@pytest.mark.parametrize(("size", "there"), [((80, 24), False), ((120, 40), True)])
async def test_little_room_keeps_what_matters(saves: Path, size: tuple[int, int], there: bool) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=size) as pilot:
        await listed(pilot, app)
        keys = [str(key.value) for key in app.query_one(RunTable).columns]
        assert {"name", "state", "epochs", "training"} <= set(keys)
        assert ("model" in keys) is there
        assert app.query_one(RunTable).virtual_size.width <= app.query_one(RunTable).size.width


async def test_names_are_text(saves: Path) -> None:
    name = "[bold red]夜[bold]"
    make_run(saves, name, created="2027-01-01T00:00:00+00:00")
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app, 4)
        assert rows(app)[0][0] == name
        await settled(pilot, lambda: app.query_one("#run-details")._border_title is not None)
        assert app.query_one("#run-details")._border_title.plain == name
        await pilot.press("delete")
        await settled(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        assert app.screen.query_one(".dialog")._border_title.plain == f"Delete {name}?"


async def test_a_damaged_run_says_what_is_wrong(saves: Path) -> None:
    (saves / "c" / "run.json").write_text("{", encoding="utf-8")
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        assert rows(app)[-1][:2] == ["c", "✗ damaged"]
        await pilot.press("end", "ctrl+end", "r")
        await settled(pilot, lambda: app.notices)
        assert "run.json is cut or damaged" in app.notices[0]
        details = app.query_one("#run-details-text", Static)
        await settled(pilot, lambda: "run.json is cut or damaged" in str(details.content))
        assert not app.of(RunChosen)


@pytest.mark.parametrize(("key", "purpose"), [("enter", "watch"), ("g", "generate"), ("r", "resume")])
async def test_a_run_is_chosen(saves: Path, key: str, purpose: str) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        await pilot.press("down", key)
        await settled(pilot, lambda: app.of(RunChosen))
        assert [(event.path.name, event.purpose) for event in app.of(RunChosen)] == [("b", purpose)]


async def test_buttons_do_what_keys_do(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=(80, 24)) as pilot:
        await listed(pilot, app)
        await pilot.click("#runs-generate")
        await settled(pilot, lambda: app.of(RunChosen))
        assert app.of(RunChosen)[0].purpose == "generate"


async def test_rename(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        await pilot.press("n")
        await settled(pilot, lambda: isinstance(app.screen, NameDialog))
        field = app.screen.query_one(Input)
        field.value = "a"
        await settled(pilot, lambda: "already a run 'a'" in str(app.screen.query_one("#name-error", Static).content))
        await pilot.press("enter")
        assert isinstance(app.screen, NameDialog)
        field.value = "月亮"
        await pilot.pause()
        await pilot.press("enter")
        await settled(pilot, lambda: app.of(RunsChanged))
        assert (saves / "月亮" / "run.json").exists() and not (saves / "c").exists()
        assert app.engines.released == [saves / "c"]
        assert [(event.path.name, event.new_path.name) for event in app.of(RunRenamed)] == [("c", "月亮")]
        await settled(pilot, lambda: rows(app)[0][0] == "月亮")
        await settled(pilot, lambda: app.query_one(RunTable).cursor_row == 0)


async def test_delete_asks_first(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        await pilot.press("delete")
        await settled(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        words = str(app.screen.query_one(".dialog-body", Static).content)
        assert "c goes for good" in words and "3 epochs" in words
        await pilot.press("escape")
        await settled(pilot, lambda: not isinstance(app.screen, ConfirmDialog))
        assert (saves / "c").exists()
        await pilot.press("delete")
        await settled(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await pilot.press("enter")
        await settled(pilot, lambda: app.of(RunDeleted))
        assert not (saves / "c").exists()
        await settled(pilot, lambda: [row[0] for row in rows(app)] == ["b", "a"])
        assert app.query_one(RunTable).cursor_row == 0


@pytest.mark.parametrize(("key", "verb"), [("n", "renamed"), ("delete", "deleted")])
async def test_a_training_run_is_stopped_first(saves: Path, key: str, verb: str) -> None:
    lock = make_run(saves, "busy", state="training", created="2027-01-01T00:00:00+00:00").acquire()
    app = PaneApp(RunsPane(), saves)
    try:
        async with app.run_test(size=SIZE) as pilot:
            await listed(pilot, app, 4)
            assert rows(app)[0][:2] == ["busy", "● training"]
            await pilot.press(key)
            await settled(pilot, lambda: app.notices)
            assert app.notices == [f"busy is training: stop it in Train first, then it can be {verb}"]
            assert app.engines.released == []
    finally:
        os.close(lock)


async def test_duplicate(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        await pilot.press("d")
        await settled(pilot, lambda: isinstance(app.screen, NameDialog))
        assert app.screen.query_one(Input).value == "c-copy"
        await pilot.press("enter")
        await settled(pilot, lambda: (saves / "c-copy").exists() and len(rows(app)) == 4)
        assert {summary.name for summary in list_runs(saves)} == {"a", "b", "c", "c-copy"}
        await settled(pilot, lambda: (run := app.query_one(RunTable).selected) and run.name == "c-copy")
        assert app.script.asked == []


async def test_a_training_run_is_copied_by_its_engine(saves: Path) -> None:
    lock = make_run(saves, "busy", state="training", created="2027-01-01T00:00:00+00:00").acquire()
    client = ScriptedClient()
    app = PaneApp(RunsPane(), saves, client)
    try:
        async with app.run_test(size=SIZE) as pilot:
            await listed(pilot, app, 4)
            await pilot.press("d")
            await settled(pilot, lambda: isinstance(app.screen, NameDialog))
            await pilot.press("enter")
            await settled(pilot, lambda: client.asked)
            assert client.asked == [{"request": "save", "name": "busy-copy"}]
            client.error = EngineError("the engine has gone")
            await settled(pilot, lambda: not isinstance(app.screen, NameDialog))
            await pilot.press("d")
            await settled(pilot, lambda: isinstance(app.screen, NameDialog))
            await pilot.press("enter")
            await settled(pilot, lambda: "the engine has gone" in app.notices)
    finally:
        os.close(lock)


async def test_the_cursor_stays_on_its_run(saves: Path) -> None:
    pane = RunsPane()
    app = PaneApp(pane, saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        await pilot.press("down")
        make_run(saves, "d", created="2027-01-01T00:00:00+00:00")
        pane.reload()
        await settled(pilot, lambda: app.query_one(RunTable).row_count == 4)
        selected = app.query_one(RunTable).selected
        assert selected is not None and selected.name == "b"
        assert app.query_one(RunTable).cursor_row == 2


async def test_only_what_changed_is_painted(saves: Path) -> None:
    pane = RunsPane()
    app = PaneApp(pane, saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        table = app.query_one(RunTable)
        before = table.get_row_at(0)
        runs = list_runs(saves)
        table.show(runs)
        assert all(new is old for new, old in zip(table.get_row_at(0), before, strict=True))


async def test_details_name_what_is_unusual(saves: Path) -> None:
    make_run(saves, "new", epochs=40, created="2027-01-01T00:00:00+00:00", optimiser="adam", learning_rate=0.001)
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app, 4)
        details = app.query_one("#run-details-text", Static)
        await settled(pilot, lambda: "adam" in str(details.content))
        words = str(details.content)
        assert "0.001" in words and "abababab" in words and "momentum" not in words


def test_a_long_journal_is_looked_at_in_few_places(tmp_path: Path) -> None:
    run = make_run(tmp_path, "long", epochs=5000)
    points = perplexities(run.journal_path, places=50)
    epochs = [point.epoch for point in points]
    assert 40 <= len(points) <= 70 and epochs == sorted(epochs)
    assert epochs[0] == 1 and epochs[-1] == 5000
    assert [point.epoch for point in perplexities(make_run(tmp_path, "short", epochs=3).journal_path)] == [1, 2, 3]
    assert perplexities(tmp_path / "none.jsonl") == []


async def test_colours_follow_the_theme(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        dark = app.query_one(RunTable).get_row_at(0)[2].style
        app.theme = "playground-light"
        await settled(pilot, lambda: app.query_one(RunTable).get_row_at(0)[2].style != dark)
        assert app.query_one(RunTable).cursor_row == 0
