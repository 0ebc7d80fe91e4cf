"""A recurrent language model from scratch, on one page, to be read beside the textbook.

Symbols and shapes are those of *Dive into Deep Learning*: ``X`` the inputs of one step, ``H`` the hidden state,
``W_xh`` the weights from input to hidden state, ``*`` the product element by element. Autograd differentiates it all.

The page runs: ``cpu_path=textbook`` trains and writes with it on any device (``TextbookLanguageModel``), the benchmark
measures against it, and the tests compare each faster path with it (``recurrence/``: derived by hand, in C, in Triton).
"""

# ruff: noqa: E741  the gates are called I and O in every textbook

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from core.settings.cells import Cell

HiddenState = tuple[Tensor, ...]
Parameters = Mapping[str, Tensor]
Step = Callable[[Tensor, HiddenState, Parameters], HiddenState]

# ---------------------------------------------------------------------------------------------------------------------
# Inputs, state, parameters


def one_hot(ids: Tensor, vocabulary_size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """A vector of zeros with a one at the token's place: (num_steps, batch) -> (num_steps, batch, vocabulary)."""
    return F.one_hot(ids.long(), vocabulary_size).to(dtype)


def begin_state(num_states: int, *shape: int, like: Tensor) -> HiddenState:
    """The state before the first token: ``num_states`` tensors of zeros, on the device of ``like``."""
    return tuple(like.new_zeros(shape) for _ in range(num_states))


@torch.no_grad()
def initialise(parameters: Parameters, num_hiddens: int, distribution: str) -> None:
    """Draw the initial weights in place.

    Args:
        parameters: by their names; all that is a vector is a bias.
        distribution: ``normal`` draws N(0, 0.01), standard deviation 0.01, and zero biases, as *Dive into Deep
            Learning* does; ``uniform`` draws everything between -1/sqrt(hidden) and 1/sqrt(hidden), as ``torch.nn``
            does. An ``embedding`` is N(0, 1/embedding_size) in variance either way: its vectors are about as long as
            one-hot ones, and fit as output weights where they are tied to them (Press & Wolf 2017, "Using the output
            embedding to improve language models").
    """
    bound = 1 / math.sqrt(num_hiddens)
    for name, parameter in parameters.items():
        if name == "embedding":
            parameter.normal_(std=1 / math.sqrt(parameter.shape[1]))
        elif distribution == "uniform":
            parameter.uniform_(-bound, bound)
        elif parameter.dim() == 1:
            parameter.zero_()
        else:
            parameter.normal_(std=0.01)


# ---------------------------------------------------------------------------------------------------------------------
# RNN: the simple recurrent network (Elman 1990, "Finding structure in time")


def rnn_step(
    X: Tensor, state: HiddenState, p: Parameters, activation: Callable[[Tensor], Tensor] = torch.tanh
) -> HiddenState:
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


def gru_step(X: Tensor, state: HiddenState, p: Parameters) -> HiddenState:
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


def lstm_step(X: Tensor, state: HiddenState, p: Parameters) -> HiddenState:
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
# Over time: the loop, the output layer, the loss


def unrolled(
    step: Step,
    inputs: Iterable[Tensor],
    state: HiddenState,
    p: Parameters,
) -> tuple[Tensor, HiddenState]:
    """One layer over time, one step after the other.

    Args:
        step: a cell of this page.
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
    return torch.stack(outputs) if outputs else state[0].new_empty(0, *state[0].shape), state


def output_layer(H: Tensor, W_hq: Tensor, b_q: Tensor) -> Tensor:
    """Y_t = H_t W_hq + b_q: (num_steps, batch, hidden) -> the scores of every next token, (..., vocabulary)."""
    outputs = [H_t @ W_hq + b_q for H_t in H]  # each (batch, vocabulary)
    return torch.stack(outputs) if outputs else H.new_empty(*H.shape[:-1], len(b_q))


def cross_entropy(Y: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """The mean of -log softmax(Y)[target] in nats, over the targets that the mask counts; zero where there are none.

    Shapes: Y (num_steps, batch, vocabulary), targets and mask (num_steps, batch) -> ().
    """
    losses = F.cross_entropy(Y.flatten(0, 1), targets.flatten(), reduction="none")  # (num_steps * batch,)
    counts = torch.ones_like(losses) if mask is None else mask.flatten().to(losses.dtype)
    return (losses * counts).sum() / counts.sum().clamp_min(1)


# ---------------------------------------------------------------------------------------------------------------------
# The cells by their names, see ``core.settings.cells``


STEPS: dict[str, Step] = {"rnn": rnn_step, "gru": gru_step, "lstm": lstm_step}


def step_of(cell: str, *, is_relu: bool = False) -> Step:
    """The equations of a cell, with relu in place of tanh where the cell has the choice."""
    return partial(STEPS[cell], **{"activation": torch.relu}) if is_relu else STEPS[cell]


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
