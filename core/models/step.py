"""One token further: the way of generation, where every call counts.

A step of one stream is a handful of products of a vector with a matrix, each over in a few microseconds, so the time
goes into calls. No autograd, no stacks over time, no packing: what is left is the cell, all gates in one product.
"""

# ruff: noqa: E741  the gates are called I and O in every textbook

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from core.models.scratch import State


def next_state(
    cell: str, A: Tensor, W_h: Tensor, extra: Sequence[Tensor], state: State, *, relu: bool = False
) -> State:
    """The state after one step of one layer. Call it without gradients.

    Args:
        cell: rnn, gru or lstm.
        A: the input part of all gates with its bias, (batch, gates * hidden), gates in the order of ``scratch.CELLS``.
        W_h: (hidden, gates * hidden).
        extra: (b_hn,) for the GRU, else empty.
        state: each tensor (batch, hidden).
        relu: the RNN's activation, else tanh.
    """
    H = state[0]
    hidden = H.shape[1]
    if cell == "rnn":
        Z = torch.addmm(A, H, W_h)
        return (Z.relu_() if relu else Z.tanh_(),)
    if cell == "gru":
        P_zr, P_h = torch.mm(H, W_h).split_with_sizes((2 * hidden, hidden), dim=1)
        A_zr, A_h = A.split_with_sizes((2 * hidden, hidden), dim=1)
        Z, R = torch.add(A_zr, P_zr).sigmoid_().chunk(2, dim=1)
        H_tilda = torch.addcmul(A_h, R, P_h.add_(extra[0])).tanh_()
        return (torch.lerp(H_tilda, H, Z),)
    OIF, C_tilda = torch.addmm(A, H, W_h).split_with_sizes((3 * hidden, hidden), dim=1)
    O, I, F = OIF.sigmoid_().chunk(3, dim=1)
    C = torch.addcmul(F * state[1], I, C_tilda.tanh_())
    return O * torch.tanh(C), C
