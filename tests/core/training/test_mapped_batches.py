"""Batches from a mapped text: bit for bit those of the same text in memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.corpus import batching_plan
from core.corpus.batching_plan import LineRows, line_sizes, line_spans, order_of
from core.corpus.ids import is_mapped
from core.corpus.reader import Corpus, load_corpus
from core.corpus.token_store import TokenStore, default_store
from core.errors import CorpusError, RunError
from core.events import EpochFinished
from core.settings.run_config import PADDING, RunConfig
from core.training.batches import Batches, on_device
from core.training.mapped_batches import AHEAD, Ahead, MappedBatches
from core.training.trainer import Trainer
from core.training.validation import divided, n_gram_baselines
from tests.core.outcomes import without_clock

CPU = torch.device("cpu")


@pytest.fixture
def twice(text_path: Path, tmp_path: Path) -> Callable[..., tuple[Corpus, Corpus]]:
    """Reads the text of the tests into memory, and into a store."""

    def read(**how: Any) -> tuple[Corpus, Corpus]:
        store = TokenStore(tmp_path / "tokens", 1 << 30, smallest=1)
        plain, mapped = load_corpus(str(text_path), **how), load_corpus(str(text_path), store=store, **how)
        assert is_mapped(mapped.ids) and not is_mapped(plain.ids)
        return plain, mapped

    return read


def epochs(trainer: Trainer) -> list[EpochFinished]:
    return [event for event in trainer if isinstance(event, EpochFinished)]


def reading(config: RunConfig) -> dict[str, Any]:
    return {"normalise": config.normalise, "reserved": config.reserved_tokens}


WAYS = [
    {"sampling": "random"}, {"sampling": "sequential"}, {"sampling": "random", "random_offset": False},
    {"documents": "lines"}, {"sampling": "random", "validation_fraction": 0.2},
    {"documents": "lines", "validation_fraction": 0.2, "bucketing": True},
]  # fmt: skip


@pytest.mark.parametrize("changes", WAYS, ids=str)
def test_every_batch_is_the_same(
    tiny: Callable[..., RunConfig], twice: Callable[..., tuple[Corpus, Corpus]], changes: dict[str, Any]
) -> None:
    config = tiny(**changes)
    plain, mapped = twice(**reading(config))
    (wanted, _), (found, _) = divided(plain, config, CPU), divided(mapped, config, CPU)
    assert isinstance(found, MappedBatches)
    assert (found.per_epoch, found.tokens_per_epoch) == (wanted.per_epoch, wanted.tokens_per_epoch)
    for epoch, index in itertools.product((0, 3, 1), range(wanted.per_epoch)):
        for left, right in zip(wanted.batch(epoch, index), found.batch(epoch, index), strict=True):
            assert (left is None and right is None) or torch.equal(left, right)
    assert n_gram_baselines(plain, config) == n_gram_baselines(mapped, config)


@pytest.mark.parametrize("changes", [WAYS[4], WAYS[5]], ids=str)
@pytest.mark.usefixtures("one_thread")
def test_a_training_is_the_same_to_the_last_bit(
    tiny: Callable[..., RunConfig], twice: Callable[..., tuple[Corpus, Corpus]], changes: dict[str, Any]
) -> None:
    config = tiny(num_epochs=2, **changes)
    curves = [without_clock(epochs(Trainer(config, corpus))) for corpus in twice(**reading(config))]
    assert curves[0] == curves[1] and len(curves[0]) == 2


@pytest.mark.parametrize("changes", WAYS, ids=str)
def test_what_is_fed_ahead_is_the_same(
    tiny: Callable[..., RunConfig], twice: Callable[..., tuple[Corpus, Corpus]], changes: dict[str, Any]
) -> None:
    """As a GPU is fed, here without one: in order, again from the middle, and in another epoch."""
    config = tiny(**changes)
    plain, mapped = twice(**reading(config))
    (wanted, _), (found, _) = divided(plain, config, CPU), divided(mapped, config, CPU)
    for epoch, index in [*((0, place) for place in range(wanted.per_epoch)), (1, 2), (1, 3), (0, 1), (1, 0)]:
        for made in (wanted, found):
            made.feed(epoch, index)
        row = found.plan(epoch)[index]
        for left, right in zip(wanted.cut(wanted.plan(epoch)[index]), found.cut(row), strict=True):
            assert (left is None and right is None) or torch.equal(left, right)


def test_batches_are_cut_ahead_once_each_and_in_order() -> None:
    cut: list[tuple[int, int]] = []

    def noted(epoch: int, index: int) -> np.ndarray:
        cut.append((epoch, index))
        return np.full((2, 3), 10 * epoch + index, dtype=np.int32)

    ahead, target = Ahead(noted, (2, 3), 8, CPU), torch.zeros((2, 3), dtype=torch.int32)
    for epoch, index in itertools.product(range(2), range(8)):
        ahead.copy(epoch, index, target)
        assert int(target[1, 2]) == 10 * epoch + index
        assert len(cut) <= 8 * epoch + index + 1 + AHEAD
    assert cut == list(itertools.product(range(2), range(8)))


@pytest.mark.parametrize("size", [100, 40_000, 70_000])
def test_a_mapped_text_on_a_device_is_the_same(tmp_path: Path, size: int) -> None:
    """Bytes, 16 bits of which torch has only signed ones, and 32 bits."""
    path = tmp_path / "text.txt"
    path.write_text("".join(chr(0x10000 + place) for place in range(size)))
    corpus = load_corpus(str(path), store=TokenStore(tmp_path / "tokens", 1 << 30, smallest=1))
    assert is_mapped(corpus.ids)
    tensor, mask = on_device(corpus.ids, CPU)
    assert tensor.element_size() == corpus.ids.itemsize
    widened = tensor.long() & mask if mask else tensor.long()
    assert widened.tolist() == corpus.ids.tolist()
    config = RunConfig(batch_size=2, num_steps=5, sampling="random")
    for left, right in zip(
        Batches(corpus.ids, config, CPU).batch(0, 3),
        Batches(np.array(corpus.ids), config, CPU).batch(0, 3),
        strict=True,
    ):
        assert left is None or torch.equal(left, right)  # type: ignore[arg-type]


def test_the_order_of_few_is_numpys() -> None:
    for count in (1, 2, 7, 1000):
        wanted = np.random.default_rng([3, count]).permutation(count)
        order = order_of(count, np.random.default_rng([3, count]))
        assert order(np.arange(count)).tolist() == wanted.tolist()


@pytest.mark.parametrize("count", [17, 64, 65, 1000, 4097, 20_000])
def test_the_order_of_many_is_computed_and_a_permutation(count: int) -> None:
    orders = [order_of(count, np.random.default_rng([seed]), most=16)(np.arange(count)) for seed in (1, 1, 2)]
    assert sorted(orders[0].tolist()) == list(range(count))
    assert (orders[0] == orders[1]).all() and (orders[0] != orders[2]).any()
    part = order_of(count, np.random.default_rng([1]), most=16)
    for places in (np.arange(count - 5, count), np.arange(count // 2, count), np.array([count - 1, 0]), np.arange(0)):
        assert (part(places) == orders[0][places]).all(), "the same in pieces"
    if count >= 1000:  # no place is near where it was, on the whole, nor its neighbour
        assert abs(np.corrcoef(orders[0], np.arange(count))[0, 1]) < 0.1
        assert abs(np.corrcoef(orders[0][1:], orders[0][:-1])[0, 1]) < 0.1


def test_the_order_of_an_earlier_version_is_kept() -> None:
    wanted = np.random.default_rng([3]).permutation(4_194_305)  # more than are shuffled now
    assert (order_of(len(wanted), np.random.default_rng([3]), 1)(np.arange(len(wanted))) == wanted).all()
    for count, first in ((17, [1, 7, 11, 12, 13, 15]), (20_000, [11895, 1500, 17867, 11247, 15390, 16751])):
        order = order_of(count, np.random.default_rng(5), 1, most=16)
        assert order(np.arange(6)).tolist() == first and sorted(order(np.arange(count))) == list(range(count))


@pytest.mark.parametrize("changes", [WAYS[0], WAYS[3]], ids=str)
@pytest.mark.usefixtures("one_thread")
def test_a_run_keeps_the_order_that_it_began_with(
    tiny: Callable[..., RunConfig],
    twice: Callable[..., tuple[Corpus, Corpus]],
    changes: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Checkpoints of the version that shuffled more than is shuffled now say nothing of an order."""
    config = tiny(num_epochs=3, **changes)
    plain, mapped = twice(**reading(config))
    trainer = Trainer(config, plain)
    for _ in range(trainer.batches.per_epoch + 1):
        trainer.advance()
    tensors, facts = trainer.checkpoint()
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    assert facts.pop("order") == batching_plan.ORDER
    wanted = without_clock(epochs(trainer))
    monkeypatch.setattr(batching_plan, "MOST_SHUFFLED", 4)
    for corpus in (plain, mapped):
        again, other = Trainer(config, corpus), Trainer(config, corpus)
        again.restore(tensors, facts)
        assert again.checkpoint()[1]["order"] == 1
        assert without_clock(epochs(again)) == wanted
        other.restore(tensors, facts | {"order": 2})
        assert without_clock(epochs(other)) != wanted
    with pytest.raises(RunError, match="version 3 of the random order, and this program knows up to 2"):
        again.restore(tensors, facts | {"order": 3})


def test_rows_of_lines_are_made_when_they_are_wanted(twice: Callable[..., tuple[Corpus, Corpus]]) -> None:
    config = RunConfig(documents="lines", normalise="none")
    plain, mapped = (LineRows(corpus.ids, corpus.vocabulary, 6) for corpus in twice(**reading(config)))
    rows = plain[:]
    padding = twice(**reading(config))[0].vocabulary.token_to_id(PADDING)
    assert plain.targets(slice(3, 9)) == int((rows[3:9, 1:] != padding).sum())
    assert (mapped[2:5] == rows[2:5]).all() and (mapped.at(np.array([len(rows)])) == padding).all()


def test_the_places_of_many_lines_are_in_a_file(
    twice: Callable[..., tuple[Corpus, Corpus]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("RNN_PLAYGROUND_CACHE_GB", "9")
    config = RunConfig(documents="lines", normalise="none")
    corpus, _ = twice(**reading(config))
    wanted = LineRows(corpus.ids, corpus.vocabulary, 6)[:], line_sizes(corpus.ids, corpus.vocabulary, 5)
    monkeypatch.setattr(batching_plan, "MOST_LINES", 3)
    firsts, _ = line_spans(corpus.ids, corpus.vocabulary)
    assert is_mapped(firsts) and not list(default_store().folder.iterdir())
    assert (LineRows(corpus.ids, corpus.vocabulary, 6)[:] == wanted[0]).all()
    assert line_sizes(corpus.ids, corpus.vocabulary, 5) == wanted[1]
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(CorpusError, match="where their places belong, cannot be written"):
        line_spans(corpus.ids, corpus.vocabulary)
