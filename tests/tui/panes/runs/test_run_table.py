"""The table of runs: its columns, its order, its filter, its cursor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual.strip import Strip
from textual.widgets import Static

from core.runs.annotation import annotate
from core.runs.summary import run_summary
from tests.run_folders import make_run
from tests.tui.pane_harness import PaneApp
from tests.tui.panes.runs.harness import SIZE, escape, list_title, listed, rows, typed
from tests.tui.parts import title
from tests.tui.waiting import until
from tui.dialogs.confirm import ConfirmDialog
from tui.messages import RunChosen
from tui.panes.runs.pane import RunsPane
from tui.panes.runs.run_table import RunTable


async def test_newest_first_with_the_figures_there_is_room_for(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app)
        assert [row[0] for row in rows(app)] == ["c", "b", "a"]
        assert rows(app)[0][:4] == ["c", "✓ finished", "3/250", "937.4"]
        await until(pilot, lambda: "scratch rnn 256" in rows(app)[0])  # once it knows its width
        table = app.query_one(RunTable)

        def keys() -> set[str]:
            return set(table.render_line(0).text.split())

        for size, there in ((SIZE, True), ((80, 24), False)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda there=there: ("model" in keys()) is there)
            assert {"name", "state", "epochs", "ppl"} <= keys(), size
            assert table.virtual_size.width <= table.size.width, size
        for key, row in (("end", 2), ("home", 0)):
            await pilot.press(key)
            await until(pilot, lambda row=row: table.cursor_row == row)

        def colours() -> list[object]:
            return [segment.style.color for segment in table.render_line(1) if segment.style]

        dark = colours()
        app.theme = "playground-light"
        await until(pilot, lambda: colours() != dark)
        assert table.cursor_row == 0


async def test_tags_take_what_the_other_columns_leave(saves: Path) -> None:
    annotate(make_run(saves, "tagged"), ("classroom-monday",), "what we tried with everybody in the room on Monday")
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app, 4)
        for width, there in ((120, {"model", "corpus", "held"}), (80, {"ppl"})):
            await pilot.resize_terminal(width, 40)
            await until(pilot, lambda width=width: app.query_one(RunTable).size.width < width)
            heading = app.query_one(RunTable).render_line(0).text
            assert there | {"tags,", "epochs"} <= set(heading.split()), (width, heading)
            shown = next(row for row in rows(app) if row[0] == "tagged")
            assert any(cell.startswith("#classroo") and cell.endswith("…") for cell in shown), (width, shown)


async def test_a_model_is_whole_before_another_column_is_padded(tmp_path: Path) -> None:
    for name, cell in (("one", "rnn"), ("two", "lstm")):
        annotate(make_run(tmp_path, name, cell=cell, held_out=True), ("best", "keep"))
    app = PaneApp(RunsPane(), tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(pilot, app, 2)
        await until(pilot, lambda: "held" in app.query_one(RunTable).render_line(0).text)
        assert {"✓ finished", "scratch lstm 256", "lyrics-zh", "#best #keep"} <= {
            cell for row in rows(app) for cell in row
        }
        make_run(tmp_path, "three", "interrupted")
        await listed(pilot, app, 3)
        assert any("? interrupted" in row for row in rows(app)), rows(app)


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
    async with app.run_test(size=(80, 24)) as pilot:
        await listed(pilot, app, 5)
        for size in ((80, 24), (120, 40)):
            await pilot.resize_terminal(*size)
            shown = [row[0] for row in rows(app)][:2]
            assert sorted(name[-4:] for name in shown) == ["0001", "0002"] and len(set(shown)) == 2, size
            assert app.query_one(RunTable).virtual_size.width <= app.query_one(RunTable).size.width, size


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
        assert escape(app) == "Back"
        await pilot.press("escape")
        await until(pilot, lambda: app.pane.filter_line.display and app.query_one(RunTable).has_focus)
        assert escape(app) == "End filter"
        await pilot.press("space", "escape")
        await until(pilot, lambda: len(rows(app)) == 4 and not app.pane.filter_line.display)
        assert escape(app) == "Unmark" and app.pane.marked
        await pilot.press("escape")
        assert escape(app) == "" and not app.pane.marked


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
