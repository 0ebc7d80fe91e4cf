"""One interface over all recurrent language models: ``(token ids, state) -> (logits, state)``."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional
from torch import Tensor, nn

from core.config import RunConfig
from core.models.feedforward import linear, output_loss
from core.models.scratch import CELLS, State
from core.models.step import next_state


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
        bf16: whether matrix products are computed in bfloat16; parameters, states and losses are fp32 all the same.
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

    @abstractmethod
    def outputs(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
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

    def begin_state(self, batch_size: int) -> State:
        """The state before the first token: zeros, each (layers * directions, batch, hidden), on the model's device."""
        shape = (self.num_layers * self.directions, batch_size, self.num_hiddens)
        bias = self.output_layer()[1]
        return tuple(bias.new_zeros(shape) for _ in range(self.num_states))

    def forward(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
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
        return linear(H, W, b, bf16=self.bf16), state

    def loss(self, ids: Tensor, targets: Tensor, state: State, *, mask: Tensor | None = None) -> tuple[Tensor, State]:
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
        loss = output_loss(H, W, b, targets.t().reshape(-1), rows, bf16=self.bf16)
        return loss, tuple(tensor.detach() for tensor in state)

    @torch.no_grad()
    def step(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """One token further, without gradients and without dropout, whatever the mode.

        Args:
            ids: (batch,) integers.
            state: from ``begin_state`` or an earlier call; it is left as it is.

        Returns:
            Logits (batch, vocabulary), and the new state.
        """
        H, state = self.outputs_of_step(ids, state)
        W, b = self.output_layer()
        return torch.addmm(b, H, W), state

    def outputs_of_step(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """The last layer after one more token: (batch,) -> (batch, directions * hidden), and the new state."""
        if self.directions == 2:  # nothing to write with: one token seen from both sides
            was_training, self.training = self.training, False
            H, state = self.outputs(ids.unsqueeze(0), state)
            self.training = was_training
            return H[0], state
        relu = self.config.activation == "relu"
        vectors = self.input_vectors()
        X = ids if vectors is None else vectors.index_select(0, ids)
        new_states: list[State] = []
        for row in range(self.num_layers):
            W_x, W_h, b, *extra = self.stored_layer(row)
            A = torch.addmm(b, X, W_x) if row or vectors is not None else W_x.index_select(0, X).add_(b)
            new_states.append(next_state(self.config.cell, A, W_h, extra, tuple(t[row] for t in state), relu=relu))
            X = new_states[-1][0]
        if self.num_layers == 1:
            return X, tuple(tensor.unsqueeze(0) for tensor in new_states[0])
        return X, tuple(torch.stack(tensors) for tensors in zip(*new_states, strict=True))

    @abstractmethod
    def stored_layer(self, row: int) -> tuple[Tensor, ...]:
        """A layer and direction's ``W_x, W_h, b`` (and ``b_hn`` for the GRU), gates in the order of ``scratch.CELLS``."""

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
        return torch.nn.functional.dropout(H, self.config.dropout)


def build_model(config: RunConfig, vocabulary_size: int, device: torch.device | str = "cpu") -> LanguageModel:
    """The model that a configuration describes, with its initial weights, in training mode.

    The weights are drawn on the CPU from PyTorch's global generator: seed it with ``torch.manual_seed`` for the same
    weights on every device.
    """
    from core.models.scratch_model import ScratchLanguageModel
    from core.models.stock import StockLanguageModel

    kind = ScratchLanguageModel if config.implementation == "scratch" else StockLanguageModel
    return kind(config, vocabulary_size).to(device)
