"""SIGTERM to an engine, whatever it is doing: it saves and exits soon, and whoever waits for an answer gets one.

Each of the things that it does here would go on for a minute or more.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from core.engine import shutdown
from core.engine.session import Session
from core.errors import RunError
from core.events import Note, SampleWritten, State
from core.models.recurrence.cpu.step import CompiledText
from core.runs.checkpoint import read_checkpoint
from core.runs.held_folder import Disk, HeldFolder
from core.runs.run import Run
from core.runs.store import list_runs
from core.runs.summary import run_summary
from core.settings.run_config import RunConfig
from core.training.validation import HeldOutStream
from tests.core.outcomes import curve, states, train_to_end
from tests.run_folders import epochs, read_journal
from tests.waiting import wait_for

Tiny = Callable[..., RunConfig]
ENDING = "the engine is ending: ask again, and another one answers"


def assert_it_goes_on(run: Run, runtime: Path) -> None:
    """Nothing is left of the engine, and training goes on from what it saved."""
    assert not run.is_held() and list(runtime.iterdir()) == []
    assert not list(run.path.glob(".*"))
    done = len(epochs(read_journal(run.journal_path)))
    session = Session.open(run)
    assert session.trainer is not None and session.trainer.epoch >= done
    session.train(session.trainer.epoch + 2)
    while session.state == State.TRAINING:
        session.advance()
    session.close()
    assert session.state == State.FINISHED


def huge_held_out(config: RunConfig, saves: Path) -> Session:
    """A run whose held-out text has a billion tokens, all in one byte of memory."""
    session = Session.create(config, saves, "one")
    assert session.trainer is not None
    session.trainer.held_out = HeldOutStream(np.broadcast_to(np.array([3], dtype=np.uint8), (10**9,)), 10)
    return session


def test_in_the_midst_of_measuring(tiny: Tiny, saves: Path, runtime: Path, forked: Any) -> None:
    config = tiny(validation_fraction=0.2, schedule="step", decay_epochs=1)
    engine = forked(lambda: huge_held_out(config, saves))
    run = Run(saves / "one")
    assert engine.talk.ask("train")["state"] == State.TRAINING
    wait_for(lambda: _batch(engine, run) == 10)
    # It goes on answering meanwhile, and what it has trained can be kept.
    assert engine.talk.ask("generate", prefix="ab", length=5)["event"] == "done"
    assert engine.talk.ask("pause")["state"] == State.PAUSED
    assert engine.talk.ask("resume")["state"] == State.TRAINING
    engine.signal(signal.SIGTERM)
    assert engine.wait() == 0
    assert states(run)[-1] == State.STOPPED and epochs(read_journal(run.journal_path)) == []
    _, facts = read_checkpoint(run.latest_path)
    assert (facts["epoch"], facts["batch"], facts["step"]) == (0, 10, 10), "the epoch is trained, but not measured"

    whole = Session.create(config, saves, "whole")
    list(train_to_end(whole))
    whole.close()
    session = Session.open(run)
    list(train_to_end(session))
    session.close()
    assert curve(run) == curve(whole.run) and len(curve(run)) == 3


def _batch(engine: Any, run: Run) -> int:
    """In which batch the engine is: by way of a checkpoint."""
    engine.talk.ask("save")
    batch: int = read_checkpoint(run.latest_path)[1]["batch"]
    return batch


def slow_steps() -> None:
    """Let writing take a hundredth of a second a token."""
    write = CompiledText.write

    def slow(self: CompiledText, last: int, uniforms: Any, seconds: float) -> list[int]:
        time.sleep(0.01)
        return write(self, last, uniforms[:1], seconds)

    CompiledText.write = slow  # type: ignore[method-assign]


def test_in_the_midst_of_a_sample(tiny: Tiny, saves: Path, runtime: Path, forked: Any) -> None:
    config = tiny(sample_every=1, sample_length=10_000, num_epochs=50)
    engine = forked(lambda: Session.create(config, saves, "one"), slow_steps)
    run = Run(saves / "one")
    engine.talk.ask("train")
    wait_for(lambda: len(epochs(read_journal(run.journal_path))) == 1)
    # Meanwhile it answers, and the batch after the sample is not trained.
    assert engine.talk.ask("pause")["epoch"] == engine.talk.ask("resume")["epoch"] == 1
    engine.signal(signal.SIGTERM)
    assert engine.wait() == 0
    assert states(run)[-1] == State.STOPPED
    assert not any(isinstance(event, SampleWritten) for event in read_journal(run.journal_path))
    assert_it_goes_on(run, runtime)


LONG_REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("generate", {"prefix": "ab", "length": 500_000, "count": 2}),
    ("generate", {"prefix": "ab", "length": 20_000, "strategy": "beam", "beam": 8}),
    ("generate", {"prefix": "ab" * 50_000, "length": 100_000}),
    ("lab", {"settings": {
        "points": 10_000, "tau": 128, "rnn_hiddens": 512, "mlp_hiddens": 512, "train_examples": 9_000,
        "num_epochs": 500, "batch_size": 1_000,
    }}),
]  # fmt: skip


def test_in_the_midst_of_long_requests(tiny: Tiny, saves: Path, runtime: Path, forked: Any) -> None:
    engine = forked(lambda: Session.create(tiny(num_epochs=10**6), saves, "one"))
    run = Run(saves / "one")
    engine.talk.ask("train")
    asked = [engine.talk.send(name, **fields) for name, fields in LONG_REQUESTS]
    wait_for(lambda: len(epochs(read_journal(run.journal_path))) > 1)
    engine.signal(signal.SIGTERM)
    told = engine.talk.rest()
    assert engine.wait() == 0
    for number in asked:
        answers = [message for message in told if message.get("id") == number]
        assert answers[-1] == {"id": number, "event": "error", "message": ENDING}, number
        assert [message["event"] for message in answers].count("error") == 1
    assert states(run)[-1] == State.STOPPED
    assert_it_goes_on(run, runtime)


def slow_copying() -> None:
    """Let a copy take for ever."""

    def slow(source: BinaryIO, target: BinaryIO, length: int = 0) -> None:
        while True:
            target.write(b"x")
            time.sleep(0.01)

    shutil.copyfileobj = slow  # type: ignore[assignment]


def test_in_the_midst_of_a_copy(tiny: Tiny, saves: Path, runtime: Path, forked: Any) -> None:
    engine = forked(lambda: Session.create(tiny(num_epochs=10**6), saves, "one"), slow_copying)
    run = Run(saves / "one")
    engine.talk.ask("train")
    asked = engine.talk.send("save", name="copy")
    behind = engine.talk.send("hello")
    wait_for(lambda: list(saves.glob(".making-*/*")))
    engine.signal(signal.SIGTERM)
    assert engine.wait() == 0
    assert [path.name for path in saves.iterdir()] == ["one"], "nothing is left of the copy"
    answers = {message["id"]: message for message in engine.talk.rest() if "id" in message}
    assert answers[asked]["message"] == answers[behind]["message"] == ENDING
    assert states(run)[-1] == State.STOPPED
    assert_it_goes_on(run, runtime)


@pytest.mark.parametrize("tokens", ["char", "word"])
def test_in_the_midst_of_a_long_text(
    tiny: Tiny, saves: Path, runtime: Path, tmp_path: Path, forked: Any, trials: int, tokens: str
) -> None:
    text = tmp_path / "long.txt"
    megabyte = b"".join(b"word%d of many\n" % number for number in range(1 << 16))[: 1 << 20]
    with text.open("wb") as file:
        for _ in range(60 * min(trials, 10)):
            file.write(megabyte)
    engine = forked()
    asked = engine.talk.send("create", config=tiny(corpus=str(text), tokens=tokens).to_dict(), saves=str(saves))
    time.sleep(0.2)
    engine.signal(signal.SIGTERM)
    assert engine.wait() == 0
    assert engine.talk.rest()[-1] == {"id": asked, "event": "error", "message": ENDING}
    assert list_runs(saves) == [] and list(runtime.iterdir()) == []


def impatient() -> None:
    """Not to let the tests wait."""
    shutdown.PATIENCE = 0.5


def test_in_the_midst_of_a_batch_that_takes_a_minute(tiny: Tiny, saves: Path, runtime: Path, forked: Any) -> None:
    """The last checkpoint stands, and the journal says what happened."""

    def stuck() -> Session:
        session = Session.create(tiny(checkpoint_seconds=0.0, num_epochs=10**6), saves, "one")
        assert session.trainer is not None
        step, trainer = session.trainer.optimiser.clipped_step, session.trainer
        stuck_step = lambda fused: time.sleep(60) if trainer.step == 20 else step(fused=fused)  # noqa: E731
        trainer.optimiser.clipped_step = stuck_step  # type: ignore
        return session

    assert shutdown.PATIENCE < 5
    engine = forked(stuck, impatient)
    run = Run(saves / "one")
    engine.talk.ask("train")
    wait_for(lambda: run.latest_path.exists() and read_checkpoint(run.latest_path)[1]["step"] == 20)
    time.sleep(0.1)
    engine.signal(signal.SIGTERM)
    assert engine.wait() == 128 + signal.SIGTERM
    notes = [event.text for event in read_journal(run.journal_path) if isinstance(event, Note)]
    assert notes == ["the engine was ended in the midst of a long batch: its last checkpoint is kept"]
    assert run_summary(run).state == State.INTERRUPTED and read_checkpoint(run.latest_path)[1]["step"] == 20
    assert_it_goes_on(run, runtime)


class SlowDisk(Disk):
    """Takes its time, but longer than an engine has for anything else."""

    slow = False

    def fsync(self, file: BinaryIO) -> None:
        if self.slow:
            time.sleep(1.5)
        super().fsync(file)


def test_in_the_midst_of_saving(tiny: Tiny, saves: Path, runtime: Path, forked: Any) -> None:
    """A save that has begun is brought to its end."""

    def slow() -> Session:
        HeldFolder.disk = SlowDisk()
        session = Session.create(tiny(num_epochs=10**6), saves, "one")
        SlowDisk.slow = True
        return session

    engine = forked(slow, impatient)
    run = Run(saves / "one")
    engine.talk.ask("train")
    wait_for(lambda: len(epochs(read_journal(run.journal_path))) > 3)
    engine.signal(signal.SIGTERM)
    assert engine.wait() == 0
    assert states(run)[-1] == State.STOPPED
    assert read_checkpoint(run.latest_path)[1]["epoch"] >= len(epochs(read_journal(run.journal_path)))
    assert_it_goes_on(run, runtime)


@pytest.mark.parametrize("doing", ["standing by", "idle", "paused"])
def test_while_it_does_nothing(tiny: Tiny, saves: Path, runtime: Path, forked: Any, doing: str) -> None:
    engine = forked()
    if doing != "standing by":
        engine.talk.ask("create", config=tiny(num_epochs=10**6).to_dict(), saves=str(saves), name="one")
    if doing == "paused":
        engine.talk.ask("train")
        engine.talk.ask("pause")
    engine.signal(signal.SIGTERM)
    assert engine.wait() == 0 and list(runtime.iterdir()) == []
    told = [message for message in engine.talk.rest() if message["event"] == "state"]
    assert [message["state"] for message in told] == ([State.STOPPED] if doing == "paused" else [])


def other_threads_take_signals() -> None:
    """As when a signal comes a moment before the main thread waits: nothing interrupts its wait."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def test_a_signal_that_interrupts_no_wait(runtime: Path, forked: Any) -> None:
    engine = forked(None, other_threads_take_signals)
    time.sleep(0.1)
    engine.signal(signal.SIGTERM)
    assert engine.wait() == 0 and list(runtime.iterdir()) == []


def test_twice_is_as_good_as_once(tiny: Tiny, saves: Path, runtime: Path, forked: Any, trials: int) -> None:
    """Signals in a row, while it trains, writes and saves, at every moment: the run is whole."""
    for number in range(3 * trials):
        engine = forked(lambda number=number: Session.create(tiny(num_epochs=10**6), saves, str(number)))
        run = Run(saves / str(number))
        engine.talk.ask("train")
        engine.talk.send("generate", prefix="ab", length=500_000)
        time.sleep(0.003 * number)
        for _ in range(3):
            engine.signal(signal.SIGTERM)
            time.sleep(0.001)
            if os.waitpid(engine.pid, os.WNOHANG | os.WUNTRACED)[0]:
                engine.code = 0
                break
        engine.wait()
        assert states(run)[-1] == State.STOPPED
        assert_it_goes_on(run, runtime)
        with pytest.raises(RunError):
            Session.open(Run(saves / "nowhere"))
