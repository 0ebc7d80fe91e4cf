"""ONNX: one step of a model, with its state as input and output. Whatever runs ONNX can write with it.

Inputs ``ids`` (batch,) int64 and the state ``H`` (and ``C`` of an LSTM), (layers, batch, hidden); outputs ``logits``
(batch, vocabulary) and the new state, ``H_next`` (``C_next``). The tokens are in the file's metadata.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from core.corpus.vocabulary import Vocabulary
from core.errors import UserError
from core.export.extras import COMMAND, library
from core.export.scripts import facts_of
from core.models.language_model import LanguageModel
from core.models.scratch import step_of, textbook_names
from core.settings.cells import CELLS

LARGEST = (1 << 31) - (1 << 24)
"""Bytes: a protocol buffer has less than 2 GiB."""


class _OneHot:
    """One-hot rows that are never made: their product with a matrix is some of its rows."""

    def __init__(self, ids: Tensor) -> None:
        self._ids = ids

    def __matmul__(self, W: Tensor) -> Tensor:
        return W.index_select(0, self._ids)


class _Step(nn.Module):
    """``LanguageModel.step`` by the equations of ``scratch``, whose plain operations can be exported."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        weights, self._cell = model.step_weights(), CELLS[model.config.cell]
        self._cell_step = step_of(self._cell.name, is_relu=model.is_relu)
        self.embedding = None if weights.vectors is None else _constant(weights.vectors)
        self.layers = nn.ModuleList(
            nn.ParameterDict({name: _constant(W) for name, W in textbook_names(self._cell, *layer).items()})
            for layer in weights.layers
        )
        self.W_hq, self.b_q = _constant(weights.W), _constant(weights.b)

    def forward(self, ids: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        X: Any = _OneHot(ids)
        if self.embedding is not None:
            X = X @ self.embedding  # (batch, embedding_size)
        found = []
        for row, p in enumerate(self.layers):
            found.append(self._cell_step(X, tuple(tensor[row] for tensor in state), p))  # type: ignore[arg-type]
            X = found[-1][0]  # (batch, hidden)
        return X @ self.W_hq + self.b_q, *(torch.stack(tensors) for tensors in zip(*found, strict=True))


def _constant(W: Tensor) -> nn.Parameter:
    return nn.Parameter(W.detach().cpu().float().clone(memory_format=torch.contiguous_format), requires_grad=False)


def onnx_file(model: LanguageModel, vocabulary: Vocabulary, name: str) -> bytes:
    """The bytes of the ONNX model. Raises UserError for a model without a step, and where a library is missing."""
    if model.config.bidirectional:
        raise UserError("a bidirectional model has no step: it reads the whole text; export it as torch")
    if 4 * model.num_parameters() > LARGEST:
        raise UserError(f"an ONNX file has less than 2 GiB, and the model has {model.num_parameters():,} weights")
    purpose = "an export as onnx"
    onnx = library("onnx", purpose)
    library("onnxscript", purpose)
    proto = _program(model).model_proto
    facts = facts_of(model.config, vocabulary, name)
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()}
    onnx.helper.set_model_props(proto, texts)
    data: bytes = proto.SerializeToString()
    return data


def _program(model: LanguageModel) -> torch.onnx.ONNXProgram:
    states = CELLS[model.config.cell].states
    size = torch.export.Dim("batch", min=1, max=1 << 16)
    # Of two texts: torch.export takes a size of 1 for a constant.
    state = torch.zeros(model.num_layers, 2, model.num_hiddens)
    example = (torch.zeros(2, dtype=torch.long), *(state.clone() for _ in states))
    try:
        with _quiet():
            program = torch.onnx.export(
                _Step(model).eval(),
                example,
                dynamo=True,
                verbose=False,
                input_names=["ids", *states],
                output_names=["logits", *(f"{state}_next" for state in states)],
                dynamic_shapes={"ids": {0: size}, "state": tuple({1: size} for _ in states)},
            )
    except ImportError as error:  # an onnxscript that is older than this torch
        raise UserError(
            f"this torch cannot use the installed onnxscript ({str(error)[:150]}): run {COMMAND} in the project"
        ) from None
    assert program is not None  # it is written by us, not by torch
    return program


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter logs what it looks for in vain, such as torchvision: of no use to the reader of a command."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
