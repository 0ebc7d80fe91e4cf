"""Time budgets, by a clock of the test's own: where training ends, its schedule, and what a resume keeps."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.engine.session import Session
from core.errors import RunError
from core.events import BudgetFitted, EpochFinished, Event, RunResumed, SettingChanged, State
from core.settings.fit import Fit
from core.settings.run_config import RunConfig
from core.training import budget as budget_module
from core.training import trainer as trainer_module
from core.training.budget import Budget, early_stop_words
from core.training.trainer import Trainer
from tests.core.outcomes import curve, without_clock
from tests.run_folders import read_journal

Tiny = Callable[..., RunConfig]
BATCHES = 13  # of an epoch of the tiny configuration


class Clock:
    """A clock that stands still unless it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Clock:
    found = Clock()
    monkeypatch.setattr(budget_module, "clock", found)
    monkeypatch.setattr(trainer_module, "MEASURING_SECONDS", math.inf)  # of the real clock
    return found


@pytest.fixture
def no_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that train nothing, for what depends on the clock alone."""
    loss, norm = torch.tensor(2.0), torch.tensor(0.1)
    monkeypatch.setattr(trainer_module, "trained_on", lambda batch, state, *_: (loss, norm, None, state))


def passing(trainer: Trainer, clock: Clock, events: list[Event], a_batch: float, an_end: float) -> None:
    """Train one batch, which takes ``a_batch`` seconds, and the end of an epoch ``an_end`` more."""
    new = trainer.advance()
    clock.now += a_batch + an_end * any(isinstance(event, EpochFinished) for event in new)
    events += new


def trained(
    trainer: Trainer, clock: Clock, a_batch: Callable[[], float], an_end: float = 0.0, most: int = 10**6
) -> list[Event]:
    events: list[Event] = []
    for _ in range(most):
        if trainer.finished:
            break
        passing(trainer, clock, events, a_batch(), an_end)
    return events


def of_kind(events: list[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


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


def checkpoint(trainer: Trainer) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    tensors, facts = trainer.checkpoint()
    return {name: tensor.clone() for name, tensor in tensors.items()}, json.loads(json.dumps(facts))


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


# --- the run folder ------------------------------------------------------------------------------------------------


def advanced(session: Session, clock: Clock, batches: int = 10**6) -> list[Event]:
    events: list[Event] = []
    while session.state == State.TRAINING and batches:
        events += session.advance()
        clock.now += 1.0
        batches -= 1
    return events


def test_the_fit_is_in_the_run_folder_and_a_killed_run_keeps_it(tiny: Tiny, clock: Clock, saves: Path) -> None:
    config = tiny(minutes=3, schedule="cosine", validation_fraction=0.2)
    session = Session.create(config, saves, "a", began=clock.now - 20)
    before = session.run.metadata()
    assert before.fit is None and "fit" not in json.loads(session.run.metadata_path.read_text("utf-8"))
    clock.now += 1e6  # not training yet
    session.train()
    events = advanced(session, clock, 60)
    fit = of_kind(events, BudgetFitted)[-1]
    assert of_kind(read_journal(session.run.journal_path), BudgetFitted)[-1] == fit
    stored = session.run.metadata()
    assert stored.fit == Fit(fit.num_epochs, fit.last_batches, fit.num_batches, fit.warmup_epochs, fit.decay_epochs), (
        "at once, although no checkpoint is due"
    )
    assert stored.config == config.replace(num_epochs=fit.num_epochs)
    session.folder.close()  # killed: nothing is saved any more, and its lock is free

    whole = Trainer(config)
    whole.restore(*checkpoint(session.trainer)) if session.trainer is not None else None
    wanted = of_kind(trained(whole, clock, lambda: 1.0), EpochFinished)
    again = Session.open(session.run)
    clock.now += 1e6
    again.train()
    advanced(again, clock)
    assert again.state == State.FINISHED and again.trainer is not None
    assert curve(session.run)[-len(wanted) :] == without_clock(wanted)
    assert again.run.metadata().fit == stored.fit
    # More epochs than that are a wish that has nothing to do with the budget.
    told = again.train(fit.num_epochs + 1)
    assert of_kind(told, SettingChanged) and not of_kind(advanced(again, clock), BudgetFitted)
    assert again.trainer.epoch == fit.num_epochs + 1 and again.run.metadata().fit is None
    again.close()


@pytest.mark.usefixtures("no_arithmetic")
def test_a_finished_run_goes_on_for_some_minutes_more(tiny: Tiny, clock: Clock, saves: Path) -> None:
    config = tiny(num_epochs=4, schedule="step", decay_epochs=2, validation_fraction=0.2)
    session = Session.create(config, saves, "a")
    session.train()
    advanced(session, clock)
    session.close()
    again, began = Session.open(session.run), clock.now - 20
    told = again.train(minutes=3, began=began)
    assert [type(event) for event in told[:2]] == [SettingChanged, RunResumed]
    assert told[0] == SettingChanged(4, "minutes", 3) and again.run.metadata().config.minutes == 3, "saved at once"
    fits = of_kind(advanced(again, clock), BudgetFitted)
    assert clock.now - began == pytest.approx(180, rel=0.05) and again.state == State.FINISHED
    assert again.trainer is not None and again.trainer.epoch == fits[-1].num_epochs > 4
    stored = again.run.metadata()
    assert stored.config == config.replace(minutes=3, num_epochs=fits[-1].num_epochs)
    assert stored.fit is not None and stored.fit.end / stored.fit.decay_epochs == pytest.approx(2), "as many decays"
    # Once more: the decays are those that were asked for, and not those of the fit's epochs.
    again.train(minutes=6, began=clock.now)
    began = clock.now
    advanced(again, clock)
    assert clock.now - began == pytest.approx(360, rel=0.05)
    renewed = again.run.metadata().fit
    assert renewed is not None and renewed.end / renewed.decay_epochs == pytest.approx(2)
    again.close()


@pytest.mark.parametrize("batches", [0, 6, 100])
@pytest.mark.usefixtures("no_arithmetic")
def test_a_renewed_budget_is_exact_after_its_fit_and_goes_on_before(
    tiny: Tiny, clock: Clock, saves: Path, batches: int
) -> None:
    """Killed before the first batch, before the fit and after it; ``run.json`` may be older than the checkpoint."""
    session = Session.create(tiny(num_epochs=3, schedule="cosine"), saves, "a")
    session.train()
    advanced(session, clock, 20)
    session.stop()
    old = session.run.metadata_path.read_bytes()
    session.train(minutes=5, began=clock.now)
    began = clock.now
    fits = of_kind(advanced(session, clock, batches), BudgetFitted)
    assert bool(fits) == (batches == 100)
    session.folder.close()  # killed
    session.run.metadata_path.write_bytes(old)
    again = Session.open(session.run)
    assert again.trainer is not None and again.trainer.config.minutes == 5
    spent = again.trainer.budget.elapsed
    clock.now += 1e6
    again.train()
    resumed = clock.now
    later = advanced(again, clock)
    assert again.state == State.FINISHED
    if fits:
        assert not of_kind(later, BudgetFitted) and again.trainer.epoch == fits[-1].num_epochs
    else:
        assert clock.now - resumed + spent == pytest.approx(300, rel=0.05) and began < resumed
    again.close()


@pytest.mark.usefixtures("no_arithmetic")
def test_the_time_before_training_counts_once(tiny: Tiny, clock: Clock, saves: Path) -> None:
    session = Session.create(tiny(minutes=3), saves, "a", began=clock.now - 20)
    clock.now += 1e6
    session.train()
    began = clock.now
    advanced(session, clock, 40)
    session.pause()
    clock.now += 1e6
    session.train()
    advanced(session, clock)
    assert clock.now - began - 1e6 == pytest.approx(180 - 20, rel=0.05)
    session.close()


def test_a_run_of_an_older_version_opens(tiny: Tiny, saves: Path) -> None:
    session = Session.create(tiny(), saves, "old")
    session.close()
    path = session.run.metadata_path
    values = json.loads(path.read_text("utf-8"))
    del values["config"]["minutes"]
    path.write_text(json.dumps(values), "utf-8")
    again = Session.open(session.run)
    assert again.metadata.config == tiny() and again.trainer is not None and again.trainer.budget.left is None
    again.close()


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
