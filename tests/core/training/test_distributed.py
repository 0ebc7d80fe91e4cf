"""Several workers train the model that one trains: the same curve but for rounding, each number of them bit for bit."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from core.corpus.reader import Corpus
from core.errors import RunError, WorkersLostError
from core.events import EpochFinished
from core.settings.run_config import RunConfig
from core.training import distributed
from core.training.distributed import Team, loopback, meeting_place
from core.training.following import run_follower
from core.training.parts import corpus_of
from core.training.trainer import Trainer
from tests.core.outcomes import without_clock

Tiny = Callable[..., RunConfig]
Gather = Callable[[int], Team]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

CASES: list[dict[str, Any]] = [
    {"cell": "rnn", "dropout": 0.3, "validation_fraction": 0.3},
    {"cell": "rnn", "implementation": "torch.nn", "sampling": "random", "optimiser": "rmsprop", "learning_rate": 0.01},
    {"cell": "gru", "sampling": "random", "state": "carried", "optimiser": "adam", "learning_rate": 0.01,
     "weight_dropout": 0.2, "schedule": "plateau", "decay_epochs": 2, "validation_fraction": 0.2},
    {"cell": "gru", "implementation": "torch.nn", "num_layers": 2, "embedding_size": 6, "dropout": 0.3,
     "weight_dropout": 0.2, "clipping": "value", "clip": 0.01},
    {"cell": "lstm", "documents": "lines", "validation_fraction": 0.4, "dropout": 0.2, "num_steps": 20, "num_layers": 2,
     "optimiser": "adamw", "learning_rate": 0.01, "weight_decay": 0.1},
    {"cell": "lstm", "cpu_path": "plain", "bidirectional": True, "momentum": 0.5, "dropout": 0.2},
    {"cell": "lstm", "cpu_path": "textbook", "embedding_size": 8, "tied": True, "schedule": "cosine"},
]  # fmt: skip


@pytest.fixture
def gather(one_thread: None) -> Iterator[Gather]:
    """Forks the other workers of a team of that size; this process leads it."""
    teams: list[Team] = []

    def gathered(size: int) -> Team:
        loopback()
        folder = Path(tempfile.mkdtemp(prefix="team-", dir="/tmp"))
        workers = [fork(folder, rank, size) for rank in range(1, size)]

        def end() -> None:
            for worker in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
                os.waitpid(worker, 0)
            shutil.rmtree(folder)

        team = Team(0, size, meeting_place(folder, size), end)
        team.processes = workers  # type: ignore[attr-defined]
        teams.append(team)
        return team

    yield gathered
    for team in teams:
        team.end()


def fork(folder: Path, rank: int, size: int) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            torch.set_num_threads(1)  # OpenMP's pool does not survive a fork
            run_follower(Team(rank, size, meeting_place(folder, size)), 0)
        finally:
            os._exit(1)
    return pid


def epochs(trainer: Trainer, until: int | None = None) -> list[EpochFinished]:
    found = []
    while not trainer.finished and trainer.epoch != until:
        found += [event for event in trainer.advance() if isinstance(event, EpochFinished)]
    return found


def together(config: RunConfig, team: Team, corpus: Corpus | None = None) -> Trainer:
    trainer = Trainer(config, corpus)
    trainer.join(team)
    return trainer


def assert_close(found: list[EpochFinished], wanted: list[EpochFinished], case: object) -> None:
    assert len(found) == len(wanted)
    for ours, alone in zip(found, wanted, strict=True):
        for name in ("loss", "validation_loss", "gradient_norm", "clipped", "learning_rate"):
            assert getattr(ours, name) == pytest.approx(getattr(alone, name), rel=1e-4), (name, alone.epoch, case)


def test_any_number_of_workers_gives_the_same_curve(tiny: Tiny, gather: Gather, trials: int) -> None:
    """3 epochs of the first case with 2, 3 and 4 workers, 2 of the others with one number; ``--trials 2``: 20 of all"""
    configs = [tiny(num_epochs=20 if trials > 1 else 2 if index else 3, **case) for index, case in enumerate(CASES)]
    alone = [epochs(Trainer(config)) for config in configs]
    for size in (2, 3, 4):
        team = gather(size)
        for index, (config, wanted) in enumerate(zip(configs, alone, strict=True)):
            if trials > 1 or index == 0 or index % 2 + 2 == size:
                trainer = together(config, team)
                assert_close(epochs(trainer), wanted, (size, CASES[index]))
                trainer.leave()
        team.end()


def test_the_same_number_gives_the_same_bits(tiny: Tiny, gather: Gather) -> None:
    config = tiny(num_epochs=4, batch_size=7, dropout=0.2, cell="gru", validation_fraction=0.2)
    first = together(config, gather(3))
    curve = without_clock(epochs(first))
    wanted = first.checkpoint()[0]
    first.team.end()  # type: ignore[union-attr]
    second = together(config, gather(3))
    assert without_clock(epochs(second)) == curve
    found = second.checkpoint()[0]
    assert found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_checkpoint_knows_nothing_of_the_number_of_workers(tiny: Tiny, gather: Gather) -> None:
    config = tiny(num_epochs=9, cell="lstm", batch_size=5, dropout=0.2, validation_fraction=0.2)
    alone = epochs(Trainer(config))
    trainer = together(config, gather(3))
    found = epochs(trainer, until=3)
    for _ in range(4):
        trainer.advance()
    tensors, facts = trainer.checkpoint()
    trainer.team.end()  # type: ignore[union-attr]
    again = Trainer(config)
    again.restore(tensors, facts)  # by one
    found += epochs(again, until=6)
    for _ in range(2):
        again.advance()
    again.join(gather(2))
    assert_close(found + epochs(again), alone, "3, 1 and 2 workers")


def test_bf16(tiny: Tiny, gather: Gather) -> None:
    config = tiny(num_epochs=5, precision="bf16", cell="lstm")
    alone = epochs(Trainer(config))
    found = epochs(together(config, gather(2)))
    assert [event.loss for event in found] == pytest.approx([event.loss for event in alone], rel=0.02)


def test_what_another_worker_lacks_is_a_sentence(tiny: Tiny, gather: Gather, text_path: Path) -> None:
    trainer = Trainer(tiny())
    text_path.write_text("another text " * 100, "utf-8")
    with pytest.raises(RunError, match=f"worker 1 on {socket.gethostname()} cannot train: .* is another text there"):
        trainer.join(gather(2))


def test_a_worker_finds_the_text_of_a_run_without_its_folder(
    tiny: Tiny, gather: Gather, text_path: Path, tmp_path: Path
) -> None:
    """A resumed run reads the copy in its folder, which another machine may lack."""
    config, copy = tiny(num_epochs=1), tmp_path / "corpus.txt"
    shutil.copy(text_path, copy)
    trainer = Trainer(config, dataclasses.replace(corpus_of(config, source=copy), origin=text_path))
    copy.unlink()
    team = gather(2)
    trainer.join(team)
    found = epochs(trainer)
    trainer.leave()
    team.end()
    assert_close(found, epochs(Trainer(config)), "the text at its origin")
    text_path.unlink()
    with pytest.raises(RunError, match=rf"cannot train: there is no file '.*{text_path.name}'"):
        together(config, gather(2), trainer.corpus)


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGKILL, "was lost"), (signal.SIGSTOP, "did not answer within 2 s")]
)
def test_a_worker_that_is_lost_is_noticed(
    tiny: Tiny, gather: Gather, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, words: str
) -> None:
    monkeypatch.setattr(distributed, "PATIENCE", 2.0)
    team = gather(2)
    trainer = together(tiny(), team)
    epochs(trainer, until=1)
    os.kill(team.processes[0], number)  # type: ignore[attr-defined]
    with pytest.raises(WorkersLostError, match=words):
        epochs(trainer)
    with pytest.raises(WorkersLostError):
        trainer.checkpoint()
