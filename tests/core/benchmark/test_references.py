"""The references compute what ours computes: the same weights give the same perplexities and the same text."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.benchmark import opening
from core.benchmark.cases import (
    LYRICS_VOCABULARY,
    lyrics_like,
    our_text,
    our_trainer,
    stock_twin,
    textbook_twin,
    train_epoch,
)
from core.benchmark.measuring import Effort
from core.benchmark.references import sequential_batches, text_tensor
from core.settings.presets import PRESETS
from core.settings.run_config import RunConfig

SMALL = Effort(tokens=600)
NUM_EPOCHS = 6


@pytest.fixture
def config() -> RunConfig:
    return PRESETS["lyrics-scratch-sequential"].config.replace(
        num_hiddens=24, batch_size=4, num_steps=7, learning_rate=30.0, num_epochs=100, device="cpu", threads=1
    )


def test_the_textbooks_loop_gives_the_same_perplexities_as_our_trainer(config: RunConfig) -> None:
    trainer = our_trainer(config, SMALL)
    twin, ids = textbook_twin(trainer), text_tensor(trainer.corpus.ids)
    ours = [train_epoch(trainer) for _ in range(NUM_EPOCHS)]
    theirs = [twin.epoch(ids) for _ in range(NUM_EPOCHS)]
    assert theirs == pytest.approx(ours, rel=2e-3)
    assert ours[-1] < 0.9 * ours[0]


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("clipping", ["none", "norm"])
def test_torch_nn_on_one_hot_gives_the_same_perplexities_as_our_model(
    config: RunConfig, cell: str, clipping: str
) -> None:
    optimiser, rate = ("adam", 0.01) if clipping == "none" else ("sgd", 30.0)
    config = config.replace(
        implementation="torch.nn", cell=cell, clipping=clipping, optimiser=optimiser, learning_rate=rate
    )
    trainer = our_trainer(config, SMALL)
    twin, ids = stock_twin(trainer), text_tensor(trainer.corpus.ids)
    ours = [train_epoch(trainer) for _ in range(NUM_EPOCHS)]
    theirs = [twin.epoch(ids) for _ in range(NUM_EPOCHS)]
    assert theirs == pytest.approx(ours, rel=2e-3)
    assert ours[-1] < 0.9 * ours[0]


def test_the_textbooks_loop_writes_the_same_text_as_ours(config: RunConfig) -> None:
    trainer = our_trainer(config.replace(learning_rate=100.0), SMALL)
    for _ in range(40):
        train_epoch(trainer)
    twin, vocabulary = textbook_twin(trainer), trainer.corpus.vocabulary
    prefix = vocabulary.decode(trainer.corpus.ids[:3])
    ours = our_text(trainer.model, trainer.corpus, prefix, 60)
    assert twin.predict(vocabulary.encode(prefix).tolist(), 60, vocabulary.id_to_token) == ours
    assert len(set(ours)) > 5


def test_the_textbooks_batches_are_the_textbooks() -> None:
    batches = list(sequential_batches(torch.arange(35), 2, 5))
    assert len(batches) == 3
    for X, Y in batches:
        assert torch.equal(Y, X + 1)
    assert torch.equal(batches[1][0][:, 0], batches[0][0][:, -1] + 1)


def test_the_lyrics_of_the_benchmark_have_the_textbooks_vocabulary() -> None:
    config = PRESETS["lyrics-scratch-sequential"].config
    for effort in (Effort(), SMALL):
        assert len(lyrics_like(config, effort).vocabulary) == LYRICS_VOCABULARY


def test_all_ways_of_opening_see_the_same_text(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    opening.write_text(path, 300_000)
    assert 300_000 <= path.stat().st_size < 700_000
    tokens, vocabulary = opening.ours(path)
    assert opening.whole_array(path) == (tokens, vocabulary)
    assert opening.passes(path)[0] == tokens
    different = len(set(path.read_text("utf-8")))
    assert different == opening.DIFFERENT
    assert vocabulary == different  # the unknown token comes in addition, the line end has become a blank
    share = path.stat().st_size / tokens
    assert share == pytest.approx(100 / 55, rel=0.05)  # bytes a character
