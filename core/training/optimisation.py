"""How gradients change the weights: clipping, optimisers, and the schedule of the learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from core.settings.fit import Fit
from core.settings.run_config import RunConfig

if TYPE_CHECKING:
    from core.training.distributed import Team


def build_optimiser(
    config: RunConfig, parameters: Iterable[torch.nn.Parameter], rate: torch.Tensor | None = None
) -> torch.optim.Optimizer:
    """The optimiser of a configuration, in torch's fastest implementation.

    With ``rate``, a scalar on the weights' device, it reads the learning rate there at every step and keeps its whole
    state on the device, as a CUDA graph requires.
    """
    weights, decay = list(parameters), config.weight_decay
    lr = config.learning_rate if rate is None else rate
    capturable = rate is not None and rate.device.type == "cuda"
    if config.optimiser == "sgd":
        return torch.optim.SGD(weights, lr, momentum=config.momentum, weight_decay=decay, fused=True)
    if config.optimiser == "adam":
        return torch.optim.Adam(weights, lr, weight_decay=decay, fused=True, capturable=capturable)
    if config.optimiser == "adamw":
        return torch.optim.AdamW(weights, lr, weight_decay=decay, fused=True, capturable=capturable)
    return torch.optim.RMSprop(
        weights, lr, momentum=config.momentum, weight_decay=decay, foreach=True, capturable=capturable
    )


def load_optimisers() -> None:
    """Import what torch imports with the first optimiser, 0.7 s: for a process that waits for a run."""
    build_optimiser(RunConfig(), [torch.nn.Parameter(torch.zeros(1))])


def state_names(config: RunConfig) -> tuple[str, ...]:
    """The optimiser's state for each weight: ``step`` is a scalar, the rest has the weight's shape."""
    momentum = ("momentum_buffer",) if config.momentum else ()
    return {
        "sgd": momentum,
        "adam": ("step", "exp_avg", "exp_avg_sq"),
        "adamw": ("step", "exp_avg", "exp_avg_sq"),
        "rmsprop": ("step", "square_avg", *momentum),
    }[config.optimiser]


def differentiated(
    loss: torch.Tensor, weights: Sequence[torch.Tensor], targets: int, mask: torch.Tensor | None, team: Team | None
) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor | None]:
    """Differentiate the mean ``loss`` of a batch; with a team, average gradients and loss over all its workers.

    Args:
        targets: how many this process has in the batch; of them, those in ``mask`` count.

    Returns:
        The gradients of those ``weights`` that have one, the loss, and the number of targets that count, None without
        a mask; both ().
    """
    loss.backward()  # type: ignore[no-untyped-call]
    loss, count = loss.detach(), None if mask is None else mask.sum()
    if team is not None:
        weights = [weight for weight in weights if weight.grad is not None]
        loss, of_all = team.average(weights, loss, targets if count is None else count)
        count = None if mask is None else of_all
    return [weight.grad for weight in weights if weight.grad is not None], loss, count


@torch.no_grad()
def clip_gradients(gradients: list[torch.Tensor], clipping: str, limit: float) -> torch.Tensor:
    """Limit the gradients in place; return their global norm before that, a scalar on the device.

    ``norm`` scales all gradients by limit / norm where the norm is over the limit (Pascanu, Mikolov and Bengio 2013);
    ``value`` bounds each element. Nothing waits for the device: the comparison is a minimum there.
    """
    norm: torch.Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    if clipping == "norm":
        torch._foreach_mul_(gradients, (limit / norm).clamp(max=1.0))
    elif clipping == "value":
        torch._foreach_clamp_max_(gradients, limit)
        torch._foreach_clamp_min_(gradients, -limit)
    return norm


def norm_figures(norms: torch.Tensor, config: RunConfig) -> tuple[float, float | None, float | None]:
    """Of the gradient norms of an epoch's batches: the mean, the share that was clipped, by what factor on average.

    The last two are None if nothing is clipped by norm; the factor also if no batch was. One wait for the device.
    """
    norms, limit = norms.double(), config.clip
    over = norms > limit
    factor = torch.where(over, limit / norms, 0.0).sum() / over.sum()
    mean, clipped, by = torch.stack([norms.mean(), over.double().mean(), factor]).tolist()
    return (mean, clipped, by if clipped else None) if config.clipping == "norm" else (mean, None, None)


@dataclass
class Schedule:
    """The learning rate at every moment of a run.

    ``base`` is the rate that the user set; the schedule multiplies it. Only ``plateau`` has a state: the best
    perplexity so far, the epochs since, and the resulting factor. ``fit`` has the lengths that fit a time budget.
    """

    config: RunConfig
    base: float
    best: float = math.inf
    epochs_since_best: int = 0
    factor: float = 1.0
    fit: Fit | None = None

    def rate(self, epoch: float, end: float) -> float:
        """The learning rate at ``epoch`` (from 0) of ``end`` epochs, both fractional.

        ``end`` is infinite as long as a time budget is not fitted: the rate then stays as before any decay.
        """
        config = self.config
        warmup_epochs = config.warmup_epochs if self.fit is None else self.fit.warmup_epochs
        if config.schedule == "step":
            decay_epochs = config.decay_epochs if self.fit is None else self.fit.decay_epochs
            decays = math.floor(epoch / decay_epochs) if math.isfinite(end) else 0
            return self.base * config.decay_factor**decays
        if config.schedule == "plateau":
            return self.base * self.factor
        if config.schedule == "cosine":
            if epoch < warmup_epochs:
                return self.base * max(epoch, 0.01) / max(warmup_epochs, 0.01)
            span = max(end - warmup_epochs, 1e-9)
            progress = min(1.0, (epoch - warmup_epochs) / span)
            return self.base * 0.5 * (1.0 + math.cos(math.pi * progress))
        return self.base

    def observe(self, perplexity: float) -> None:
        """Update ``plateau`` with an epoch's perplexity: held out if there is a split, otherwise of training."""
        if perplexity < self.best * (1 - 1e-4):
            self.best, self.epochs_since_best = perplexity, 0
            return
        self.epochs_since_best += 1
        if self.epochs_since_best >= self.config.decay_epochs:
            self.factor *= self.config.decay_factor
            self.epochs_since_best = 0
