"""Both streams compute the cells of the textbook, one of them in C."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from core.corpus.vocabulary import Vocabulary
from core.generation.decoder import BatchStream, SingleStream, open_stream
from core.models.implementations import build_model
from core.models.language_model import LanguageModel
from core.models.recurrence.cpu import bindings
from core.models.recurrence.cpu.step import SELDOM, pace_of
from core.settings.run_config import RunConfig
from tests.core.generation.conftest import characters, small_model, text_of

VOCABULARY = characters("abcdefghij")
SHAPES = [{}, {"num_layers": 3}, {"embedding_size": 5}, {"embedding_size": 12, "tied": True, "num_layers": 2}]


compiled = pytest.mark.skipif(bool(bindings.unavailable_reason()), reason=bindings.unavailable_reason() or "compiled")


def exact(model: LanguageModel) -> BatchStream:
    """The stream of the textbook's cells in double precision."""
    return BatchStream(copy.deepcopy(model).double())


@compiled
@pytest.mark.parametrize("implementation", ["scratch", "torch.nn"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_both_streams_agree(implementation: str, cell: str, shape: dict[str, object]) -> None:
    model = small_model(VOCABULARY, implementation=implementation, cell=cell, **shape)
    single, batch = open_stream(model, alone=True), exact(model)
    assert isinstance(single, SingleStream)
    for token in (1, 5, 5, 10, 0, 3):
        expected = model_scores = batch.advance([token])
        np.testing.assert_allclose(single.advance([token]), expected, rtol=1e-5, atol=1e-5)
        assert model_scores.shape == (1, len(VOCABULARY))


@compiled
def test_relu() -> None:
    model = small_model(VOCABULARY, activation="relu")
    single, batch = SingleStream(model), exact(model)
    for token in (1, 5, 5):
        np.testing.assert_allclose(single.advance([token]), batch.advance([token]), rtol=1e-5, atol=1e-6)


@compiled
@pytest.mark.parametrize("implementation", ["scratch", "torch.nn"])
def test_a_stream_writes_with_the_weights_of_the_moment(implementation: str) -> None:
    model = small_model(VOCABULARY, implementation=implementation, cell="gru")
    twin = copy.deepcopy(model).double()
    single, batch = SingleStream(model), BatchStream(twin)
    single.advance([1])
    batch.advance([1])
    with torch.no_grad():
        for parameter in [*model.parameters(), *twin.parameters()]:
            parameter.add_(0.1)
    single.refresh()
    batch.refresh()
    np.testing.assert_allclose(single.advance([2]), batch.advance([2]), rtol=1e-5, atol=1e-5)


@compiled
@pytest.mark.parametrize(
    ("cell", "hidden", "layers", "size"),
    [("rnn", 519, 1, 1_531), ("lstm", 519, 1, 1_531), ("lstm", 512, 1, 65), ("gru", 260, 3, 100), ("rnn", 513, 2, 97)],
)
def test_threads_change_no_score(
    cell: str, hidden: int, layers: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Products large enough for several threads, of widths that fill no vector; the last part may be less than one."""
    torch.manual_seed(1)
    model = build_model(RunConfig(num_hiddens=hidden, cell=cell, num_layers=layers), size)
    found = []
    for count in range(1, 7):
        monkeypatch.setattr("core.models.recurrence.cpu.step._Pace.threads", lambda self, count=count: (count, False))
        single = SingleStream(model)
        found.append([single.step(token).copy() for token in (7, size - 1)])
    assert all(np.array_equal(found[0], each) for each in found[1:])
    np.testing.assert_allclose(found[0][0], exact(model).advance([7])[0], atol=1e-5)


@compiled
def test_the_faster_number_of_threads_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 3)
    pace_of.cache_clear()
    single, asked, slow = SingleStream(small_model(VOCABULARY)), [], 3
    monkeypatch.setattr("core.models.recurrence.cpu.bindings.Prepared.__call__", lambda _, count: asked.append(count))
    monkeypatch.setattr("time.perf_counter", lambda: 7.0 * sum(count == slow for count in asked))
    for _ in range(4 * SELDOM):
        single.step(1)
    assert asked[:4] == [1, 3, 1, 3] and asked.count(3) == 6, "the slow way is tried now and then"
    slow = 1
    for _ in range(4 * SELDOM):
        single.step(1)
    pace_of.cache_clear()
    assert asked[-SELDOM:].count(1) == 1


def test_without_the_kernels_a_text_is_a_batch_of_one(letters: Vocabulary) -> None:
    plain, fast = (small_model(letters, cpu_path=path) for path in ("plain", "auto"))
    assert isinstance(open_stream(plain, alone=True), BatchStream)
    assert not SingleStream.serves(small_model(letters, bidirectional=True))
    texts = {text_of(model, letters, prefix="ab", length=40, seed=7) for model in (plain, fast)}
    assert len(texts) == 1


@compiled
def test_a_token_that_there_is_not() -> None:
    single = SingleStream(small_model(VOCABULARY))
    for token in (-1, len(VOCABULARY), 2**40):
        with pytest.raises(IndexError, match="the token must be between 0 and 10"):
            single.step(token)


def test_rows_are_selected() -> None:
    model = small_model(VOCABULARY, cell="lstm")
    stream = BatchStream(model)
    stream.advance([1])
    stream.select([0, 0, 0])
    first = stream.advance([2, 3, 4]).copy()
    stream.select([2, 0])
    again = BatchStream(model)
    for token in (1, 4):
        last = again.advance([token])
    np.testing.assert_allclose(first[2], last[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(stream.advance([5, 5])[0], again.advance([5])[0], rtol=1e-5, atol=1e-6)
