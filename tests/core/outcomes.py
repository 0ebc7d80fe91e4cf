"""What came of a run, as the tests of runs and engines compare it; and children that train until they are killed."""

from __future__ import annotations

import dataclasses
import os
import traceback
from collections.abc import Iterable

from core.config import RunConfig
from core.engine.session import Session, train_to_end
from core.events import EpochFinished, Note, State
from core.runs.checkpoint import Disk
from core.runs.journal import epochs, read_journal
from core.runs.run import Run


def without_clock(told: Iterable[EpochFinished]) -> list[EpochFinished]:
    """All of the epochs but how long they took."""
    return [dataclasses.replace(event, tokens_per_second=0.0, seconds=0.0) for event in told]


def curve(run: Run) -> list[EpochFinished]:
    """All of the curve but its clock."""
    return without_clock(epochs(read_journal(run.journal_path)))


def notes(run: Run) -> list[str]:
    """The remarks in the journal."""
    return [event.text for event in read_journal(run.journal_path) if isinstance(event, Note)]


def train_in_child(config: RunConfig, run: Run, disk: Disk | None = None) -> None:
    """In a forked child: begin, or go on, to the end; never return."""
    try:
        session = (
            Session.open(run, disk) if run.exists() else Session.create(config, run.path.parent, run.name, disk=disk)
        )
        if session.state != State.FINISHED:
            list(train_to_end(session))
        session.close()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
