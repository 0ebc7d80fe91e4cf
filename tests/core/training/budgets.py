"""What the tests of time budgets share: a clock of their own, and trainings that it times."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch

from core.events import EpochFinished, Event
from core.settings.run_config import RunConfig
from core.training.trainer import Trainer

Tiny = Callable[..., RunConfig]
BATCHES = 13  # of an epoch of the tiny configuration


class Clock:
    """A clock that stands still unless it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def passing(trainer: Trainer, clock: Clock, events: list[Event], a_batch: float, an_end: float) -> None:
    """Train one batch, which takes ``a_batch`` seconds, and the end of an epoch ``an_end`` more."""
    new = trainer.advance()
    clock.now += a_batch + an_end * any(isinstance(event, EpochFinished) for event in new)
    events += new


def trained(
    trainer: Trainer, clock: Clock, a_batch: Callable[[], float], an_end: float = 0.0, most: int = 10**6
) -> list[Event]:
    events: list[Event] = []
    for _ in range(most):
        if trainer.finished:
            break
        passing(trainer, clock, events, a_batch(), an_end)
    return events


def of_kind(events: list[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def checkpoint(trainer: Trainer) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    tensors, facts = trainer.checkpoint()
    return {name: tensor.clone() for name, tensor in tensors.items()}, json.loads(json.dumps(facts))
