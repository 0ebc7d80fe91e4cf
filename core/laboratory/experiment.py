"""The textbook's first sequence experiment: a noisy sine wave, an MLP and an RNN that predict it, near and far ahead.

*Dive into Deep Learning*, chapter 8.1: a model sees ``tau`` points and predicts the next one. It is trained on the
beginning of the sequence and then predicts the rest: one step ahead from real points, k steps ahead, and multi-step,
from its own predictions alone.

The MLP reads the tau points at once, ``relu(X W_1 + b_1) W_2 + b_2``. The RNN reads them one after the other with
the equations of ``core.models.scratch``, and predicts from its last state. All weights are initialised as in the book:
matrices uniform by Xavier's rule, biases uniform between -1/sqrt(inputs) and 1/sqrt(inputs).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.optim.adam import adam

from core.devices import one_thread
from core.laboratory.outcome import EpochDone, Experiment, Outcome, Predictions
from core.models.recurrence import dispatch
from core.models.recurrence.layer import RecurrentLayer
from core.settings.laboratory_config import SequenceConfig

# Batches, or multi-step predictions, between two yields to the caller.
AT_A_TIME = 32

Parameters = tuple[Tensor, ...]


# ---------------------------------------------------------------------------------------------------------------------
# the models


def mlp(windows: Tensor, p: Parameters) -> Tensor:
    """The next point from the points before it, read at once: (n, tau) -> (n,)."""
    W_1, b_1, W_2, b_2 = p
    H = torch.relu(torch.addmm(b_1, windows, W_1))  # (n, hidden)
    return torch.addmm(b_2, H, W_2).view(-1)


def rnn(windows: Tensor, p: Parameters) -> Tensor:
    """The next point from the points before it, read one after the other from a zero state: (n, tau) -> (n,)."""
    W_xh, W_hh, b_h, W_hq, b_q = p
    A = windows.t().unsqueeze(2) * W_xh + b_h  # (tau, n, hidden): X_t W_xh + b_h with one number a step
    _, (H,) = dispatch.run(
        RecurrentLayer("rnn", A, W_hh, (), (windows.new_zeros(len(windows), len(b_h)),))
    )  # (n, hidden)
    return torch.addmm(b_q, H, W_hq).view(-1)


@dataclass(frozen=True)
class Kind:
    """A kind of model: its function, and for each parameter its shape and the number of inputs of its layer."""

    name: str
    predict: Callable[[Tensor, Parameters], Tensor]
    shapes: Callable[[SequenceConfig], tuple[tuple[tuple[int, ...], int], ...]]
    layers: Callable[[SequenceConfig], str]


def _mlp_shapes(config: SequenceConfig) -> tuple[tuple[tuple[int, ...], int], ...]:
    tau, hidden = config.tau, config.mlp_hiddens
    return ((tau, hidden), tau), ((hidden,), tau), ((hidden, 1), hidden), ((1,), hidden)


def _rnn_shapes(config: SequenceConfig) -> tuple[tuple[tuple[int, ...], int], ...]:
    hidden = config.rnn_hiddens
    return ((1, hidden), 1), ((hidden, hidden), hidden), ((hidden,), hidden), ((hidden, 1), hidden), ((1,), hidden)


KINDS: Final = (
    Kind("MLP", mlp, _mlp_shapes, lambda config: f"{config.tau}-{config.mlp_hiddens}-1"),
    Kind("RNN", rnn, _rnn_shapes, lambda config: f"1-{config.rnn_hiddens}-1"),
)


class Weights:
    """The parameters of a model, views of one vector: one call of Adam updates them all.

    The call is the function behind ``torch.optim.Adam`` (Kingma & Ba 2015, "Adam: a method for stochastic
    optimization"). The class does the same, but its first use imports torch's compiler: 1 s, where the whole experiment
    takes 0.2 s.
    """

    def __init__(self, kind: Kind, config: SequenceConfig, random: torch.Generator) -> None:
        shapes = kind.shapes(config)
        self.vector = torch.cat([_initial(shape, inputs, random).view(-1) for shape, inputs in shapes])
        sizes = [math.prod(shape) for shape, _ in shapes]
        self.parameters: Parameters = tuple(
            part.view(shape).detach().requires_grad_()
            for part, (shape, _) in zip(self.vector.split_with_sizes(sizes), shapes, strict=True)
        )
        self._rate = config.learning_rate
        self._step = torch.zeros(())
        self._mean, self._square = torch.zeros(2, len(self.vector))

    @torch.no_grad()
    def descend(self, gradients: Parameters) -> None:
        gradient = torch.cat([part.reshape(-1) for part in gradients])
        adam(
            [self.vector], [gradient], [self._mean], [self._square], [], [self._step], lr=self._rate, beta1=0.9,
            beta2=0.999, eps=1e-8, weight_decay=0.0, amsgrad=False, maximize=False, fused=True,
        )  # fmt: skip


def _initial(shape: tuple[int, ...], inputs: int, random: torch.Generator) -> Tensor:
    bound = math.sqrt(6 / sum(shape)) if len(shape) == 2 else 1 / math.sqrt(inputs)
    return (torch.rand(shape, generator=random) * 2 - 1) * bound


# ---------------------------------------------------------------------------------------------------------------------
# the experiment


def steps(config: SequenceConfig) -> Iterator[EpochDone | Experiment | None]:
    """The experiment in steps of a few milliseconds: yields ``EpochDone``, None between them, last the ``Experiment``.

    The same settings give the same numbers: the data and each model have their own random generators, and one thread
    computes.
    """
    small_steps = _steps(config)
    while True:
        # On matrices this small, several threads wait for one another: on 2 busy cores the whole experiment takes
        # 0.11 s of processor time with one thread, 0.7 to 1.5 with two.
        with one_thread():
            event = next(small_steps, _END)
        if event is _END:
            return
        yield event  # type: ignore[misc]


_END: Final = object()


def _steps(config: SequenceConfig) -> Iterator[EpochDone | Experiment | None]:
    began = time.perf_counter()
    data = sequence(config, random_stream(config, 0))
    outcomes = []
    for position, kind in enumerate(KINDS, 1):
        random = random_stream(config, position)
        weights = Weights(kind, config, random)
        losses = []
        for event in fit(kind, weights, config, data, random):
            if event is not None:
                losses.append(event.loss)
            yield event
        multi_step: list[float] = []
        for values in multi_step_predictions(kind, weights.parameters, config, data):
            multi_step += values
            yield None
        table = predictions(kind, weights.parameters, config, data)
        yield None
        outcomes.append(_outcome(kind, weights, config, data, losses, multi_step, table))
        yield None
    yield Experiment(config, tuple(data.tolist()), tuple(outcomes), time.perf_counter() - began)


def random_stream(config: SequenceConfig, stream: int) -> torch.Generator:
    """The random numbers of the data, stream 0, or of the model at position 1, 2, 3."""
    return torch.Generator().manual_seed(4 * config.seed + stream)


def sequence(config: SequenceConfig, random: torch.Generator) -> Tensor:
    """x at the times 1, 2, ...: sin(frequency * time) + N(0, noise), (points,)."""
    times = torch.arange(1, config.points + 1, dtype=torch.float32)
    return torch.sin(config.frequency * times) + config.noise * torch.randn(config.points, generator=random)


def fit(
    kind: Kind, weights: Weights, config: SequenceConfig, data: Tensor, random: torch.Generator
) -> Iterator[EpochDone | None]:
    """Train on the first examples, in a new order each epoch; as in the book the loss is the sum of squared errors."""
    features = data.unfold(0, config.tau, 1)[: config.train_examples].contiguous()  # (examples, tau)
    labels = data[config.tau : config.train_end]  # (examples,)
    for epoch in range(1, config.num_epochs + 1):
        order = torch.randperm(config.train_examples, generator=random)
        for index, start in enumerate(range(0, len(order), config.batch_size), 1):
            chosen = order[start : start + config.batch_size]
            with torch.enable_grad():
                errors = kind.predict(features[chosen], weights.parameters) - labels[chosen]
                gradients = torch.autograd.grad(errors.square().sum(), weights.parameters)
            weights.descend(gradients)
            if index % AT_A_TIME == 0:
                yield None
        with torch.no_grad():
            loss = (kind.predict(features, weights.parameters) - labels).square().mean().item()
        yield EpochDone(kind.name, epoch, config.num_epochs, loss)


def multi_step_predictions(kind: Kind, p: Parameters, config: SequenceConfig, data: Tensor) -> Iterator[list[float]]:
    """The multi-step predictions, some at a time: after ``known_points`` the model reads its own predictions."""
    series = data.clone()
    for first in range(config.known_points, config.points, AT_A_TIME):
        last = min(first + AT_A_TIME, config.points)
        with torch.no_grad():
            for index in range(first, last):
                series[index] = kind.predict(series[None, index - config.tau : index], p)[0]
        yield series[first:last].tolist()


@torch.no_grad()
def predictions(kind: Kind, p: Parameters, config: SequenceConfig, data: Tensor) -> Tensor:
    """Predictions 1, 2, ... steps ahead, (farthest, points - tau): row k - 1 begins with the time tau + k.

    All windows advance one step at a time. The last k - 1 entries of row k - 1 are beyond the end of the sequence.
    """
    windows = data.unfold(0, config.tau, 1)[:-1].contiguous()  # (points - tau, tau)
    rows = []
    for _ in range(max(config.steps_ahead)):
        rows.append(kind.predict(windows, p))
        windows = torch.cat([windows[:, 1:], rows[-1][:, None]], dim=1)
    return torch.stack(rows)


def _outcome(
    kind: Kind, weights: Weights, config: SequenceConfig, data: Tensor,
    losses: list[float], multi_step: list[float], table: Tensor,
) -> Outcome:  # fmt: skip
    def curve(steps: int) -> Predictions:
        values = table[steps - 1, : config.points - config.tau - steps + 1]
        return Predictions(config.tau + steps, tuple(values.tolist()))

    errors = []
    for k in range(1, len(table) + 1):
        first = max(config.tau + k - 1, config.train_end)  # counted from 0: the first unseen point with a prediction
        found = table[k - 1, first - config.tau - k + 1 : config.points - config.tau - k + 1]
        errors.append((found - data[first:]).square().mean().sqrt().item())
    return Outcome(
        name=kind.name,
        layers=kind.layers(config),
        parameters=len(weights.vector),
        losses=tuple(losses),
        one_step=curve(1),
        multi_step=Predictions(config.known_points + 1, tuple(multi_step)),
        ahead={steps: curve(steps) for steps in config.steps_ahead},
        errors=tuple(errors),
    )
