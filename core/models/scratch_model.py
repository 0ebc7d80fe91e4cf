"""The language models from scratch: by the fast paths of ``recurrence/``, and by the page ``scratch.py`` itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from core.models.feedforward import linear, look_up
from core.models.language_model import LanguageModel
from core.models.recurrence.dispatch import run_directions
from core.models.recurrence.layer import Rows
from core.models.scratch import (
    HiddenState,
    cross_entropy,
    initialise,
    one_hot,
    output_layer,
    step_of,
    textbook_names,
    unrolled,
)
from core.settings.cells import CELLS
from core.settings.run_config import RunConfig


class ScratchLanguageModel(LanguageModel):
    """A recurrent language model of named tensors.

    The one-layer RNN has the textbook's five, ``W_xh, W_hh, b_h, W_hq, b_q``. A GRU or LSTM stores the matrices of its
    gates side by side, ``W_xzrh = [W_xz W_xr W_xh]``; ``layer_parameters`` shows them one by one. Higher layers are
    marked ``_2, _3, ...``, the direction from right to left ``_reverse``. One-hot inputs pick rows of ``W_xh``
    (``one_hot(ids) @ W_xh == W_xh[ids]``); with an embedding its rows are the inputs.
    """

    def __init__(self, config: RunConfig, vocabulary_size: int) -> None:
        super().__init__(config, vocabulary_size)
        self.cell = CELLS[config.cell]
        width = self.directions * config.num_hiddens
        if config.embedding_size:
            self.embedding = nn.Parameter(torch.empty(vocabulary_size, config.embedding_size))
        # one tuple (W_x, W_h, b, and the GRU's b_hn) for each row of the state: layer by layer, direction by direction
        self._names = [
            self._new_layer(layer, direction, width if layer else config.embedding_size or vocabulary_size)
            for layer in range(config.num_layers)
            for direction in range(self.directions)
        ]
        if not config.tied:
            self.W_hq = nn.Parameter(torch.empty(width, vocabulary_size))
        self.b_q = nn.Parameter(torch.empty(vocabulary_size))
        initialise(dict(self.named_parameters()), self.num_hiddens, config.initial_weights)

    def _new_layer(self, layer: int, direction: int, inputs: int) -> tuple[str, ...]:
        gates, hidden, extra = self.cell.gates, self.num_hiddens, self.cell.extra
        columns = len(gates) * hidden
        suffix = _suffix(layer, direction)
        names = tuple(name + suffix for name in (f"W_x{gates}", f"W_h{gates}", f"b_{gates}", *extra))
        shapes = [(inputs, columns), (hidden, columns), (columns,), *[(hidden,) for _ in extra]]
        for name, shape in zip(names, shapes, strict=True):
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))
        return names

    def output_layer(self) -> tuple[Tensor, Tensor]:
        return (self.embedding.t() if self.config.tied else self.W_hq), self.b_q

    def outputs(self, ids: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        X: Tensor | None = None
        last_states: list[HiddenState] = []
        for layer in range(self.num_layers):
            directions = []
            for row in range(layer * self.directions, (layer + 1) * self.directions):
                W_x, W_h, b, *extra = self.stored_layer(row)
                A = (
                    self._first_inputs(ids, W_x, b)
                    if X is None
                    else linear(X, W_x, b, bf16=self.bf16, fused=self.fused)
                )
                directions.append(self.recurrent_layer(A, W_h, extra, tuple(tensor[row] for tensor in state)))
            X, lasts = run_directions(directions)
            last_states += lasts
            if layer + 1 < self.num_layers:
                X = self.dropped(X)
        assert X is not None
        return X, tuple(torch.stack(tensors) for tensors in zip(*last_states, strict=True))

    def textbook_weights(self) -> tuple[Tensor, ...]:
        return (*self.stored_layer(0), *self.output_layer())

    def take_gradients(self, gradients: Sequence[Tensor]) -> None:
        for weight, gradient in zip(self.textbook_weights(), gradients, strict=True):
            weight.grad = gradient

    def _first_inputs(self, ids: Tensor, W_x: Tensor, b: Tensor) -> Tensor | Rows:
        """The input part of the first layer: (num_steps, batch) -> (num_steps, batch, gates * hidden)."""
        if not self.config.embedding_size:
            return Rows(ids, W_x, b)
        if 2 * self.vocabulary_size < ids.numel():
            # Far fewer tokens than places: multiply each token's vector once, then look the products up.
            return Rows(ids, linear(self.embedding, W_x, b, bf16=self.bf16, fused=self.fused))
        vectors = look_up(ids.reshape(-1), self.embedding, fused=self.fused)
        return linear(vectors, W_x, b, bf16=self.bf16, fused=self.fused).view(*ids.shape, -1)

    def stored_layer(self, row: int) -> tuple[Tensor, ...]:
        parameters = cast(dict[str, Tensor], self._parameters)
        return tuple(parameters[name] for name in self._names[row])

    def input_vectors(self) -> Tensor | None:
        return self.embedding if self.config.embedding_size else None

    def layer_parameters(self, layer: int = 0, direction: int = 0) -> dict[str, Tensor]:
        """A layer's parameters by their textbook names (``W_xz, W_hz, b_z, ...``), as views of what is stored."""
        return textbook_names(self.cell, *self.stored_layer(layer * self.directions + direction))

    def describe(self) -> list[tuple[str, tuple[int, ...]]]:
        named: list[tuple[str, Tensor]] = [("embedding", self.embedding)] if self.config.embedding_size else []
        for layer in range(self.num_layers):
            for direction in range(self.directions):
                views = self.layer_parameters(layer, direction)
                named += [(name + _suffix(layer, direction), view) for name, view in views.items()]
        if not self.config.tied:
            named.append(("W_hq", self.W_hq))
        named.append(("b_q", self.b_q))
        return [(name, tuple(tensor.shape)) for name, tensor in named]


class TextbookLanguageModel(ScratchLanguageModel):
    """The same parameters, computed by the page itself (``scratch.py``), for training and writing alike."""

    def __init__(self, config: RunConfig, vocabulary_size: int) -> None:
        super().__init__(config, vocabulary_size)
        self._cell_step = step_of(config.cell, is_relu=self.is_relu)

    @property
    def fused(self) -> bool:
        return False

    def outputs(self, ids: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        X = one_hot(ids, self.vocabulary_size, self.b_q.dtype)  # (num_steps, batch, vocabulary)
        if self.config.embedding_size:
            X = X @ self.embedding  # (num_steps, batch, embedding_size)
        lasts: list[HiddenState] = []
        for layer in range(self.num_layers):
            X = self.dropped(X) if layer else X
            found = []
            for direction in range(self.directions):
                row = layer * self.directions + direction
                W_x, W_h, b, *extra = self.stored_layer(row)
                p = textbook_names(self.cell, W_x, self.weight_dropped(W_h), b, *extra)
                H, last = unrolled(
                    self._cell_step, X.flip(0) if direction else X, tuple(part[row] for part in state), p
                )
                found.append(H.flip(0) if direction else H)  # (num_steps, batch, hidden)
                lasts.append(last)
            X = torch.cat(found, dim=-1)  # (num_steps, batch, directions * hidden)
        return X, tuple(torch.stack(tensors) for tensors in zip(*lasts, strict=True))

    def forward(self, ids: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        H, state = self.outputs(ids.t(), state)
        return output_layer(self.dropped(H), *self.output_layer()), state

    def step(self, ids: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        return self.forward_step(ids, state)

    def loss(
        self, ids: Tensor, targets: Tensor, state: HiddenState, *, mask: Tensor | None = None
    ) -> tuple[Tensor, HiddenState]:
        H, state = self.outputs(ids.t(), state)
        Y = output_layer(self.dropped(H), *self.output_layer())  # (num_steps, batch, vocabulary)
        loss = cross_entropy(Y, targets.t(), None if mask is None else mask.t())
        return loss, tuple(tensor.detach() for tensor in state)


def _suffix(layer: int, direction: int) -> str:
    return (f"_{layer + 1}" if layer else "") + ("_reverse" if direction else "")
