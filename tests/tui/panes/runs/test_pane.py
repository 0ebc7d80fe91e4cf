"""The Runs pane: the list, its keys, its dialogs, and what cannot be done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from textual.strip import Strip
from textual.widgets import Button, Input, Static

from core.errors import EngineError
from core.runs.run import Run
from core.runs.store import list_runs, rename_run
from core.runs.summary import run_summary
from core.runs.trash import deleted_runs
from tests.run_folders import make_run
from tests.tui.pane_harness import PaneApp, ScriptedClient
from tests.tui.parts import title
from tests.tui.waiting import until
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.name import NameDialog
from tui.messages import RunChosen, RunDeleted, RunRenamed, RunsChanged
from tui.panes.runs.annotation_dialog import AnnotationDialog
from tui.panes.runs.pane import RunsPane
from tui.panes.runs.run_details import sampled_epochs
from tui.panes.runs.run_table import RunTable, TrashTable

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
    return [cells(table, row) for row in range(len(table.runs))]


def cells(table: RunTable, row: int) -> list[str]:
    """What a row shows, column by column: after the place of the mark, cells with gaps between them."""
    return [segment.text.strip() for segment in [*table.render_line(row + 1)][1::2]]


async def listed(pilot: object, app: PaneApp, count: int = 3) -> None:
    """Wait for the list."""
    app.pane.focus()
    table = app.query_one(RunTable)
    await until(pilot, lambda: len(table.runs) == count and table.has_focus and all(rows(app)))  # drawn, too


async def test_without_runs_it_says_how_the_first_one_is_made(tmp_path: Path) -> None:
    app = PaneApp(RunsPane(), tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        notice = app.query_one("#runs-notice", Static)
        await until(pilot, lambda: "no runs yet" in str(notice.content))
        assert "press Train" in str(notice.content)
        assert notice.display and not app.query_one(RunTable).display
        assert all(button.disabled for button in app.query(Button) if not str(button.id).endswith("trash"))


async def test_a_list_that_cannot_be_read_is_not_called_empty(tmp_path: Path, saves: Path) -> None:
    (saves / ".trash").write_text("in the way")
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        await pilot.press("t")
        notice = app.query_one("#runs-notice", Static)
        await until(pilot, lambda: ".trash cannot be read (Not a directory)" in str(notice.content))
    (tmp_path / "file").write_text("no folder")
    app = PaneApp(RunsPane(), tmp_path / "file")
    async with app.run_test(size=SIZE) as pilot:
        notice = app.query_one("#runs-notice", Static)
        await until(pilot, lambda: "file cannot be read (Not a directory)" in str(notice.content))


async def test_newest_first_with_their_figures(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        assert [row[0] for row in rows(app)] == ["c", "b", "a"]
        assert rows(app)[0][:4] == ["c", "✓ finished", "3/250", "937.4"]
        await until(pilot, lambda: "scratch rnn 256" in rows(app)[0])  # once it knows its width


@pytest.mark.parametrize(("size", "there"), [((80, 24), False), ((120, 40), True)])
async def test_little_room_keeps_what_matters(saves: Path, size: tuple[int, int], there: bool) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=size) as pilot:
        await listed(pilot, app)

        def keys() -> set[str]:
            return set(app.query_one(RunTable).render_line(0).text.split())

        await until(pilot, lambda: ("model" in keys()) is there)  # once it knows its width
        assert {"name", "state", "epochs", "ppl"} <= keys()
        assert app.query_one(RunTable).virtual_size.width <= app.query_one(RunTable).size.width


async def test_names_are_text(saves: Path) -> None:
    name = "[bold red]夜[bold]"
    make_run(saves, name, created="2027-01-01T00:00:00+00:00")
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app, 4)
        await until(pilot, lambda: rows(app)[0][0] == name)  # once it knows its width
        await until(pilot, lambda: title(app.query_one("#run-details")) == name)
        await pilot.press("delete")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        assert title(app.screen.query_one(".dialog")) == f"Delete {name}?"


async def test_a_damaged_run_says_what_is_wrong(saves: Path) -> None:
    (saves / "c" / "run.json").write_text("{", encoding="utf-8")
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        assert rows(app)[-1][:2] == ["c", "✗ damaged"]
        await pilot.press("end", "ctrl+end", "r")
        await until(pilot, lambda: app.notices)
        assert "run.json is cut or damaged" in app.notices[0]
        details = app.query_one("#run-details-text", Static)
        await until(pilot, lambda: "run.json is cut or damaged" in str(details.content))
        assert not app.of(RunChosen)


@pytest.mark.parametrize(("key", "purpose"), [("enter", "watch"), ("g", "generate"), ("r", "resume")])
async def test_a_run_is_chosen(saves: Path, key: str, purpose: str) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        await pilot.press("down", key)
        await until(pilot, lambda: app.of(RunChosen))
        assert [(event.path.name, event.purpose) for event in app.of(RunChosen)] == [("b", purpose)]


async def test_buttons_do_what_keys_do(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=(80, 24)) as pilot:
        await listed(pilot, app)
        await pilot.click("#runs-generate")
        await until(pilot, lambda: app.of(RunChosen))
        assert app.of(RunChosen)[0].purpose == "generate"


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


async def deleted(pilot: object, app: PaneApp) -> None:
    """Delete the run under the cursor, as one does."""
    await pilot.press("delete")
    await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
    await pilot.press("left", "enter")
    await until(pilot, lambda: not isinstance(app.screen, ConfirmDialog))


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


async def test_home_and_end_move_the_cursor(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        for key, row in (("end", 2), ("home", 0)):
            await pilot.press(key)
            await until(pilot, lambda row=row: app.query_one(RunTable).cursor_row == row)


async def test_an_empty_list_says_so_to_its_keys(tmp_path: Path) -> None:
    app = PaneApp(RunsPane(), tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        notice = app.query_one("#runs-notice", Static)
        await until(pilot, lambda: "no runs yet" in str(notice.content))
        await pilot.press("delete")
        await until(pilot, lambda: app.notices[-1:] == ["There are no runs yet."])
        await pilot.press("t")
        await until(pilot, lambda: "The trash is empty" in str(notice.content))
        for count, key in enumerate(("delete", "u", "e"), 1):
            await pilot.press(key)
            await until(pilot, lambda count=count: app.notices.count("The trash is empty.") == count)


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
        await until(pilot, lambda: "The trash is empty" in str(app.query_one("#runs-notice", Static).content))
        assert app.query_one("#runs-notice").display and not trash.display
        await pilot.press("escape")
        await until(pilot, lambda: app.query_one(RunTable).has_focus and len(rows(app)) == 3)
        assert {row[0] for row in rows(app)} == {"a", "b", "b-2"}


async def test_a_click_selects_and_a_double_click_opens(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        table = app.query_one(RunTable)
        for row in (1, 2, 0):
            await pilot.click(RunTable, offset=(4, row + 1))
            await pilot.pause(0.6)
            assert table.cursor_row == row and not app.of(RunChosen)
        await pilot.click(RunTable, offset=(4, 1))
        await pilot.pause(0.6)
        assert not app.of(RunChosen), "a click on the run under the cursor"
        await pilot.click(RunTable, offset=(20, 2), times=2)
        await until(pilot, lambda: app.of(RunChosen))
        assert [(event.path.name, event.purpose) for event in app.of(RunChosen)] == [("b", "watch")]


async def test_long_names_are_told_apart(saves: Path) -> None:
    names = [f"很久以前的月亮代表我的心和一条很长的名字-{number:04d}" for number in (1, 2)]
    for name in names:
        make_run(saves, name, created="2027-01-01T00:00:00+00:00")
    app = PaneApp(RunsPane(), saves)
    for size in ((80, 24), (120, 40)):
        app = PaneApp(RunsPane(), saves)
        async with app.run_test(size=size) as pilot:
            await listed(pilot, app, 5)
            shown = [row[0] for row in rows(app)][:2]
            assert sorted(name[-4:] for name in shown) == ["0001", "0002"] and len(set(shown)) == 2
            assert app.query_one(RunTable).virtual_size.width <= app.query_one(RunTable).size.width


@pytest.mark.parametrize(("key", "verb"), [("n", "renamed"), ("delete", "deleted")])
async def test_a_training_run_is_stopped_first(saves: Path, key: str, verb: str) -> None:
    lock = make_run(saves, "busy", state="training", created="2027-01-01T00:00:00+00:00").lock()
    app = PaneApp(RunsPane(), saves)
    try:
        async with app.run_test(size=SIZE) as pilot:
            await listed(pilot, app, 4)
            assert rows(app)[0][:2] == ["busy", "● training"]
            await pilot.press(key)
            await until(pilot, lambda: app.notices)
            assert app.notices == [f"busy is training: stop it in Train first, then it can be {verb}"]
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


async def test_the_cursor_stays_on_its_run(saves: Path) -> None:
    pane = RunsPane()
    app = PaneApp(pane, saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        await pilot.press("down")
        make_run(saves, "d", created="2027-01-01T00:00:00+00:00")
        pane.reload()
        await until(pilot, lambda: len(app.query_one(RunTable).runs) == 4)
        selected = app.query_one(RunTable).selected
        assert selected is not None and selected.name == "b"
        assert app.query_one(RunTable).cursor_row == 2


class CountingTable(RunTable):
    """Keeps which rows were drawn."""

    drawn: ClassVar[list[int]] = []

    def render_line(self, y: int) -> Strip:
        self.drawn.append(y - 1 + round(self.scroll_y))
        return super().render_line(y)


async def test_only_the_rows_on_the_screen_are_drawn(saves: Path) -> None:
    run = run_summary(make_run(saves, "one"))
    table = CountingTable()
    app = PaneApp(table, saves)
    async with app.run_test(size=SIZE) as pilot:
        table.show(tuple(replace(run, name=f"run-{number}", path=Path(f"run-{number}")) for number in range(20_000)))
        table.focus()
        drawn = table.drawn
        await until(pilot, lambda: 0 in drawn)
        await pilot.press("end")
        await until(pilot, lambda: 19_999 in drawn)
        await pilot.press("pageup")
        assert len(drawn) < 10 * SIZE[1], "not one line for each run"
        assert table.selected is not None and table.selected.name.startswith("run-199")


async def test_details_name_what_is_unusual(saves: Path) -> None:
    make_run(saves, "new", epochs=40, created="2027-01-01T00:00:00+00:00", optimiser="adam", learning_rate=0.001,
             initialisation="uniform")  # fmt: skip
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app, 4)
        details = app.query_one("#run-details-text", Static)
        await until(pilot, lambda: "adam" in str(details.content))
        words = str(details.content)
        assert "0.001" in words and "abababab" in words and "momentum" not in words
        assert "initial weights  uniform" in words
        await pilot.resize_terminal(80, 24)
        scroll = app.query_one("#run-details-scroll")
        await until(pilot, lambda: scroll.max_scroll_y > 0)
        await pilot.press("shift+down")
        await until(pilot, lambda: scroll.scroll_y > 0)
        await pilot.press("shift+up")
        await until(pilot, lambda: scroll.scroll_y == 0)


def test_a_long_journal_is_looked_at_in_few_places(tmp_path: Path) -> None:
    run = make_run(tmp_path, "long", epochs=5000)
    points = sampled_epochs(run.journal_path, places=50)
    epochs = [point.epoch for point in points]
    assert 40 <= len(points) <= 70 and epochs == sorted(epochs)
    assert epochs[0] == 1 and epochs[-1] == 5000
    assert [point.epoch for point in sampled_epochs(make_run(tmp_path, "short", epochs=3).journal_path)] == [1, 2, 3]
    assert sampled_epochs(tmp_path / "none.jsonl") == []


async def test_colours_follow_the_theme(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        table = app.query_one(RunTable)

        def colours() -> list[object]:
            return [segment.style.color for segment in table.render_line(1) if segment.style]

        dark = colours()
        app.theme = "playground-light"
        await until(pilot, lambda: colours() != dark)
        assert app.query_one(RunTable).cursor_row == 0


async def typed(pilot: object, text: str) -> None:
    """Type into the line that has the focus."""
    names = {" ": "space", ":": "colon", "<": "less_than_sign", "!": "exclamation_mark"}
    await pilot.press(*[names.get(character, character) for character in text])


def list_title(app: PaneApp) -> str:
    """The title of the list."""
    return title(app.query_one("#runs-list"))


async def test_a_filter_is_applied_as_it_is_typed(saves: Path) -> None:
    make_run(saves, "月亮", created="2027-01-01T00:00:00+00:00", cell="lstm")
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app, 4)
        await pilot.press("slash")
        await typed(pilot, "cell:lstm")
        await until(pilot, lambda: [row[0] for row in rows(app)] == ["月亮"])
        assert list_title(app) == "Runs · 1 of 4"
        await typed(pilot, " ppl<")
        error = app.query_one("#filter-error", Static)
        await until(pilot, lambda: error.display and "ppl needs a number, as in ppl<3" in str(error.content))
        assert [row[0] for row in rows(app)] == ["月亮"], "the last good filter counts"
        await typed(pilot, "3")
        await until(pilot, lambda: not error.display and not app.query_one(RunTable).display)
        assert "None of 4 runs matches the filter" in str(app.query_one("#runs-notice", Static).content)
        await pilot.press("ctrl+u")
        await typed(pilot, "ce")
        await until(pilot, lambda: len(rows(app)) == 4 and app.pane.filter_line.text == "")
        await pilot.press("enter")
        await until(pilot, lambda: app.pane.filter_line.text == "ce")
        await pilot.press("slash", "ctrl+u")
        await typed(pilot, "!月")
        await pilot.press("enter")
        await until(pilot, lambda: app.query_one(RunTable).has_focus and len(rows(app)) == 3)
        await pilot.press("t")
        await until(pilot, lambda: not app.pane.filter_line.display)
        await pilot.press("escape")
        await until(pilot, lambda: app.pane.filter_line.display and app.query_one(RunTable).has_focus)
        await pilot.press("escape")
        await until(pilot, lambda: len(rows(app)) == 4 and not app.pane.filter_line.display)
        assert "escape" not in {key for key, binding in app.screen.active_bindings.items() if binding.enabled}


async def test_any_column_sorts_by_key_and_click(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        table = app.query_one(RunTable)
        await until(pilot, lambda: "model" in table.render_line(0).text.split())
        seen = []
        for _ in table.sort_keys:
            await pilot.press("s")
            seen.append(app.pane.order[0])
        assert sorted(seen) == sorted(table.sort_keys) and len(set(seen)) == len(seen), "each column has its turn"
        for key, names in (("name", "abc"), ("S", "cba"), ("epochs", "cba"), ("ppl", "cba"), ("S", "abc")):
            if key == "S":
                await pilot.press("S")
            else:
                await pilot.click(RunTable, offset=(table.render_line(0).text.index(key) + 1, 0))
            await until(pilot, lambda names=names: [row[0] for row in rows(app)] == list(names))
        assert "▲" in table.render_line(0).text or "▼" in table.render_line(0).text
        await pilot.press("down")
        before = table.selected.name
        await pilot.press("S")
        await until(pilot, lambda: [row[0] for row in rows(app)] == list("cba"))
        assert table.selected.name == before


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
        await until(pilot, lambda: "#best #论文 it rhymes" in rows(app)[1])
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
