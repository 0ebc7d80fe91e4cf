"""The same language models over ``torch.nn``: ``nn.RNN``, ``nn.GRU``, ``nn.LSTM``, with an ``nn.Linear`` on top."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import torch
import torch.nn.functional
from torch import Tensor, nn

from core.errors import UserError
from core.models.feedforward import dropped_by_torch
from core.models.language_model import LanguageModel, StepWeights
from core.models.products import narrowed
from core.models.recurrence.dispatch import run_directions
from core.models.recurrence.layer import Rows
from core.models.scratch import HiddenState
from core.settings.cells import CELLS
from core.settings.run_config import RunConfig

MODULES: dict[str, Callable[..., nn.RNNBase]] = {
    cell.name: getattr(nn, cell.layer) for cell in CELLS.values() if cell.layer
}
# Where torch.nn's gates are among ours: r, z, n among z, r, h; i, f, g, o among o, i, f, c.
ORDER = {"rnn": (0,), "gru": (1, 0, 2), "lstm": (1, 2, 3, 0)}
# What a module calls, by its mode.
KERNELS: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "RNN_TANH": torch.rnn_tanh, "RNN_RELU": torch.rnn_relu, "GRU": torch.gru, "LSTM": torch.lstm
}  # fmt: skip


class StockLanguageModel(LanguageModel):
    """A recurrent language model of ``torch.nn`` modules, with their parameters, names and initial weights.

    Behind an embedding, PyTorch's own kernels compute everything. With one-hot inputs they would multiply a matrix that
    is zero but for one number a row: at 1,027 tokens and 256 hidden units that product costs more than all the rest of
    the recurrence, and the modules have no way in past it. So on a CPU the first layer looks the columns of
    ``weight_ih_l0`` up and runs over time in ``recurrence/``, on the module's own parameters and to the same numbers,
    and the layers above it run in PyTorch's kernels. On a GPU, where the product is cheap beside cuDNN's one launch for
    all steps, the module is fed one-hot rows as they are.

    On a CPU the matrices of our products lie transposed in memory, so that look-ups, products and gradients run along
    rows; their shapes are the modules'.
    """

    def __init__(self, config: RunConfig, vocabulary_size: int) -> None:
        super().__init__(config, vocabulary_size)
        if config.embedding_size:
            self.embedding = nn.Embedding(vocabulary_size, config.embedding_size)
        self.rnn: nn.RNNBase = MODULES[config.cell](
            config.embedding_size or vocabulary_size,
            config.num_hiddens,
            config.num_layers,
            bidirectional=config.bidirectional,
            # between layers; a single layer has no between, and torch.nn would warn
            dropout=config.dropout if config.num_layers > 1 else 0.0,
            **({"nonlinearity": config.activation} if CELLS[config.cell].has_activation else {}),
        )
        self.linear = nn.Linear(self.directions * config.num_hiddens, vocabulary_size)
        if config.tied:
            self.linear.weight = self.embedding.weight
        self._copied_versions: list[int] = []
        self._bias: Tensor  # the sum of the first layer's two, for a batch
        self.register_buffer("_bias", torch.empty_like(self.rnn.all_weights[0][2]), persistent=False)
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        if self.config.embedding_size:
            self.embedding.weight.normal_(std=self.config.embedding_size**-0.5)  # as in the model from scratch
        if self.config.initial_weights == "normal":
            for name, parameter in self.named_parameters():
                if name != "embedding.weight":
                    parameter.zero_() if parameter.dim() == 1 else parameter.normal_(std=0.01)
        self._lay_first_layer(transposed=True)
        if not self.config.tied:
            _lay(self.linear.weight, transposed=True)

    def _lay_first_layer(self, *, transposed: bool) -> None:
        """Have the matrices of the first layer lie in memory for our products, or as the modules have them."""
        if not self.config.embedding_size:
            for W_x, W_h, *_ in self.rnn.all_weights[: self.directions]:
                _lay(W_x, transposed=transposed)
                _lay(W_h, transposed=transposed)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # On a GPU the module puts its weights into one piece of memory for cuDNN, which cannot view transposed ones so.
        self._lay_first_layer(transposed=False)
        super()._apply(fn, recurse)
        self._lay_first_layer(transposed=self.linear.bias.device.type == "cpu")
        return self

    def output_layer(self) -> tuple[Tensor, Tensor]:
        return self.linear.weight.t(), self.linear.bias

    def outputs(self, ids: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        if self.config.embedding_size:
            return self._run(self.embedding(ids), state)
        if ids.device.type != "cpu":
            one_hot = torch.nn.functional.one_hot(ids, self.vocabulary_size)
            return self._run(one_hot.to(self.linear.bias.dtype), state)
        X, first = self._first_layer(ids, tuple(tensor[: self.directions] for tensor in state))
        if self.num_layers == 1:
            return X, first
        rest = tuple(tensor[self.directions :] for tensor in state)
        X, last = self._run(self.dropped(X), rest, skip=1)
        return X, tuple(torch.cat(pair) for pair in zip(first, last, strict=True))

    def _run(self, X: Tensor, state: HiddenState, skip: int = 0) -> tuple[Tensor, HiddenState]:
        """PyTorch's kernels over the layers from ``skip`` on: (num_steps, batch, inputs) -> outputs, new state."""
        on_cpu = X.device.type == "cpu"
        weights = self._weights(skip, self.num_layers) if on_cpu else []
        if (on_cpu and self.part is None) or self.rnn.dropout == 0 or not self.training:
            return self._run_layers(X, state, weights or self._weights(skip, self.num_layers))
        # cuDNN draws its dropout from numbers that are in no checkpoint, so on a GPU ours is between the layers; and so
        # it is where a worker has a part of the rows.
        lasts = []
        for layer in range(skip, self.num_layers):
            begin = (layer - skip) * self.directions
            rows = slice(begin, begin + self.directions)
            X = dropped_by_torch(X, self.rnn.dropout, self.part) if layer > skip else X
            of_layer = weights[rows] if on_cpu else self._weights(layer, layer + 1)
            X, last = self._run_layers(X, tuple(tensor[rows] for tensor in state), of_layer)
            lasts.append(last)
        return X, tuple(torch.cat(tensors) for tensors in zip(*lasts, strict=True))

    def _weights(self, first: int, end: int) -> list[list[Tensor]]:
        """The weights of the layers from ``first`` to before ``end``, for each direction, dropped where they are."""
        rows = self.rnn.all_weights[first * self.directions : end * self.directions]
        return [[W_x, self.weight_dropped(W_h), *biases] for W_x, W_h, *biases in rows]

    def _run_layers(self, X: Tensor, state: HiddenState, of_layers: list[list[Tensor]]) -> tuple[Tensor, HiddenState]:
        rnn, layers = self.rnn, len(of_layers) // self.directions
        weights = [weight for row in of_layers for weight in row]
        if self.bf16:
            weights = [narrowed(weight) for weight in weights]
            X, state = narrowed(X), tuple(map(narrowed, state))
        options = (True, layers, rnn.dropout if layers > 1 else 0.0, self.training, rnn.bidirectional, False)
        H, *last = KERNELS[rnn.mode](X, state if len(state) > 1 else state[0], weights, *options)
        return H.to(self.linear.bias.dtype), tuple(tensor.to(self.linear.bias.dtype) for tensor in last)

    def _first_layer(self, ids: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        """Layer 1 on one-hot inputs: look-up and scan on the module's parameters."""
        layers = [
            self.recurrent_layer(Rows(ids, W_x, b), W_h, extra, tuple(tensor[direction] for tensor in state))
            for direction, (W_x, W_h, b, *extra) in enumerate(map(self._in_our_order, range(self.directions)))
        ]
        X, lasts = run_directions(layers)
        return X, tuple(torch.stack(tensors) for tensors in zip(*lasts, strict=True))

    def _in_our_order(self, row: int) -> tuple[Tensor, ...]:
        """A layer and direction's ``W_x, W_h, b`` (and ``b_hn``) as ``CELLS`` orders them; differentiable."""
        weight_ih, weight_hh, bias_ih, bias_hh = self.rnn.all_weights[row]
        W_x, W_h = weight_ih.t(), weight_hh.t()
        cell, b = CELLS[self.config.cell], bias_ih + bias_hh
        extra: tuple[Tensor, ...] = ()
        if cell.extra:  # b_hn stays inside the reset gate
            *gates, b_hn = bias_hh.chunk(len(cell.gates))
            b, extra = bias_ih + torch.cat((*gates, torch.zeros_like(b_hn))), (b_hn,)
        order = ORDER[cell.name]
        ours = [order.index(gate) for gate in range(len(order))]
        return _reordered(W_x, *ours), _reordered(W_h, *ours), _reordered(b, *ours), *extra

    def stored_layer(self, row: int) -> tuple[Tensor, ...]:
        return tuple(tensor.contiguous() for tensor in self._in_our_order(row))

    def textbook_weights(self) -> tuple[Tensor, ...]:
        if len(CELLS[self.config.cell].gates) > 1:  # in another order than ours
            return ()
        W_x, W_h, *biases = self.rnn.all_weights[0]
        with torch.no_grad():
            torch.add(*biases, out=self._bias)
        return W_x.t(), W_h.t(), self._bias, *self.output_layer()

    def take_gradients(self, gradients: Sequence[Tensor]) -> None:
        dW_x, dW_h, db, dW, db_q = gradients
        weights = (*self.rnn.all_weights[0], self.linear.weight, self.linear.bias)
        for weight, gradient in zip(weights, (dW_x.t(), dW_h.t(), db, db.clone(), dW.t(), db_q), strict=True):
            weight.grad = gradient

    def step_weights(self) -> StepWeights:
        # In our order they are copies, made anew when training has changed the parameters: each change in place raises
        # a tensor's version. A CUDA graph changes them unseen, so on a GPU they are made for every step.
        versions = [parameter._version for parameter in self.parameters()]
        if versions != self._copied_versions or self.linear.bias.device.type != "cpu":
            self._step_weights, self._copied_versions = None, versions
        return super().step_weights()

    def input_vectors(self) -> Tensor | None:
        return self.embedding.weight if self.config.embedding_size else None


def _reordered(W: Tensor, *order: int) -> Tensor:
    """The gates, side by side along the last dimension, in another order."""
    if len(order) == 1:
        return W
    gates = W.chunk(len(order), dim=-1)
    return torch.cat([gates[index] for index in order], dim=-1)


def layer_of(cell: str) -> Callable[..., nn.RNNBase]:
    """The class of ``torch.nn`` that computes a cell. Raises UserError if there is none."""
    if cell not in MODULES:
        raise UserError(f"torch.nn has no layer for the cell {cell}")
    return MODULES[cell]


def in_torch_order(
    row: int, directions: int, cell: str, W_x: Tensor, W_h: Tensor, b: Tensor, *extra: Tensor, is_gradient: bool = False
) -> dict[str, Tensor]:
    """The parameters of a layer and direction, as ``LanguageModel.stored_layer(row)`` has them, by torch.nn's names.

    torch.nn adds two biases. Ours becomes ``bias_ih``, and ``bias_hh`` is zero but for the GRU's b_hn, which is inside
    the reset gate. The gradient with respect to each of two biases that are added is that of their sum: with
    ``is_gradient`` both get it. Raises UserError for a cell that torch.nn does not have.
    """
    layer_of(cell)
    suffix = f"_l{row // directions}{'_reverse' if row % directions else ''}"
    bias = _reordered(b, *ORDER[cell])
    second = bias.clone() if is_gradient else torch.zeros_like(bias)
    for b_hn in extra:
        second[-len(b_hn) :] = b_hn
    return {
        f"weight_ih{suffix}": _reordered(W_x, *ORDER[cell]).t(),
        f"weight_hh{suffix}": _reordered(W_h, *ORDER[cell]).t(),
        f"bias_ih{suffix}": bias,
        f"bias_hh{suffix}": second,
    }


def _lay(matrix: Tensor, *, transposed: bool) -> None:
    """Have the numbers of a parameter lie row by row in memory, or column by column."""
    matrix.data = matrix.data.t().contiguous().t() if transposed else matrix.data.contiguous()
