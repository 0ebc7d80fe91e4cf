"""What we are measured against: the textbooks' loops, written the way the textbooks write them.

The model is the page ``core.models.scratch``: one-hot matrices and a Python loop over time that appends outputs to a
list. Around it are ``.item()`` after each batch, an optimiser written as one line per parameter, and a gradient norm
that is read on the host. After *Dive into Deep Learning*, 2nd edition, sections 8.3, 8.5 and 8.6. Nothing here is
tuned, and nothing is made slow on purpose: the prediction loop has the ``no_grad`` that the book forgets. A test checks
that the same weights give the same perplexities as ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.scratch import HiddenState, begin_state, one_hot, output_layer, rnn_step, unrolled

Pairs = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class LoopSettings:
    """The settings of both loops. ``clip`` is the largest gradient norm, 0 for no clipping."""

    batch_size: int
    num_steps: int
    learning_rate: float
    clip: float


def sequential_batches(ids: Tensor, batch_size: int, num_steps: int) -> Pairs:
    """Inputs and targets, each (batch, num_steps): every batch continues where the one before it ended."""
    num_tokens = ((len(ids) - 1) // batch_size) * batch_size
    Xs = ids[:num_tokens].reshape(batch_size, -1)
    Ys = ids[1 : num_tokens + 1].reshape(batch_size, -1)
    for start in range(0, num_steps * (Xs.shape[1] // num_steps), num_steps):
        yield Xs[:, start : start + num_steps], Ys[:, start : start + num_steps]


def clip_gradients(parameters: Sequence[Tensor], limit: float) -> None:
    """Scale all gradients so that their global norm is at most ``limit``."""
    norm = math.sqrt(sum((parameter.grad**2).sum().item() for parameter in parameters if parameter.grad is not None))
    if norm > limit:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad *= limit / norm


def sgd(parameters: Sequence[Tensor], learning_rate: float) -> None:
    """One step of plain gradient descent."""
    with torch.no_grad():
        for parameter in parameters:
            assert parameter.grad is not None
            parameter -= learning_rate * parameter.grad
            parameter.grad.zero_()


class TextbookRNN:
    """The RNN from scratch, with its training loop and its prediction loop."""

    def __init__(self, parameters: Sequence[Tensor], settings: LoopSettings) -> None:
        """``parameters``: W_xh (vocabulary, hidden), W_hh, b_h, W_hq (hidden, vocabulary), b_q; copied."""
        self.parameters = [tensor.detach().clone().requires_grad_(True) for tensor in parameters]
        self.vocabulary_size, self.num_hiddens = self.parameters[0].shape
        self.device = self.parameters[0].device
        self.settings = settings

    def begin_state(self, batch_size: int) -> HiddenState:
        return begin_state(1, batch_size, self.num_hiddens, like=self.parameters[0].detach())

    def forward(self, X: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        """(batch, num_steps) ids -> logits (num_steps * batch, vocabulary), time first, and the new state."""
        W_xh, W_hh, b_h, W_hq, b_q = self.parameters
        p = {"W_xh": W_xh, "W_hh": W_hh, "b_h": b_h}
        H, state = unrolled(rnn_step, one_hot(X.T, self.vocabulary_size), state, p)
        return output_layer(H, W_hq, b_q).flatten(0, 1), state

    def epoch(self, ids: Tensor) -> float:
        """Train once over the text; return the perplexity of the epoch."""
        total, count, state = 0.0, 0, None
        for X, Y in sequential_batches(ids, self.settings.batch_size, self.settings.num_steps):
            X, Y = X.to(self.device), Y.to(self.device)
            state = self.begin_state(self.settings.batch_size) if state is None else (state[0].detach(),)
            logits, state = self.forward(X, state)
            y = Y.T.reshape(-1)
            loss = F.cross_entropy(logits, y)
            loss.backward()  # type: ignore[no-untyped-call]
            clip_gradients(self.parameters, self.settings.clip)
            sgd(self.parameters, self.settings.learning_rate)
            total += loss.item() * y.numel()
            count += y.numel()
        return math.exp(total / count)

    @torch.no_grad()
    def predict(self, prefix: Sequence[int], length: int, id_to_token: Callable[[int], str]) -> str:
        """Read the ids of the prefix, then write ``length`` tokens, each the most likely one."""
        state = self.begin_state(1)
        outputs = [prefix[0]]
        for token in prefix[1:]:
            _, state = self.forward(torch.tensor([[outputs[-1]]], device=self.device), state)
            outputs.append(token)
        for _ in range(length):
            logits, state = self.forward(torch.tensor([[outputs[-1]]], device=self.device), state)
            outputs.append(int(logits.argmax(dim=1).item()))
        return "".join(id_to_token(token) for token in outputs)


class StockOnOneHot:
    """The concise version: ``nn.RNN``, ``nn.GRU`` or ``nn.LSTM`` fed with one-hot matrices, ``nn.Linear`` on top."""

    def __init__(self, rnn: nn.RNNBase, linear: nn.Linear, settings: LoopSettings) -> None:
        """Without clipping it trains with Adam, as the concise version does; with it, with SGD as above."""
        self.rnn = rnn
        self.linear = linear
        self.parameters = [*rnn.parameters(), *linear.parameters()]
        self.settings = settings
        self.adam = None if settings.clip else torch.optim.Adam(self.parameters, settings.learning_rate)

    def begin_state(self) -> Tensor | tuple[Tensor, ...]:
        zeros = torch.zeros(1, self.settings.batch_size, self.rnn.hidden_size, device=self.linear.weight.device)
        return (zeros, zeros) if isinstance(self.rnn, nn.LSTM) else zeros

    def epoch(self, ids: Tensor) -> float:
        """Train once over the text; return the perplexity of the epoch."""
        total, count = 0.0, 0
        state: Tensor | tuple[Tensor, ...] | None = None
        for X, Y in sequential_batches(ids, self.settings.batch_size, self.settings.num_steps):
            X, Y = X.to(self.linear.weight.device), Y.to(self.linear.weight.device)
            if state is None:
                state = self.begin_state()
            else:
                state = tuple(tensor.detach() for tensor in state) if isinstance(state, tuple) else state.detach()
            inputs = F.one_hot(X.T, self.linear.out_features).to(torch.float32)  # (num_steps, batch, vocabulary)
            H, state = self.rnn(inputs, state)
            logits = self.linear(H.reshape(-1, H.shape[-1]))  # (num_steps * batch, vocabulary)
            y = Y.T.reshape(-1)
            loss = F.cross_entropy(logits, y)
            if self.adam is not None:
                self.adam.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self.adam.step()
            else:
                loss.backward()  # type: ignore[no-untyped-call]
                clip_gradients(self.parameters, self.settings.clip)
                sgd(self.parameters, self.settings.learning_rate)
            total += loss.item() * y.numel()
            count += y.numel()
        return math.exp(total / count)


def text_tensor(ids: np.ndarray) -> Tensor:
    """Token ids as the textbook's loops want them: int64."""
    return torch.tensor(ids.astype(np.int64))
