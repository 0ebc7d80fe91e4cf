"""Trainers in one process: neither another one nor what torch has one of in a process changes their numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from core.events import EpochFinished
from core.models.recurrence.cpu import bindings
from core.runs.checkpoint import read_checkpoint
from core.settings.run_config import RunConfig
from core.training.trainer import Trainer
from tests.core.outcomes import save_checkpoint, without_clock

CASES: list[dict[str, Any]] = [
    {"cell": "rnn", "dropout": 0.3},
    {"cell": "gru", "num_layers": 2, "dropout": 0.4, "weight_dropout": 0.2},
    {"cell": "lstm", "num_layers": 2, "dropout": 0.4, "implementation": "torch.nn"},  # which draws inside of PyTorch
    {"cell": "lstm", "cpu_path": "plain", "dropout": 0.3},
    {"cell": "rnn", "optimiser": "rmsprop", "learning_rate": 0.01, "embedding_size": 6, "validation_fraction": 0.3},
]


def outcome(trainer: Trainer, between: Callable[[], object] = lambda: None) -> tuple[list[EpochFinished], list[Any]]:
    """The curve and the weights; ``between`` happens before each batch."""
    told = []
    while not trainer.finished:
        between()
        told += [event for event in trainer.advance() if isinstance(event, EpochFinished)]
    return without_clock(told), [tensor.tolist() for tensor in trainer.model.state_dict().values()]


def test_a_second_trainer_changes_nothing_of_the_first(tiny: Callable[..., RunConfig], one_thread: None) -> None:
    for case in CASES:
        config = tiny(num_epochs=2, **case)
        wanted = outcome(Trainer(config))
        first = Trainer(config)
        report = first.backend_report
        plain = "auto" if config.cpu_path == "plain" else "plain"
        others = [
            Trainer(tiny(seed=5, threads=3, cell="gru", dropout=0.5, cpu_path=plain, num_epochs=1000)),
            Trainer(tiny(seed=6, implementation="torch.nn", num_layers=2, dropout=0.5, num_epochs=1000)),
        ]
        found = outcome(first, lambda others=others: [other.advance() for other in others])  # type: ignore[misc]
        assert found == wanted, case
        assert first.backend_report == report, case
        assert (others[0].backend_report["recurrence"] == "compiled kernels") == (
            plain == "auto" and not bindings.unavailable_reason()
        )


def test_a_trainer_changes_nothing_of_its_process(tiny: Callable[..., RunConfig], one_thread: None) -> None:
    torch.manual_seed(12)
    generator = torch.get_rng_state()
    for case in CASES:
        list(Trainer(tiny(threads=2, num_epochs=1, **case)))
        assert torch.equal(torch.get_rng_state(), generator) and torch.get_num_threads() == 1, case


def test_defaults_of_the_process_do_no_harm(tiny: Callable[..., RunConfig], one_thread: None) -> None:
    for case in CASES:
        config = tiny(num_epochs=2, **case)
        wanted = outcome(Trainer(config))
        before = torch.get_default_dtype()
        try:
            torch.set_default_dtype(torch.float64)
            with torch.device("meta"):
                found = outcome(Trainer(config))
                assert torch.get_default_dtype() is torch.float64 and torch.get_default_device().type == "meta"
        finally:
            torch.set_default_dtype(before)
        assert found == wanted, case


@pytest.mark.parametrize("foreign", [7, 99])
def test_random_numbers_go_on_from_a_checkpoint_alone(
    tiny: Callable[..., RunConfig], one_thread: None, tmp_path: Any, foreign: int
) -> None:
    """The state of the process's generator is in no checkpoint, and none of it is wanted."""
    for case in CASES[:3]:
        config, path = tiny(num_epochs=2, **case), tmp_path / "latest.safetensors"
        wanted = outcome(Trainer(config))
        first = Trainer(config)
        told = [event for _ in range(5) for event in first.advance() if isinstance(event, EpochFinished)]
        save_checkpoint(path, *first.checkpoint())
        torch.manual_seed(foreign)
        again = Trainer(config)
        again.restore(*read_checkpoint(path))
        curve, weights = outcome(again, lambda: torch.rand(3))
        assert (without_clock(told) + curve, weights) == wanted, case
