"""One token further: the way of generation, where every call counts.

A step of one stream is a handful of products of a vector with a matrix, each over in a few microseconds, so the time
goes into calls. No autograd, no stacks over time, no packing: what is left is the cell, all gates in one product.
"""

# ruff: noqa: E741  the gates are called I and O in every textbook

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.models.scratch import HiddenState


@dataclass(frozen=True)
class StepWeights:
    """A model's parameters without their gradients, as a step needs them.

    Attributes:
        next_state: the cell: (A, W_h, extra, H, C or None) -> (H,) or (H, C), of one of the functions below.
        vectors: the embedding table (vocabulary, embedding_size); None for one-hot inputs.
        layers: for each layer ``W_x, W_h, b`` (and ``b_hn`` for the GRU), gates in the order of ``scratch.CELLS``.
        W, b: the output layer's, (hidden, vocabulary) and (vocabulary,).
    """

    next_state: Callable[[Tensor, Tensor, Sequence[Tensor], HiddenState], HiddenState]
    vectors: Tensor | None
    layers: tuple[tuple[Tensor, ...], ...]
    W: Tensor
    b: Tensor


def next_rnn(A: Tensor, W_h: Tensor, extra: Sequence[Tensor], state: HiddenState) -> HiddenState:
    """A: the input part with its bias, (batch, hidden); W_h: (hidden, hidden); state: (H,), (batch, hidden)."""
    return (torch.addmm(A, state[0], W_h).tanh_(),)


def next_relu_rnn(A: Tensor, W_h: Tensor, extra: Sequence[Tensor], state: HiddenState) -> HiddenState:
    """As ``next_rnn``."""
    return (torch.addmm(A, state[0], W_h).relu_(),)


def next_gru(A: Tensor, W_h: Tensor, extra: Sequence[Tensor], state: HiddenState) -> HiddenState:
    """A: (batch, 3 * hidden); W_h: (hidden, 3 * hidden); extra: (b_hn,); state: (H,)."""
    (H,) = state
    sizes = (2 * H.shape[1], H.shape[1])
    P_zr, P_h = torch.mm(H, W_h).split_with_sizes(sizes, dim=1)
    A_zr, A_h = A.split_with_sizes(sizes, dim=1)
    Z, R = torch.add(A_zr, P_zr).sigmoid_().chunk(2, dim=1)
    H_tilda = torch.addcmul(A_h, R, P_h.add_(extra[0])).tanh_()
    return (torch.lerp(H_tilda, H, Z),)


def next_lstm(A: Tensor, W_h: Tensor, extra: Sequence[Tensor], state: HiddenState) -> HiddenState:
    """A: (batch, 4 * hidden); W_h: (hidden, 4 * hidden); state: (H, C)."""
    H, C = state
    OIF, C_tilda = torch.addmm(A, H, W_h).split_with_sizes((3 * H.shape[1], H.shape[1]), dim=1)
    O, I, F = OIF.sigmoid_().chunk(3, dim=1)
    C = torch.mul(F, C).addcmul_(I, C_tilda.tanh_())
    return torch.tanh(C).mul_(O), C


NEXT_STATE = {"rnn": next_rnn, "gru": next_gru, "lstm": next_lstm}


def step(weights: StepWeights, ids: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
    """One token further.

    Args:
        weights: of a model that reads from left to right.
        ids: (batch,) integers.
        state: each tensor (layers, batch, hidden).

    Returns:
        Logits (batch, vocabulary), and the new state.
    """
    X, new_states = ids, []
    if weights.vectors is not None:
        X = weights.vectors.index_select(0, ids)  # (batch, embedding_size)
    for layer, (W_x, W_h, b, *extra) in enumerate(weights.layers):
        looked_up = layer == 0 and weights.vectors is None
        A = W_x.index_select(0, ids).add_(b) if looked_up else torch.addmm(b, X, W_x)  # (batch, gates * hidden)
        old = tuple([tensor.select(0, layer) for tensor in state])  # a list: a generator would cost a microsecond
        new_states.append(weights.next_state(A, W_h, extra, old))
        X = new_states[-1][0]  # (batch, hidden)
    logits = torch.addmm(weights.b, X, weights.W)
    if len(new_states) == 1:
        return logits, tuple([tensor.unsqueeze(0) for tensor in new_states[0]])
    return logits, tuple(torch.stack(tensors) for tensors in zip(*new_states, strict=True))
