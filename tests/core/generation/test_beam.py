"""Beam search: with a beam that holds everything it is exhaustive search."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from core.corpus.vocabulary import Vocabulary
from core.generation.options import GenerationRequest, Sampling
from core.generation.writer import Writing
from core.models.language_model import LanguageModel
from tests.core.generation.conftest import chain, characters, small_model

VOCABULARY = characters("abc")


def search(
    model: LanguageModel, vocabulary: Vocabulary, width: int, length: int, stop: str = "", **fields: object
) -> Writing:
    sampling = Sampling("beam", beam=width)
    request = GenerationRequest("a", length, sampling, stop=stop, **fields)  # type: ignore[arg-type]
    writing = Writing(model, vocabulary, request)
    while not writing.finished:
        writing.advance(0)
    return writing


def exhaustive(model: LanguageModel, length: int, stop: int | None) -> list[tuple[float, tuple[int, ...]]]:
    """All texts of tokens 1 to 3 with their mean log-probability, the best first."""
    found = {}
    for ids in itertools.product((1, 2, 3), repeat=length):
        if stop is not None and stop in ids:
            ids = ids[: ids.index(stop) + 1]
        state, total, token = model.begin_state(1), 0.0, 1
        for following in ids:
            logits, state = model.step(torch.tensor([token]), state)
            total += float(torch.log_softmax(logits[0].double(), -1)[following])
            token = following
        found[ids] = total / len(ids)
    return sorted(((score, ids) for ids, score in found.items()), reverse=True)


@pytest.mark.parametrize("stop", ["", "c"])
@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_a_wide_beam_is_exhaustive_search(cell: str, stop: str) -> None:
    for seed in range(3):
        model = small_model(VOCABULARY, seed, cell=cell).double()
        expected = exhaustive(model, 3, VOCABULARY.token_to_id(stop) if stop else None)
        samples = search(model, VOCABULARY, 27, 3, stop).samples
        assert [sample.ids for sample in samples] == [ids for _, ids in expected]
        np.testing.assert_allclose([sample.score for sample in samples], [score for score, _ in expected], rtol=1e-5)
        assert {sample.ended for sample in samples} == ({"length", "stop"} if stop else {"length"})


def test_a_beam_finds_what_greed_misses() -> None:
    # from a: b is likelier, but what follows it is not; c leads to a sure end
    model = chain([[0.25] * 4, [0, 0, 0.6, 0.4], [0, 1 / 3, 1 / 3, 1 / 3], [0, 0.99, 0.005, 0.005]])
    greedy = Writing(model, VOCABULARY, GenerationRequest("a", 2, Sampling("greedy")))
    greedy.advance(10)
    assert greedy.samples[0].text.startswith("b")
    samples = search(model, VOCABULARY, 2, 2).samples
    assert samples[0].text == "ca"
    assert samples[0].score == pytest.approx(np.log(0.4 * 0.99) / 2, rel=1e-4)


def test_a_beam_of_one_is_greedy() -> None:
    model = small_model(VOCABULARY, 5)
    greedy = Writing(model, VOCABULARY, GenerationRequest("a", 12, Sampling("greedy")))
    greedy.advance(10)
    assert search(model, VOCABULARY, 1, 12).samples[0].text == greedy.samples[0].text


def test_nothing_is_told_before_the_end_and_then_the_best_in_detail() -> None:
    model = small_model(VOCABULARY, 5)
    writing = Writing(model, VOCABULARY, GenerationRequest("ab", 4, Sampling("beam", beam=3), details=True))
    pieces = [writing.advance(0) for _ in range(5)]
    assert [len(piece) for piece in pieces] == [0, 0, 0, 0, 1]
    assert writing.finished and len(writing.samples) == 3
    best, (piece,) = writing.samples[0], pieces[-1]
    assert piece.text == best.text
    bits = sum(token.surprise for token in piece.tokens)
    assert best.score == pytest.approx(-bits * np.log(2) / 4, rel=1e-5)
