"""What the tests of writing share: vocabularies, small models, and a model whose distributions are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from core.corpus.vocabulary import Vocabulary
from core.generation.options import GenerationRequest, Sampling
from core.generation.writer import Writing
from core.models.implementations import build_model
from core.models.language_model import LanguageModel
from core.settings.run_config import RunConfig


def characters(text: str, reserved: tuple[str, ...] = ()) -> Vocabulary:
    """A vocabulary of the characters of ``text``, in their order, each counted once."""
    tokens = ["<unk>", *reserved, *text]
    return Vocabulary("char", tokens, [0] * (1 + len(reserved)) + [1] * len(text), len(reserved))


def small_model(vocabulary: Vocabulary, seed: int = 3, **changes: object) -> LanguageModel:
    """A model with weights large enough for its distributions to be far from even."""
    torch.manual_seed(seed)
    model = build_model(RunConfig(num_hiddens=12, initialisation="uniform", **changes), len(vocabulary))  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    return model


def chain(rows: list[list[float]]) -> LanguageModel:
    """A Markov chain of these probabilities, to reckon with: an RNN whose state is the token that it has just read."""
    size = len(rows)
    model = build_model(RunConfig(num_hiddens=size, activation="relu"), size)
    weights = {"W_xh": torch.eye(size), "W_hq": torch.tensor(rows).clamp_min(1e-30).log()}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights.get(name, torch.zeros_like(parameter)))
    return model


def text_of(model: LanguageModel, vocabulary: Vocabulary, **fields: object) -> str:
    """What is written to a request."""
    return "".join(texts_of(model, vocabulary, **fields)[:1])


def texts_of(model: LanguageModel, vocabulary: Vocabulary, **fields: object) -> list[str]:
    """All samples of a request."""
    writing = Writing(model, vocabulary, GenerationRequest.from_message(fields))
    while not writing.finished:
        writing.advance()
    return [sample.text for sample in writing.samples]


@pytest.fixture
def letters() -> Vocabulary:
    return characters("abcdefgh\n")


@pytest.fixture
def logits() -> Callable[[int], np.ndarray]:
    """Scores of a vocabulary of that size, fp32."""
    return lambda size: np.random.default_rng(size).normal(0, 2, size).astype(np.float32)


__all__ = ["GenerationRequest", "Sampling", "chain", "characters", "small_model", "text_of", "texts_of"]
