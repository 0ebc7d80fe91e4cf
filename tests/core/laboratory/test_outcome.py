"""What is said of an experiment is true of its numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from core.laboratory.outcome import (
    Experiment,
    Outcome,
    Predictions,
    ahead_words,
    chosen_epochs,
    errors_words,
    loss_text,
    loss_words,
    multi_step_words,
    number,
    one_step_words,
)
from core.settings.laboratory_config import SequenceConfig

CONFIG = SequenceConfig(points=200, train_examples=100, horizons="1, 4")
DATA = tuple(math.sin(0.1 * time) for time in range(1, 201))


def made(
    multi: list[float] | None = None, errors: tuple[float, ...] = (0.21, 0.22, 0.3, 0.4), losses: float = 0.05,
    config: SequenceConfig = CONFIG,
) -> Experiment:  # fmt: skip
    start = config.known_points
    values = multi if multi is not None else [0.3] * (200 - start)
    one = Outcome(
        "MLP", "4-10-1", 61, (losses,), Predictions(5, DATA[4:]), Predictions(start + 1, tuple(values)),
        {1: Predictions(5, DATA[4:]), 4: Predictions(8, DATA[7:])}, errors,
    )  # fmt: skip
    return Experiment(config, DATA, (one, replace(one, name="RNN")), 0.1)


def test_one_step() -> None:
    words = one_step_words(made())
    assert "the 4 real points before it" in words and "after 104" in words and "0.21 (MLP), 0.21 (RNN)" in words
    assert "noise alone makes 0.20" in words and "little left to learn" in words
    assert "little left" not in one_step_words(made(errors=(0.5,) * 4))
    assert "no noise" in one_step_words(made(config=CONFIG.replace(noise=0.0)))
    assert "none is left" in one_step_words(made(config=CONFIG.replace(train_examples=196)))
    assert "the real point before it" in one_step_words(made(config=CONFIG.replace(tau=1)))


def test_multi_step_courses() -> None:
    settling = [1.0] * 10 + [0.3] * 86
    words = multi_step_words(made(settling))
    assert "After 104" in words and "the MLP settles at 0.30 within 11 points" in words
    assert "stays at 0.30" in multi_step_words(made())
    assert "So far ahead they are no better than the mean" in words
    assert "diverges" in multi_step_words(made([0.1] * 95 + [99.0]))
    assert "diverges" in multi_step_words(made([0.1] * 95 + [math.nan]))
    true = multi_step_words(made(list(DATA[104:])))
    assert "varies between -1.00 and 1.00" in true and "Errors: 0.00, 0.00" in true and "no better" not in true


def test_k_steps() -> None:
    experiment = made()
    assert "Errors accumulate: 0.21 one step ahead, 0.40 at k = 4." in ahead_words(experiment, experiment.outcomes[0])

    def words(*errors: float, horizons: str = "1, 2, 4") -> str:
        found = made(errors=errors, config=CONFIG.replace(horizons=horizons))
        return ahead_words(found, found.outcomes[1])

    assert "though not at every step" in words(0.2, 0.5, 0.4, 0.4)
    assert "hardly grows: 0.20 one step ahead, 0.21 at k = 4" in words(0.2, 0.2, 0.2, 0.21)
    assert "The error at k = 4 is 0.40." in words(0.2, 0.3, 0.3, 0.4, horizons="4")
    assert "learned nothing" in words(0.9, 0.9, 0.9, 0.9)
    unseen = made(config=CONFIG.replace(train_examples=196))
    assert "No unseen point" in ahead_words(unseen, unseen.outcomes[0])


def test_errors_over_k() -> None:
    guess = made().guess_error
    assert 0.6 < guess < 0.8
    words = errors_words(made(errors=(0.2, 0.3, 0.9, 1.0)))
    assert f"would make {number(guess)}" in words and "better than that up to 2 steps ahead, then no longer" in words
    assert "as far as 4 steps ahead" in errors_words(made())
    assert "no better than that even one step ahead" in errors_words(made(errors=(0.9,) * 4))
    assert "none is left" in errors_words(made(config=CONFIG.replace(train_examples=196)))


def test_divergence() -> None:
    assert loss_words(made()) == ""
    assert loss_words(made(losses=math.nan)) == (
        "The training of the MLP and the RNN diverged: a lower learning rate helps."
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.2, "0.20"),
        (0.043, "0.043"),
        (0.0, "0.00"),
        (-12.3, "-12.30"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (1e9, "1e+09"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


def test_losses_in_eight_cells() -> None:
    assert [loss_text(value) for value in (0.0696, 112.9924, 1e-5, 1e7, math.nan, 0.0)] == [
        "0.0696", "112.9924", "1.0e-05", "1.0e+07", "–", "0.0000",
    ]  # fmt: skip


def test_epochs_that_are_shown() -> None:
    assert chosen_epochs(5, 8) == [1, 2, 3, 4, 5]
    assert chosen_epochs(500, 4) == [1, 167, 334, 500]
    assert chosen_epochs(9, 1) == [9] and chosen_epochs(9, 0) == []
