"""What the numbers of a run are made to say."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from core.engine.answers import BaselinesAnswer
from core.events import EpochFinished, RunResumed, State, StateChanged
from core.settings.run_config import RunConfig
from tests.run_folders import made_run
from tests.tui.fake_engine import scripted_epoch
from tui.engines.watched_run import WatchedRun
from tui.panes.train.epochs import HEADING, epoch_words
from tui.panes.train.figures import lines_of
from tui.panes.train.interpretation import (
    bits,
    figure_words,
    interpretation_words,
    memorised_words,
    nothing_written_words,
)
from tui.text.cells import cell_len

HELD_OUT = RunConfig(validation_fraction=0.1, patience=5)


def epoch(number: int, training: float, held_out: float | None = None) -> EpochFinished:
    return EpochFinished(number, number * 8, training, held_out, 1.0, 0.4, 100.0, 71_000.0, 0.125)


def watched(*epochs: EpochFinished, config: RunConfig = HELD_OUT, state: str = State.TRAINING) -> WatchedRun:
    run = WatchedRun(Path("/saves/one"), state)
    run.config = config
    run.apply(epochs)
    return run


def test_memorised() -> None:
    run = watched(epoch(1, 900, 700), epoch(2, 20, 96.1), epoch(3, 1.31, 812.4))
    assert memorised_words(run) == (
        "memorised: it knows the training text by heart (1.3), the held-out text no better (812)"
    )
    assert "far less well (8.0)" in memorised_words(watched(epoch(1, 1.9, 8.0)))


@pytest.mark.parametrize(
    ("training", "held_out"),
    [(1.3, None), (2.0, 800.0), (1.9, 7.5), (1.2, 1.4), (float("nan"), 800.0), (1.2, float("nan")), (5.0, 900.0)],
)
def test_nothing_is_claimed_without_grounds(training: float, held_out: float | None) -> None:
    assert memorised_words(watched(epoch(1, training, held_out))) == ""


def test_figures_name_their_text_and_unit() -> None:
    run = watched(epoch(1, 4.0, 16.0), epoch(2, 2.0, 32.0))
    assert figure_words(run) == [
        "training   2.000 perplexity   1.00 bits/token",
        "held out    32.0 perplexity   5.00 bits/token  best 16.0 at epoch 1",
    ]
    assert figure_words(watched(epoch(1, 4.0))) == ["training   4.000 perplexity   2.00 bits/token"]
    assert figure_words(watched()) == []
    assert "30,570 perplexity" in figure_words(watched(epoch(1, 4.0, 30570.2)))[1]
    assert "(30,570)" in memorised_words(watched(epoch(1, 1.5, 30570.2)))
    assert "1,000 " in epoch_words(replace(epoch(1, 4.0), learning_rate=1000.0))
    assert bits(None) is None and bits(0.0) is None and bits(math.inf) is None


def test_beyond_floating_point_the_loss_is_told() -> None:
    exploded = EpochFinished(1, 8, math.inf, math.inf, 2e7, 7.0, 1e6, 7e4, 0.1, 710.0)
    run = watched(exploded)
    run.vocabulary = 1027
    assert figure_words(run) == [
        "training  >1e308 perplexity  loss 20,000,000 nats, 28,853,901 bits/token",
        "held out  >1e308 perplexity  loss 710.0 nats, 1,024.3 bits/token",
    ]
    words = "exploding: the loss is 20,000,000 nats, guessing among 1,027 tokens has 6.9; a lower learning rate or a "
    assert interpretation_words(run)[0] == (f"{words}tighter clip usually helps", True)
    run.apply([StateChanged(State.DIVERGED, 1, "why")])
    assert not any("exploding" in words for words, _ in interpretation_words(run)), "then it is said above the curve"
    assert len(epoch_words(exploded)) == len(HEADING) and ">1e308" in epoch_words(exploded)


def test_the_best_epoch_is_the_first_of_the_lowest() -> None:
    run = watched(*(epoch(number, 9, held_out) for number, held_out in enumerate((50, 20, 20, math.nan, 30), 1)))
    assert run.best == (2, 20)
    run.apply([RunResumed(1, 0)])
    assert run.best == (1, 50)
    run.apply([epoch(2, 9, 40.0)])
    assert run.best == (2, 40.0)


def test_early_stopping_in_words() -> None:
    run = watched(*(epoch(number, 9, 10 + number) for number in range(1, 4)))
    assert interpretation_words(run) == [
        ("stops early after 5 epochs without a better held-out perplexity; 2 so far", False)
    ]
    run.apply([StateChanged(State.FINISHED, 6, "no better held-out perplexity for 5 epochs: stopped early")])
    assert interpretation_words(run) == [("no better held-out perplexity for 5 epochs: stopped early", False)]


def test_a_run_that_goes_on_has_all_its_patience_again() -> None:
    run = watched(*(epoch(number, 9, 10 + number) for number in range(1, 7)))
    assert run.epochs_since_best == 5
    run.apply([RunResumed(6, 0), epoch(7, 9, 30)])
    assert run.epochs_since_best == 1
    assert watched(epoch(1, 9.0)).epochs_since_best is None


def test_a_bidirectional_model_is_not_praised() -> None:
    config = RunConfig(bidirectional=True, validation_fraction=0.1)
    (words, warns), *more = interpretation_words(watched(epoch(1, 1.1, 900.0), config=config))
    assert "sees the token that it predicts" in words and "not that of a language model" in words and warns and not more
    assert "cannot generate" in nothing_written_words(config)
    assert "sample every is 0" in nothing_written_words(RunConfig(sample_every=0))
    assert "writes a line" in nothing_written_words(None)


@pytest.mark.parametrize("width", [30, 46, 74, 120])
def test_lines_fit(width: int) -> None:
    run = watched(epoch(1, 900, 700), epoch(1234, 1.31, 812.4))
    lines = lines_of(run, width)
    assert all(cell_len(words) <= width for words, _ in lines)
    assert "".join(words for words, _ in lines).replace(" ", "").count("memorised:") == 1


def test_columns_of_the_epochs_stand_under_one_another() -> None:
    words = epoch_words(scripted_epoch(7, held_out=True), is_best=True)
    assert len(words) == len(HEADING) and "◂" in words
    words = epoch_words(scripted_epoch(12_345, held_out=True))
    assert len(words) == len(HEADING) and words.startswith(" 12,345 ")


def test_baselines_say_on_which_text(saves: Path) -> None:
    run = WatchedRun(made_run(saves, HELD_OUT).path)
    run.apply_baselines(BaselinesAnswer("held out", 1027.0, 210.0, math.nan, 3.0))
    assert run.baselines == (("unigram", 210.0), ("trigram", 3.0)) and run.baselines_on == "held out"
    run.apply_baselines(BaselinesAnswer("training", 1027.0, 210.0, math.nan, math.nan))
    assert run.baselines_on == "training"
