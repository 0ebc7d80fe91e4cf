"""The model from scratch beside torch.nn: the same weights, one batch, and what differs.

torch.nn computes as a textbook uses it, ``nn.RNN``, ``nn.GRU`` or ``nn.LSTM`` on one-hot vectors or an ``nn.Embedding``
and ``nn.Linear`` on top, without any kernel of ours. Its gates are in another order than ours, and it has two biases
where the equations have one; a gate in the wrong place shows in the differences at once.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.inspection.answers import ParityView
from core.models.implementations import build_model
from core.models.language_model import LanguageModel
from core.models.scratch import HiddenState
from core.models.torch_nn import in_torch_order, layer_of
from core.settings.cells import CELLS
from core.settings.run_config import RunConfig

ROUNDS = 5


@dataclass(frozen=True, eq=False)
class Passed:
    """Of one forward and backward pass: the gradients of the loss by torch.nn's names, and how long it took."""

    gradients: dict[str, Tensor]
    seconds: float


def parity(model: LanguageModel, ids: Tensor, targets: Tensor) -> Generator[None, None, ParityView]:
    """Compare a model with torch.nn over a batch.

    Args:
        model: any; one of torch.nn is compared as a model from scratch that has its weights.
        ids, targets: (batch, num_steps), on the model's device.
    """
    scratch = scratch_model(model)
    yield
    return (yield from compared(scratch, Reference(model), ids, targets))


def compared(
    scratch: LanguageModel, reference: Reference, ids: Tensor, targets: Tensor
) -> Generator[None, None, ParityView]:
    yield
    with torch.no_grad():  # left before a yield: between two slices a training computes gradients
        logits, states = scratch(ids, scratch.begin_state(len(ids)))
    yield
    with torch.no_grad():
        wanted_logits, wanted_states = reference.outputs(ids)
    yield
    scratch_passes, torch_passes = [], []
    for _ in range(ROUNDS):
        scratch_passes.append((yield from scratch_pass(scratch, ids, targets)))
        torch_passes.append((yield from reference.passed(ids, targets)))
    gradients = {
        name: difference(scratch_passes[-1].gradients[name], wanted)
        for name, wanted in torch_passes[-1].gradients.items()
    }
    return ParityView(
        output_difference=difference(logits, wanted_logits),
        state_difference=max(difference(*pair) for pair in zip(states, wanted_states, strict=True)),
        gradient_difference=max(gradients.values()),
        scratch_seconds=statistics.median(found.seconds for found in scratch_passes),
        torch_seconds=statistics.median(found.seconds for found in torch_passes),
        scratch_range=_range(scratch_passes),
        torch_range=_range(torch_passes),
        batch_size=ids.shape[0],
        num_steps=ids.shape[1],
        device=str(ids.device),
        precision=scratch.config.precision,
        gradients=tuple(gradients.items()),
    )


def _range(passes: Sequence[Passed]) -> tuple[float, float]:
    seconds = [found.seconds for found in passes]
    return min(seconds), max(seconds)


def batch_of(ids: npt.NDArray[np.int64], config: RunConfig) -> tuple[Tensor, Tensor]:
    """Inputs and targets of the size of a run's batches, (batch, num_steps), from a text, repeated if need be."""
    rows = np.resize(ids, (config.batch_size, config.num_steps + 1))
    whole = torch.from_numpy(rows.astype(np.int64))
    return whole[:, :-1], whole[:, 1:]


def difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest absolute value of ``theirs``."""
    largest = float(theirs.abs().max())
    return float((ours - theirs).abs().max()) / (largest or 1.0)


def scratch_model(model: LanguageModel) -> LanguageModel:
    """A model from scratch with the same weights, in evaluation mode; its weights are copies."""
    config = model.config.replace(implementation="scratch")
    bias = model.output_layer()[1]
    with torch.random.fork_rng([]):
        found = build_model(config, model.vocabulary_size, bias.device).to(bias.dtype)
    with torch.no_grad():
        for row in range(model.num_layers * model.directions):
            for own, given in zip(found.stored_layer(row), model.stored_layer(row), strict=True):
                own.copy_(given)
        vectors, own_vectors = model.input_vectors(), found.input_vectors()
        if vectors is not None and own_vectors is not None:
            own_vectors.copy_(vectors)
        for own, given in zip(found.output_layer(), model.output_layer(), strict=True):
            own.copy_(given)
    return found.eval()


def scratch_pass(model: LanguageModel, ids: Tensor, targets: Tensor) -> Generator[None, None, Passed]:
    """One pass of a model from scratch, with its gradients in the layout of torch.nn."""
    state = model.begin_state(len(ids))
    parameters: list[Tensor] = list(model.parameters())

    gradients, seconds = yield from _timed(lambda: model.loss(ids, targets, state)[0], parameters, ids.device)
    by_parameter = dict(zip(map(id, parameters), gradients, strict=True))
    found: dict[str, Tensor] = {}
    for row in range(model.num_layers * model.directions):
        given = [by_parameter[id(tensor)] for tensor in model.stored_layer(row)]
        found |= in_torch_order(row, model.directions, model.config.cell, *given, is_gradient=True)
    W_hq, b_q = model.output_layer()
    vectors = model.input_vectors()
    if vectors is not None:
        found["embedding"] = by_parameter[id(vectors)]
    if not model.config.tied:
        found["linear.weight"] = by_parameter[id(W_hq)].t()
    found["linear.bias"] = by_parameter[id(b_q)]
    return Passed(found, seconds)


class Reference:
    """torch.nn's modules with a model's weights."""

    def __init__(self, model: LanguageModel) -> None:
        config, self._model = model.config, model
        W_hq, b_q = model.output_layer()
        vectors = model.input_vectors()
        size = model.vocabulary_size if vectors is None else vectors.shape[1]
        options = {"nonlinearity": "relu" if model.is_relu else "tanh"} if CELLS[config.cell].has_activation else {}
        with torch.random.fork_rng([]):  # modules draw initial weights, on the CPU: the process draws as before
            self.rnn: nn.RNNBase = layer_of(config.cell)(
                size, model.num_hiddens, model.num_layers, bidirectional=model.directions == 2, **options
            ).to(b_q.device, b_q.dtype)
        with torch.no_grad():
            for row in range(model.num_layers * model.directions):
                layout = in_torch_order(row, model.directions, config.cell, *model.stored_layer(row))
                for name, tensor in layout.items():
                    getattr(self.rnn, name).copy_(tensor)
        self.embedding = None if vectors is None else vectors.detach().clone().requires_grad_()
        weight = W_hq.detach().t().clone().requires_grad_()
        self.weight = self.embedding if config.tied and self.embedding is not None else weight
        self.bias = b_q.detach().clone().requires_grad_()

    def passed(self, ids: Tensor, targets: Tensor) -> Generator[None, None, Passed]:
        named: dict[str, Tensor] = dict(self.rnn.named_parameters())
        if self.embedding is not None:
            named["embedding"] = self.embedding
        if self.weight is not self.embedding:
            named["linear.weight"] = self.weight
        named["linear.bias"] = self.bias

        def loss() -> Tensor:
            return F.cross_entropy(self.outputs(ids)[0].flatten(0, 1), targets.t().flatten())

        gradients, seconds = yield from _timed(loss, list(named.values()), ids.device)
        return Passed(dict(zip(named, gradients, strict=True)), seconds)

    def outputs(self, ids: Tensor) -> tuple[Tensor, HiddenState]:
        """(batch, num_steps) ids -> logits (num_steps, batch, vocabulary), and the last states."""
        zeros = self._model.begin_state(len(ids))
        if self.embedding is None:
            X = F.one_hot(ids.t(), self._model.vocabulary_size).to(self.bias.dtype)
        else:
            X = F.embedding(ids.t(), self.embedding)
        H, last = self.rnn(X, zeros if len(zeros) > 1 else zeros[0])
        return F.linear(H, self.weight, self.bias), last if isinstance(last, tuple) else (last,)


def _timed(
    loss: Callable[[], Tensor], parameters: list[Tensor], device: torch.device
) -> Generator[None, None, tuple[tuple[Tensor, ...], float]]:
    """The gradients of the loss, forward and backward pass as two pieces of work, and the seconds of both."""
    _wait(device)
    began = time.perf_counter()
    with torch.enable_grad():
        found = loss()
    _wait(device)
    seconds = time.perf_counter() - began
    yield
    began = time.perf_counter()
    gradients = torch.autograd.grad(found, parameters)
    _wait(device)
    seconds += time.perf_counter() - began
    yield
    return gradients, seconds


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
