"""Engines whose training fails: no memory, a crash, numbers that are none. The run says so, and everything goes on."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.engine.failure import failure_words, is_out_of_memory
from core.engine.protocol import run_socket
from core.engine.session import Session
from core.errors import RunError
from core.events import Note, State, StateChanged
from core.runs.run import Run
from core.runs.summary import run_summary
from core.settings.run_config import RunConfig
from core.training.backend import Change
from core.training.trainer import Trainer
from tests.core.outcomes import train_to_end
from tests.run_folders import epochs, read_journal

Tiny = Callable[..., RunConfig]
OUT_OF_MEMORY = "out of memory: make batch, steps or hidden smaller, or use another device"


def until_state(talk: Any, state: str) -> dict[str, Any]:
    """Wait for the news that the run is in another state."""
    while True:
        found = [message for message in talk.others if message.get("state") == state and "id" not in message]
        if found:
            return found[-1]  # type: ignore[no-any-return]
        talk.others.append(talk.receive())


def journalled(run: Run, kind: type) -> list[Any]:
    return [event for event in read_journal(run.journal_path) if isinstance(event, kind)]


def little_memory() -> None:
    """From here on the process gets half a gigabyte more, and then no more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + (512 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs to know how much memory it has")
def test_no_memory_for_a_batch(tiny: Tiny, saves: Path, text_path: Path, forked: Any) -> None:
    """Really none: the system gives no more. The model fits, the batch does not."""
    text_path.write_text(text_path.read_text() * 700, "utf-8")
    engine = forked(prepare=little_memory)
    large = tiny(batch_size=4000, num_steps=60, num_hiddens=256)
    created = engine.talk.ask("create", config=large.to_dict(), saves=str(saves), name="large")
    assert created["event"] == "done", created
    run = Run(saves / "large")
    engine.talk.ask("train")
    told = until_state(engine.talk, State.FAILED)
    assert told["message"] == f"{OUT_OF_MEMORY}; the log is {run.log_path}"
    assert journalled(run, StateChanged)[-1].message == told["message"] and run_summary(run).state == State.FAILED
    assert "Traceback" in run.log_path.read_text()
    # It is still there, and does all that it has room for.
    assert engine.talk.ask("generate", prefix="ab", length=20)["event"] == "done"
    assert engine.talk.ask("save", name="kept")["event"] == "done"
    assert engine.talk.ask("quit")["event"] == "done" and engine.wait() == 0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs to know how much memory it has")
def test_no_memory_for_a_model(tiny: Tiny, saves: Path, forked: Any) -> None:
    engine = forked(prepare=little_memory)
    huge = tiny(num_hiddens=8192, num_layers=4, cell="lstm")
    answer = engine.talk.ask("create", config=huge.to_dict(), saves=str(saves), name="huge")
    assert (answer["event"], answer["message"]) == ("error", OUT_OF_MEMORY) and not list(saves.glob("*"))
    assert engine.talk.ask("create", config=tiny().to_dict(), saves=str(saves), name="one")["event"] == "done"
    engine.talk.ask("train")
    assert until_state(engine.talk, State.FINISHED)


def failing(config: RunConfig, saves: Path, error: Callable[[], BaseException], at: int) -> Session:
    """A session whose optimiser raises ``error`` at a step, once."""
    session = Session.create(config, saves, "one")
    trainer = session.trainer
    assert trainer is not None
    step, raised = trainer.optimiser.clipped_step, []

    def fail(*, fused: bool) -> torch.Tensor:
        if trainer.step == at and not raised:
            raised.append(at)
            raise error()
        return step(fused=fused)

    trainer.optimiser.clipped_step = fail  # type: ignore[method-assign]
    return session


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), OUT_OF_MEMORY),
        (lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), OUT_OF_MEMORY),
        (lambda: ValueError("one\ntwo"), "the engine failed (ValueError: one)"),
        (lambda: RecursionError("too deep"), "the engine failed (RecursionError: too deep)"),
    ],
)
def test_a_failed_training_can_be_gone_on_with(
    tiny: Tiny, saves: Path, forked: Any, error: Callable[[], BaseException], words: str
) -> None:
    engine = forked(lambda: failing(tiny(num_epochs=5, checkpoint_seconds=0.0), saves, error, at=20))
    run = Run(saves / "one")
    engine.talk.ask("train")
    told = until_state(engine.talk, State.FAILED)
    assert told["message"] == f"{words}; the log is {run.log_path}" and "Traceback" in run.log_path.read_text()
    assert len(epochs(read_journal(run.journal_path))) == 1, "the curve is still there"
    assert engine.talk.ask("hello")["state"] == State.FAILED
    assert engine.talk.ask("generate", prefix="ab", length=20)["event"] == "done"
    assert "the run has failed: nothing new can be saved" in engine.talk.ask("save")["message"]
    assert engine.talk.ask("train")["event"] == "done"
    until_state(engine.talk, State.FINISHED)
    assert len(epochs(read_journal(run.journal_path))) == 5
    engine.talk.close()
    assert engine.wait() == 0, "without a client and without work it goes"


def test_a_batch_half_done_is_not_saved(tiny: Tiny, saves: Path) -> None:
    """A setting changed, or a copy made, after a failure keeps the last checkpoint."""
    session = failing(tiny(num_epochs=5), saves, lambda: ValueError("broken"), at=20)
    session.train()
    while session.state == State.TRAINING:
        session.advance()
    before = session.run.latest_path.read_bytes()
    with torch.no_grad():
        next(session.model.parameters()).fill_(0.5)
    session.save()
    assert session.run.latest_path.read_bytes() == before
    session.set("learning_rate", 0.25)
    assert session.trainer is not None and session.trainer.step == 0, "the weights of the last checkpoint"
    assert not bool((next(session.model.parameters()) == 0.5).all())
    session.close()
    again = Session.open(session.run)
    assert again.trainer is not None and again.trainer.step == 0 and again.trainer.config.learning_rate == 0.25
    again.close()


def test_without_a_checkpoint_a_failed_training_is_not_continued(tiny: Tiny, saves: Path) -> None:
    """Its first checkpoint would be the batch half done, and none would follow."""
    session = failing(tiny(num_epochs=5, checkpoint_seconds=0.0), saves, lambda: ValueError("broken"), at=20)
    session.train()
    while session.state == State.TRAINING:
        session.advance()
    for path in (session.run.latest_path, session.run.best_path):
        path.unlink(missing_ok=True)
    with pytest.raises(RunError, match="can be read: train a new run"):
        session.train()
    session.close()
    assert not session.run.latest_path.exists() and session.state == State.FAILED


def test_a_checkpoint_that_cannot_be_restored_is_kept(tiny: Tiny, saves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To compute as before, another trainer takes over: its initial weights are no checkpoint of this run."""
    session = Session.create(tiny(num_epochs=3), saves, "one")
    list(train_to_end(session))
    assert session.trainer is not None
    session.change = Change("another way", session.trainer.config, "")
    before, restore = session.run.latest_path.read_bytes(), session._checkpointing.restore
    failures = [MemoryError("none left")]

    def restored(trainer: Trainer) -> str:
        if failures:
            raise failures.pop()
        return restore(trainer)

    monkeypatch.setattr(session._checkpointing, "restore", restored)
    with pytest.raises(MemoryError):
        session.train(6, as_before=True)
    session.save()
    assert session.run.latest_path.read_bytes() == before
    session.set("learning_rate", 0.25)
    session.close()
    again = Session.open(session.run)
    assert again.trainer is not None and again.trainer.epoch == 3 and again.trainer.config.learning_rate == 0.25
    again.close()


def test_what_counts_as_no_memory() -> None:
    assert is_out_of_memory(RuntimeError("std::bad_alloc")) and is_out_of_memory(OSError(12, "Cannot allocate memory"))
    assert not is_out_of_memory(OSError(28, "No space left on device"))
    assert not is_out_of_memory(ValueError("out of memory")) and not is_out_of_memory(RuntimeError("shape mismatch"))
    assert failure_words(ValueError("")) == "the engine failed (ValueError: ValueError)"


def test_a_checkpoint_for_which_there_is_no_memory(tiny: Tiny, saves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session.create(tiny(checkpoint_seconds=0.0), saves, "one")
    before = session.run.latest_path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(session.trainer, "checkpoint", _no_memory)
        session.train()
        session.advance()
        session.advance()
        assert session.state == State.TRAINING and "out of memory" in session.save_problem
    assert session.run.latest_path.read_bytes() == before
    session.advance()
    assert not session.save_problem
    assert [event.text for event in journalled(session.run, Note)][1:] == ["the checkpoint is saved again"]
    session.close()


def _no_memory() -> None:
    raise MemoryError


def test_killed_again_and_again_it_starts_again(
    tiny: Tiny, saves: Path, runtime: Path, forked: Any, trials: int
) -> None:
    """Whatever a killed engine leaves, the next one is not bothered."""
    Session.create(tiny(num_epochs=10**6, checkpoint_seconds=0.0), saves, "one").close()
    run = Run(saves / "one")
    for number in range(3 * trials):
        engine = forked()
        assert engine.talk.ask("open", run=str(run.path))["event"] == "done", number
        assert engine.talk.ask("train")["state"] == State.TRAINING
        before = len(epochs(read_journal(run.journal_path)))
        while len(epochs(read_journal(run.journal_path))) < before + 2:
            pass
        engine.signal(signal.SIGKILL)
        assert engine.wait() == -signal.SIGKILL
        assert not run.is_held() and run_summary(run).state == State.INTERRUPTED
        assert list(runtime.iterdir()) == [run_socket(run.path)], "only the dead socket is left"
    with socket.socket(socket.AF_UNIX) as dead, pytest.raises(ConnectionRefusedError):
        dead.connect(str(run_socket(run.path)))


# --- numbers that are none -----------------------------------------------------------------------------------------


def test_divergence_and_going_on_with_a_lower_rate(tiny: Tiny, saves: Path, runtime: Path, forked: Any) -> None:
    """What a screen asks for: set learning_rate, train. In the engine where it happened, and in another one."""
    config = tiny(learning_rate=1e6, clipping="none", activation="relu", num_epochs=6)
    engine = forked()
    engine.talk.ask("create", config=config.to_dict(), saves=str(saves), name="one")
    run = Run(saves / "one")
    engine.talk.ask("train")
    told = until_state(engine.talk, State.DIVERGED)
    assert "became non-finite at step" in told["message"]
    assert "a lower learning rate or a tighter clip usually helps" in told["message"]
    assert told["message"].endswith(f"the weights are those of epoch {told['epoch']} again")
    assert run_summary(run).state == State.DIVERGED
    text = engine.talk.ask("generate", prefix="ab", length=20)
    assert text["event"] == "done", "the weights are good ones"

    assert engine.talk.ask("set", name="learning_rate", value=0.5)["value"] == 0.5
    assert engine.talk.ask("train")["state"] == State.TRAINING
    engine.talk.others.clear()
    until_state(engine.talk, State.FINISHED)
    curve = epochs(read_journal(run.journal_path))
    assert [event.epoch for event in curve] == list(range(1, 7)) and curve[-1].learning_rate == 0.5
    assert all(math.isfinite(event.loss) for event in curve)


def test_divergence_in_an_engine_that_has_gone(tiny: Tiny, saves: Path, forked: Any) -> None:
    session = Session.create(tiny(learning_rate=1e6, clipping="none", activation="relu"), saves, "one")
    session.train()
    while session.state == State.TRAINING:
        session.advance()
    session.close()
    assert session.state == State.DIVERGED
    engine = forked()
    assert engine.talk.ask("open", run=str(session.run.path))["state"] == State.DIVERGED
    engine.talk.ask("set", name="learning_rate", value=0.5)
    engine.talk.ask("train")
    until_state(engine.talk, State.FINISHED)


def test_a_divergence_without_a_checkpoint_to_go_back_to(tiny: Tiny, saves: Path) -> None:
    """Its weights are no good ones: the run has failed, and none of its curve is said to have weights."""
    session = Session.create(tiny(learning_rate=1e6, clipping="none", activation="relu"), saves, "one")
    session.train()
    good = session.run.latest_path.read_bytes()
    for path in (session.run.latest_path, session.run.best_path):
        path.write_bytes(b"damaged")
    while session.state == State.TRAINING:
        session.advance()
    assert session.state == State.FAILED
    assert "became non-finite at step" in session.message and "is no whole checkpoint" in session.message
    for act in (session.train, lambda: session.set("learning_rate", 0.5)):
        with pytest.raises(RunError, match=r"is no whole checkpoint.*can be read: train a new run$"):
            act()
    summary = run_summary(session.run)
    assert (summary.state, summary.restored) == (State.FAILED, None)
    session.run.latest_path.write_bytes(good)  # it is put back
    session.set("learning_rate", 0.5)
    assert list(train_to_end(session)) and session.state == State.FINISHED
    session.close()


def test_an_infinite_gradient_is_in_no_checkpoint(tiny: Tiny, saves: Path) -> None:
    """Clipping can hide it from the weights; a checkpoint with it would diverge again at every going on."""
    session = Session.create(tiny(checkpoint_seconds=0.0, clipping="value"), saves, "one")
    session.train()
    trainer = session.trainer
    assert trainer is not None
    while trainer.step < 15:
        session.advance()
    before = session.run.latest_path.read_bytes()
    trainer.records.norms[1] = math.inf
    session.advance()
    assert session.run.latest_path.read_bytes() == before
    while session.state == State.TRAINING:
        session.advance()
    assert session.state == State.DIVERGED and "at step 15 (batch 2 of epoch 2)" in session.message
    session.set("learning_rate", 0.1)
    session.train()
    while session.state == State.TRAINING:
        session.advance()
    session.close()
    assert session.state == State.FINISHED


def test_an_explosion_without_infinity_is_a_divergence(tiny: Tiny, saves: Path) -> None:
    """Three epochs far above guessing, or the last one of all: back to the last good checkpoint, and on from there."""
    for num_epochs, last in ((9, 3), (3, 3), (2, 2), (1, 1)):
        wild = tiny(learning_rate=1e6, clipping="none", num_epochs=num_epochs)
        session = Session.create(wild, saves, f"run-{num_epochs}")
        session.train()
        while session.state == State.TRAINING:
            session.advance()
        points, limit = epochs(read_journal(session.run.journal_path)), 3 * math.log(len(session.vocabulary))
        assert [point.epoch for point in points] == list(range(1, last + 1)), num_epochs
        assert all(point.loss > limit and math.isinf(point.perplexity) for point in points)
        assert session.state == State.DIVERGED and session.message.startswith("the loss exploded in epoch")
        assert f"the last had a loss of {points[-1].loss:,.0f} nats, where guessing among all" in session.message
        assert "a lower learning rate or a tighter clip usually helps" in session.message
        told = [event.text for event in journalled(session.run, Note)]
        assert len(told) == 1 and "the learning rate, 1,000,000, is probably too high, and a lower one" in told[0]
        assert session.trainer is not None and (session.trainer.epoch, session.trainer.exploding_epochs) == (0, 0)
        session.close()
        summary = run_summary(session.run)
        assert (summary.state, summary.perplexity, summary.loss) == (State.DIVERGED, math.inf, points[-1].loss)
        assert json.loads(json.dumps(summary.to_json(), allow_nan=False))["perplexity"] is None

        again = Session.open(session.run)
        again.set("learning_rate", 0.5)
        list(train_to_end(again))
        again.close()
        points = epochs(read_journal(session.run.journal_path))
        assert again.state == State.FINISHED and len(points) == num_epochs and points[-1].loss < limit


def test_the_rate_of_an_explosion_is_the_one_that_was_set(tiny: Tiny, saves: Path) -> None:
    wild = tiny(learning_rate=1e6, clipping="none", num_epochs=9, schedule="cosine")
    session = Session.create(wild, saves, "one")
    list(train_to_end(session))
    session.close()
    (told,) = (event.text for event in journalled(session.run, Note))
    (first, *_) = epochs(read_journal(session.run.journal_path))
    assert first.learning_rate < 1e6
    assert f"the learning rate, 1,000,000 ({first.learning_rate:.4g} by the schedule), is probably too high" in told


def test_one_epoch_that_explodes_is_a_spike(tiny: Tiny, saves: Path) -> None:
    """It is told, and no checkpoint is taken of it; training goes on."""
    session = Session.create(tiny(num_epochs=4, checkpoint_seconds=0.0), saves, "one")
    session.train()
    trainer = session.trainer
    assert trainer is not None
    while trainer.step < 15:
        session.advance()
    trainer.records.losses[0] = 1e4
    before = session.run.latest_path.read_bytes()
    while trainer.step < 27:
        session.advance()
    assert trainer.exploding_epochs == 1
    assert session.run.latest_path.read_bytes() == before
    while session.state == State.TRAINING:
        session.advance()
    session.close()
    assert session.state == State.FINISHED and len(journalled(session.run, Note)) == 1
    assert session.run.latest_path.read_bytes() != before
