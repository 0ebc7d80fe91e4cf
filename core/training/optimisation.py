"""How gradients change the weights: clipping, optimisers, and the schedule of the learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.adam import adam
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

from core.models.language_model import LanguageModel
from core.models.products import lies_transposed
from core.models.recurrence.cpu import bindings
from core.models.recurrence.cpu.gradients import Descent, gradient_norm
from core.models.scratch import HiddenState
from core.settings.fit import Fit
from core.settings.run_config import RunConfig

if TYPE_CHECKING:
    from core.training.batches import Batch
    from core.training.distributed import Team


class Optimiser:
    """The optimiser of a configuration, in torch's fastest implementation; changes the weights in place.

    It calls the functions behind ``torch.optim``'s classes. The classes do the same, but their first use imports
    torch's compiler: 0.7 s and 80 MB in every process that trains, or waits for a training.

    Attributes:
        rate: the learning rate of the next step. A scalar tensor on the weights' device is read there at every step,
            and the whole state is kept on the device, as a CUDA graph requires.
        weights: those that it changes.
        state: what it remembers of each weight, see ``state_names``; empty before the first step.
    """

    def __init__(
        self, config: RunConfig, weights: Iterable[torch.nn.Parameter], rate: torch.Tensor | None = None
    ) -> None:
        self.rate: float | torch.Tensor = config.learning_rate if rate is None else rate
        self.state: dict[torch.Tensor, dict[str, torch.Tensor]] = {}
        self._config = config
        self.weights = list(weights)
        self._capturable = rate is not None and rate.device.type == "cuda"
        self._descent = Descent()

    @torch.no_grad()
    def step(self) -> None:
        config, names = self._config, state_names(self._config)
        weights: list[torch.Tensor] = [weight for weight in self.weights if weight.grad is not None]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        for weight in weights:
            if weight not in self.state:
                self.state[weight] = {name: self._zeros(name, weight) for name in names}
        # Matrices that lie transposed in memory are turned back: torch's fused kernels copy them otherwise, and Adam
        # takes three times as long.
        turned = [lies_transposed(weight) for weight in weights]
        kept = {name: _turned([self.state[weight][name] for weight in weights], turned) for name in names}
        weights, gradients = _turned(weights, turned), _turned(gradients, turned)
        momentum_buffers, decay = kept.get("momentum_buffer", []), config.weight_decay
        rate: Any = self.rate  # torch's annotations lack the tensor, which its own classes pass too
        if config.optimiser == "sgd":
            sgd(
                weights, gradients, list[torch.Tensor | None](momentum_buffers), fused=True, weight_decay=decay,
                momentum=config.momentum, lr=rate, dampening=0.0, nesterov=False, maximize=False,
            )  # fmt: skip
        elif config.optimiser == "rmsprop":
            rmsprop(
                weights, gradients, kept["square_avg"], [], momentum_buffers, kept["step"], foreach=True,
                capturable=self._capturable, lr=rate, alpha=0.99, eps=1e-8, weight_decay=decay,
                momentum=config.momentum, centered=False,
            )  # fmt: skip
        else:
            adam(
                weights, gradients, kept["exp_avg"], kept["exp_avg_sq"], [], kept["step"], fused=True,
                capturable=self._capturable, decoupled_weight_decay=config.optimiser == "adamw", amsgrad=False,
                beta1=0.9, beta2=0.999, lr=rate, weight_decay=decay, eps=1e-8, maximize=False,
            )  # fmt: skip

    @torch.no_grad()
    def clipped_step(self, *, fused: bool) -> torch.Tensor:
        """Limit the gradients as the configuration says, and change the weights; return the norm before, a scalar.

        ``fused``: whether compiled kernels may serve. Plain gradient descent is then one pass over all weights, where
        clipping, which leaves the gradients as they are, costs nothing.
        """
        config, weights = self._config, [weight for weight in self.weights if weight.grad is not None]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        is_plain = config.optimiser == "sgd" and not config.momentum and config.clipping != "value"
        if not (fused and is_plain and self._descent.begin(weights, gradients)):
            norm = clip_gradients(gradients, config.clipping, config.clip, fused=fused)
            self.step()
            return norm
        norm, rate = self._descent.norm(), float(self.rate)
        is_kept = config.clipping == "none" or bool(norm <= config.clip)  # a norm that is NaN reaches every weight
        share = 1.0 if is_kept else config.clip / float(norm)
        self._descent.step(1 - rate * config.weight_decay, rate * share)
        return norm

    def _zeros(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        if name != "step":
            return torch.zeros_like(weight)
        # RMSprop adds to its count of steps on the CPU unless a graph does: a kernel for it would cost more.
        on_cpu = self._config.optimiser == "rmsprop" and not self._capturable
        return torch.zeros((), dtype=torch.float32, device="cpu" if on_cpu else weight.device)


def _turned(tensors: list[torch.Tensor], which: list[bool]) -> list[torch.Tensor]:
    return [tensor.t() if is_turned else tensor for tensor, is_turned in zip(tensors, which, strict=True)]


def state_names(config: RunConfig) -> tuple[str, ...]:
    """The optimiser's state for each weight: ``step`` is a scalar, the rest has the weight's shape."""
    momentum = ("momentum_buffer",) if config.momentum else ()
    return {
        "sgd": momentum,
        "adam": ("step", "exp_avg", "exp_avg_sq"),
        "adamw": ("step", "exp_avg", "exp_avg_sq"),
        "rmsprop": ("step", "square_avg", *momentum),
    }[config.optimiser]


def trained_on(
    batch: Batch, state: HiddenState, model: LanguageModel, optimiser: Optimiser, config: RunConfig, team: Team | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, HiddenState]:
    """One step of training: the loss of a batch, its gradients, limited, and the weights changed by them.

    With a team, gradients and loss are averaged over all its workers.

    Returns:
        The mean loss, the norm of the gradient before it was limited, the number of targets that count (None without a
        mask), each (), and the state after the batch.
    """
    inputs, targets, mask = batch
    loss, state = model.differentiate(inputs, targets, state, mask=mask)
    count = None if mask is None else mask.sum()
    if team is not None:
        weights = [weight for weight in optimiser.weights if weight.grad is not None]
        loss, of_all = team.average(weights, loss, targets.numel() if count is None else count)
        count = None if mask is None else of_all
    return loss, optimiser.clipped_step(fused=model.fused), count, state


@torch.no_grad()
def clip_gradients(gradients: list[torch.Tensor], clipping: str, limit: float, *, fused: bool = False) -> torch.Tensor:
    """Limit the gradients in place; return their global norm before that, a scalar on the device.

    ``norm`` scales all gradients by limit / norm where the norm is over the limit (Pascanu, Mikolov and Bengio 2013);
    ``value`` bounds each element. Nothing waits for the device: the comparison is a minimum there. ``fused``: whether
    the compiled kernel may compute the norm, as fast as memory is read; torch's takes four times as long.
    """
    compiled = fused and all(bindings.serves(gradient) for gradient in gradients)
    if compiled:
        norm = gradient_norm(gradients)
    else:
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    if clipping == "norm":
        factor = (limit / norm).clamp(max=1.0)
        if not (compiled and float(factor) == 1):  # a factor of 1 would cost a pass over all of them
            torch._foreach_mul_(gradients, factor)
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
