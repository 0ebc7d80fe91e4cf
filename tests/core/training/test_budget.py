"""Time budgets, by a clock of the test's own: where training ends, its schedule, and what a resume keeps."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
import torch

from core.errors import RunError
from core.events import BudgetFitted, EpochFinished, Event
from core.settings.fit import Fit
from core.training.budget import Budget, early_stop_words
from core.training.trainer import Trainer
from tests.core.outcomes import without_clock
from tests.core.training.budgets import BATCHES, Clock, Tiny, checkpoint, of_kind, trained

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.parametrize(
    ("seconds", "a_batch", "an_end", "most_fits"),
    [
        (600.0, 1.0, 5.0, 2),  # measuring takes time, which is known after the first epoch
        (600.0, 2.0, 10.0, 2),  # the same on a machine half as fast
        (600.0, 5.0, 0.0, 2),  # nine epochs
        (600.0, 20.0, 0.0, 2),  # two and a part
        (600.0, 60.0, 0.0, 2),  # less than one
        (60.0, 0.05, 0.2, 2),  # a hundred
    ],
)
@pytest.mark.usefixtures("no_arithmetic")
def test_training_ends_with_the_budget(
    tiny: Tiny, clock: Clock, seconds: float, a_batch: float, an_end: float, most_fits: int
) -> None:
    config = tiny(
        minutes=seconds / 60, schedule="cosine", warmup_epochs=0.5, optimiser="adam", learning_rate=0.001,
        validation_fraction=0.1 if an_end else 0.0,
    )  # fmt: skip
    trainer, began = Trainer(config), clock.now
    events = trained(trainer, clock, lambda: a_batch, an_end)
    assert clock.now - began == pytest.approx(seconds, rel=0.05, abs=0.6 * a_batch)
    assert clock.now - began <= seconds * 1.03 + a_batch
    fits, epochs = of_kind(events, BudgetFitted), of_kind(events, EpochFinished)
    assert 1 <= len(fits) <= most_fits
    assert epochs[-1].epoch == trainer.epoch == trainer.num_epochs == fits[-1].num_epochs
    per_epoch = trainer.batches.per_epoch
    assert trainer.step == (fits[-1].num_epochs - 1) * per_epoch + fits[-1].last_batches
    # The last batch has the last rate of the schedule, and none had a rate from beyond its end.
    end, warmup = fits[-1].end, fits[-1].warmup_epochs
    progress = (end - 1 / per_epoch - warmup) / (end - warmup)
    assert epochs[-1].learning_rate == pytest.approx(0.001 * 0.5 * (1 + math.cos(math.pi * progress)))
    assert max(epoch.learning_rate for epoch in epochs) <= 0.001
    assert trainer.config == config.replace(num_epochs=fits[-1].num_epochs), "the settings stay as they were asked for"


@pytest.mark.parametrize("factor", [0.5, 2.0, 3.0])
@pytest.mark.usefixtures("no_arithmetic")
def test_a_change_of_pace_is_followed(tiny: Tiny, clock: Clock, factor: float) -> None:
    trainer, began = Trainer(tiny(minutes=10, schedule="cosine")), clock.now
    events = trained(trainer, clock, lambda: 1.0 if clock.now - began < 200 else factor, 1.0)
    assert clock.now - began == pytest.approx(600, rel=0.05)
    assert 2 <= len(of_kind(events, BudgetFitted)) <= 10
    assert of_kind(events, EpochFinished)[-1].learning_rate < 0.05 * trainer.config.learning_rate


@pytest.mark.usefixtures("no_arithmetic")
def test_compilation_counts_as_time_but_not_into_the_pace(tiny: Tiny, clock: Clock) -> None:
    trainer, began = Trainer(tiny(minutes=10)), clock.now
    clock.now += 60.0  # building
    first = trained(trainer, clock, lambda: 30.0, most=2)
    events = first + trained(trainer, clock, lambda: 1.0)
    fit = of_kind(events, BudgetFitted)[0]
    assert fit.seconds_per_batch == pytest.approx(1.0) and fit.elapsed >= 120.0
    assert clock.now - began == pytest.approx(600, rel=0.05)


@pytest.mark.usefixtures("no_arithmetic")
def test_an_interruption_of_the_machine_says_nothing_about_the_pace(tiny: Tiny, clock: Clock) -> None:
    trainer = Trainer(tiny(minutes=10))
    trained(trainer, clock, lambda: 1.0, most=100)
    trained(trainer, clock, lambda: 90.0, most=1)
    began, before = clock.now, trainer.budget.elapsed
    events = trained(trainer, clock, lambda: 1.0)
    assert before + clock.now - began == pytest.approx(600 - 90, rel=0.05) or clock.now - 1000 == pytest.approx(
        600, rel=0.05
    )
    assert all(fit.seconds_per_batch < 2.5 for fit in of_kind(events, BudgetFitted))


@pytest.mark.usefixtures("no_arithmetic")
def test_as_many_decays_as_asked_for(tiny: Tiny, clock: Clock) -> None:
    config = tiny(minutes=10, schedule="step", num_epochs=4, decay_epochs=1, decay_factor=0.5, learning_rate=1.0)
    trainer = Trainer(config)
    epochs = of_kind(trained(trainer, clock, lambda: 1.0), EpochFinished)
    assert len(epochs) > 40 and epochs[0].learning_rate == 1.0
    assert epochs[-1].learning_rate == 0.125, "three decays, as within four epochs"


@pytest.mark.usefixtures("no_arithmetic")
def test_before_the_fit_the_number_of_epochs_means_nothing(tiny: Tiny, clock: Clock) -> None:
    trainer = Trainer(tiny(minutes=100, num_epochs=1, schedule="cosine"))
    events = trained(trainer, clock, lambda: 1.0, most=5 * BATCHES)
    assert len(of_kind(events, EpochFinished)) == 5 and trainer.budget.is_waiting and not trainer.finished
    assert {event.learning_rate for event in of_kind(events, EpochFinished)} == {1.0}


@pytest.mark.usefixtures("no_arithmetic")
def test_a_pause_does_not_count(tiny: Tiny, clock: Clock) -> None:
    trainer, began = Trainer(tiny(minutes=10)), clock.now
    for _ in range(3):
        trained(trainer, clock, lambda: 1.0, most=50)
        trainer.budget.hold(True)
        clock.now += 10_000.0
        trainer.advance()  # a batch by hand
        clock.now += 10_000.0
        trainer.budget.hold(False)
    trained(trainer, clock, lambda: 1.0)
    assert clock.now - began - 60_000.0 == pytest.approx(600, rel=0.05)


@pytest.mark.parametrize("schedule", ["cosine", "step", "plateau", "constant"])
def test_a_resume_after_the_fit_is_exact(tiny: Tiny, clock: Clock, schedule: str) -> None:
    config = tiny(minutes=2, schedule=schedule, decay_epochs=1, num_epochs=5, validation_fraction=0.2, dropout=0.2)
    whole = Trainer(config)
    wanted = trained(whole, clock, lambda: 1.0, 0.5, most=40)
    assert len(of_kind(wanted, BudgetFitted)) == 1
    saved = checkpoint(whole)
    wanted = trained(whole, clock, lambda: 1.0, 0.5)
    assert not of_kind(wanted, BudgetFitted)
    found: list[Event] = []
    for pieces in (7, 3, 1, 20, 10**6):  # each on a machine of another speed, after a while
        again = Trainer(config)
        again.restore(*saved)
        clock.now += 500.0
        found += trained(again, clock, lambda: 7.0, 3.0, most=pieces)
        saved = checkpoint(again)
    assert without_clock(of_kind(found, EpochFinished)) == without_clock(of_kind(wanted, EpochFinished))
    assert found == of_kind(found, EpochFinished), "no new fit"
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor), name


@pytest.mark.usefixtures("no_arithmetic")
def test_a_resume_before_the_fit_is_fitted_to_the_rest(tiny: Tiny, clock: Clock) -> None:
    first = Trainer(tiny(minutes=10))
    trained(first, clock, lambda: 1.0, most=12)
    assert first.budget.is_waiting
    again = Trainer(tiny(minutes=10))
    again.restore(*checkpoint(first))
    clock.now += 10_000.0
    began = clock.now
    trained(again, clock, lambda: 4.0)
    assert clock.now - began == pytest.approx(600 - 12, rel=0.05)


@pytest.mark.usefixtures("no_arithmetic")
def test_the_number_of_epochs_ends_the_budget(tiny: Tiny, clock: Clock) -> None:
    trainer = Trainer(tiny(minutes=2, schedule="cosine"))
    events = trained(trainer, clock, lambda: 1.0)
    assert trainer.finished and of_kind(events, BudgetFitted)[-1].last_batches < BATCHES
    done = trainer.epoch
    trainer.set("num_epochs", done + 2)
    again = Trainer(trainer.config)
    again.restore(*checkpoint(trainer))
    for continued in (trainer, again):
        step = continued.step
        more = trained(continued, clock, lambda: 1000.0)
        assert [event.epoch for event in more] == [done + 1, done + 2] and continued.step == step + 2 * BATCHES
        assert continued.budget.left is None
    assert trainer.num_epochs == again.num_epochs == done + 2


@pytest.mark.parametrize("minutes", [1e-300, 1e-9, 525_600.0])
@pytest.mark.usefixtures("no_arithmetic")
def test_absurd_budgets_end(tiny: Tiny, clock: Clock, minutes: float) -> None:
    trainer = Trainer(tiny(minutes=minutes))
    events = trained(trainer, clock, lambda: 1.0 if minutes < 1 else 1e5)
    assert trainer.finished and of_kind(events, EpochFinished)
    assert trainer.step >= 2 and (minutes > 1 or trainer.step <= 3)


@pytest.mark.parametrize(
    "stored",
    [
        {}, {"elapsed": 1.0}, {"elapsed": "x", "fit": None}, {"elapsed": 1.0, "fit": {}}, 3, [],
        {"elapsed": 1.0, "fit": {"num_epochs": 4, "last_batches": 1, "num_batches": 13, "warmup_epochs": 0.0,
                                 "decay_epochs": 1.0}},
        {"elapsed": 1.0, "fit": {"num_epochs": 3, "last_batches": 14, "num_batches": 13, "warmup_epochs": 0.0,
                                 "decay_epochs": 1.0}},
        {"elapsed": 1.0, "fit": {"num_epochs": 3, "last_batches": 0, "num_batches": 13, "warmup_epochs": 0.0,
                                 "decay_epochs": 1.0}},
        {"elapsed": 1.0, "fit": {"num_epochs": 3, "last_batches": 1, "num_batches": 13, "warmup_epochs": 0.0,
                                 "decay_epochs": 0.0}},
        {"elapsed": 1.0, "fit": {"num_epochs": 3, "last_batches": 1, "num_batches": 13, "warmup_epochs": None,
                                 "decay_epochs": 1.0}},
    ],
)  # fmt: skip
def test_a_damaged_budget_is_refused(tiny: Tiny, stored: Any) -> None:
    trainer = Trainer(tiny(minutes=1))
    tensors, facts = checkpoint(trainer)
    with pytest.raises(RunError, match="the checkpoint's facts are damaged"):
        trainer.restore(tensors, {**facts, "budget": stored})


def test_the_event_survives_json(tiny: Tiny, clock: Clock) -> None:
    from core.events import event_from_json

    events = trained(Trainer(tiny(minutes=1)), clock, lambda: 1.0)
    fit = of_kind(events, BudgetFitted)[0]
    assert event_from_json(json.loads(json.dumps(fit.to_json()))) == fit
    assert fit.words().startswith(f"fitted to {fit.end:.4g} epochs")
    assert fit.end == Fit(fit.num_epochs, fit.last_batches, fit.num_batches, 0.0, 1.0).end
    assert dataclasses.replace(fit, elapsed=1e9).seconds_left == 0.0


def test_early_stopping_ends_a_budget(tiny: Tiny) -> None:
    config = tiny(num_epochs=7, patience=2, validation_fraction=0.2)
    assert early_stop_words(7, config) == ""
    assert early_stop_words(4, config) == "no better held-out perplexity for 2 epochs: stopped early"
    assert Budget(config, 5).end == 7
