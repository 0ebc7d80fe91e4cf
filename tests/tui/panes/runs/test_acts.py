"""What is done with one run or with all that are marked: names, copies, marks, tags."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Button, Input, Static

from core.errors import EngineError
from core.runs.run import Run
from core.runs.store import list_runs, rename_run
from tests.run_folders import make_run
from tests.tui.pane_harness import PaneApp, ScriptedClient
from tests.tui.panes.runs.harness import SIZE, list_title, listed, rows, typed
from tests.tui.waiting import until
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.name import NameDialog
from tui.messages import RunDeleted, RunRenamed, RunsChanged
from tui.panes.runs.annotation_dialog import AnnotationDialog
from tui.panes.runs.pane import RunsPane
from tui.panes.runs.run_table import RunTable


async def test_rename(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NameDialog))
        field = app.screen.query_one(Input)
        field.value = "a"
        await until(pilot, lambda: "already a run 'a'" in str(app.screen.query_one("#dialog-error", Static).content))
        await pilot.press("enter")
        assert isinstance(app.screen, NameDialog)
        field.value = "月亮"
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: app.of(RunsChanged))
        assert (saves / "月亮" / "run.json").exists() and not (saves / "c").exists()
        assert app.engines.released == [saves / "c"]
        assert [(event.path.name, event.new_path.name) for event in app.of(RunRenamed)] == [("c", "月亮")]
        await until(pilot, lambda: rows(app)[0][0] == "月亮")
        await until(pilot, lambda: app.query_one(RunTable).cursor_row == 0)


async def test_a_training_run_is_stopped_first(saves: Path) -> None:
    lock = make_run(saves, "busy", state="training", created="2027-01-01T00:00:00+00:00").lock()
    app = PaneApp(RunsPane(), saves)
    try:
        async with app.run_test(size=SIZE) as pilot:
            await listed(pilot, app, 4)
            assert rows(app)[0][:2] == ["busy", "● training"]
            for count, (key, verb) in enumerate((("n", "renamed"), ("delete", "deleted")), 1):
                await pilot.press(key)
                await until(pilot, lambda count=count: len(app.notices) == count)
                assert app.notices[-1] == f"busy is training: stop it in Train first, then it can be {verb}"
                assert app.engines.released == []
    finally:
        lock.close()


async def test_duplicate(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, NameDialog))
        assert app.screen.query_one(Input).value == "c-copy"
        await pilot.press("enter")
        await until(pilot, lambda: (saves / "c-copy").exists() and len(rows(app)) == 4)
        assert {summary.name for summary in list_runs(saves)} == {"a", "b", "c", "c-copy"}
        await until(pilot, lambda: (run := app.query_one(RunTable).selected) and run.name == "c-copy")
        assert app.script.asked == []


async def test_a_training_run_is_copied_by_its_engine(saves: Path) -> None:
    lock = make_run(saves, "busy", state="training", created="2027-01-01T00:00:00+00:00").lock()
    client = ScriptedClient()
    app = PaneApp(RunsPane(), saves, client)
    try:
        async with app.run_test(size=SIZE) as pilot:
            await listed(pilot, app, 4)
            await pilot.press("d")
            await until(pilot, lambda: isinstance(app.screen, NameDialog))
            await pilot.press("enter")
            await until(pilot, lambda: client.asked)
            assert client.asked == [{"request": "save", "name": "busy-copy"}]
            client.error = EngineError("the engine has gone")
            await until(pilot, lambda: not isinstance(app.screen, NameDialog))
            await pilot.press("d")
            await until(pilot, lambda: isinstance(app.screen, NameDialog))
            await pilot.press("enter")
            await until(pilot, lambda: "the engine has gone" in app.notices)
    finally:
        lock.close()


async def test_marks_act_on_many_and_one_undo_brings_all_back(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        await pilot.press("space", "down")
        await pilot.click(RunTable, offset=(0, 3))
        await until(pilot, lambda: [path.name for path in app.pane.marked] == ["c", "a"])
        assert list_title(app) == "Runs · 3 · 2 marked"
        assert app.query_one(RunTable).render_line(1).text.startswith("◆ c")
        await pilot.press("space")
        assert [path.name for path in app.pane.marked] == ["c"]
        await pilot.press("asterisk")
        assert [path.name for path in app.pane.marked] == ["c", "b", "a"]
        await pilot.press("asterisk")
        assert app.pane.marked == ()
        await pilot.press("home", "space", "down", "space", "end", "delete")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        words = str(app.screen.query_one(".dialog-body", Static).content)
        assert "c, b (" in words and app.screen.focused is app.screen.query_one("#no")
        await pilot.press("left", "enter")
        await until(pilot, lambda: [row[0] for row in rows(app)] == ["a"] and not app.pane.acts.is_busy)
        await until(pilot, lambda: app.pane.marked == ())
        assert [event.path.name for event in app.of(RunDeleted)] == ["c", "b"]
        assert app.engines.released == [saves / "c", saves / "b"]
        await until(pilot, lambda: "u" in app.screen.active_bindings)
        await pilot.press("u")
        await until(pilot, lambda: {row[0] for row in rows(app)} == {"a", "b", "c"})
        assert app.notices[-1] == "2 runs are back" and app.pane.acts.deleted == []


async def test_a_mark_follows_its_run_and_leaves_with_it(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        await pilot.press("space", "n")
        await until(pilot, lambda: isinstance(app.screen, NameDialog))
        app.screen.query_one(Input).value = "月亮"
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: rows(app)[0][0] == "月亮")
        assert [path.name for path in app.pane.marked] == ["月亮"]
        rename_run(Run(saves / "月亮"), "elsewhere")
        app.pane.reload()
        await until(pilot, lambda: app.pane.marked == ())


async def test_tags_and_a_note(saves: Path) -> None:
    lock = make_run(saves, "busy", state="training", created="2027-01-01T00:00:00+00:00").lock()
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app, 4)
        await pilot.press("down", "a")
        await until(pilot, lambda: isinstance(app.screen, AnnotationDialog))
        await typed(pilot, "best, #论文")
        await pilot.press("down")
        await typed(pilot, "it rhymes")
        await pilot.press("enter")
        await until(pilot, lambda: "#best #论文…" in rows(app)[1])
        assert (list_runs(saves)[1].tags, list_runs(saves)[1].note) == (("best", "论文"), "it rhymes")
        details = app.query_one("#run-details-text", Static)
        await until(pilot, lambda: "best, 论文" in str(details.content) and "it rhymes" in str(details.content))
        await pilot.press("space", "down", "space", "a")
        await until(pilot, lambda: isinstance(app.screen, AnnotationDialog))
        assert app.screen.query_one("#tags-input", Input).value == "", "c and b have no tag in common"
        await typed(pilot, 'a"b')
        await until(pilot, lambda: app.screen.query_one("#yes", Button).disabled)
        await pilot.press("enter")
        assert isinstance(app.screen, AnnotationDialog)
        await pilot.press("backspace", "backspace", "backspace")
        await typed(pilot, "best paper")
        await pilot.press("enter")
        await until(pilot, lambda: not app.pane.acts.is_busy)
        assert {run.name: run.tags for run in list_runs(saves)} == {
            "busy": (), "c": ("best", "论文", "paper"), "b": ("best", "paper"), "a": (),
        }  # fmt: skip
        await pilot.press("escape", "home", "a")
        await until(pilot, lambda: isinstance(app.screen, AnnotationDialog))
        await typed(pilot, "live")
        await pilot.press("enter")
        await until(pilot, lambda: app.script.asked)
        assert app.script.asked == [{"request": "annotate", "tags": ["live"], "note": ""}]
    lock.close()
