"""Runs compared: one chart and one table of the marked runs, which follow their journals, and the same samples."""

from __future__ import annotations

import json
import math
import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input, Static

from core.events import EpochFinished, State, StateChanged
from core.export.event_file import Scalars, event_file
from core.runs.looks import COLOURS, MARKERS, looks
from core.runs.metrics import SMOOTHINGS
from core.runs.run import Run
from core.settings.run_config import RunConfig
from core.units import perplexity_text
from tests.run_folders import made_run, make_run, write_journal
from tests.tui.pane_harness import PaneApp, ScriptedClient
from tests.tui.panes.runs.harness import escape
from tests.tui.waiting import until
from tui.dialogs.name import NameDialog
from tui.dialogs.path_dialog import PathDialog
from tui.panes.runs.compare import Compare
from tui.panes.runs.compare_chart import RunsChart
from tui.panes.runs.compare_runs import SIGNS, Compared, ComparedRuns, What
from tui.panes.runs.compare_samples import RunsSamples
from tui.panes.runs.compare_table import seconds_text, table
from tui.panes.runs.line_table import LineTable
from tui.panes.runs.pane import RunsPane
from tui.shell.footer import KeyLine
from tui.text.cells import cell_len
from tui.themes import DARK, LIGHT

SIZES = [(80, 24), (120, 40), (200, 60)]


@pytest.fixture
def saves(tmp_path: Path) -> Path:
    saves = tmp_path / "saves"
    for number, name in enumerate(("月亮忘记了", "two", "three")):
        make_run(saves, name, epochs=20 + 10 * number, held_out=number != 1, cell=("rnn", "gru", "lstm")[number],
                 created=f"2026-01-0{3 - number}T03:04:05+00:00")  # fmt: skip
    return saves


class RunsApp(PaneApp):
    """The Runs pane alone."""

    read_only = False

    def __init__(self, saves: Path, client: ScriptedClient | None = None) -> None:
        super().__init__(RunsPane(), saves, client)

    @property
    def compare(self) -> Compare:
        return self.query_one(Compare)

    @property
    def table_lines(self) -> list[str]:
        return str(self.query_one("#compare-figures-text").content).split("\n")  # type: ignore[attr-defined]


async def compared(pilot: Any, app: RunsApp, count: int = 3) -> RunsChart:
    """Mark all runs and compare them."""
    await until(pilot, lambda: len(app.pane.table.runs) == count)  # type: ignore[attr-defined]
    await pilot.press("asterisk", "c")
    chart = app.query_one(RunsChart)
    await until(pilot, lambda: len(chart.shown.lines) == count and chart.x_span and app.compare.has_focus)
    return chart


async def test_marked_runs_lie_over_one_another(saves: Path) -> None:
    app = RunsApp(saves)
    async with app.run_test(size=(80, 24)) as pilot:
        chart = await compared(pilot, app)
        for size in SIZES:
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: len(app.table_lines) == 4)
            picture = "\n".join(chart.render_line(row).text for row in range(chart.size.height))
            for line in chart.shown.lines:
                assert picture.count(line.sign) >= 1 and any(line.sign in row for row in app.table_lines), line.name
            signs, styles = ({getattr(line, kind) for line in chart.shown.lines} for kind in ("sign", "style"))
            assert len(signs) == len(styles) == 3
            assert "月亮忘记了" in "".join(app.table_lines) and "cell" in app.table_lines[0]
            assert chart.size.height >= 8 and app.query_one("#compare-figures").size.height >= 3, size
        await pilot.press("escape")
        await until(pilot, lambda: app.pane.table.has_focus)  # type: ignore[attr-defined]


async def test_a_run_that_diverged_leaves_the_others_readable(saves: Path) -> None:
    wild = [
        EpochFinished(1, 9, 1e210, None, 484.0, 0.1, 100.0, 7e4, 0.1),
        EpochFinished(2, 18, math.inf, None, 900.0, 0.1, 100.0, 7e4, 0.1),
    ]
    write_journal(
        made_run(saves, RunConfig(), "wild", created="2026-01-01T00:00:00+00:00"),
        *wild,
        StateChanged(State.DIVERGED, 0),
    )
    app = RunsApp(saves)
    async with app.run_test(size=(120, 40)) as pilot:
        chart = await compared(pilot, app, 4)
        note = app.query_one("#compare-above", Static)
        await until(pilot, lambda: note.display)
        assert str(note.content) == "Above the chart, far worse than guessing: wild (2 of 2 epochs)"
        labels = [chart.render_line(row).text.split("┤")[0].strip() for row in range(chart.size.height)]
        assert not any("e" in label for label in labels if label[:1].isdigit()), labels
        best = max(one.figures.best for one in chart.shown.summaries if one.line.name != "wild")
        assert chart.shown.target == best and f"to {perplexity_text(best)}" in app.table_lines[0]
        app.compare.paths = (saves / "wild",)
        await until(pilot, lambda: len(chart.shown.lines) == 1 and "(1 of 2 epochs)" in str(note.content))
        # There is nothing else to show.
        await until(pilot, lambda: "1e" in "".join(chart.render_line(row).text for row in range(chart.size.height)))
        assert chart.shown.target is None


async def test_infinite_and_huge_perplexities_leave_the_chart_alike(saves: Path) -> None:
    pictures, app = list[list[str]](), RunsApp(saves)
    for name, last in (("huge", 1e210), ("infinite", math.inf)):
        run = made_run(saves, RunConfig(), name, created="2026-01-01T00:00:00+00:00")
        epochs = (
            EpochFinished(n, 9 * n, value, None, loss, 0.1, 100.0, 7e4, 0.1)
            for n, value, loss in ((5, 90.0, 4.5), (9, last, 900.0))
        )
        write_journal(run, *epochs, StateChanged(State.DIVERGED, 0))
    async with app.run_test(size=(120, 40)) as pilot:
        chart, words = await compared(pilot, app, 5), app.query_one("#compare-above", Static)
        for name in ("huge", "infinite"):
            app.compare.paths = (saves / name, saves / "two")
            await until(pilot, lambda name=name: [line.name for line in chart.shown.lines] == [name, "two"])
            await until(pilot, lambda name=name: str(words.content).endswith(f"guessing: {name} (1 of 9 epochs)"))
            chart.cross = 9.0
            await until(pilot, lambda name=name: name in app.table_lines[1] and "at epoch 9" in app.table_lines[0])
            await until(pilot, lambda: chart.render_line(2).text.count("│") == 2)
            sign = chart.shown.lines[0].sign
            pictures.append([chart.render_line(row).text.replace(sign, "*") for row in range(chart.size.height)])
            assert re.split(" {2,}", app.table_lines[1].strip())[1] == {"huge": "1.0e+210", "infinite": ">1e308"}[name]
    assert pictures[0] == pictures[1]


async def test_a_chart_whose_journals_are_not_read_yet_says_so(saves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app, look, may_end = RunsApp(saves), ComparedRuns.view, threading.Event()

    def unfinished(runs: ComparedRuns, *what: Any, **how: Any) -> Compared:
        view = look(runs, *what, **how)
        return view if may_end.is_set() else replace(view, summaries=(), is_complete=False)

    monkeypatch.setattr(ComparedRuns, "view", unfinished)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(app.pane.table.runs) == 3)  # type: ignore[attr-defined]
        await pilot.press("asterisk", "c")
        chart = app.query_one(RunsChart)
        await until(pilot, lambda: "reading" in str(app.compare.border_title))
        assert any("reading …" in chart.render_line(row).text for row in range(chart.size.height))
        may_end.set()
        await until(pilot, lambda: str(app.compare.border_title) == "3 runs compared")


async def test_a_share_is_drawn_from_0_to_1(tmp_path: Path) -> None:
    for name in ("one", "two"):
        epochs = (EpochFinished(n, 8 * n, 9.0, None, 2.2, 0.4, 1.0, 7e4, 0.1, clipped=0.0) for n in (1, 2))
        write_journal(made_run(tmp_path, RunConfig(), name), *epochs)
    app = RunsApp(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        chart = await compared(pilot, app, 2)
        for _ in range(20):
            if chart.shown.what.metric == "clipped":
                break
            before = chart.shown.what
            await pilot.press("m")
            await until(pilot, lambda before=before: chart.shown.what != before)
        await until(pilot, lambda: chart.render_line(0).text.strip() == "share of batches clipped")
        ends = [chart.render_line(row).text.split("┤")[0].strip() for row in (1, chart.size.height - 3)]
        assert ends == ["1.0", "0"]


async def test_keys_choose_figure_axis_smoothing_and_the_run_on_top(saves: Path) -> None:
    app = RunsApp(saves)
    async with app.run_test(size=(120, 40)) as pilot:
        chart = await compared(pilot, app)

        def heading() -> str:
            return chart.render_line(0).text.strip()

        await until(pilot, lambda: heading() == "training perplexity, log scale")
        await pilot.press("m", "x")
        await until(pilot, lambda: heading() == "held-out perplexity over step (batches), log scale")
        assert [len(line.raw) for line in chart.shown.lines].count(0) == 1, "one run has no held-out text"
        await pilot.press("M", "l", "o")
        await until(pilot, lambda: heading() == "training perplexity over step (batches), smoothed 0.6")
        assert all(line.smooth is not None for line in chart.shown.lines)
        for _ in SMOOTHINGS[2:]:
            await pilot.press("o")
        await pilot.press("o", "x", "x", "x")
        await until(pilot, lambda: chart.shown.what == What(axis="time"))
        await pilot.press("x", "p")
        await until(pilot, lambda: app.table_lines[1].startswith("▸"))
        first = chart.shown.lines[0]
        assert chart.pinned == first.path
        for _ in range(3):
            await pilot.press("p")
        await until(pilot, lambda: chart.pinned is None)
        await pilot.click("#compare-figures-text", offset=(8, 2))
        await until(pilot, lambda: chart.pinned == chart.shown.lines[1].path)


async def test_the_crosshair_reads_all_runs(saves: Path) -> None:
    app = RunsApp(saves)
    async with app.run_test(size=(120, 40)) as pilot:
        chart = await compared(pilot, app)
        await pilot.press("o")
        chart.cross = 25.0
        await until(pilot, lambda: all(line.smooth is not None for line in chart.shown.lines))
        await until(pilot, lambda: "at epoch 25" in app.table_lines[0])
        at = {line.split()[1]: line.split()[2] for line in app.table_lines[1:]}
        value = 1 + 1026 * 0.97**25
        assert at == {"月亮忘记了": "–", "two": f"{value:.1f}", "three": f"{value:.1f}"}, "the first has 20 epochs"
        await pilot.press("up")
        await until(pilot, lambda: chart.view is not None)
        assert escape(app) == "Hide"
        await pilot.press("escape")
        await until(pilot, lambda: chart.cross is None and app.pane.has_class("-comparing"))  # type: ignore[attr-defined]
        assert escape(app) == "Back"


async def test_a_live_run_grows_and_the_others_are_not_made_again(saves: Path) -> None:
    app = RunsApp(saves)
    async with app.run_test(size=(120, 40)) as pilot:
        chart = await compared(pilot, app)
        before = {line.name: line.raw for line in chart.shown.lines}
        line = {"event": "epoch", "epoch": 31, "step": 279, "perplexity": 2.0, "validation_perplexity": None,
                "loss": math.log(2), "gradient_norm": 0.1, "learning_rate": 1.0, "tokens_per_second": 1.0,
                "seconds": 0.1}  # fmt: skip
        with (saves / "two" / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        await until(pilot, lambda: any("2.000" in row and "two" in row for row in app.table_lines))
        after = {line.name: line.raw for line in chart.shown.lines}
        assert {name for name in after if after[name] is not before[name]} == {"two"}


async def test_the_time_to_a_perplexity_is_asked_for(saves: Path) -> None:
    app = RunsApp(saves)
    async with app.run_test(size=(120, 40)) as pilot:
        await compared(pilot, app)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, NameDialog))
        dialog = app.screen
        assert isinstance(dialog, NameDialog)
        dialog.query_one("#name-input").value = "0"  # type: ignore[attr-defined]
        await until(pilot, lambda: "at least 1" in str(dialog.query_one("#dialog-error").content))  # type: ignore[attr-defined]
        dialog.query_one("#name-input").value = "500"  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(pilot, lambda: "to 500.0" in app.table_lines[0])
        reached = next(epoch for epoch in range(1, 99) if 1 + 1026 * 0.97**epoch <= 500)
        (line,) = [line for line in app.table_lines if " two " in line]
        assert seconds_text(reached * 0.1) in line


async def test_every_run_writes_the_same_sample(saves: Path) -> None:
    client = ScriptedClient(
        [{"event": "text", "text": "了\n[b]很久"}, {"event": "done", "text": "分开了\n[b]很久", "unknown": ["分"]}]
    )
    write_journal(Run(saves / "two"), StateChanged(State.DIVERGED, 7))
    app = RunsApp(saves, client)
    async with app.run_test(size=(120, 40)) as pilot:
        chart = await compared(pilot, app)
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, NameDialog))
        line = app.screen.query_one("#name-input", Input)
        assert line.placeholder == "beginning of the text"
        line.value = "分开"
        await pilot.press("enter")
        await until(pilot, lambda: len(client.asked) == 3)
        samples = app.query_one(RunsSamples)
        await until(pilot, lambda: len(app.engines.released) == 3)
        assert len({(one["prefix"], one["seed"], one["length"]) for one in client.asked}) == 1
        assert client.asked[0]["prefix"] == "分开" and app.engines.opened == app.engines.released
        texts = [str(text.content) for text in samples.query(".sample")]  # type: ignore[attr-defined]
        note = "not in the vocabulary: 分, read as <unk>"
        assert all(text.endswith(f"分开了\n[b]很久\n{note}") for text in texts) and "月亮忘记了" in "".join(texts)
        weights = "two\nIt diverged: it writes with its weights of epoch 7.\n"
        assert [weights in text for text in texts] == [" two\n" in text for text in texts] and weights in "".join(texts)
        keys = ("m", "x", "l", "o", "p", "t", "a", "left", "up")
        assert not set(keys) & {key for key, active in app.screen.active_bindings.items() if active.enabled}
        before = chart.shown.what, chart.scale, chart.pinned, chart.view, chart.cross
        await pilot.press(*keys)
        assert (chart.shown.what, chart.scale, chart.pinned, chart.view, chart.cross) == before
        await pilot.press("escape")
        await until(pilot, lambda: not samples.display and app.query_one(RunsChart).display)


async def test_curves_of_other_programs_come_and_go(saves: Path, tmp_path: Path) -> None:
    table = tmp_path / "基线.csv"
    table.write_text("global_step,val_loss\n100,2.0\n200,1.0\n", encoding="utf-8")
    logs = tmp_path / "logs"
    logs.mkdir()
    events = [Scalars(step, 1.7e9 + step, {"loss": 3.0 / step}) for step in (1, 2, 3)]
    (logs / "events.out.tfevents.1.box").write_bytes(event_file(events, 1.7e9))
    app = RunsApp(saves)
    async with app.run_test(size=(120, 40)) as pilot:
        chart = await compared(pilot, app)

        async def add(path: str) -> None:
            await pilot.press("a")
            await until(pilot, lambda: isinstance(app.screen, PathDialog))
            app.screen.query_one("#path-line").value = path  # type: ignore[attr-defined]
            await pilot.press("enter")

        await add(f"{tmp_path}/none.csv")
        await until(pilot, lambda: "none.csv cannot be read" in str(app.screen.query_one("#dialog-error").content))  # type: ignore[attr-defined]
        app.screen.query_one("#path-line").value = str(table)  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(
            pilot, lambda: len(chart.shown.lines) == 4 and chart.shown.what == What("validation_perplexity", "step")
        )
        assert chart.shown.lines[-1].name == "基线" and not chart.shown.lines[-1].is_run
        assert any("基线" in line and "2.718" in line for line in app.table_lines), "the perplexity of its loss"
        await add(str(logs))
        await until(pilot, lambda: len(chart.shown.lines) == 5 and len(chart.shown.lines[-1].raw) == 3)
        assert "2 other curves" in str(app.compare.border_title)
        with table.open("a") as file:
            file.write("300,0.5\n")
        app.compare.what = What("validation_loss", "step")
        await until(pilot, lambda: [len(line.raw) for line in chart.shown.lines if line.name == "基线"] == [3])
        await pilot.press("delete")
        await until(pilot, lambda: [line.name for line in chart.shown.lines][-1] == "基线")
        app.compare.pinned = saves / "two"
        await pilot.press("delete")
        await until(pilot, lambda: [line.name for line in chart.shown.lines] == ["月亮忘记了", "three", "基线"])
        assert (saves / "two").exists() and app.compare.pinned is None


def test_looks_are_stable_and_distinct() -> None:
    names = [f"run-{number}" for number in range(50)]
    found = looks(names)
    assert len(set(found.values())) == 50 and all(c < COLOURS and m < MARKERS for c, m in found.values())
    assert len({colour for colour, _ in list(found.values())[:COLOURS]}) == COLOURS
    assert looks(["new", *names[10:]], found) == {"new": looks(["new", *names[10:]], found)["new"]} | {
        name: found[name] for name in names[10:]
    }, "a run keeps its look when another is added or removed"
    assert len(SIGNS) == MARKERS
    for theme in (DARK, LIGHT):
        assert len({theme.variables[f"run-{number}"] for number in range(1, COLOURS + 1)}) == COLOURS


def test_labels_and_numbers_of_the_settings_are_whole(tmp_path: Path) -> None:
    seed = 2**63 - 1
    paths = [make_run(tmp_path, name, initialisation=name, seed=seed - n).path
             for n, name in enumerate(("normal", "uniform"))]  # fmt: skip
    lines = table(ComparedRuns().view(paths, What(), None, seconds=1e9)).text(200).plain.splitlines()
    assert lines[0].rstrip().endswith("weights  initial weights                       seed")
    assert {line.split()[-1] for line in lines[1:]} == {f"{seed:,}", f"{seed - 1:,}"}


async def test_columns_are_whole_and_the_names_stay(saves: Path) -> None:
    """Whatever the width, no column is cut: keys show those that do not fit, and marks say on which side they are."""
    app = RunsApp(saves)
    async with app.run_test(size=(80, 24)) as pilot:
        chart = await compared(pilot, app)
        lines = app.query_one("#compare-figures", LineTable)
        footer = app.query_one(KeyLine)
        await until(pilot, lambda: "<> Table esc Back" in str(footer.render()))
        for width in (80, 73, 60):
            await pilot.resize_terminal(width, 24)
            await pilot.press(*["less_than_sign"] * lines.skipped)
            await until(pilot, lambda width=width: lines.outer_size.width < width and lines.skipped == 0)
            columns, seen = table(chart.shown).columns, set[str]()
            while True:
                heading, *rows = app.table_lines
                assert max(map(cell_len, app.table_lines)) < lines.outer_size.width, (width, heading)
                shown = re.split(" {2,}", heading.strip(" ›").replace("‹", " "))
                for number, row in enumerate(rows):
                    found = re.split(" {2,}", row[4:])
                    words = [column.words[number] for column in columns if column.label in shown]
                    assert [word.strip() for word in found] == words, (width, row)
                seen |= set(shown)
                if not heading.endswith("›"):
                    break
                await pilot.press("greater_than_sign")
                await until(pilot, lambda heading=heading: app.table_lines[0] != heading)
            assert "‹ " in heading and seen == {column.label for column in columns}
        await pilot.resize_terminal(200, 60)
        await until(pilot, lambda: not set("‹›") & set(app.table_lines[0]) and "Table" not in str(footer.render()))


def test_of_long_curves_the_first_is_whole_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.panes.runs.compare_runs.CHUNK", 1000)
    paths = [make_run(tmp_path, name, epochs=20).path for name in ("one", "two")]
    runs, seen = ComparedRuns(), []
    while not seen or sum(seen[-1]) < 40:
        view = runs.view(paths, What(), None, seconds=0)
        seen.append(tuple(len(line.raw) for line in view.lines))
        assert not view.is_complete
    assert any(0 < first < 20 for first, _ in seen) and all(first == 20 or not second for first, second in seen)
    assert runs.view(paths, What(), None, seconds=0).is_complete


def test_runs_of_other_folders_and_without_settings_are_compared(tmp_path: Path) -> None:
    here, there = make_run(tmp_path / "a", "one"), make_run(tmp_path / "b", "one", epochs=3)
    there.metadata_path.write_text("{", encoding="utf-8")
    runs = ComparedRuns()
    view = runs.view([here.path, there.path, tmp_path / "gone"], What(), None)
    assert [line.name for line in view.lines] == ["a/one", "b/one", "gone"]
    assert [len(line.raw) for line in view.lines] == [10, 3, 0]
    assert [summary.parameters for summary in view.summaries] == [592_387, None, None]
    assert view.is_complete and view.target == pytest.approx(1 + 1026 * 0.97**3), "all runs with epochs reached it"
