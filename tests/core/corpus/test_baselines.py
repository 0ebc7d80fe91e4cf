"""The n-gram baselines, against the same definition in plain Python."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.corpus import baselines as module
from core.corpus.baselines import NGramBaseline, baselines
from core.corpus.reader import load_corpus
from core.errors import CorpusError

Tables = list[tuple[Counter[tuple[int, ...]], Counter[tuple[int, ...]]]]


def tables(ids: list[int], order: int) -> Tables:
    """For each order, how often every n-gram and every context occurs."""
    result = []
    for n in range(1, order + 1):
        grams: Counter[tuple[int, ...]] = Counter()
        contexts: Counter[tuple[int, ...]] = Counter()
        for place in range(len(ids) - n + 1):
            gram = tuple(ids[place : place + n])
            grams[gram] += 1
            contexts[gram[:-1]] += 1
        result.append((grams, contexts))
    return result


def probability(before: list[int], token: int, counted: Tables, weights: list[float], size: int) -> float:
    result = 1 / size
    for n, ((grams, contexts), weight) in enumerate(zip(counted, weights, strict=True), start=1):
        if len(before) < n - 1:
            break
        context = tuple(before[len(before) - n + 1 :])
        if contexts[context]:
            result = weight * grams[(*context, token)] / contexts[context] + (1 - weight) * result
    return result


def fitted(counted: Tables, held: list[int], size: int) -> list[float]:
    weights: list[float] = []
    for n, (grams, contexts) in enumerate(counted, start=1):
        pairs = []
        for place in range(n - 1, len(held)):
            gram = tuple(held[place - n + 1 : place + 1])
            if contexts[gram[:-1]]:
                lower = probability(held[:place], held[place], counted[: n - 1], weights, size)
                pairs.append((grams[gram] / contexts[gram[:-1]], lower))
        weight = 0.5
        for _ in range(50 if pairs else 0):
            responsible = sum(weight * share / (weight * share + (1 - weight) * lower) for share, lower in pairs)
            before, weight = weight, responsible / (len(pairs) + 1)
            if abs(weight - before) < 1e-6:
                break
        weights.append(weight)
    return weights


def plain(train: list[int], test: list[int], size: int, order: int) -> tuple[list[float], float]:
    cut = len(train) - max(len(train) // 10, 1)
    weights = fitted(tables(train[:cut], order), train[cut:], size)
    counted = tables(train, order)
    nats = [-math.log(probability(test[:place], test[place], counted, weights, size)) for place in range(1, len(test))]
    return weights, math.exp(sum(nats) / len(nats))


some_ids = st.lists(st.integers(0, 5), min_size=2, max_size=80)


@given(some_ids, some_ids, st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_against_plain_python(train: list[int], test: list[int], order: int) -> None:
    model = NGramBaseline(np.array(train, dtype=np.uint16), 6, order)
    weights, expected = plain(train, test, 6, order)
    assert model.weights == pytest.approx(weights)
    assert model.perplexities(np.array(test, dtype=np.uint16))[-1] == pytest.approx(expected)
    assert math.isfinite(expected)


def test_pieces_carry_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    train, test = generator.integers(0, 5, 400), generator.integers(0, 5, 400)
    whole = NGramBaseline(train, 5).perplexities(test)
    monkeypatch.setattr(module, "_STEP", 7)
    assert NGramBaseline(train, 5).perplexities(test) == pytest.approx(whole)


def test_probabilities_sum_to_one() -> None:
    ids = np.random.default_rng(1).integers(0, 4, 50)
    model = NGramBaseline(ids, 5)
    for context in ([0, 1], [3, 3], [4, 0], [1, 4]):
        pair = [math.log(model.perplexities(np.array(context))[-1])]
        total = defaultdict(float)
        for token in range(5):
            triple = 2 * math.log(model.perplexities(np.array([*context, token]))[-1])
            total["all"] += math.exp(-(triple - pair[0]))
        assert total["all"] == pytest.approx(1)


def test_time_machine_gets_better_with_each_order(time_machine: str) -> None:
    corpus = load_corpus(time_machine, normalise="letters")
    cut = int(len(corpus) * 0.9)
    told = baselines(corpus.ids[:cut], corpus.ids[cut:], len(corpus.vocabulary))
    assert list(told) == ["uniform", "unigram", "bigram", "trigram"]
    assert told["uniform"] == pytest.approx(28)
    assert 28 > told["unigram"] > told["bigram"] > told["trigram"] > 5


def test_too_little_text_gets_a_sentence() -> None:
    with pytest.raises(CorpusError, match="no tokens to count"):
        baselines(np.array([], dtype=np.uint16), np.array([1, 2]), 5)
    with pytest.raises(CorpusError, match="at least 2 tokens, the text has 1"):
        baselines(np.array([1, 2]), np.array([1]), 5)
