"""Both streams compute the cells of the textbook, one of them in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.generation.decoder import BatchStream, SingleStream, open_stream
from tests.core.generation.conftest import characters, small_model

VOCABULARY = characters("abcdefghij")
SHAPES = [{}, {"num_layers": 3}, {"embedding_size": 5}, {"embedding_size": 12, "tied": True, "num_layers": 2}]


@pytest.mark.parametrize("implementation", ["scratch", "torch.nn"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_both_streams_agree(implementation: str, cell: str, shape: dict[str, object]) -> None:
    model = small_model(VOCABULARY, implementation=implementation, cell=cell, **shape).double()
    single, batch = open_stream(model, alone=True), BatchStream(model)
    assert isinstance(single, SingleStream)
    for token in (1, 5, 5, 10, 0, 3):
        expected = model_scores = batch.advance([token])
        np.testing.assert_allclose(single.advance([token]), expected, rtol=1e-5, atol=1e-5)
        assert model_scores.shape == (1, len(VOCABULARY))


def test_relu() -> None:
    model = small_model(VOCABULARY, activation="relu").double()
    single, batch = SingleStream(model), BatchStream(model)
    for token in (1, 5, 5):
        np.testing.assert_allclose(single.advance([token]), batch.advance([token]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("implementation", ["scratch", "torch.nn"])
def test_a_stream_writes_with_the_weights_of_the_moment(implementation: str) -> None:
    model = small_model(VOCABULARY, implementation=implementation, cell="gru").double()
    single, batch = SingleStream(model), BatchStream(model)
    single.advance([1])
    batch.advance([1])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    single.refresh()
    batch.refresh()
    np.testing.assert_allclose(single.advance([2]), batch.advance([2]), rtol=1e-5, atol=1e-6)


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
