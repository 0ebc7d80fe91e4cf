"""Sessions: a run from its making to its end, on disks that fail and in folders that somebody damaged."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.engine.checkpointing import Checkpointing
from core.engine.description import describe
from core.engine.failure import failure_words, is_out_of_memory
from core.engine.loading import load_model
from core.engine.session import Session
from core.errors import ConfigError, CorpusError, RunError, UserError
from core.events import EpochFinished, Event, RunResumed, SampleWritten, SettingChanged, State, StateChanged
from core.runs.run import Run
from core.runs.store import list_runs
from core.runs.summary import run_summary
from core.settings.run_config import RunConfig
from tests.core.outcomes import curve, states, train_to_end, train_until
from tests.run_folders import read_journal

Tiny = Callable[..., RunConfig]

pytestmark = pytest.mark.usefixtures("one_thread")


# --- from the making to the end ------------------------------------------------------------------------------------


def test_a_life(tiny: Tiny, saves: Path) -> None:
    session = Session.create(tiny(sample_every=2, sample_length=9), saves)
    assert (session.run.name, session.state) == ("nonsense-0001", State.IDLE)
    assert session.run.latest_path.exists() and session.run.is_held()
    told = list(train_to_end(session))
    assert read_journal(session.run.journal_path)[1:] == told
    assert [type(event) for event in told] == [
        RunResumed, StateChanged, EpochFinished, SampleWritten, EpochFinished, SampleWritten, EpochFinished,
        StateChanged,
    ]  # fmt: skip
    assert all(len(event.text) == 9 for event in told if isinstance(event, SampleWritten))
    assert session.state == State.FINISHED
    session.close()
    session.close()
    assert not session.run.is_held()
    (summary,) = list_runs(saves)
    assert (summary.state, summary.epoch, summary.problem) == (State.FINISHED, 3, "")
    stored = load_model(session.run)
    assert len(stored.vocabulary) == describe(session).vocabulary and not stored.model.training
    for name, tensor in session.model.state_dict().items():
        assert torch.equal(stored.model.state_dict()[name], tensor)


def test_stopped_and_gone_on_with(tiny: Tiny, saves: Path, whole: Any) -> None:
    session = Session.create(tiny(dropout=0.2), saves, "one")
    session.train()
    train_until(session, lambda: session.trainer is not None and session.trainer.step == 20)
    session.close()
    assert states(session.run)[-1] == State.STOPPED
    session = Session.open(session.run)
    assert session.state == State.STOPPED
    list(train_to_end(session))
    session.close()
    assert curve(session.run) == whole(dropout=0.2)


def test_more_epochs(tiny: Tiny, saves: Path, whole: Any) -> None:
    session = Session.create(tiny(num_epochs=2), saves)
    list(train_to_end(session))
    for number in (None, 2, 1):
        with pytest.raises(
            UserError, match=r"2 epochs are done and (2 were|1 was) asked for: ask for more than 2 to train on"
        ):
            session.train(number)
    with pytest.raises(ConfigError, match="num_epochs must be between 1"):
        session.train(0)
    assert session.trainer is not None and session.trainer.num_epochs == 2 and session.state == State.FINISHED
    session.train(4)
    train_until(session, lambda: session.trainer is not None and session.trainer.step == 30)
    session.stop()
    session.close()
    assert run_summary(session.run).num_epochs == 4, "the list knows it too"
    session = Session.open(session.run)
    assert describe(session).num_epochs == 4
    list(train_to_end(session))
    session.close()
    assert curve(session.run) == whole(num_epochs=4)


def test_pausing_changes_nothing(tiny: Tiny, saves: Path, whole: Any) -> None:
    changes = {"validation_fraction": 0.3, "patience": 2, "num_epochs": 12, "learning_rate": 6.0}
    session = Session.create(tiny(**changes), saves)
    with pytest.raises(UserError, match="there is nothing to pause: the run is idle"):
        session.pause()
    session.train()
    while session.state == State.TRAINING:
        session.advance()
        if session.state == State.TRAINING:
            session.pause()
            session.train()
    wanted = whole(**changes)
    assert 2 < len(wanted) < 12, "it stops early, for patience"
    assert curve(session.run) == wanted
    assert "no better held-out perplexity for 2 epochs: stopped early" in session.message
    done = len(wanted)
    session.train()
    train_until(session, lambda: session.trainer is not None and session.trainer.epoch > done)
    session.close()


def test_steps_by_hand(tiny: Tiny, saves: Path, whole: Any) -> None:
    session = Session.create(tiny(num_epochs=2), saves)
    told: list[Event] = []
    for _ in range(26):
        assert session.state in (State.IDLE, State.PAUSED)
        told += session.step()
    assert session.state == State.FINISHED
    assert curve(session.run) == whole(num_epochs=2)
    with pytest.raises(UserError, match="2 epochs are done"):
        session.step()
    session.close()


def test_settings_changed_while_it_holds_still_are_kept(tiny: Tiny, saves: Path) -> None:
    session = Session.create(tiny(), saves)
    assert session.set("num_epochs", 5) == [SettingChanged(0, "num_epochs", 5)]
    session.train()
    session.advance()
    session.pause()
    session.set("learning_rate", 0.125)
    session.close()
    again = Session.open(session.run)
    assert describe(again).config.learning_rate == 0.125 and describe(again).num_epochs == 5
    assert session.run.metadata().config.learning_rate == 0.125
    again.close()


def test_fewer_epochs_than_are_done_are_refused(tiny: Tiny, saves: Path) -> None:
    session = Session.create(tiny(), saves)
    trainer = session.trainer
    assert trainer is not None
    session.train()
    train_until(session, lambda: trainer.epoch == 2)
    words = r"num_epochs must be at least 2, the epochs that are done or begun, got 1$"
    with pytest.raises(ConfigError, match=words) as refused:
        session.set("num_epochs", 1)
    assert refused.value.labelled.startswith("epochs must be at least 2"), "a form names the label"
    assert (session.state, trainer.num_epochs, trainer.config.num_epochs) == (State.TRAINING, 3, 3)
    session.advance()
    with pytest.raises(ConfigError, match="at least 3, the epochs that are done or begun, got 2"):
        session.set("num_epochs", 2)
    session.pause()
    with pytest.raises(ConfigError, match="at least 3"):
        session.train(2)
    session.train()
    train_until(session, lambda: session.state == State.FINISHED)
    assert (trainer.epoch, trainer.batch) == (3, 0)
    session.close()


def test_as_many_epochs_as_are_done_end_it(tiny: Tiny, saves: Path) -> None:
    session = Session.create(tiny(), saves)
    session.train()
    train_until(session, lambda: session.trainer is not None and session.trainer.epoch == 2)
    session.set("num_epochs", 2)
    session.advance()
    assert (session.state, session.trainer.epoch, session.trainer.batch) == (State.FINISHED, 2, 0)  # type: ignore[union-attr]
    session.close()


def test_a_run_without_a_name_never_takes_anothers(tiny: Tiny, saves: Path) -> None:
    made: list[Session] = []

    def make() -> None:
        made.append(Session.create(tiny(), saves))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(session.run.name for session in made) == [f"nonsense-000{number}" for number in range(1, 5)]
    for session in made:
        session.close()


def test_a_copy_of_a_training_is_a_run_that_rests(tiny: Tiny, saves: Path, whole: Any) -> None:
    session = Session.create(tiny(), saves, "one")
    session.train()
    train_until(session, lambda: session.trainer is not None and session.trainer.step == 20)
    session.save()
    copy = Run(session.copy("copy"))
    assert session.state == State.TRAINING and run_summary(copy).state == State.STOPPED
    with pytest.raises(RunError, match="there is already a run 'copy'"):
        session.copy("copy")
    with pytest.raises(RunError, match="cannot be the name of a run"):
        session.copy("../copy")
    for one in (Session.open(copy), session):
        list(train_to_end(one)) if one is not session else train_until(session, lambda: session.state == State.FINISHED)
        one.close()
        assert curve(one.run) == whole()


# --- what is refused -----------------------------------------------------------------------------------------------


def test_a_run_that_cannot_be_made_leaves_nothing(tiny: Tiny, saves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for changes, error, sentence in (
        ({"batch_size": 400}, CorpusError, "the text has 801 tokens"),
        ({"device": "cuda:9"}, ConfigError, "there is no device"),
        ({"corpus": "/nowhere"}, CorpusError, "there is no file"),
    ):
        with pytest.raises(error, match=sentence):
            Session.create(tiny(**changes), saves)
    with pytest.raises(RunError, match="cannot be the name of a run"):
        Session.create(tiny(corpus="/nowhere"), saves, "../x")
    assert not saves.exists()
    monkeypatch.setattr(Checkpointing, "save_first", lambda self, trainer: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Session.create(tiny(), saves)
    assert list(saves.iterdir()) == []


def test_one_session_a_run(tiny: Tiny, saves: Path) -> None:
    session = Session.create(tiny(), saves, "one")
    with pytest.raises(RunError, match="run 'one' is open in another engine: attach to that one, or stop it first"):
        Session.open(session.run)
    with pytest.raises(RunError, match="there is already a run 'one'"):
        Session.create(tiny(corpus="/nowhere"), saves, "one")
    session.close()
    Session.open(session.run).close()
    with pytest.raises(RunError, match="there is no run 'two' in"):
        Session.open(Run(saves / "two"))
    assert not (saves / "two").exists()


# --- trainings that fail -------------------------------------------------------------------------------------------


def test_divergence_goes_back_to_the_last_good_checkpoint(tiny: Tiny, saves: Path) -> None:
    session = Session.create(tiny(num_epochs=5), saves)
    session.train()
    train_until(session, lambda: session.trainer is not None and session.trainer.step == 20)
    session.save()
    with torch.no_grad():
        next(session.model.parameters()).fill_(math.nan)
    before = session.run.latest_path.read_bytes()
    session.save()
    assert session.run.latest_path.read_bytes() == before, "what is no number is not saved"
    while session.state == State.TRAINING:
        session.advance()
    assert session.state == State.DIVERGED and states(session.run).count(State.DIVERGED) == 1
    assert "at step 21 (batch 8 of epoch 2)" in session.message
    assert session.message.endswith("the weights are those of epoch 1 again")
    assert all(bool(torch.isfinite(weight).all()) for weight in session.model.parameters())
    session.set("learning_rate", 0.1)
    list(train_to_end(session))
    session.close()
    assert states(session.run)[-1] == State.FINISHED and [point.epoch for point in curve(session.run)] == [
        1,
        2,
        3,
        4,
        5,
    ]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "out of memory: make batch, steps or hidden smaller, or use another device"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "out of memory: make batch"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory"),
        (ValueError("strange\nthings"), "the engine failed (ValueError: strange); the log is "),
    ],
)
def test_a_failure_is_told_in_words(tiny: Tiny, saves: Path, whole: Any, error: Exception, words: str) -> None:
    session = Session.create(tiny(dropout=0.3), saves)
    session.train()
    train_until(session, lambda: session.trainer is not None and session.trainer.step == 15)
    session.save()
    train_until(session, lambda: session.trainer is not None and session.trainer.step == 30)
    assert session.trainer is not None
    advance = session.trainer.optimiser.clipped_step

    def fail(*, fused: bool) -> torch.Tensor:
        raise error

    session.trainer.optimiser.clipped_step = fail  # type: ignore[method-assign]
    (event,) = session.advance()
    assert isinstance(event, StateChanged) and event.state == State.FAILED and event.message.startswith(words)
    log = session.run.log_path
    assert event.message.endswith(f"; the log is {log}"), "it is at hand"
    assert f"{type(error).__name__}: " in log.read_text() or "MemoryError" in log.read_text(), "and has all of it"
    assert "Traceback" in log.read_text() and all(weight.grad is None for weight in session.model.parameters())
    assert failure_words(error, session.folder) == event.message
    assert is_out_of_memory(error) is words.startswith("out of memory")
    session.trainer.optimiser.clipped_step = advance  # type: ignore[method-assign]
    list(train_to_end(session))
    session.close()
    assert curve(session.run) == whole(dropout=0.3), "it goes on from its checkpoint"
