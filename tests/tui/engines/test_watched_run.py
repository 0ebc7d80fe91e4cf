"""What the screen keeps of a run: all that it shows, and no more the longer the run goes on."""

from __future__ import annotations

import gc
import math
import tracemalloc
from functools import partial
from pathlib import Path

import pytest

from core.events import (
    BudgetFitted,
    EpochFinished,
    Note,
    RunResumed,
    SampleWritten,
    SettingChanged,
    State,
    StateChanged,
    StepFinished,
)
from core.runs.metadata import CorpusIdentity, RunMetadata
from core.settings.run_config import RunConfig
from tui.charts import GrowingCurve
from tui.engines import watched_run
from tui.engines.watched_run import WatchedRun
from tui.panes.train.status_line import status_words

BATCH = 500


def night(first: int) -> list[object]:
    """What half a thousand epochs tell, with all that comes beside them."""
    events: list[object] = []
    for epoch in range(first + 1, first + BATCH + 1):
        events.append(EpochFinished(epoch, epoch * 8, 5.0 + epoch % 7, 6.0 + epoch % 5, 1.6, 0.4, 0.1, 7e4, 0.1))
        if epoch % 10 == 0:
            events.append(StepFinished(epoch + 1, 4, 8, epoch * 8 + 4, 5.0, 1.6, 0.1, 7e4))
            events.append(SampleWritten(epoch, "ab", f"what it writes after {epoch} " * 5))
    events += [
        SettingChanged(epoch, "learning_rate", 0.1 + first / 1e9),
        StateChanged(State.PAUSED, epoch),
        Note(f"a remark at {epoch}"),
        RunResumed(epoch, 0),
        StateChanged(State.TRAINING, epoch),
    ]
    return events


def test_memory_does_not_grow(
    tmp_path: Path, trials: int, little_to_collect: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It rises and falls as curves are condensed; its peaks do not rise."""
    monkeypatch.setattr(
        watched_run, "GrowingCurve", partial(GrowingCurve, 2048)
    )  # a quarter of the real one, filled by a quarter
    run, peaks = WatchedRun(tmp_path), [0, 0]
    batches = 40 * trials
    tracemalloc.start()
    try:
        for number in range(batches):
            run.apply(night(number * BATCH))  # type: ignore[arg-type]
            if number % 2 == 0:
                gc.collect()
                is_warm = number > 20 + batches // 10
                peaks[is_warm] = max(peaks[is_warm], tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    grown = peaks[1] / peaks[0] - 1
    print(f"{batches * BATCH:,} epochs, {peaks[0] / 1024:.0f} KB, grown by {100 * grown:.2f} %")
    assert run.epoch == batches * BATCH
    x, _ = run.training.points()
    assert x[0] < BATCH and x[-1] > run.epoch - BATCH, "and the curve is all there"
    assert grown < 0.05


def test_losses_are_followed_from_the_first_that_no_perplexity_can_tell(tmp_path: Path) -> None:
    run = WatchedRun(tmp_path)
    run.apply([EpochFinished(1, 8, 20.0, 30.0, math.log(20), 0.4, 1e6, 7e4, 0.1, math.log(30))])
    assert run.losses is None and run.loss == pytest.approx(math.log(20))
    run.apply([EpochFinished(2, 16, math.inf, 40.0, 2e7, 0.4, 1e6, 7e4, 0.1, math.log(40))])
    run.apply([EpochFinished(3, 24, 50.0, math.inf, math.log(50), 0.4, 1e6, 7e4, 0.1, 1e5)])
    assert run.losses is not None and run.validation_loss == 1e5
    training, held_out = (curve.points()[1].tolist() for curve in run.losses)
    assert training == pytest.approx([math.log(20), 2e7, math.log(50)])
    assert held_out == pytest.approx([math.log(30), math.log(40), 1e5])
    run.apply([RunResumed(2, 0)])
    assert run.losses is not None and run.losses[0].points()[1].tolist() == pytest.approx([math.log(20), 2e7])
    run.apply([RunResumed(1, 0)])
    assert run.losses is None and run.training.points()[1].tolist() == [20.0]


def test_the_time_that_is_left_of_a_budget(tmp_path: Path) -> None:
    run = WatchedRun(tmp_path, State.TRAINING)
    identity = CorpusIdentity("tale-en", "0" * 64, 10_000, 70, "/tale-en.txt")
    run.set_metadata(RunMetadata(RunConfig(minutes=3.0, num_epochs=250), identity, 1000, "2026-01-01", {}))
    assert run.minutes == 3 and run.seconds_left is None
    words, _ = status_words(run, 200)
    assert "epoch 0 " in words and "fitting the epochs to 3 min" in words, "250 epochs mean nothing yet"
    fit = BudgetFitted(11, 50, 100, 0.3, 7.5, 0, 20, 3.0, 20.0, 0.1)
    run.apply([StepFinished(1, 20, 100, 20, 9.0, 2.2, 0.1, 7e4), fit])
    assert (run.num_epochs, run.seconds_left) == (11, 160.0)
    words, _ = status_words(run, 200)
    assert "epoch  0/11" in words and "2:40 left of 3 min" in words and "fitted to 10.5 epochs" in words
    run.apply([StepFinished(6, 35, 100, 535, 9.0, 2.2, 0.1, 7e4)])
    assert run.seconds_left == pytest.approx(80.0), "half of the batches that were left"
    run.apply([SettingChanged(6, "num_epochs", 30)])
    assert run.minutes is None and run.num_epochs == 30
    assert "left of" not in status_words(run, 200)[0], "the epochs were changed: the budget is over"
    run.apply([SettingChanged(6, "minutes", 5.0)])
    assert run.minutes == 5 and "fitting the epochs to 5 min" in status_words(run, 200)[0], "resumed with another one"
    run.apply([SettingChanged(6, "minutes", -1.0)])
    assert run.minutes == 5, "no budget can be that"


def test_thousands_of_epochs_and_batches_have_commas(tmp_path: Path) -> None:
    run = WatchedRun(tmp_path, State.TRAINING)
    identity = CorpusIdentity("tale-en", "0" * 64, 10_000, 70, "/tale-en.txt")
    run.set_metadata(RunMetadata(RunConfig(num_epochs=12_500), identity, 1000, "2026-01-01", {}))
    run.apply([StepFinished(1, 20, 2000, 20, 9.0, 2.2, 0.1, 7e4)])
    words, _ = status_words(run, 200)
    assert "epoch      0/12,500" in words and "batch    20/2,000" in words
    run.apply([EpochFinished(1234, 2000, 5.0, 6.0, 1.6, 0.4, 0.1, 7e4, 0.1)])
    assert "epoch  1,234/12,500" in status_words(run, 200)[0]
