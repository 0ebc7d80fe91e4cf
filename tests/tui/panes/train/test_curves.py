"""The charts of the Train pane: figures, smoothing, crosshair and zoom, and several charts where there is room."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest

from core.events import EpochFinished, Measured, RunResumed, State, StateChanged
from core.runs.metrics import METRICS
from core.scales import LINEAR, LOG, SCALES
from core.settings.run_config import RunConfig
from tests.run_folders import made_run, write_journal
from tests.scales import SQUARE_ROOT
from tests.tui.fake_engine import scripted_epoch
from tests.tui.parts import train_pane
from tests.tui.waiting import until
from tui.app import Playground
from tui.charts.curve_chart import CurveChart
from tui.engines.watched_run import WatchedRun
from tui.panes.train.curves import figures_of, metrics_of, show_figure

Make = Callable[[], Playground]


def trained(saves: Path) -> Path:
    run = made_run(saves, RunConfig(validation_fraction=0.1), "one")
    write_journal(run, StateChanged(State.TRAINING, 0), *(scripted_epoch(epoch, 100.0, True) for epoch in range(1, 51)))
    write_journal(run, Measured(50, 0.9, 0.2), StateChanged(State.STOPPED, 50))
    return run.path


async def test_epochs_that_explode_do_not_flatten_those_before(playground: Make, saves: Path) -> None:
    run = made_run(saves, RunConfig(), "one")
    explosion = replace(scripted_epoch(51, 100.0, False), perplexity=1e210, loss=484.0)
    write_journal(run, *(scripted_epoch(epoch, 100.0, False) for epoch in range(1, 51)), explosion)
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.open_run(run.path)
        chart = app.query_one("#curve", CurveChart)
        await until(pilot, lambda: chart.display and chart.x_span and train_pane(app).run.epoch == 51)
        await until(pilot, lambda: "some values are above the chart" in chart.render_line(0).text)
        assert not any("1e" in chart.render_line(row).text for row in range(chart.size.height))
        write_journal(run, RunResumed(0, 0), explosion)
        await until(pilot, lambda: any("1e2" in chart.render_line(row).text for row in range(chart.size.height)))
        assert "above the chart" not in chart.render_line(0).text, "there is nothing else to show"


async def test_a_share_is_drawn_from_0_to_1(playground: Make, saves: Path) -> None:
    run = made_run(saves, RunConfig(), "one")
    write_journal(run, *(replace(scripted_epoch(epoch), clipped=0.0) for epoch in range(1, 11)))
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.open_run(run.path)
        chart = app.query_one("#curve", CurveChart)
        await until(pilot, lambda: chart.display and chart.x_span and train_pane(app).run.epoch == 10)
        show_figure(chart, train_pane(app).run, "clipped")
        chart.scale = LINEAR
        await until(pilot, lambda: chart.render_line(0).text.startswith("share of batches clipped"))
        ends = [chart.render_line(row).text.split("┤")[0].strip() for row in (1, chart.size.height - 3)]
        assert ends == ["1.0", "0"]


async def test_the_crosshair_begins_at_the_latest_epoch_and_is_of_one_run(playground: Make, saves: Path) -> None:
    runs = [made_run(saves, RunConfig(num_epochs=4000), name) for name in ("long", "other")]
    for run, epochs in zip(runs, (35, 3), strict=True):
        write_journal(run, *(scripted_epoch(epoch) for epoch in range(1, epochs + 1)), StateChanged(State.STOPPED, 9))
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.open_run(runs[0].path)
        chart = app.query_one("#curve", CurveChart)
        for run, latest in zip(runs, (35, 3), strict=True):
            await app.open_run(run.path)
            await until(pilot, lambda latest=latest: chart.x_span and chart.latest == latest)
            assert chart.cross is None
            await pilot.press("left")
            await until(pilot, lambda latest=latest: chart.render_line(0).text.startswith(f"epoch {latest} "))
            assert chart.cross == latest and "–" not in chart.render_line(0).text


async def test_keys_choose_the_figure_and_read_it(playground: Make, saves: Path) -> None:
    path = trained(saves)
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.open_run(path)
        chart = app.query_one("#curve", CurveChart)
        await until(pilot, lambda: chart.display and chart.x_span and train_pane(app).run.epoch == 50)

        def heading() -> str:
            return chart.render_line(0).text

        await until(pilot, lambda: heading().startswith("perplexity, log scale"))
        await pilot.press("right", "ctrl+right")
        await until(pilot, lambda: heading().startswith("epoch ") and "held out" in heading())
        await pilot.press("escape")
        await until(pilot, lambda: chart.cross is None)
        seen = []
        for _ in figures_of(train_pane(app).run):
            seen.append(heading().split("  ")[0])
            before = heading()
            await pilot.press("m")
            await until(pilot, lambda before=before: heading() != before)
        assert seen == [
            "perplexity, log scale", "loss in nats", "loss in bits", "gradient norm, log scale", "learning rate",
            "tokens/s", "gradient's factor through time", "share of units saturated", "seconds per epoch",
        ]  # fmt: skip
        await until(pilot, lambda: heading().startswith("perplexity, log scale"))
        await pilot.press("o", "up")
        await until(pilot, lambda: "smoothed 0.6" in heading() and chart.view == (62.5, 187.5))
        await pilot.press("home")
        await until(pilot, lambda: chart.view is None)


async def test_a_large_screen_has_several_charts_of_the_same_epochs(playground: Make, saves: Path) -> None:
    path = trained(saves)
    app = playground()
    async with app.run_test(size=(200, 60)) as pilot:
        await app.open_run(path)
        small = list(app.query(".small").results(CurveChart))
        await until(pilot, lambda: all(chart.x_span for chart in small))
        titles = [chart.render_line(0).text.split(",")[0].strip() for chart in small]
        assert titles == ["gradient norm", "learning rate", "tokens/s", "gradient's factor through time"]
        await pilot.press("right", "up")
        charts = list(app.query(CurveChart))
        await until(pilot, lambda: all(chart.view and chart.cross == charts[0].cross for chart in charts))
        small[1].explore("whole")
        await until(pilot, lambda: not any(chart.view for chart in charts))
        await pilot.press("home", "m", "m", "m")
        await until(pilot, lambda: small[0].render_line(0).text.startswith(("learning rate", "epoch")))
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: not any(chart.is_on_screen for chart in small))


def test_every_figure_of_the_journal_can_be_shown() -> None:
    figures = [field.name for kind in (EpochFinished, Measured) for field in fields(kind)]
    run = WatchedRun(Path("one"))
    run.apply([EpochFinished(*range(1, len(fields(EpochFinished)) + 1)), Measured(1, 0.5, 0.25)])
    shown = {
        name for figure in figures_of(run) for name in (metrics_of(figure) or ("perplexity", "validation_perplexity"))
    }
    assert set(figures) - {"epoch", "step"} <= shown <= METRICS.keys()


def test_figures_are_undone_by_a_resume() -> None:
    run = WatchedRun(Path("one"))
    run.apply([*(scripted_epoch(epoch, rate=10.0 * epoch) for epoch in range(1, 6)), Measured(4, None, 0.5)])
    assert figures_of(run)[3:] == ["gradient_norm", "learning_rate", "tokens_per_second", "saturated", "seconds"]
    assert "clipped" not in figures_of(run), "nothing was clipped"
    run.apply([RunResumed(2, 0), scripted_epoch(3, rate=7.0)])
    assert run.figures["learning_rate"].points()[1].tolist() == [10.0, 20.0, 7.0]
    assert not len(run.figures["saturated"].points()[0])
    assert math.isclose(run.figures["seconds"].points()[1].sum(), 3 * 0.125)


async def test_each_figure_keeps_its_own_scale(playground: Make, saves: Path) -> None:
    path, bare = trained(saves), made_run(saves, RunConfig(), "two").path
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.open_run(path)
        pane, chart = train_pane(app), app.query_one("#curve", CurveChart)
        await until(pilot, lambda: chart.display and chart.x_span and pane.run.epoch == 50)
        await pilot.press("l", *"mmml")
        assert pane.view.figure == "gradient_norm"
        assert pane.view.scale is LINEAR
        await pilot.press("l")
        assert pane.view.scale is LOG
        await pilot.press(*"mmmm")
        assert pane.view.figure == "saturated"
        await app.open_run(bare)
        await until(pilot, lambda: not chart.display)
        await pilot.press("m")
        assert pane.view.figure == "nats", "the figure before is absent in a run without epochs"
        await pilot.press("m")
        await app.open_run(path)
        await until(pilot, lambda: chart.display)
        await pilot.press(*"m" * (len(figures_of(pane.run)) - 2))
        assert (pane.view.figure, pane.view.scale) == ("perplexity", LINEAR)


async def test_a_new_scale_has_its_turn_with_the_key(
    playground: Make, saves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SCALES, SQUARE_ROOT.name, SQUARE_ROOT)
    path = trained(saves)
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.open_run(path)
        pane, chart = train_pane(app), app.query_one("#curve", CurveChart)
        await until(pilot, lambda: chart.display and chart.x_span and pane.run.epoch == 50)
        await pilot.press("l", "l")
        assert chart.scale is SQUARE_ROOT
        assert "perplexity, sqrt scale" in chart.draw(60, 14).plain
        await pilot.press("l")
        assert pane.view.scale is LOG
