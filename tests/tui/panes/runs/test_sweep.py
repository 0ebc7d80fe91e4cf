"""A sweep over the list of runs: its table, its chart, and what can be done with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.settings.run_config import RunConfig
from core.sweep.folder import PRUNED, Outcome, SweepFolder
from core.sweep.sweep import Sweep
from tests.run_folders import make_run
from tests.tui.pane_harness import PaneApp
from tests.tui.waiting import until
from tui.messages import RunChosen
from tui.panes.runs import sweep as sweep_module
from tui.panes.runs.compare import Compare
from tui.panes.runs.pane import RunsPane
from tui.panes.runs.sweep import EMPTY, SweepView
from tui.panes.runs.sweep_parts import setting_chart
from tui.panes.runs.sweep_reading import SweepSeen, importances_in
from tui.shell.footer import KeyLine
from tui.text.keys import keyed

SIZES = [(80, 24), (120, 40), (200, 60)]


@pytest.fixture(autouse=True)
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Optuna says that the learning rate matters."""

    async def shares(*_: object) -> dict[str, float]:
        return {"learning_rate": 0.875}

    monkeypatch.setattr(sweep_module, "importances", shares)


@pytest.fixture
def saves(tmp_path: Path) -> Path:
    """A grid of four runs of which two are done, a third one trains and the last has not begun; and a search."""
    saves = tmp_path / "saves"
    saves.mkdir()
    grid = SweepFolder(saves, "格")
    sweep = grid.begin(Sweep("格", RunConfig(), ("cell=rnn,gru", "num_hiddens=64,256")))
    for number, planned in enumerate(sweep.runs()[:3]):
        state = "training" if number == 2 else "finished"
        make_run(saves, planned.name, state, epochs=10 * (number + 1), cell=planned.config.cell)
        grid.set_outcome(planned.name, Outcome(planned.values, "" if number == 2 else state))
    search = SweepFolder(saves, "search")
    search.begin(Sweep("search", RunConfig(), ("learning_rate=0.1..100:log",), trials=5))
    for number in range(4):
        name = f"search-00{number + 1}"
        state = ("finished", PRUNED, PRUNED, "diverged")[number]
        make_run(saves, name, "stopped" if state == PRUNED else state, epochs=5 * (number + 1))
        search.set_outcome(name, Outcome({"learning_rate": 0.123456 * 10**number}, state))
    return saves


class RunsApp(PaneApp):
    """The Runs pane alone."""

    def __init__(self, saves: Path) -> None:
        super().__init__(RunsPane(), saves)

    @property
    def sweep(self) -> SweepView:
        return self.query_one(SweepView)

    @property
    def lines(self) -> list[str]:
        return str(self.query_one("#sweep-table-text").content).split("\n")  # type: ignore[attr-defined]


async def shown(pilot: Any, app: RunsApp, name: str) -> None:
    """Open the sweeps and turn to that one."""
    await pilot.press("w")
    await until(pilot, lambda: app.sweep.has_focus and app.sweep.seen.name)
    while app.sweep.seen.name != name:
        before = app.sweep.seen.name
        await pilot.press("n")
        await until(pilot, lambda before=before: app.sweep.seen.name != before)


def keys(app: RunsApp) -> dict[str, bool]:
    """The keys that the footer has shown last, and whether they are enabled."""
    return {key.key: key.enabled for key in app.screen.query_one(KeyLine).keys}


@pytest.mark.parametrize("size", SIZES)
async def test_a_grid_is_a_table_with_the_best_first(saves: Path, size: tuple[int, int]) -> None:
    app = RunsApp(saves)
    async with app.run_test(size=size) as pilot:
        await shown(pilot, app, "格")
        assert str(app.sweep.border_title) == "grid 格 · 2 of 4 runs · stopped · 2 of 2 sweeps"
        heading, *rows = app.lines
        assert heading.split() == ["run", "cell", "hidden", "best", "training", "at", "epochs", "state", "time"]
        assert [row.split()[-3] for row in rows] == ["interrupted", "finished", "finished", "waiting"]
        assert [row.split("格-")[1].split()[0] for row in rows] == ["gru-64", "rnn-256", "rnn-64", "gru-256"]
        await until(pilot, lambda: keys(app).items() >= {"enter": True, "g": True}.items() and "x" not in keys(app))
        chart = app.query_one(".-place-0")
        assert chart.size.height >= 5, "there is room for the chart"
        await until(pilot, lambda: "rnn" in "".join(chart.render_line(row).text for row in range(3)))
        await pilot.press("m")
        await until(pilot, lambda: any("hidden" in chart.render_line(row).text for row in range(chart.size.height)))
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.of(RunChosen))
        assert app.of(RunChosen)[0] == RunChosen(saves / "格-rnn-256", "watch")
        await pilot.click("#sweep-table-text", offset=(8, 3))
        await until(pilot, lambda: app.sweep.cursor == 2)
        await pilot.click("#sweep-table-text", offset=(8, 3))
        await until(pilot, lambda: app.of(RunChosen)[1:] == [RunChosen(saves / "格-rnn-64", "watch")])
        await pilot.press("b")
        await until(pilot, lambda: app.of(RunChosen)[2:] == [RunChosen(saves / "格-gru-64", "watch")])
        await pilot.press("down", "enter")
        await until(pilot, lambda: any("格-gru-256 has not begun yet" in notice for notice in app.notices))
        await pilot.press("escape")
        await until(pilot, lambda: app.pane.table.has_focus)  # type: ignore[attr-defined]


async def test_its_curves_are_compared_and_back(saves: Path) -> None:
    app = RunsApp(saves)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, app, "格")
        await pilot.press("c")
        compare = app.query_one(Compare)
        await until(pilot, lambda: compare.has_focus and len(compare.chart.shown.lines) == 3)
        await pilot.press("escape")
        await until(pilot, lambda: app.sweep.has_focus)


async def test_the_keys_that_scroll_its_table_are_in_the_footer_where_it_is_cut(saves: Path) -> None:
    app = RunsApp(saves)
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(pilot, app, "格")
        await until(pilot, lambda: keys(app).get("enter") and "less_than_sign" not in keys(app))
        await pilot.resize_terminal(50, 24)
        await until(pilot, lambda: keys(app).get("less_than_sign") and app.lines[0].endswith("›"))
        heading = app.lines[0]
        await pilot.press("greater_than_sign")
        await until(pilot, lambda: app.lines[0] != heading)


async def test_it_is_stopped_and_goes_on(saves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[SweepFolder] = []
    monkeypatch.setattr(sweep_module, "launch", begun.append)
    folder, app = SweepFolder(saves, "格"), RunsApp(saves)
    work = folder.work()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "sweep 格" in str(app.query_one("#runs-list").border_title))
        await shown(pilot, app, "格")
        assert "training" in str(app.sweep.border_title) and app.sweep.check_action("go", ()) is False
        await pilot.press("g", "x")
        await until(pilot, folder.is_asked_to_stop)
        assert not begun
        work.close()
        await until(pilot, lambda: app.sweep.check_action("go", ()))
        await until(pilot, lambda: any("格 has stopped after 2 of 4 runs" in notice for notice in app.notices))
        await pilot.press("g")
        await until(pilot, lambda: begun)
        assert begun[0].path == folder.path


async def test_the_runs_of_other_machines_are_listed_with_their_place(saves: Path) -> None:
    folder, gone = SweepFolder(saves, "search"), "no sign of life for 120 s, another run takes its place in the search"
    folder.set_outcome("search-005", Outcome({"learning_rate": 0.5}, "finished", place="盒子[b]", loss=0.0))
    folder.set_outcome("search-006", Outcome({"learning_rate": 2.5}, "given up", gone, "盒子[b]"))
    app = RunsApp(saves)
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(pilot, app, "search")
        _, first, *_, last = app.lines
        assert first.split()[2:] == ["search-005", "0.5", "1.000", "–", "–", "finished", "on", "盒子[b]", "–"]
        assert last.split()[1:] == ["search-006", "2.5", "–", "–", "–", "given", "up", "on", "盒子[b]", "–"]
        await pilot.press("enter")
        await until(pilot, lambda: any("search-005 is in the runs of 盒子[b]" in notice for notice in app.notices))
        app.sweep.cursor = len(app.lines) - 2
        words = app.query_one("#sweep-words")
        await until(pilot, lambda: f"search-006: {gone}" in str(words.content))  # type: ignore[attr-defined]


async def test_a_search_shows_what_matters(saves: Path) -> None:
    app = RunsApp(saves)
    async with app.run_test(size=(120, 40)) as pilot:
        await shown(pilot, app, "search")
        assert str(app.sweep.border_title).startswith("search search · 4 of 5 runs · stopped")
        words = app.query_one("#sweep-words")
        await until(pilot, lambda: "importance: lr 88%" in str(words.content))  # type: ignore[attr-defined]
        assert "perplexity over lr · 1 diverged, not drawn" in str(words.content)  # type: ignore[attr-defined]
        SweepFolder(saves, "search").log_path.write_text("search: 5 runs\nerror: a search needs [Optuna]\n")
        await until(pilot, lambda: "a search needs [Optuna]" in str(words.content))  # type: ignore[attr-defined]
        assert "0.1235" in "".join(app.lines) and sum("pruned" in line for line in app.lines) == 2


async def test_without_a_sweep_it_says_how_to_begin_one(tmp_path: Path) -> None:
    app = RunsApp(tmp_path / "nothing")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("w")
        notice = app.query_one("#sweep-notice")
        await until(pilot, lambda: str(notice.content) == keyed(EMPTY))  # type: ignore[attr-defined]
        await pilot.press("enter", "b", "c", "m", "x", "g", "n", "left", "up", "down", "escape")
        await until(pilot, lambda: not app.sweep.display)


async def test_a_damaged_sweep_is_a_sentence(saves: Path) -> None:
    path = SweepFolder(saves, "格").path
    (path / "格-rnn-64.json").write_text(
        '{"values": {"cell": [1], "num_hiddens": "[red]"}, "state": 3, "message": null}'
    )
    app = RunsApp(saves)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, app, "格")
        await pilot.press("m", "m")
        assert "[red]" in "".join(app.lines)
    (path / "sweep.json").write_text("{")
    app = RunsApp(saves)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("w")
        app.sweep.show_sweep("格")
        notice = app.query_one("#sweep-notice")
        await until(pilot, lambda: "is cut or damaged" in str(notice.content))  # type: ignore[attr-defined]


def test_what_optuna_says_is_read() -> None:
    line = {"event": "importance", "shares": {"cell": 0.25, "clip": 0.75}}
    assert importances_in(b'{"event": "result"}\n' + json.dumps(line).encode() + b"\n") == {"cell": 0.25, "clip": 0.75}
    assert importances_in(b"error") == importances_in(b"") == importances_in(b"[1]\n3") == {}
    drawing = setting_chart(SweepSeen(), 0, 20, 5)
    assert (drawing.width, drawing.height) == (20, 5)
