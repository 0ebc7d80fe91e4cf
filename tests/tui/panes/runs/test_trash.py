"""Runs that are deleted, restored and deleted permanently."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Static

from core.runs.store import list_runs
from core.runs.trash import deleted_runs
from tests.run_folders import make_run
from tests.tui.pane_harness import PaneApp
from tests.tui.panes.runs.harness import SIZE, cells, deleted, listed, rows
from tests.tui.waiting import until
from tui.dialogs.confirm import ConfirmDialog
from tui.messages import RunChosen, RunDeleted
from tui.panes.runs.pane import RunsPane
from tui.panes.runs.run_table import RunTable, TrashTable


async def test_delete_asks_first_and_stray_keys_answer_no(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        await pilot.press("backspace", "backspace", "enter")
        await pilot.pause(0.1)
        assert not isinstance(app.screen, ConfirmDialog), "backspace is no key of this pane"
        for stray in (("enter",), ("escape",), ("space", "enter"), ("delete", "delete", "enter"), ("y", "enter")):
            await pilot.press("delete")
            await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
            assert app.screen.focused is app.screen.query_one("#no")
            words = str(app.screen.query_one(".dialog-body", Static).content)
            assert "c (" in words and "3 epochs of training" in words and "restored for 30 days" in words
            await pilot.press(*stray)
            await until(pilot, lambda: len(app.screen_stack) == 1)
            assert {run.name for run in list_runs(saves)} == {"a", "b", "c"}, stray


async def test_a_deleted_run_is_brought_back_by_a_key(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        assert "u" not in app.screen.active_bindings
        for name in "cb":
            await deleted(pilot, app)
            await until(pilot, lambda name=name: name not in {row[0] for row in rows(app)})
        assert [event.path.name for event in app.of(RunDeleted)] == ["c", "b"]
        assert app.query_one(RunTable).cursor_row == 0 and app.engines.released == [saves / "c", saves / "b"]
        for back in (["b", "a"], ["c", "b", "a"]):
            await until(pilot, lambda: "u" in app.screen.active_bindings)
            await pilot.press("u")
            await until(pilot, lambda back=back: [row[0] for row in rows(app)] == back)
        await until(pilot, lambda: "u" not in app.screen.active_bindings)
        assert app.notices[-2:] == ["b is back", "c is back"]
        assert not any("to restore it" in notice for notice in app.notices), "the undo takes the notice away"


async def test_the_trash_shows_restores_and_removes(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        for _ in "cb":
            await deleted(pilot, app)
            await until(pilot, lambda: not app.pane.acts.is_busy)
            await until(pilot, lambda: len(rows(app)) == len(list_runs(saves)))
        make_run(saves, "b", created="2028-01-01T00:00:00+00:00")
        await pilot.press("t")
        trash = app.query_one(TrashTable)
        await until(pilot, lambda: len(trash.runs) == 2 and trash.has_focus and cells(trash, 1))
        assert [cells(trash, row)[0] for row in (0, 1)] == ["b", "c"]
        assert cells(trash, 0)[1] == "30 days left"
        await pilot.press("enter", "g", "r", "n", "d")
        await pilot.pause(0.1)
        assert not app.of(RunChosen) and len(app.screen_stack) == 1, "nothing of the list's"
        await pilot.press("u")
        await until(pilot, lambda: "b is back as b-2: there is another run b now" in app.notices)
        await until(pilot, lambda: len(trash.runs) == 1)
        for key in ("delete", "e"):
            await pilot.press(key)
            await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
            assert app.screen.focused is app.screen.query_one("#no")
            await pilot.press("enter")
            await until(pilot, lambda: len(app.screen_stack) == 1)
        assert len(deleted_runs(saves)) == 1
        await pilot.click("#trash-remove")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await pilot.click("#yes")
        await until(pilot, lambda: deleted_runs(saves) == [])
        notice = app.query_one("#runs-notice", Static)
        await until(pilot, lambda: notice.display and not trash.display)
        assert "The trash is empty" in str(notice.content)
        assert not {"delete", "u", "e"} & app.screen.active_bindings.keys()
        await pilot.press("escape")
        await until(pilot, lambda: app.query_one(RunTable).has_focus and len(rows(app)) == 3)
        assert {row[0] for row in rows(app)} == {"a", "b", "b-2"}
