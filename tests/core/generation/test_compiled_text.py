"""Tokens chosen in C against the distribution in double precision, and the texts against those of numpy's chooser."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch

from core.corpus.vocabulary import Vocabulary
from core.errors import UserError
from core.generation.options import Filters, GenerationRequest, Sampling
from core.generation.strategies import distribution
from core.generation.writer import Writing
from core.models.recurrence.cpu import bindings
from core.models.recurrence.cpu.step import CompiledStep, CompiledText
from tests.core.generation.conftest import characters, small_model

pytestmark = [
    pytest.mark.skipif(bool(bindings.unavailable_reason()), reason=bindings.unavailable_reason() or "compiled"),
    pytest.mark.usefixtures("no_trials"),
]
LONG = 60.0  # seconds


@pytest.fixture
def no_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls write all that they may."""
    monkeypatch.setattr("core.models.recurrence.cpu.step._Pace.threads", lambda self: (1, False))


def with_scores(scores: list[float]) -> CompiledStep:
    """Its scores are these, whatever it reads."""
    columns, hidden = len(scores), 3
    layer = (torch.zeros(columns, hidden), torch.zeros(hidden, hidden), torch.zeros(hidden))
    return CompiledStep("rnn", False, None, [layer], torch.zeros(hidden, columns), torch.tensor(scores))


@pytest.mark.parametrize("size", [1, 2, 15, 63, 64, 65, 300])
@pytest.mark.parametrize("temperature", [1.0, 0.3, 4.0])
def test_each_number_gives_its_token(size: int, temperature: float) -> None:
    """Inverse transform sampling: the token whose part of the cumulative distribution the number falls into."""
    generator = np.random.default_rng(size)
    scores = generator.normal(0, 1, size).astype(np.float32)
    masked = [] if size == 1 else generator.choice(size, size // 2, replace=False).tolist()
    uniforms = np.concatenate([[0.0, np.nextafter(1, 0)], generator.random(400)])
    text = CompiledText(with_scores(scores.tolist()), temperature, masked, ())
    tokens = text.write(0, uniforms, LONG)
    assert len(tokens) == len(uniforms) and not set(tokens) & set(masked)
    chances = distribution(scores, Filters(temperature=temperature), masked=np.array(masked, dtype=np.int64))
    above = chances.cumsum()
    for token, uniform in zip(tokens, uniforms, strict=True):
        assert above[token] - chances[token] - 1e-6 <= uniform <= above[token] + 1e-6
    assert len(set(tokens)) > min(size, 30) / 8


@pytest.mark.parametrize("size", [1, 40, 129])
def test_the_likeliest_of_equals_is_the_first(size: int) -> None:
    scores = [0.0] * size
    scores[size // 2] = scores[-1] = 2.0
    uniforms = np.zeros(3)
    assert CompiledText(with_scores(scores), 0.0, (), ()).write(0, uniforms, LONG) == [size // 2] * 3
    if size > 1:
        assert CompiledText(with_scores(scores), 0.0, [size // 2], ()).write(0, uniforms, LONG) == [size - 1] * 3
    everything = range(size)
    assert CompiledText(with_scores(scores), 0.0, everything, ()).write(0, uniforms, LONG) == [size // 2] * 3
    assert set(CompiledText(with_scores(scores), 1.0, everything, ()).write(0, uniforms, LONG)) == {0}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
@pytest.mark.parametrize("place", [0, 17, 69])
def test_scores_that_are_no_numbers(temperature: float, wrong: float, place: int) -> None:
    scores = [1.0] * 70
    scores[place] = wrong
    assert CompiledText(with_scores(scores), temperature, (), ()).write(0, np.zeros(5), LONG) == []
    scores[place] = 3e38 if wrong == math.inf else -math.inf
    assert len(CompiledText(with_scores(scores), temperature, (), ()).write(0, np.full(5, 0.5), LONG)) == 5


def test_where_a_text_ends() -> None:
    scores = np.arange(12.0).tolist()
    text = CompiledText(with_scores(scores), 0.0, (), [11])
    assert text.write(3, np.zeros(9), LONG) == [11], "an end"
    text = CompiledText(with_scores(scores), 0.0, (), [3])
    assert len(text.write(3, np.zeros(9), LONG)) == 9, "as many as asked for"
    assert len(text.write(3, np.zeros(400), LONG)) == 400
    assert len(text.write(3, np.zeros(9), 0.0)) == 1, "the time is over"
    began = time.perf_counter()
    written = CompiledText(with_scores([0.0] * 4000), 1.0, (), ()).write(0, np.zeros(100_000), 0.02)
    assert 1 < len(written) < 100_000 and time.perf_counter() - began < 2
    for masked, ends in (([12], ()), ((), [-1])):
        with pytest.raises(IndexError, match="the token must be between 0 and 11"):
            CompiledText(with_scores(scores), 0.0, masked, ends)
    with pytest.raises(IndexError, match="got 12"):
        text.write(12, np.zeros(1), LONG)
    with pytest.raises(ValueError, match="got none"):
        text.write(3, np.zeros(0), LONG)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("strategy", ["greedy", "temperature"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_text_is_that_of_one_call_a_token(
    cell: str, strategy: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is made for details; of thousands of tokens, so that rounding would show."""
    monkeypatch.setattr("core.models.recurrence.cpu.step._Pace.threads", lambda self: (threads, False))
    vocabulary = characters("".join(map(chr, range(0x4E00, 0x4E00 + 4_000))))
    model, found = small_model(vocabulary, cell=cell, num_layers=2), []
    for details in (False, True):
        request = GenerationRequest("一丁", 2_000, Sampling(strategy=strategy, seed=4), details=details)
        writing = Writing(model, vocabulary, request)
        while not writing.finished:
            writing.advance(0.0005)
        found.append(writing.samples[0])
    assert found[0] == found[1] and len(found[0].ids) == 2_000


def test_a_model_that_diverged_writes_nothing(letters: Vocabulary) -> None:
    model = small_model(letters)
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    with pytest.raises(UserError, match="scores became non-finite"):
        Writing(model, letters, GenerationRequest("ab", 10, Sampling(strategy="greedy"))).advance()
