"""Whether a checkpoint fits a trainer: checked before the trainer is changed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from core.corpus.batching_plan import ORDER
from core.errors import ConfigError, RunError
from core.record import MALFORMED
from core.settings.run_config import RunConfig
from core.training.budget import Budget
from core.training.optimisation import Schedule, state_names


def require_tensors(tensors: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> None:
    """Raise RunError unless a checkpoint has the ``wanted`` tensors, each in its shape and format; weights finite."""
    for name, tensor in wanted.items():
        given = tensors.get(name)
        if given is None:
            raise RunError(f"the checkpoint lacks {name}: it belongs to another model or is damaged")
        if given.shape != tensor.shape or given.dtype != tensor.dtype:
            raise RunError(
                f"the checkpoint's {name} is {given.dtype} {tuple(given.shape)} where this model has "
                f"{tensor.dtype} {tuple(tensor.shape)}: it belongs to another model or is damaged"
            )
        if name.startswith("model.") and not bool(torch.isfinite(given).all()):
            raise RunError(f"the checkpoint's {name} holds numbers that are not finite: it is damaged")
        if name == "generator.cpu":
            try:
                torch.Generator().set_state(given)
            except RuntimeError:
                raise RunError(f"the checkpoint's {name} is not the state of a generator: it is damaged") from None


def weights_of(model: nn.Module, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A checkpoint's tensors for the ``state_dict`` of a model. Raises RunError as ``require_tensors`` does."""
    require_tensors(tensors, {f"model.{name}": tensor for name, tensor in model.state_dict().items()})
    return {name: tensors[f"model.{name}"] for name in model.state_dict()}


def optimiser_state(
    tensors: Mapping[str, torch.Tensor], config: RunConfig, parameters: Sequence[torch.Tensor]
) -> dict[torch.Tensor, dict[str, torch.Tensor]]:
    """The optimiser's state for each weight; empty before its first step. Raises RunError."""
    found: dict[torch.Tensor, dict[str, torch.Tensor]] = {}
    wanted = state_names(config)
    if not any(name.startswith("optimiser.") for name in tensors):
        return found
    for index, weight in enumerate(parameters):
        found[weight] = {}
        for key in wanted:
            given = tensors.get(f"optimiser.{index}.{key}")
            shape = () if key == "step" else weight.shape
            if given is None or given.shape != shape or given.dtype != weight.dtype:
                raise RunError(
                    f"the checkpoint's optimiser.{index}.{key} is missing or does not fit its weight: it is damaged"
                )
            # In the weight's memory layout, transposed or not: the fused optimisers assume it.
            like = torch.empty((), dtype=given.dtype, device=weight.device) if key == "step" else weight
            found[weight][key] = torch.empty_like(like, requires_grad=False).copy_(given)
    return found


def finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def none_as_infinity(value: Any) -> float:
    return math.inf if value is None else float(value)


@dataclass(frozen=True)
class Facts:
    """The facts of a checkpoint: the place in the text, and what the training remembers besides tensors.

    ``order`` is the version of the random order; checkpoints without one are of a time when there was only the first.
    """

    epoch: int
    batch: int
    step: int
    order: int
    seconds: float
    epochs_since_best: int
    best_validation: float
    config: RunConfig
    schedule: Schedule
    budget: Budget


def read_facts(facts: Mapping[str, Any], config: RunConfig, per_epoch: int) -> Facts:
    """The facts of a checkpoint of a run with the settings ``config``. Raises RunError."""
    try:
        config = config.replace(learning_rate=float(facts["learning_rate"]), num_epochs=int(facts["num_epochs"]))
        best, epochs_since_best, factor = facts["plateau"]
        if (stored := facts.get("budget")) is not None and "minutes" in stored:
            config = config.replace(minutes=stored["minutes"])  # a crash may have kept it out of run.json
        budget = Budget.restored(config, per_epoch, stored)
        found = Facts(
            epoch=int(facts["epoch"]),
            batch=int(facts["batch"]),
            step=int(facts["step"]),
            order=int(facts.get("order", 1)),
            seconds=float(facts["seconds"]),
            epochs_since_best=int(facts["epochs_since_best"]),
            best_validation=none_as_infinity(facts["best_validation"]),
            config=config,
            schedule=Schedule(
                config, config.learning_rate, none_as_infinity(best), int(epochs_since_best), float(factor), budget.fit
            ),
            budget=budget,
        )
    except (*MALFORMED, ConfigError) as error:
        raise RunError(f"the checkpoint's facts are damaged: {type(error).__name__} {str(error)[:100]}") from None
    if not 1 <= found.order <= ORDER:
        raise RunError(
            f"the checkpoint has version {found.order} of the random order, and this program knows up to {ORDER}: "
            "it is of a later version, or damaged"
        )
    if not (0 <= found.batch <= per_epoch and found.epoch >= 0):
        raise RunError("the checkpoint's place in the text does not exist: it belongs to another text or is damaged")
    return found
