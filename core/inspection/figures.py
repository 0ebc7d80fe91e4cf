"""What several views have: layers that exist, numbers and vectors as an answer has them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from core.corpus.vocabulary import Vocabulary
from core.errors import UserError
from core.inspection.answers import Stage
from core.inspection.text import Text
from core.models.language_model import LanguageModel

MOST_LIKELY = 10


def check_layer(model: LanguageModel, layer: int, reverse: bool) -> None:
    """Raise UserError for a layer or direction that the model lacks."""
    if layer > model.num_layers:
        raise UserError(f"layer must be between 1 and {model.num_layers}, got {layer}")
    if reverse and model.directions == 1:
        raise UserError("this model reads from left to right only: reverse needs a bidirectional one")


def stage(name: str, tensor: Tensor) -> Stage:
    """A vector, (hidden,) or (1, hidden), as a stage."""
    vector = tensor.detach().flatten()
    wide = vector.double() if vector.device.type != "mps" else vector
    return Stage(name, tuple(vector.shape), float(wide.norm()), float(wide.mean()), floats(vector))


def floats(tensor: Tensor) -> tuple[float, ...]:
    """The numbers of a tensor, in no more digits than its format has."""
    values = tensor.detach().flatten().tolist()
    return tuple(values) if tensor.dtype is torch.float64 else tuple(float(f"{value:.8g}") for value in values)


def likely(text: Text, probabilities: Tensor) -> tuple[tuple[str, float], ...]:
    """The most likely tokens, (token, probability)."""
    top = torch.topk(probabilities, min(MOST_LIKELY, len(probabilities)))
    return tuple(
        (text.vocabulary.id_to_token(index), value)
        for index, value in zip(top.indices.tolist(), floats(top.values), strict=True)
    )


def bits(probability: float) -> float:
    """The surprise of a token of that probability; infinite for 0."""
    return max(0.0, -math.log2(probability)) if probability > 0 else math.inf


def token_id(vocabulary: Vocabulary, token: str) -> int:
    """The id of a token that a person named. Raises UserError for an unknown one."""
    if token not in vocabulary:
        raise UserError(f"the vocabulary has no token {token[:50]!r}")
    return vocabulary.token_to_id(token)


def require_finite(tensors: Iterable[Tensor]) -> None:
    """Raise UserError for weights that are not finite."""
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
        raise UserError("the weights became non-finite, so there is nothing to see: go back to a good checkpoint")
