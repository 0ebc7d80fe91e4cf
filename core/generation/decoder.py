"""Streams: the recurrent state of texts in progress, advanced one token at a time.

``BatchStream`` runs ``LanguageModel.step``, for every model, device and number of texts. ``SingleStream`` is the hot
path: one text on a CPU, where a step is a few products of a vector and a matrix. Calling torch would take longer than
the computation, so it repeats the cells in numpy, on views of the model's parameters. A test compares the two.
"""

# ruff: noqa: E741  the gates are called I and O in every textbook

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from core.models.language_model import LanguageModel

Array = npt.NDArray[np.floating]


class Stream(Protocol):
    """The state of one or several texts."""

    def refresh(self) -> None:
        """Read the model's weights again: to be called whenever it may have been trained on."""

    def advance(self, tokens: Sequence[int]) -> Array:
        """Read one token of each text; the scores of the next ones, (texts, vocabulary), valid until the next call."""


def open_stream(model: LanguageModel, *, alone: bool) -> Stream:
    """A stream of one text before its first token; if it stays ``alone``, the fastest that supports the model."""
    is_numpy = model.output_layer()[1].device.type == "cpu" and model.directions == 1
    return SingleStream(model) if alone and is_numpy else BatchStream(model)


class BatchStream:
    """Any number of texts: one at first, which ``select`` multiplies.

    At 256 hidden units and 1,027 tokens a step of four texts takes 77 µs (RNN), 155 µs (GRU) or 194 µs (LSTM) of one
    core of a busy machine; by the cells of ``scratch`` it takes 95, 224 or 262 µs there.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._state = model.begin_state(1)  # each (layers, texts, hidden)

    def refresh(self) -> None:
        """See ``Stream``; the model's own step reads its weights each time."""

    def advance(self, tokens: Sequence[int]) -> Array:
        ids = torch.tensor(tokens, device=self._state[0].device)
        logits, self._state = self._model.step(ids, self._state)  # (texts, vocabulary)
        scores: Array = logits.float().cpu().numpy()
        return scores

    def select(self, rows: Sequence[int]) -> None:
        """Continue with the texts in ``rows``; a text may be repeated."""
        index = torch.tensor(rows, device=self._state[0].device)
        self._state = tuple([tensor.index_select(1, index) for tensor in self._state])


@dataclass(frozen=True)
class _Layer:
    """One layer as numpy views, gates in the order of ``scratch.CELLS``.

    ``W_x`` is (inputs, gates * hidden), ``W_h`` (hidden, gates * hidden), ``b`` (gates * hidden,), and ``b_hn``, of the
    GRU, (hidden,).
    """

    W_x: Array
    W_h: Array
    b: Array
    b_hn: Array | None = None


class SingleStream:
    """One text of a model in one direction on a CPU, by numpy's own copy of the cells.

    At 256 hidden units and 1,027 tokens a step takes 24 µs (RNN), 52 µs (GRU) or 58 µs (LSTM) of one core; by the cells
    in torch it takes 72, 175 or 192 µs.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        cell, hidden = model.config.cell, model.num_hiddens
        self._hidden = hidden
        self._step = {"rnn": self._rnn, "gru": self._gru, "lstm": self._lstm}[cell]
        self._is_relu = cell == "rnn" and model.config.activation == "relu"
        dtype = _view(model.output_layer()[1]).dtype
        # of each layer [H] or [H, C], each (hidden,)
        self._states: list[list[Array]] = [
            [np.zeros(hidden, dtype) for _ in range(model.num_states)] for _ in range(model.num_layers)
        ]
        self._logits: Array = np.zeros((1, model.vocabulary_size), dtype)
        self._row: Array = self._logits[0]
        self.refresh()

    def refresh(self) -> None:
        weights = self._model.step_weights()
        layers = [_Layer(*(_view(tensor) for tensor in layer)) for layer in weights.layers]
        self._layers_and_states = list(zip(layers, self._states, strict=True))
        self._W_q, self._b_q = _view(weights.W), _view(weights.b)
        self._vectors = None if weights.vectors is None else _view(weights.vectors)

    def advance(self, tokens: Sequence[int]) -> Array:
        self.step(tokens[0])
        return self._logits

    def step(self, token: int) -> Array:
        """One token further: (vocabulary,) scores, overwritten by the next call."""
        X = None if self._vectors is None else self._vectors[token]
        for layer, state in self._layers_and_states:
            # A one-hot row times a matrix is one of its rows.
            A = (layer.W_x[token] if X is None else X.dot(layer.W_x)) + layer.b  # (gates * hidden,)
            self._step(layer, A, state)
            X = state[0]
        assert X is not None
        logits: Array = X.dot(self._W_q, self._row)
        logits += self._b_q
        return logits

    def _rnn(self, layer: _Layer, A: Array, state: list[Array]) -> None:
        A += state[0].dot(layer.W_h)
        state[0] = np.maximum(A, 0, out=A) if self._is_relu else np.tanh(A, A)

    def _gru(self, layer: _Layer, A: Array, state: list[Array]) -> None:
        H, hidden = state[0], self._hidden
        P = H.dot(layer.W_h)  # (3 * hidden,)
        ZR = _sigmoid(A[: 2 * hidden] + P[: 2 * hidden])
        H_tilda = np.tanh(A[2 * hidden :] + ZR[hidden:] * (P[2 * hidden :] + layer.b_hn))
        state[0] = H_tilda + ZR[:hidden] * (H - H_tilda)

    def _lstm(self, layer: _Layer, A: Array, state: list[Array]) -> None:
        hidden = self._hidden
        A += state[0].dot(layer.W_h)
        OIF, C_tilda = _sigmoid(A[: 3 * hidden]), np.tanh(A[3 * hidden :])
        O, I, F = OIF[:hidden], OIF[hidden : 2 * hidden], OIF[2 * hidden :]
        C = F * state[1] + I * C_tilda
        state[0], state[1] = O * np.tanh(C), C


def _sigmoid(A: Array) -> Array:
    """1 / (1 + exp(-A)) by the tangent, which does not overflow: sigmoid(x) = (1 + tanh(x / 2)) / 2."""
    half = A.dtype.type(0.5)
    A = np.tanh(A * half)
    A += 1
    A *= half
    return A


def _view(tensor: torch.Tensor) -> Array:
    viewed: Array = tensor.detach().numpy()
    return viewed
