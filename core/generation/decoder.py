"""Streams: the recurrent state of texts in progress, advanced one token at a time.

``BatchStream`` runs ``LanguageModel.step``, for every model, device and number of texts. ``SingleStream`` is the hot
path: one text on a CPU, where a step is a few products of a vector and a matrix. Calling torch would take longer than
the computation, so the compiled kernels do whole steps; where a token depends on its scores alone they choose it too,
and one C call writes many. Tests compare them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from core.models.language_model import LanguageModel
from core.models.recurrence.cpu import bindings
from core.models.recurrence.cpu.compiled import NUMBERS
from core.models.recurrence.cpu.step import CompiledStep, CompiledText

Array = npt.NDArray[np.floating]


class Stream(Protocol):
    """The state of one or several texts."""

    def refresh(self) -> None:
        """Read the model's weights again: to be called whenever it may have been trained on."""

    def advance(self, tokens: Sequence[int]) -> Array:
        """Read one token of each text; the scores of the next ones, (texts, vocabulary), valid until the next call."""


def open_stream(model: LanguageModel, *, alone: bool) -> Stream:
    """A stream of one text before its first token; if it stays ``alone``, the fastest that supports the model."""
    return SingleStream(model) if alone and SingleStream.serves(model) else BatchStream(model)


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


class SingleStream:
    """One text of a model in one direction on a CPU, by the compiled kernels: one C call for a token, or for many."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._weights = weights = model.step_weights()
        self._step = CompiledStep(model.config.cell, model.is_relu, *weights.parts)
        self.scores: Array = self._step.scores.numpy()  # (vocabulary,), of the last token
        self._rows = self.scores[np.newaxis]

    @staticmethod
    def serves(model: LanguageModel) -> bool:
        """Whether the compiled kernels may write with this model, and can."""
        is_known = model.fused and model.directions == 1 and model.config.cell in NUMBERS
        return is_known and bindings.serves(model.output_layer()[1])

    def refresh(self) -> None:
        weights = self._model.step_weights()
        if weights is not self._weights:
            self._weights = weights
            self._step.use(*weights.parts)

    def advance(self, tokens: Sequence[int]) -> Array:
        self._step(tokens[0])
        return self._rows

    def step(self, token: int) -> Array:
        """One token further: (vocabulary,) scores, overwritten by the next call."""
        self._step(token)
        return self.scores

    def text(self, temperature: float, masked: Sequence[int], ends: Collection[int]) -> CompiledText:
        """What writes many tokens in one C call, see ``CompiledText``."""
        return CompiledText(self._step, temperature, masked, ends)
