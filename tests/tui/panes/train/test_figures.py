"""The figures of a run: both perplexities, estimates, baselines."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from textual.widgets import Static

from core.engine.answers import BaselinesAnswer
from core.events import EpochFinished, RunResumed, SampleWritten, State, StateChanged
from core.settings.run_config import RunConfig
from tests.run_folders import made_run, write_journal
from tests.tui.fake_engine import scripted_epoch
from tests.tui.panes.train.harness import SIZES, Make, figures
from tests.tui.parts import train_pane
from tests.tui.waiting import until
from tui.charts.curve_chart import CurveChart
from tui.engines.watched_run import WatchedRun
from tui.panes.train.figures import Figures


async def test_both_perplexities_in_words(playground: Make, saves: Path) -> None:
    run = made_run(saves, RunConfig(validation_fraction=0.1))
    write_journal(run, scripted_epoch(1, held_out=True), EpochFinished(2, 16, 1.3, 812.4, 0.3, 0.4, 1.0, 7e4, 0.1))
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        assert not app.query_one(Figures).display
        await app.open_run(run.path)
        for size in SIZES:
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: "memorised: it knows the training text by heart (1.3)" in figures(app))
            assert "training   1.300 perplexity   0.38 bits/token" in figures(app), size
            assert "best 812.4 at epoch 2" in figures(app), size
        chart = app.query_one(CurveChart)
        best = next(one.curve for one in chart.series if one.name == "best")
        assert best.points()[1].tolist() == [812.4]


async def test_a_bidirectional_run_says_what_it_is(playground: Make, saves: Path) -> None:
    run = made_run(saves, RunConfig(bidirectional=True))
    write_journal(run, scripted_epoch(1), StateChanged(State.FINISHED, 1))
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await app.open_run(run.path)
        await until(pilot, lambda: "training" in figures(app))
        assert "sees the token that it" in figures(app)
        assert "No samples: a bidirectional model" in str(app.query_one("#samples-text", Static).content)
        assert train_pane(app).run is not None
        train_pane(app).run.apply_baselines(BaselinesAnswer("training", 1027.0, math.nan, 12.5, math.nan))
        train_pane(app).view.show_parts()
        assert [line.label for line in app.query_one(CurveChart).references] == ["uniform 1,027"]


def test_undone_epochs_come_again() -> None:
    run = WatchedRun(Path("/saves/one"))
    run.apply([scripted_epoch(epoch) for epoch in range(1, 31)])
    run.apply([SampleWritten(30, "分开", "了")])
    run.apply([RunResumed(20, 0)])
    assert run.epoch == 20 and not run.samples and run.training.latest == 20
    run.apply([scripted_epoch(epoch) for epoch in range(21, 26)])
    x, _ = run.training.points()
    assert x.tolist() == [float(epoch) for epoch in range(1, 26)]


def test_figures_of_a_watched_run() -> None:
    run = WatchedRun(Path("/saves/one"), State.TRAINING)
    run.num_epochs = 100
    run.apply([scripted_epoch(epoch) for epoch in range(1, 11)])
    assert run.tokens_per_second == pytest.approx(71_000)
    assert run.seconds_left == pytest.approx(90 * 0.125)
    run.apply([EpochFinished(11, 88, float("nan"), None, float("nan"), 1.0, 1.0, 1.0, 1.0)])
    assert run.epoch == 11
