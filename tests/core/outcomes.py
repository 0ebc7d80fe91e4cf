"""What came of a run, as the tests of runs and engines compare it; and children that train until they are killed."""

from __future__ import annotations

import dataclasses
import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from core.engine.session import Session
from core.events import EpochFinished, Event, Note, State, StateChanged
from core.runs.checkpoint import write_checkpoint
from core.runs.held_folder import Disk, HeldFolder
from core.runs.run import Run
from core.settings.run_config import RunConfig
from tests.run_folders import epochs, read_journal


def without_clock(told: Iterable[EpochFinished]) -> list[EpochFinished]:
    """All of the epochs but how long they took."""
    return [dataclasses.replace(event, tokens_per_second=0.0, seconds=0.0) for event in told]


def curve(run: Run) -> list[EpochFinished]:
    """All of the curve but its clock."""
    return without_clock(epochs(read_journal(run.journal_path)))


def notes(run: Run) -> list[str]:
    """The remarks in the journal."""
    return [event.text for event in read_journal(run.journal_path) if isinstance(event, Note)]


def states(run: Run) -> list[str]:
    """The states in the journal, one after the other."""
    return [event.state for event in read_journal(run.journal_path) if isinstance(event, StateChanged)]


def train_to_end(session: Session) -> Iterator[Event]:
    """Train without an engine."""
    yield from session.train()
    while session.state == State.TRAINING:
        yield from session.advance()


def train_until(session: Session, happened: Callable[[], bool]) -> None:
    """Train batch by batch; the training must not end before."""
    while not happened():
        assert session.state == State.TRAINING
        session.advance()


def save_checkpoint(
    path: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any], disk: Disk | None = None
) -> None:
    """Write a checkpoint into a folder that nobody holds."""
    with HeldFolder(path.parent) as folder:
        folder.disk = disk or folder.disk
        write_checkpoint(folder, path.name, tensors, facts)


def train_in_child(config: RunConfig, run: Run, disk: Disk | None = None) -> None:
    """In a forked child: begin, or go on, to the end; never return."""
    try:
        HeldFolder.disk = disk or HeldFolder.disk
        session = Session.open(run) if run.exists() else Session.create(config, run.path.parent, run.name)
        if session.state != State.FINISHED:
            list(train_to_end(session))
        session.close()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
