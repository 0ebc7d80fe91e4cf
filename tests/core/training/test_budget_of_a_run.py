"""A time budget in the run folder: kept, resumed, renewed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.engine.session import Session
from core.events import BudgetFitted, EpochFinished, Event, RunResumed, SettingChanged, State
from core.settings.fit import Fit
from core.training.trainer import Trainer
from tests.core.outcomes import curve, without_clock
from tests.core.training.budgets import Clock, Tiny, checkpoint, of_kind, trained
from tests.run_folders import read_journal

pytestmark = pytest.mark.usefixtures("clock")


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
