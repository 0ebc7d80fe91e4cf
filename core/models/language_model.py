"""One interface over all recurrent language models: ``(token ids, state) -> (logits, state)``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from core.models.feedforward import dropped, is_one_call, linear, output_loss
from core.models.recurrence.cpu import bindings, compiled
from core.models.recurrence.cpu.batch import CompiledBatch
from core.models.recurrence.cpu.bindings import Part
from core.models.recurrence.eager import next_state
from core.models.recurrence.layer import RecurrentLayer, Rows
from core.models.scratch import HiddenState, begin_state
from core.settings.cells import CELLS
from core.settings.run_config import RunConfig


@dataclass(frozen=True)
class StepWeights:
    """A model's parameters without their gradients, for writing.

    Attributes:
        vectors: the embedding table (vocabulary, embedding_size); None for one-hot inputs.
        layers: for each layer ``W_x, W_h, b`` (and ``b_hn`` for the GRU), gates in the order of ``CELLS``.
        W, b: the output layer's, (hidden, vocabulary) and (vocabulary,).
    """

    vectors: Tensor | None
    layers: tuple[tuple[Tensor, ...], ...]
    W: Tensor
    b: Tensor

    @property
    def parts(self) -> tuple[Tensor | None, tuple[tuple[Tensor, ...], ...], Tensor, Tensor]:
        """All of them, in this order."""
        return self.vectors, self.layers, self.W, self.b


class LanguageModel(nn.Module):
    """A recurrent language model: input part, recurrent layers, output layer.

    Token ids come batch first, as they lie in a text; what comes out is time first, as in the textbook. Training and
    evaluation mode differ in dropout alone, which draws from the device's global random generator.

    Attributes:
        config: what the model was built from.
        vocabulary_size: number of tokens.
        num_hiddens: hidden units of a layer, in each direction.
        directions: 2 for a bidirectional model, else 1.
        num_states: tensors in the state: 1, (H,), or 2, (H, C), for the LSTM.
        is_relu: whether the RNN's activation is relu; else it is tanh.
        bf16: whether the factors of matrix products are rounded to bfloat16; parameters, states and losses are fp32.
        part: the rows of a batch that this worker trains on; None for all of them.
    """

    def __init__(self, config: RunConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        self.vocabulary_size = vocabulary_size
        self.num_hiddens = config.num_hiddens
        self.num_layers = config.num_layers
        self.directions = 2 if config.bidirectional else 1
        self.num_states = CELLS[config.cell].num_states
        self.bf16 = config.precision == "bf16"
        self.is_relu = CELLS[config.cell].has_activation and config.activation == "relu"
        self.part: Part | None = None
        self._step_weights: StepWeights | None = None
        self._batch: CompiledBatch | None = None  # for batches of ``_batch_place``: their shape, and where weights lie
        self._batch_place: tuple[int, ...] = ()

    @property
    def fused(self) -> bool:
        """Whether our own kernels may serve where the model is: ``cpu_path`` and ``gpu_path`` of its configuration."""
        if self.output_layer()[1].device.type == "cpu":
            return self.config.cpu_path == "auto"
        return self.config.gpu_path in ("auto", "kernel")

    @abstractmethod
    def outputs(self, ids: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        """The hidden states of the last layer.

        Args:
            ids: (num_steps, batch) integers, time first.
            state: from ``begin_state`` or an earlier call.

        Returns:
            (num_steps, batch, directions * hidden), and the state after the last step.
        """

    @abstractmethod
    def output_layer(self) -> tuple[Tensor, Tensor]:
        """The output layer's weights (directions * hidden, vocabulary) and bias (vocabulary,)."""

    def begin_state(self, batch_size: int) -> HiddenState:
        """The state before the first token: zeros, each (layers * directions, batch, hidden), on the model's device."""
        rows = self.num_layers * self.directions
        return begin_state(self.num_states, rows, batch_size, self.num_hiddens, like=self.output_layer()[1])

    def forward(self, ids: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        """The scores of every next token.

        Args:
            ids: (batch, num_steps) integers.
            state: from ``begin_state`` or an earlier call.

        Returns:
            Logits (num_steps, batch, vocabulary), and the state after the last step.
        """
        H, state = self.outputs(ids.t(), state)
        H = self.dropped(H)  # (num_steps, batch, directions * hidden)
        W, b = self.output_layer()
        return linear(H, W, b, bf16=self.bf16, fused=self.fused), state

    def loss(
        self, ids: Tensor, targets: Tensor, state: HiddenState, *, mask: Tensor | None = None
    ) -> tuple[Tensor, HiddenState]:
        """The mean cross-entropy of the targets, in nats: ``forward`` and loss fused, for training and evaluation.

        Args:
            ids, targets: (batch, num_steps) integers.
            state: from ``begin_state`` or an earlier call.
            mask: (batch, num_steps), true where a target counts; None counts them all.

        Returns:
            The loss, (), which autograd can differentiate once, and the state after the last step, detached.
        """
        H, state = self.outputs(ids.t(), state)
        H = self.dropped(H).reshape(-1, self.directions * self.num_hiddens)  # (num_steps * batch, ...)
        W, b = self.output_layer()
        rows = None if mask is None else mask.t().reshape(-1)
        loss = output_loss(H, W, b, targets.t().reshape(-1), rows, bf16=self.bf16, fused=self.fused)
        return loss, tuple(tensor.detach() for tensor in state)

    def differentiate(
        self, ids: Tensor, targets: Tensor, state: HiddenState, *, mask: Tensor | None = None
    ) -> tuple[Tensor, HiddenState]:
        """``loss``, with its gradients in the ``grad`` of the parameters; the loss is detached.

        Gradients of the textbook's model are valid until the next call.
        """
        compute = self._batch_of(ids) if mask is None and self.training else None
        if compute is not None:
            loss, state, gradients = compute(ids, targets, state)
            self.take_gradients(gradients)
            return loss, state
        self.zero_grad()
        loss, state = self.loss(ids, targets, state, mask=mask)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), state

    def _batch_of(self, ids: Tensor) -> CompiledBatch | None:
        """What computes batches like ``ids`` without autograd; None where that does not serve."""
        config = self.config
        is_textbooks = not (config.embedding_size or config.dropout or config.weight_dropout or config.bidirectional)
        if not (is_textbooks and self.num_layers == 1 and ids.device.type == "cpu" and self.fused):
            return None
        weights = self.textbook_weights()
        kind = bindings.arithmetic(bf16=self.bf16)
        place = (*ids.shape, kind, torch.get_num_threads(), *[weight.data_ptr() for weight in weights])
        if place != self._batch_place:
            self._batch_place, self._batch = place, None
            if weights and self._has_one_call_each(weights):
                batch, num_steps = ids.shape
                *layer, W, b = weights
                self._batch = CompiledBatch(config.cell, self.is_relu, self.bf16, layer, W, b, num_steps, batch)
        return self._batch

    def _has_one_call_each(self, weights: Sequence[Tensor]) -> bool:
        """Whether the compiled kernels serve the recurrence and the output layer of these."""
        W_x, W_h, *_, W, _ = weights
        is_served = compiled.serves(self.recurrent_layer(W_x, W_h, (), ())) and is_one_call(W, bf16=self.bf16)
        # Of a weight that is not contiguous a copy would be prepared, which does not change with it.
        return is_served and all(weight.is_contiguous() for weight in weights)

    @abstractmethod
    def textbook_weights(self) -> tuple[Tensor, ...]:
        """``W_x, W_h, b`` (the GRU's ``b_hn`` too), ``W, b`` of a single layer on one-hot inputs and the output layer.

        At the same place in memory at each call; empty where a copy would have to be made of the matrices.
        """

    @abstractmethod
    def take_gradients(self, gradients: Sequence[Tensor]) -> None:
        """Give the parameters their gradients: those of ``textbook_weights``, in its order."""

    def step(self, ids: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        """One token further, without gradients and without dropout, whatever the mode.

        Args:
            ids: (batch,) integers.
            state: from ``begin_state`` or an earlier call; it is left as it is.

        Returns:
            Logits (batch, vocabulary), and the new state.
        """
        state = tuple([tensor.detach() for tensor in state]) if state[0].requires_grad else state
        if self.directions == 1:
            return self._step(self.step_weights(), ids, state)  # of tensors without gradients: faster than no_grad
        return self.forward_step(ids, state)  # both ways over one token: good for looking at, not for writing

    def forward_step(self, ids: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        """``step`` by ``forward``, which has what training needs beside it: slowly."""
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                logits, state = self(ids.unsqueeze(1), state)
        finally:
            self.train(was_training)
        return logits[0], state

    def _step(self, weights: StepWeights, ids: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        X, states, cell = ids, [], self.config.cell
        if weights.vectors is not None:
            X = weights.vectors.index_select(0, ids)  # (batch, embedding_size)
        for layer, (W_x, W_h, b, *extra) in enumerate(weights.layers):
            is_one_hot = layer == 0 and weights.vectors is None
            A = W_x.index_select(0, ids).add_(b) if is_one_hot else torch.addmm(b, X, W_x)  # (batch, gates * hidden)
            begin = tuple([tensor.select(0, layer) for tensor in state])  # a list: a generator costs a microsecond
            states.append(next_state(RecurrentLayer(cell, A, W_h, extra, begin, self.is_relu)))
            X = states[-1][0]  # (batch, hidden)
        logits = torch.addmm(weights.b, X, weights.W)
        if len(states) == 1:
            return logits, tuple([tensor.unsqueeze(0) for tensor in states[0]])
        return logits, tuple(torch.stack(tensors) for tensors in zip(*states, strict=True))

    def recurrent_layer(
        self, A: Tensor | Rows, W_h: Tensor, extra: Sequence[Tensor], state: HiddenState
    ) -> RecurrentLayer:
        """One layer in one direction over a batch, with this model's arithmetic and dropout of its weights."""
        W_h = self.weight_dropped(W_h)
        return RecurrentLayer(self.config.cell, A, W_h, extra, state, self.is_relu, self.bf16, self.fused)

    def step_weights(self) -> StepWeights:
        """The parameters as ``step`` uses them: they share their memory, so training changes them."""
        if self._step_weights is None:
            vectors, (W, b) = self.input_vectors(), self.output_layer()
            self._step_weights = StepWeights(
                vectors=None if vectors is None else vectors.detach(),
                layers=tuple(tuple(t.detach() for t in self.stored_layer(row)) for row in range(self.num_layers)),
                W=W.detach(),
                b=b.detach(),
            )
        return self._step_weights

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._step_weights = None  # a move to another device or format gives the parameters new memory
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]

    @abstractmethod
    def stored_layer(self, row: int) -> tuple[Tensor, ...]:
        """A layer and direction's ``W_x, W_h, b`` (the GRU's ``b_hn`` too), gates in the order of ``CELLS``."""

    @abstractmethod
    def input_vectors(self) -> Tensor | None:
        """The embedding table (vocabulary, embedding_size); None for one-hot inputs."""

    def num_parameters(self) -> int:
        """How many numbers training adjusts."""
        return sum(parameter.numel() for parameter in self.parameters())

    def describe(self) -> list[tuple[str, tuple[int, ...]]]:
        """The parameters, (name, shape), as they are known to the reader of the textbook or of ``torch.nn``."""
        return [(name, tuple(parameter.shape)) for name, parameter in self.named_parameters()]

    def dropped(self, H: Tensor) -> Tensor:
        """H with a share of its units silenced, in training."""
        if self.config.dropout == 0 or not self.training:
            return H
        return dropped(H, self.config.dropout, self.part, fused=self.fused)

    def weight_dropped(self, W_h: Tensor) -> Tensor:
        """W_h with a share of its weights silenced for this batch, in training.

        DropConnect (Wan et al. 2013), which a recurrence bears where dropout of its units would wipe out its memory
        (Merity, Keskar & Socher 2018, "Regularizing and optimizing LSTM language models").
        """
        if self.config.weight_dropout == 0 or not self.training:
            return W_h
        return dropped(W_h, self.config.weight_dropout, fused=self.fused)
