"""The Runs pane: the list, its keys, its dialogs, and what cannot be done."""

from __future__ import annotations

import math
from pathlib import Path

from textual.widgets import Button, Static

from core.events import EpochFinished, State, StateChanged
from core.runs.annotation import annotate
from tests.run_folders import make_run, write_journal
from tests.tui.pane_harness import PaneApp
from tests.tui.panes.runs.harness import SIZE, listed, rows
from tests.tui.waiting import until
from tui.charts.widget import Chart
from tui.messages import RunChosen
from tui.panes.runs.pane import RunsPane
from tui.panes.runs.run_details import sampled_epochs
from tui.panes.runs.run_table import RunTable


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


async def test_a_run_is_chosen_by_key_and_by_button(saves: Path) -> None:
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=(80, 24)) as pilot:
        await listed(pilot, app)
        await pilot.press("down")
        for key, purpose in (("enter", "watch"), ("g", "generate"), ("r", "resume"), ("#runs-generate", "generate")):
            app.messages.clear()
            await (pilot.click(key) if key.startswith("#") else pilot.press(key))
            await until(pilot, lambda: app.of(RunChosen))
            assert [(event.path.name, event.purpose) for event in app.of(RunChosen)] == [("b", purpose)], key


async def test_an_empty_list_says_so_to_its_keys_and_an_empty_trash_has_none(tmp_path: Path) -> None:
    app = PaneApp(RunsPane(), tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        notice = app.query_one("#runs-notice", Static)
        await until(pilot, lambda: "no runs yet" in str(notice.content))
        await pilot.press("delete")
        await until(pilot, lambda: app.notices[-1:] == ["There are no runs yet."])
        await pilot.press("t")
        await until(pilot, lambda: "The trash is empty" in str(notice.content))
        assert not {"delete", "u", "e"} & app.screen.active_bindings.keys(), "the trash offers nothing"


async def test_details_name_what_is_unusual(saves: Path) -> None:
    run = make_run(saves, "new", epochs=40, created="2027-01-01T00:00:00+00:00", optimiser="adam", learning_rate=0.001,
                   initialisation="uniform")  # fmt: skip
    annotate(run, note="a remark " * 20)
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app, 4)
        details = app.query_one("#run-details-text", Static)
        await until(pilot, lambda: "adam" in str(details.content))
        words = str(details.content)
        assert "0.001" in words and "abababab" in words and "momentum" not in words
        assert "initial weights  uniform" in words
        assert words.count("remark") == 20 and words.count("note") == 1
        await pilot.resize_terminal(80, 24)
        scroll = app.query_one("#run-details-scroll")
        await until(pilot, lambda: scroll.max_scroll_y > 0)
        await pilot.press("shift+down")
        await until(pilot, lambda: scroll.scroll_y > 0)
        await pilot.press("shift+up")
        await until(pilot, lambda: scroll.scroll_y == 0)


async def test_details_of_a_run_that_diverged(saves: Path) -> None:
    run = make_run(saves, "wild", state="training", epochs=0, created="2027-01-01T00:00:00+00:00")
    points = [EpochFinished(n, n * 8, math.inf, None, 900.0 * n, 7.0, 1e6, 7e4, 0.1) for n in (1, 2, 3)]
    write_journal(run, *points, StateChanged(State.DIVERGED, 0, "the loss exploded"))
    app = PaneApp(RunsPane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await listed(pilot, app, 4)
        chart = app.query_one("#run-details-chart", Chart)
        await until(pilot, lambda: chart.render_line(0).text.startswith("loss in nats"))
        details = app.query_one("#run-details-text", Static)
        assert "it diverged: initial weights again" in str(details.content)
        write_journal(run, StateChanged(State.DIVERGED, 2, "the loss exploded"))
        app.pane.reload()  # type: ignore[attr-defined]
        await until(pilot, lambda: "it diverged: weights of epoch 2 again" in str(details.content))


def test_a_long_journal_is_looked_at_in_few_places(tmp_path: Path) -> None:
    run = make_run(tmp_path, "long", epochs=5000)
    points = sampled_epochs(run.journal_path, places=50)
    epochs = [point.epoch for point in points]
    assert 40 <= len(points) <= 70 and epochs == sorted(epochs)
    assert epochs[0] == 1 and epochs[-1] == 5000
    assert [point.epoch for point in sampled_epochs(make_run(tmp_path, "short", epochs=3).journal_path)] == [1, 2, 3]
    assert sampled_epochs(tmp_path / "none.jsonl") == []
