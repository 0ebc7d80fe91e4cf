"""A run that goes on from a checkpoint gives bit for bit what the uninterrupted run gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.events import EpochFinished
from core.runs.checkpoint import read_checkpoint
from core.settings.run_config import RunConfig
from core.training.trainer import Trainer
from tests.core.outcomes import save_checkpoint, without_clock

CASES: list[dict[str, Any]] = [
    {"cell": "rnn", "sampling": "sequential", "schedule": "constant"},
    {"cell": "rnn", "sampling": "random", "momentum": 0.9, "schedule": "step", "decay_epochs": 1},
    {"cell": "gru", "sampling": "sequential", "optimiser": "adam", "dropout": 0.3, "schedule": "cosine"},
    {"cell": "gru", "sampling": "random", "optimiser": "rmsprop", "momentum": 0.5, "schedule": "plateau"},
    {"cell": "lstm", "sampling": "sequential", "optimiser": "adamw", "weight_decay": 0.1, "num_layers": 2,
     "dropout": 0.3, "schedule": "cosine", "warmup_epochs": 1.5},
    {"cell": "lstm", "sampling": "random", "optimiser": "adam", "embedding_size": 8, "tied": True,
     "schedule": "plateau", "decay_epochs": 1, "validation_fraction": 0.3},
    {"cell": "rnn", "optimiser": "rmsprop", "clipping": "value", "bidirectional": True, "validation_fraction": 0.2},
    {"cell": "rnn", "documents": "lines", "optimiser": "adam", "num_steps": 10, "dropout": 0.2, "batch_size": 8},
    {"cell": "gru", "precision": "bf16", "optimiser": "adamw", "validation_fraction": 0.3, "patience": 1},
]  # fmt: skip


def advanced(trainer: Trainer, batches: int) -> list[EpochFinished]:
    told: list[EpochFinished] = []
    for _ in range(batches):
        if not trainer.finished:
            told += [event for event in trainer.advance() if isinstance(event, EpochFinished)]
    return told


def assert_resumes_exactly(config: RunConfig, path: Path) -> None:
    """Trained in pieces, each from the checkpoint of the one before, it comes out as trained without a break."""
    whole = Trainer(config)
    wanted = advanced(whole, 10_000)
    assert wanted
    interrupted, told = Trainer(config), []
    # In the middle of an epoch, at its end, right after its beginning, before all, and twice at the same place.
    for batches in (0, 7, 0, 6, 1, 9, 10_000):
        told += advanced(interrupted, batches)
        save_checkpoint(path, *interrupted.checkpoint())
        interrupted = Trainer(config)
        torch.manual_seed(99)  # whatever the new process drew before
        interrupted.restore(*read_checkpoint(path))
    assert without_clock(told) == without_clock(wanted)
    found = interrupted.model.state_dict()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("implementation", ["scratch", "torch.nn"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(str(value) for value in case.values()))
def test_exact_resume(
    tiny: Callable[..., RunConfig], tmp_path: Path, one_thread: None, case: dict[str, Any], implementation: str
) -> None:
    rate = 1.0 if case.get("optimiser", "sgd") == "sgd" else 0.01
    config = tiny(**{"num_epochs": 3, "learning_rate": rate, "implementation": implementation, **case})
    assert_resumes_exactly(config, tmp_path / "latest.safetensors")


def test_exact_resume_of_the_textbook(tiny: Callable[..., RunConfig], tmp_path: Path, one_thread: None) -> None:
    config = tiny(num_epochs=2, cpu_path="textbook", cell="gru", dropout=0.3, weight_dropout=0.1, num_layers=2)
    assert_resumes_exactly(config, tmp_path / "latest.safetensors")
    assert Trainer(config).backend["kernels"] == "textbook"


def test_a_change_in_mid_run_is_kept(tiny: Callable[..., RunConfig], one_thread: None) -> None:
    trainer = Trainer(tiny())
    advanced(trainer, 5)
    trainer.set("learning_rate", 0.5)
    trainer.set("num_epochs", 2)
    again = Trainer(tiny())
    again.restore(*trainer.checkpoint())
    assert (again.config.learning_rate, again.num_epochs) == (0.5, 2)
    assert without_clock(advanced(again, 1000)) == without_clock(advanced(trainer, 1000))
