"""The cells from scratch, to be read beside the textbook page, and the plain loop that runs them over time.

Symbols and shapes are those of *Dive into Deep Learning*: ``X`` the inputs of one step, ``H`` the hidden state,
``W_xh`` the weights from input to hidden state, ``*`` the product element by element. Autograd differentiates it all.
``scan.py`` computes the same numbers faster with its gradients written out by hand; tests hold the two together.
"""

# ruff: noqa: E741  the gates are called I and O in every textbook

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

State = tuple[Tensor, ...]
Parameters = Mapping[str, Tensor]

# ---------------------------------------------------------------------------------------------------------------------
# RNN: the simple recurrent network (Elman 1990, "Finding structure in time")


def rnn_step(X: Tensor, state: State, p: Parameters, activation: Callable[[Tensor], Tensor] = torch.tanh) -> State:
    """H_t = tanh(X_t W_xh + H_{t-1} W_hh + b_h)

    Args:
        X: (batch, inputs), one-hot rows or vectors.
        state: (H,), (batch, hidden).
        p: W_xh (inputs, hidden), W_hh (hidden, hidden), b_h (hidden,).
        activation: tanh or relu.
    """
    (H,) = state
    H = activation(X @ p["W_xh"] + H @ p["W_hh"] + p["b_h"])  # (batch, hidden)
    return (H,)


# ---------------------------------------------------------------------------------------------------------------------
# GRU: gated recurrent units (Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder")


def gru_step(X: Tensor, state: State, p: Parameters) -> State:
    """R_t = sigmoid(X_t W_xr + H_{t-1} W_hr + b_r)
    Z_t = sigmoid(X_t W_xz + H_{t-1} W_hz + b_z)
    H~_t = tanh(X_t W_xh + b_h + R_t * (H_{t-1} W_hh + b_hn))
    H_t = Z_t * H_{t-1} + (1 - Z_t) * H~_t

    The textbook resets the state before the product, H~_t = tanh(X_t W_xh + (R_t * H_{t-1}) W_hh + b_h). Here the reset
    comes after it and the product has a bias b_hn of its own, as in ``torch.nn.GRU`` and cuDNN: one product serves all
    three gates of a step, and the two models can share their weights.

    Args:
        X: (batch, inputs).
        state: (H,), (batch, hidden).
        p: W_xz, W_xr, W_xh (inputs, hidden), W_hz, W_hr, W_hh (hidden, hidden), b_z, b_r, b_h, b_hn (hidden,).
    """
    (H,) = state
    R = torch.sigmoid(X @ p["W_xr"] + H @ p["W_hr"] + p["b_r"])  # (batch, hidden)
    Z = torch.sigmoid(X @ p["W_xz"] + H @ p["W_hz"] + p["b_z"])  # (batch, hidden)
    H_tilda = torch.tanh(X @ p["W_xh"] + p["b_h"] + R * (H @ p["W_hh"] + p["b_hn"]))  # (batch, hidden)
    H = Z * H + (1 - Z) * H_tilda  # (batch, hidden)
    return (H,)


# ---------------------------------------------------------------------------------------------------------------------
# LSTM: long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000)


def lstm_step(X: Tensor, state: State, p: Parameters) -> State:
    """I_t = sigmoid(X_t W_xi + H_{t-1} W_hi + b_i)
    F_t = sigmoid(X_t W_xf + H_{t-1} W_hf + b_f)
    O_t = sigmoid(X_t W_xo + H_{t-1} W_ho + b_o)
    C~_t = tanh(X_t W_xc + H_{t-1} W_hc + b_c)
    C_t = F_t * C_{t-1} + I_t * C~_t
    H_t = O_t * tanh(C_t)

    Args:
        X: (batch, inputs).
        state: (H, C), each (batch, hidden).
        p: W_xi, W_xf, W_xo, W_xc (inputs, hidden), W_hi, W_hf, W_ho, W_hc (hidden, hidden),
            b_i, b_f, b_o, b_c (hidden,).
    """
    H, C = state
    I = torch.sigmoid(X @ p["W_xi"] + H @ p["W_hi"] + p["b_i"])  # (batch, hidden)
    F = torch.sigmoid(X @ p["W_xf"] + H @ p["W_hf"] + p["b_f"])  # (batch, hidden)
    O = torch.sigmoid(X @ p["W_xo"] + H @ p["W_ho"] + p["b_o"])  # (batch, hidden)
    C_tilda = torch.tanh(X @ p["W_xc"] + H @ p["W_hc"] + p["b_c"])  # (batch, hidden)
    C = F * C + I * C_tilda  # (batch, hidden)
    H = O * torch.tanh(C)  # (batch, hidden)
    return H, C


# ---------------------------------------------------------------------------------------------------------------------
# What the three have in common


@dataclass(frozen=True)
class Cell:
    """A recurrent unit: its equations, and how its parameters lie in memory.

    The matrices of all gates lie side by side in one tensor, so that one product serves them all. ``gates`` is their
    order and makes the tensor's name: ``W_xzrh`` is ``[W_xz W_xr W_xh]``, and for the RNN it is ``W_xh`` itself.

    Attributes:
        step: (X, state, parameters by their textbook names) -> state.
        gates: the letters of the gates, in storage order.
        num_states: tensors in the state: 1, or 2 for (H, C).
        extra: names of further bias vectors, each (hidden,).
    """

    step: Callable[[Tensor, State, Parameters], State]
    gates: str
    num_states: int = 1
    extra: tuple[str, ...] = ()


CELLS = {
    "rnn": Cell(rnn_step, "h"),
    "gru": Cell(gru_step, "zrh", extra=("b_hn",)),
    # o first: neighbours are o, i, f, the sigmoid gates, and i, f, c, whose gradients come from that of the memory
    "lstm": Cell(lstm_step, "oifc", num_states=2),
}


def textbook_names(cell: Cell, W_x: Tensor, W_h: Tensor, b: Tensor, *extra: Tensor) -> dict[str, Tensor]:
    """The parameters of a layer by their textbook names, as views of what is stored.

    Args:
        cell: which unit.
        W_x: (inputs, gates * hidden), W_h: (hidden, gates * hidden), b: (gates * hidden,): the gates side by side.
        extra: the tensors that ``cell.extra`` names, each (hidden,).
    """
    named: dict[str, Tensor] = {}
    parts = zip(cell.gates, *(W.chunk(len(cell.gates), dim=-1) for W in (W_x, W_h, b)), strict=True)
    for gate, W_xg, W_hg, b_g in parts:
        named |= {f"W_x{gate}": W_xg, f"W_h{gate}": W_hg, f"b_{gate}": b_g}
    return named | dict(zip(cell.extra, extra, strict=True))


def unrolled(
    step: Callable[[Tensor, State, Parameters], State], inputs: Tensor, state: State, p: Parameters
) -> tuple[Tensor, State]:
    """One layer over time, one step after the other: the plain twin of ``scan.py``.

    Args:
        step: a cell of this file.
        inputs: (num_steps, batch, inputs).
        state: the state before the first step, each tensor (batch, hidden).
        p: the parameters by their textbook names.

    Returns:
        The hidden states of all steps, (num_steps, batch, hidden), and the state after the last one.
    """
    outputs = []
    for X in inputs:  # (batch, inputs)
        state = step(X, state, p)
        outputs.append(state[0])
    return torch.stack(outputs), state
