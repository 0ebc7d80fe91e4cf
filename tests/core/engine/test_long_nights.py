"""Trainings that go on for a long time: memory does not grow, and a clock that jumps changes no number.

In the short version some thousands of epochs; ``--trials 100`` makes hundreds of thousands.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from core.engine.session import Session
from core.events import Note, State, StateChanged
from core.runs.checkpoint import read_checkpoint
from core.runs.journal import JournalReader
from core.runs.run import Run
from core.settings.run_config import RunConfig
from tests.core.outcomes import curve, train_to_end
from tests.run_folders import epochs, read_journal

Tiny = Callable[..., RunConfig]
EPOCHS = 1000


def epoch_of(reader: JournalReader, last: int) -> int:
    """The last epoch in what has come since."""
    found = [event.epoch for event, _ in reader.poll() if hasattr(event, "epoch")]
    return max(found, default=last)


def test_memory_does_not_grow(tiny: Tiny, saves: Path, forked: Any, trials: int) -> None:
    """With a client attached that asks now and then, one that hears the news only, and one that comes and goes."""
    config = tiny(
        max_tokens=130, batch_size=2, num_steps=60, num_epochs=10**9, checkpoint_seconds=0.5, sample_every=100,
        sample_length=5,
    )  # fmt: skip
    engine = forked(lambda: Session.create(config, saves, "one"))
    process, talk, run = psutil.Process(engine.pid), engine.talk, Run(saves / "one")
    listener = type(talk)(engine.path)
    reader, done = JournalReader(run.journal_path), 0
    talk.ask("train")
    warm = 0
    while done < EPOCHS * trials:
        for _ in range(5):
            assert talk.ask("generate", prefix="ab", length=20)["event"] == "done"
        assert talk.ask("set", name="learning_rate", value=0.1 + random.random() / 100)["event"] == "done"
        assert talk.ask("pause")["event"] == talk.ask("resume")["event"] == "done"
        visitor = type(talk)(engine.path)
        visitor.send("generate", prefix="ab", length=500_000)
        visitor.ask("hello")
        visitor.close()
        talk.others.clear()
        listener.receive(), listener.receive()
        time.sleep(0.05)
        done = epoch_of(reader, done)
        if not warm and done > EPOCHS // 4:
            warm = process.memory_info().rss
    grown = process.memory_info().rss / warm - 1
    print(f"{done:,} epochs, {warm / 2**20:.0f} MB, grown by {100 * grown:.2f} %")
    assert grown < 0.05
    listener.close()


class JumpingClock:
    """Stands in for the time of day: it leaps to and fro, by seconds and by years."""

    def __init__(self) -> None:
        self._draw = random.Random(3)

    def __call__(self) -> float:
        return self._draw.choice((0.0, 1.0, -1e9, 2e9, 1.7e9)) + self._draw.uniform(-1e6, 1e6)


@pytest.mark.parametrize("clock", ["time", "perf_counter", "monotonic"])
def test_a_clock_that_jumps_changes_no_number(
    tiny: Tiny, saves: Path, one_thread: None, monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    """The time of day, and those that should not: a suspended or virtual machine has had both leap forward."""
    config = tiny(
        dropout=0.2, sampling="random", learning_rate=0.1, momentum=0.9, validation_fraction=0.2,
        schedule="plateau", num_epochs=6, sample_every=2, checkpoint_seconds=0.01,
    )  # fmt: skip
    straight = Session.create(config, saves, "straight")
    list(train_to_end(straight))
    straight.close()

    with monkeypatch.context() as patch:
        jumping = JumpingClock()
        if clock != "time":  # these never go back
            begin = getattr(time, clock)()
            leaps = iter(lambda: random.choice((0.0, 0.0, 0.001, 3600.0)), None)
            now = [begin]

            def leaping() -> float:
                now[0] += next(leaps)
                return now[0]

            patch.setattr(time, clock, leaping)
        else:
            patch.setattr(time, clock, jumping)
        leapt = Session.create(config, saves, "leapt")
        leapt.train()
        while leapt.state == State.TRAINING:
            leapt.advance()
        leapt.close()

    assert curve(leapt.run) == curve(straight.run) and len(curve(leapt.run)) == 6
    found, wanted = read_checkpoint(leapt.run.latest_path)[0], read_checkpoint(straight.run.latest_path)[0]
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    events = read_journal(leapt.run.journal_path)
    assert [event.state for event in events if isinstance(event, StateChanged)][-1] == State.FINISHED
    assert not [event for event in events if isinstance(event, Note)]
    assert all(math.isfinite(event.seconds) and event.seconds >= 0 for event in epochs(events))
