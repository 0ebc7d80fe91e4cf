"""The best checkpoint: on the disk together with the latest one, whenever the engine is killed."""

from __future__ import annotations

import errno
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch

from core.engine.session import Session
from core.events import State
from core.runs.checkpoint import read_checkpoint
from core.runs.held_folder import Disk, HeldFolder
from core.runs.run import Run
from core.runs.store import duplicate_run
from core.runs.summary import run_summary
from core.settings.run_config import RunConfig
from tests.core.outcomes import curve, train_in_child, train_to_end

Tiny = Callable[..., RunConfig]
KILLS = 25
SETTINGS: dict[str, Any] = {
    "validation_fraction": 0.2, "num_epochs": 12, "learning_rate": 0.5, "dropout": 0.2, "optimiser": "sgd",
    "momentum": 0.5,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet(one_thread: None) -> None:
    pass


class Counted(Disk):
    """Counts what is done to the disk; in the midst of number ``last`` the process dies, as by SIGKILL."""

    def __init__(self, last: int = 10**9) -> None:
        self.last, self.count, self.writes = last, 0, 0

    def _one_more(self) -> None:
        self.count += 1
        if self.count == self.last:
            os._exit(9)

    def write(self, file: BinaryIO, data: bytes) -> None:
        self.writes += 1
        super().write(file, data[: len(data) // 2])
        self._one_more()
        super().write(file, data[len(data) // 2 :])

    def fsync(self, file: BinaryIO) -> None:
        self._one_more()

    def rename(self, folder: HeldFolder, source: str, target: str) -> None:
        self._one_more()
        super().rename(folder, source, target)
        self._one_more()


def assert_same(first: Path, second: Path) -> None:
    (tensors, facts), (wanted, wanted_facts) = read_checkpoint(first), read_checkpoint(second)
    assert {**facts, "seconds": 0} == {**wanted_facts, "seconds": 0} and set(tensors) == set(wanted)
    for name, tensor in wanted.items():
        assert torch.equal(tensors[name], tensor), name


def test_many_better_epochs_cost_one_write(tiny: Tiny, saves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HeldFolder, "disk", disk := Counted())
    session = Session.create(tiny(**SETTINGS), saves, "one")
    session.train()
    while session.state == State.TRAINING:
        session.advance()
        if session.trainer is not None and session.trainer.epoch == 8:
            break
    assert session.trainer is not None and session.trainer.best_validation < curve(session.run)[0].validation_perplexity
    assert disk.writes == 1 and not session.run.best_path.exists(), "nothing since it was made"
    session.pause()
    assert disk.writes == 3, "the best and the latest"
    facts = read_checkpoint(session.run.best_path)[1]
    assert facts["best_validation"] == session.trainer.best_validation
    assert facts["best_validation"] == min(point.validation_perplexity or 0.0 for point in curve(session.run))
    session.train()
    session.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_step_of_saving(tiny: Tiny, saves: Path, tmp_path: Path, trials: int) -> None:
    # With the disk for each batch, and epochs of two batches: every other time with a new best.
    config = tiny(**SETTINGS, num_steps=60)
    session = Session.create(config, tmp_path / "whole", "whole")
    list(train_to_end(session))
    session.close()
    whole = session.run
    draw, killed = random.Random(1), 0
    while killed < KILLS * trials:
        run = Run(saves / "killed")
        last = draw.randrange(1, 40)
        child = os.fork()
        if child == 0:
            train_in_child(config.replace(checkpoint_seconds=0.0), run, Counted(last))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, 9)
        killed += code == 9
        if not run.exists():
            continue
        assert_whole(run)
        if run_summary(run).state == State.FINISHED:
            assert curve(run) == curve(whole)
            assert_same(run.best_path, whole.best_path)
            run.path.rename(saves / f"finished-{time.monotonic_ns()}")


def assert_whole(run: Run) -> None:
    """Opened again, the best checkpoint is the one that the latest knows, and nothing else lies about."""
    session = Session.open(run)
    trainer = session.trainer
    assert trainer is not None
    if run.latest_path.exists():
        known = read_checkpoint(run.latest_path)[1]["best_validation"]
        assert run.best_path.exists() is (known is not None)
        if known is not None:
            facts = read_checkpoint(run.best_path)[1]
            assert facts["best_validation"] == known == trainer.best_validation
            assert facts["epoch"] <= trainer.epoch
    assert not run.waiting_best_path.exists() and not list(run.path.glob(".*"))
    session.close()


class Refusing(Disk):
    """Has no room for a file of that name."""

    name = ""

    def write(self, file: BinaryIO, data: bytes) -> None:
        if self.name and self.name in str(file.name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(file, data)


@pytest.mark.parametrize("name", ["best-waiting", "latest"])
def test_room_for_only_one(tiny: Tiny, saves: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HeldFolder, "disk", disk := Refusing())
    session = Session.create(tiny(**SETTINGS), saves, "one")
    session.train()
    for epoch in (2, 4):
        disk.name = name
        while session.trainer is None or session.trainer.epoch < epoch:
            session.advance()
        session.save()
        assert "No space left on device" in session.save_problem
        latest = read_checkpoint(session.run.latest_path)[1]
        assert (latest["epoch"] == epoch) is (name == "best-waiting"), "the latest is saved where there is room for it"
        disk.name = ""
        session.save()
        assert not session.save_problem
        assert read_checkpoint(session.run.best_path)[1]["best_validation"] == session.trainer.best_validation
    session.close()


def test_divergence_takes_back_what_no_checkpoint_kept(tiny: Tiny, saves: Path) -> None:
    session = Session.create(tiny(**SETTINGS), saves, "one")
    session.train()
    while session.trainer is None or session.trainer.epoch < 2:
        session.advance()
    session.save()
    saved = read_checkpoint(session.run.best_path)[1]
    while session.trainer.epoch < 4:
        session.advance()
    assert session.trainer.best_validation < saved["best_validation"], "a better one waits in memory"
    with torch.no_grad():
        next(session.model.parameters()).fill_(float("nan"))
    while session.state == State.TRAINING:
        session.advance()
    assert session.state == State.DIVERGED and session.trainer.best_validation == saved["best_validation"]
    session.train()
    session.stop()
    assert read_checkpoint(session.run.best_path)[1] == saved, "the epochs of the lost one are undone"
    session.close()


def test_a_copy_of_a_killed_run_is_whole(tiny: Tiny, saves: Path) -> None:
    session = Session.create(tiny(**SETTINGS), saves, "one")
    list(train_to_end(session))
    session.close()
    run = session.run
    run.best_path.rename(run.waiting_best_path)  # killed before the last step
    copy = duplicate_run(run, "two")
    Session.open(copy).close()
    assert copy.best_path.exists() and not copy.waiting_best_path.exists()


def test_killed_just_before_it_could_say_that_it_is_finished(tiny: Tiny, saves: Path) -> None:
    session = Session.create(tiny(**SETTINGS), saves, "one")
    list(train_to_end(session))
    session.close()
    lines = session.run.journal_path.read_bytes().splitlines(keepends=True)
    assert b'"finished"' in lines[-1]
    session.run.journal_path.write_bytes(b"".join(lines[:-1]))
    assert run_summary(session.run).state == State.INTERRUPTED
    session = Session.open(session.run)
    assert session.state == State.FINISHED
    session.close()
    assert run_summary(session.run).state == State.FINISHED
