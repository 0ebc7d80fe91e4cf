"""Models and texts for the tests of inspection: small ones with weights from a seed, or set by hand."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

import numpy as np
import torch

from core.corpus.vocabulary import Vocabulary
from core.inspection.options import InspectionOptions
from core.inspection.text import Text, text_of
from core.models.implementations import build_model
from core.models.language_model import LanguageModel
from core.models.scratch_model import ScratchLanguageModel
from core.settings.run_config import RunConfig

ResultT = TypeVar("ResultT")
WORDS = 'the cat sat on the mat.\nThe dog (a big one) said "woof".\nit ran and ran and ran\n'

VARIANTS: tuple[dict[str, Any], ...] = tuple(
    {"cell": cell, **changes}
    for cell in ("rnn", "gru", "lstm")
    for changes in (
        {},
        {"implementation": "torch.nn", "num_layers": 2},
        {"num_layers": 2, "embedding_size": 5, "cpu_path": "textbook"},
        {"implementation": "torch.nn", "bidirectional": True, "embedding_size": 5},
        {"num_layers": 2, "bidirectional": True, "cpu_path": "plain"},
    )
)


def vocabulary_of(text: str, reserved: tuple[str, ...] = ()) -> Vocabulary:
    """A vocabulary of the characters of a text."""
    tokens = sorted(set(text))
    return Vocabulary.from_counts("char", tokens, np.ones(len(tokens), dtype=np.int64), reserved=reserved)[0]


def config_of(**changes: Any) -> RunConfig:
    """The settings of a model of 8 units."""
    small: dict[str, Any] = {
        "num_hiddens": 8, "device": "cpu", "initialisation": "uniform", "batch_size": 3, "normalise": "none",
    }  # fmt: skip
    return RunConfig(**{**small, **changes})


def model_of(vocabulary: Vocabulary, double: bool = True, **changes: Any) -> LanguageModel:
    """A model with weights from a seed, in double precision."""
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        model = build_model(config_of(**changes), len(vocabulary)).eval()
    return model.double() if double else model


def zeroed(vocabulary: Vocabulary, **changes: Any) -> ScratchLanguageModel:
    """A model from scratch whose weights are all 0, to be set by hand."""
    model = model_of(vocabulary, **changes)
    assert isinstance(model, ScratchLanguageModel)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    return model


def text(model: LanguageModel, vocabulary: Vocabulary, words: str = WORDS) -> Text:
    """A text as the model reads it."""
    return text_of(words, vocabulary, model.config)


def asked(view: str, at: int | None = None, **options: Any) -> InspectionOptions:
    """What to look at."""
    return InspectionOptions(view, at=at, **options)


def result(slices: Generator[None, None, ResultT]) -> ResultT:
    """A view, all slices at once."""
    while True:
        try:
            next(slices)
        except StopIteration as end:
            value: ResultT = end.value
            return value
