"""The held-out part: measured as one reader would who reads it from its beginning to its end."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.errors import CorpusError
from core.models.implementations import build_model
from core.models.language_model import LanguageModel
from core.settings.run_config import RunConfig
from core.training import validation
from core.training.parts import corpus_of
from core.training.trainer import Trainer
from core.training.validation import HeldOut, HeldOutStream, divided, n_gram_baselines

VOCABULARY = 7


@pytest.fixture(autouse=True)
def _quiet(one_thread: None) -> None:
    torch.manual_seed(3)


def model_of(**changes: Any) -> LanguageModel:
    return build_model(RunConfig(num_hiddens=6, initialisation="uniform", **changes), VOCABULARY)


def ids_of(length: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).integers(0, VOCABULARY, length).astype(np.uint16)


@torch.no_grad()
def measured(held_out: HeldOut, model: LanguageModel) -> float:
    """The mean cross-entropy over all of it, in nats."""
    *_, found = held_out.measuring(model)
    assert found is not None
    return found


def one_reader(model: LanguageModel, ids: np.ndarray[Any, Any], begin: int) -> float:
    """Token by token, by the model's step for generation, from the first token of the text on."""
    state, total = model.begin_state(1), 0.0
    for position in range(1, len(ids)):
        logits, state = model.step(torch.tensor([int(ids[position - 1])]), state)
        if position >= begin:
            total -= float(torch.log_softmax(logits[0].double(), 0)[int(ids[position])])
    return total / (len(ids) - max(begin, 1))


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize(("length", "begin"), [(90, 60), (90, 1), (90, 88), (200, 100)])
def test_a_short_text_is_read_exactly(cell: str, length: int, begin: int) -> None:
    model, ids = model_of(cell=cell), ids_of(length)
    found = measured(HeldOutStream(ids, begin), model)
    assert found == pytest.approx(one_reader(model, ids, begin), rel=1e-5)


@pytest.mark.parametrize("implementation", ["scratch", "torch.nn"])
@pytest.mark.parametrize("streams", [1, 3, 64])
def test_streams_side_by_side_read_as_one_does(streams: int, implementation: str) -> None:
    model, ids = model_of(implementation=implementation), ids_of(3000)
    found = measured(HeldOutStream(ids, 1500, streams), model)
    assert found == pytest.approx(one_reader(model, ids, 1500), rel=1e-4)


def test_pieces_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    model, ids = model_of(dropout=0.5), ids_of(2000)
    whole = measured(HeldOutStream(ids, 1000), model)
    monkeypatch.setattr(validation, "LOGITS_AT_ONCE", 1000)
    assert measured(HeldOutStream(ids, 1000), model) == pytest.approx(whole, rel=1e-5)
    assert model.training, "measuring leaves the model as it was, and silences no unit"


def test_measuring_draws_no_random_numbers() -> None:
    model, before = model_of(dropout=0.5), torch.get_rng_state()
    measured(HeldOutStream(ids_of(600), 300), model)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_trainer_measures_the_tail(tiny: Callable[..., RunConfig]) -> None:
    trainer = Trainer(tiny(validation_fraction=0.25, num_epochs=2))
    assert trainer.batches.per_epoch == (601 - 1) // 60
    *_, last = trainer
    wanted = one_reader(trainer.model, trainer.corpus.ids, 601)
    assert math.log(last.validation_perplexity) == pytest.approx(wanted, rel=1e-4)  # type: ignore[attr-defined]


def test_nothing_to_hold_out_gets_a_sentence(tiny: Callable[..., RunConfig]) -> None:
    config = tiny(validation_fraction=0.001)
    with pytest.raises(CorpusError, match=r"validation_fraction 0\.001 of 801 tokens holds out nothing: use a longer"):
        divided(corpus_of(config), config, torch.device("cpu"))
    config = tiny(validation_fraction=0.5, batch_size=32)
    with pytest.raises(
        CorpusError, match="the text has 401 tokens; batch_size 32 with num_steps 15 needs at least 481"
    ):
        divided(corpus_of(config), config, torch.device("cpu"))


def test_baselines_are_between_one_and_the_vocabulary(tiny: Callable[..., RunConfig]) -> None:
    for config in (tiny(), tiny(validation_fraction=0.2)):
        corpus = corpus_of(config)
        found = n_gram_baselines(corpus, config)
        assert found["uniform"] == len(corpus.vocabulary)
        assert found["trigram"] > 1 and 1 < found["unigram"] < found["uniform"]


def test_baselines_of_poems_count_what_the_model_is_measured_on(tmp_path: Path) -> None:
    (tmp_path / "poems.txt").write_text("ab\nab\n\nab\nab\n" * 100, encoding="utf-8")
    config = RunConfig(corpus="poems", normalise="none", documents="lines", max_tokens=0, batch_size=4, num_steps=5)
    corpus = corpus_of(config, tmp_path)
    found = n_gram_baselines(corpus, config)
    assert found["uniform"] == len(corpus.vocabulary) == 7
    # a, b and the end of a line follow one another without exception
    assert found["unigram"] == pytest.approx(3, rel=0.05) and found["bigram"] < 1.2
