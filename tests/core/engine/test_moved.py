"""Folders moved, replaced and deleted under their engines: ``mv`` is harmless, ``rm -rf`` ends the training."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.engine import session as module
from core.engine.description import describe
from core.engine.session import Session
from core.errors import UserError
from core.events import State
from core.runs.checkpoint import read_checkpoint
from core.runs.run import Run
from core.runs.store import list_runs
from core.settings.run_config import RunConfig
from tests.core.outcomes import curve, notes, train_to_end

Tiny = Callable[..., RunConfig]
SETTINGS: dict[str, Any] = {"checkpoint_seconds": 0.0, "validation_fraction": 0.2, "num_epochs": 6}


@pytest.fixture(autouse=True)
def _quiet(one_thread: None) -> None:
    pass


def steps(session: Session, count: int) -> None:
    for _ in range(count):
        assert session.state == State.TRAINING, session.message
        session.advance()


@pytest.mark.parametrize("other", [{"seed": 7}, {"seed": 7, "num_hiddens": 5, "cell": "lstm"}], ids=["seed", "shapes"])
def test_a_run_that_is_moved_leaves_the_one_that_takes_its_name_alone(
    tiny: Tiny, saves: Path, whole: Any, other: dict[str, Any]
) -> None:
    first = Session.create(tiny(**SETTINGS), saves, "A")
    first.train()
    steps(first, 12)
    (saves / "A").rename(saves / "B")
    second = Session.create(tiny(**{**SETTINGS, **other}), saves, "A")
    files = {entry.name: entry.read_bytes() for entry in second.run.path.iterdir()}
    first.set("learning_rate", 0.9)  # which is in run.json with the next checkpoint
    first.set("learning_rate", SETTINGS.get("learning_rate", 1.0))
    steps(first, 10)
    first.save()
    first.copy("C")
    assert {entry.name: entry.read_bytes() for entry in second.run.path.iterdir()} == files, "not a byte is changed"
    assert first.run.path == saves / "B" and describe(first).name == "B" and not first.save_problem
    assert read_checkpoint(Run(saves / "B").latest_path)[1]["step"] == first.trainer.step  # type: ignore[union-attr]
    assert read_checkpoint(Run(saves / "C").latest_path)[1]["step"] == first.trainer.step  # type: ignore[union-attr]
    first.close()
    list(train_to_end(second))
    second.close()
    wanted = whole(**SETTINGS)
    for name in ("B", "C"):
        session = Session.open(Run(saves / name))
        list(train_to_end(session))
        session.close()
        assert curve(session.run) == wanted, name
    assert curve(Run(saves / "A")) == whole(**{**SETTINGS, **other})


def test_a_divergence_after_a_move_goes_back_to_its_own_checkpoint(tiny: Tiny, saves: Path) -> None:
    import torch

    first = Session.create(tiny(**{**SETTINGS, "checkpoint_seconds": 86_400.0}), saves, "A")
    first.train()
    steps(first, 12)
    first.save()
    wanted = {name: tensor.clone() for name, tensor in first.model.state_dict().items()}
    (saves / "A").rename(saves / "B")
    second = Session.create(tiny(**{**SETTINGS, "seed": 7}), saves, "A")
    with torch.no_grad():
        next(first.model.parameters()).fill_(float("nan"))
    while first.state == State.TRAINING:
        first.advance()
    assert first.state == State.DIVERGED
    assert all(torch.equal(first.model.state_dict()[name], tensor) for name, tensor in wanted.items())
    first.close()
    second.close()


@pytest.mark.parametrize("loss", ["deleted", "replaced", "unlocked"])
def test_a_folder_that_is_deleted_ends_the_training(
    tiny: Tiny, saves: Path, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    session = Session.create(tiny(**SETTINGS), saves, "A")
    run = session.run
    session.train()
    steps(session, 12)
    if loss == "unlocked":
        run.lock_path.unlink()
    else:
        shutil.rmtree(run.path)
    second = Session.create(tiny(**{**SETTINGS, "seed": 7}), saves, "A") if loss == "replaced" else None
    before = {entry: entry.read_bytes() for entry in saves.rglob("*") if entry.is_file()}
    session.advance()
    assert session.state == State.FAILED
    what = f"{run.lock_path} was removed" if loss == "unlocked" else f"{run.path} was deleted"
    assert session.message == (
        f"{what} while an engine had the run open: training has stopped and nothing more is written"
    )
    session.save()
    for act in (session.train, session.step, lambda: session.copy("B")):
        with pytest.raises(UserError, match="nothing more is written"):
            act()
    session.close()
    assert {entry: entry.read_bytes() for entry in saves.rglob("*") if entry.is_file()} == before
    if second is not None:
        list(train_to_end(second))
        second.close()
        assert [summary.state for summary in list_runs(saves)] == [State.FINISHED]


def test_engines_whose_folders_are_moved_and_deleted(
    tiny: Tiny, saves: Path, whole: Any, runtime: Path, forked: Any, trials: int
) -> None:
    """The same with processes: moved in the midst of its saves, killed, gone on with; and one that is deleted."""
    for trial in range(trials):
        settings = {**SETTINGS, "checkpoint_seconds": 0.01, "num_epochs": 24, "seed": trial, "dropout": 0.2}
        wanted = whole(**{**settings, "checkpoint_seconds": 60.0})
        engine = forked(lambda settings=settings: Session.create(tiny(**settings), saves, "A"))
        run = Run(saves / f"B{trial}")
        engine.talk.send("train")
        time.sleep(0.02 * trial)
        (saves / "A").rename(run.path)
        other = forked(lambda: Session.create(tiny(**{**SETTINGS, "num_epochs": 10**6, "seed": 99}), saves, "A"))
        before = {path.name: path.read_bytes() for path in (saves / "A").iterdir()}
        time.sleep(0.1)
        engine.signal(signal.SIGKILL)
        engine.wait()
        assert {path.name: path.read_bytes() for path in (saves / "A").iterdir()} == before
        session = Session.open(run)
        if session.state != State.FINISHED:
            list(train_to_end(session))
        session.close()
        assert curve(run) == wanted and not notes(run)
        other.talk.ask("train")
        time.sleep(0.05)
        while (saves / "A").exists():
            shutil.rmtree(saves / "A", ignore_errors=True)  # a file may come in while it is emptied
        told = other.talk.receive()
        while told.get("state") != State.FAILED:
            told = other.talk.receive()
        assert "nothing more is written" in told["message"]
        other.talk.ask("quit")
        assert other.wait() == 0
        assert not (saves / "A").exists() and sorted(os.listdir(saves)) == [f"B{done}" for done in range(trial + 1)]
