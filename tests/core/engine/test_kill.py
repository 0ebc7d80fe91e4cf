"""Trainings that are killed at random moments and gone on with give what the uninterrupted ones give, bit for bit.

There are four kills for each model, times ``--trials``.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.engine.session import Session
from core.events import Event, State
from core.runs.checkpoint import read_checkpoint
from core.runs.run import Run
from core.runs.summary import run_summary
from core.settings.run_config import RunConfig
from tests.core.outcomes import curve, train_in_child, train_to_end
from tests.core.processes import started
from tests.waiting import wait_for

Tiny = Callable[..., RunConfig]
KILLS = 4
CASES: list[dict[str, Any]] = [
    {"cell": "rnn", "num_epochs": 12},
    {"cell": "gru", "implementation": "torch.nn", "optimiser": "adam", "learning_rate": 0.01, "dropout": 0.3,
     "sampling": "random", "schedule": "cosine", "num_epochs": 9},
    {"cell": "lstm", "optimiser": "rmsprop", "learning_rate": 0.01, "num_layers": 2, "dropout": 0.2,
     "schedule": "plateau", "decay_epochs": 2, "validation_fraction": 0.2, "num_epochs": 8},
]  # fmt: skip


def assert_same(killed: Run, whole: Run) -> None:
    assert curve(killed) == curve(whole)
    found, wanted = read_checkpoint(killed.latest_path)[0], read_checkpoint(whole.latest_path)[0]
    assert set(found) == set(wanted)
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["cell"])
def test_killed_at_random(tiny: Tiny, saves: Path, one_thread: None, trials: int, case: dict[str, Any]) -> None:
    config = tiny(checkpoint_seconds=0.01, sample_every=4, sample_length=5, **case)
    began = time.monotonic()
    session = Session.create(config, saves, "whole")
    list(train_to_end(session))
    session.close()
    whole, seconds = session.run, time.monotonic() - began

    kills = KILLS * trials
    draw, killed = random.Random(case["cell"]), 0
    while killed < kills or (saves / "killed").exists():
        child = os.fork()
        if child == 0:
            train_in_child(config, Run(saves / "killed"))
        killed += end(child, after=draw.uniform(0, 0.6 * seconds) if killed < kills else 60.0)
        run = Run(saves / "killed")
        if run.exists():
            assert not run.is_held() and run_summary(run).problem == ""
            if run_summary(run).state == State.FINISHED:
                assert_same(run, whole)
                run.path.rename(saves / f"finished-{killed}-{time.monotonic_ns()}")
    assert killed >= kills


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fitted_budget_survives_kills(tiny: Tiny, saves: Path, one_thread: None, trials: int) -> None:
    config = tiny(minutes=0.01, checkpoint_seconds=0.01, schedule="cosine", optimiser="adam", learning_rate=0.01)
    run = Run(saves / "first")
    child = os.fork()
    if child == 0:
        advance = Session.advance

        def killed_when_fitted(session: Session) -> list[Event]:
            events = advance(session)
            if run.metadata().fit is not None:
                os.kill(os.getpid(), signal.SIGKILL)
            return events

        Session.advance = killed_when_fitted  # type: ignore[method-assign]
        train_in_child(config, run)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert run_summary(run).state == State.INTERRUPTED and run.metadata().fit is not None
    for name in ("whole", "killed"):
        shutil.copytree(run.path, saves / name)
    began = time.monotonic()
    session = Session.open(Run(saves / "whole"))
    if session.state != State.FINISHED:
        list(train_to_end(session))
    session.close()
    seconds, draw, killed = time.monotonic() - began, random.Random(1), Run(saves / "killed")
    kills = KILLS * trials
    while run_summary(killed).state != State.FINISHED:
        child = os.fork()
        if child == 0:
            train_in_child(config, killed)
        kills -= end(child, after=draw.uniform(0, 0.6 * seconds) if kills > 0 else 60.0)
    assert_same(killed, session.run)
    assert killed.metadata().fit == session.run.metadata().fit is not None


def end(child: int, after: float) -> bool:
    """Kill the child if it is still there ``after`` seconds; say whether it was. A child that failed fails the test."""
    deadline = time.monotonic() + after
    pid = 0
    while not pid and time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.001)
    if not pid:
        os.kill(child, signal.SIGKILL)
        pid, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL), "going on failed: see what it printed"
    return code != 0


# More epochs than a page of the pipe holds: the training is never further ahead of who reads it.
AHEAD = 24


def test_killed_and_resumed_from_the_command_line(
    tiny: Tiny, saves: Path, one_thread: None, runtime: Path, forked_programs: None
) -> None:
    """Killed while it trains, however fast it is: what it prints fills the pipe, and it waits for its reader."""
    config = tiny(num_epochs=70, num_steps=30, checkpoint_seconds=0.02, dropout=0.2, sampling="random", seed=5)
    session = Session.create(config, saves, "whole")
    list(train_to_end(session))
    session.close()
    settings = [f"--set={name}={value}" for name, value in config.to_dict().items() if name != "device"]
    command = ["-m", "core", "train", "--name=one", f"--saves={saves}", "--json", *settings]
    run, kills = Run(saves / "one"), 0
    while True:
        with started(*command, stdout=subprocess.PIPE, pipesize=4096, text=False, bufsize=0) as process:
            assert process.stdout is not None
            for count, line in enumerate(process.stdout):
                event = json.loads(line)
                if count >= 12 and event["event"] == "epoch" and event["epoch"] < config.num_epochs - AHEAD:
                    process.kill()
                    wait_for(lambda: not run.is_held(), "the training to be gone")
                    break  # reading on would let it train on
        assert not run.is_held()
        if process.returncode == 0:
            break
        kills += 1
        assert process.returncode == -signal.SIGKILL and run_summary(run).state == State.INTERRUPTED
        command = ["-m", "core", "resume", "one", f"--saves={saves}", "--json"]
    assert kills >= 2
    assert_same(run, session.run)
