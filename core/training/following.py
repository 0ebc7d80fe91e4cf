"""What the workers of a team do that do not lead it: build the leader's trainer, and follow its orders.

``python -m core.training.following FOLDER RANK SIZE`` is one of those that an engine starts on its own machine; they
meet in ``FOLDER``. They write nothing but what went wrong, on standard error.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch.distributed as dist

from core.corpus.reader import Corpus
from core.errors import CorpusError, UserError, WorkersLostError
from core.process import keep_freed_memory, pause_collection, resume_collection
from core.settings.run_config import RunConfig
from core.training.backend import arithmetic
from core.training.distributed import Order, Team, loopback, meeting_place
from core.training.parts import corpus_of
from core.training.trainer import Trainer

# They have nothing to save.
END_SIGNAL = signal.SIGKILL


def follow(team: Team, gpu: int) -> None:
    """Do what the leader orders until it ends the team. ``gpu``: the number of this worker's.

    Raises WorkersLostError.
    """
    trainer: Trainer | None = None
    while True:
        order, numbers = team.next_order()
        if order is Order.END:
            return
        if order is Order.BUILD:
            trainer = None  # its memory is needed
            trainer = _built(team, team.received_facts(numbers[0]), gpu)
            continue
        assert trainer is not None
        if order is Order.RESTORE:
            trainer.restore(*team.received_checkpoint(numbers[0]))
        elif order is Order.GATHER:
            trainer.whole_state()
        else:
            with trainer.computing():
                if order is Order.TRAIN:
                    trainer.train_batch(int(numbers[0]), int(numbers[1]), numbers[2])
                else:
                    trainer.measure(is_first=bool(numbers[0]))


def _built(team: Team, facts: dict[str, Any], gpu: int) -> Trainer | None:
    """The trainer of the leader's settings and text; None if there cannot be one, which is reported."""
    try:
        config = RunConfig.from_dict(facts["config"])
        corpus = _same_text(config, facts)
        device = f"cuda:{gpu}" if facts["device"] == "cuda" else facts["device"]
        trainer = Trainer(config.replace(device=device), corpus)
        trainer.take_part(team)
    except (UserError, MemoryError, RuntimeError) as error:
        team.report({"error": str(error)[:500] or type(error).__name__})
        return None
    team.report(arithmetic(trainer.backend))
    return trainer


def _same_text(config: RunConfig, facts: dict[str, Any]) -> Corpus:
    """The leader's text, from the first place where this machine has it. Raises CorpusError."""
    wrong: list[str] = []
    for source in facts["sources"]:
        try:
            corpus = corpus_of(config, source=Path(source), at_most=facts["bytes"])
            if corpus.sha256 == facts["sha256"]:
                return corpus
            wrong.append(f"{source} is another text there than where worker 0 is")
        except CorpusError as error:
            wrong.append(str(error))
    raise CorpusError(wrong[0])


def run_follower(team: Team, gpu: int) -> None:
    """``follow`` in a process of its own, to its end."""
    with contextlib.suppress(WorkersLostError):  # the leader has gone, or starts others
        follow(team, gpu)
    if dist.is_initialized():
        dist.destroy_process_group()
    sys.stderr.flush()
    os._exit(1 if team.is_broken else 0)  # a process with gloo's threads may abort at a usual exit


def ready_file(folder: Path, rank: int) -> Path:
    """The file that shows that a worker is past its imports: from then on it takes milliseconds to meet the others."""
    return folder / f"{rank}.ready"


def ignore_signals() -> None:
    """Leave it to the leader to stop: it saves first, which needs all workers."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def main(folder: str, rank: int, size: int) -> None:
    """A worker on the leader's machine."""
    ignore_signals()
    loopback()
    keep_freed_memory()
    resume_collection()
    ready_file(Path(folder), rank).touch()
    run_follower(Team(rank, size, meeting_place(Path(folder), size)), rank)


if __name__ == "__main__":
    pause_collection()
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
