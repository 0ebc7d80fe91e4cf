"""Every filter against the same thing written down independently, in plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import UserError
from core.generation.options import Filters, Sampling
from core.generation.strategies import Chooser, distribution, draw, likeliest, surprise

LOGITS = np.log(np.array([0.05, 0.4, 0.25, 0.15, 0.1, 0.05], dtype=np.float32))
NONE = np.zeros(0, dtype=np.int64)
UNIFORMS = np.linspace(0.013, 0.971, 25).tolist()


def by_hand(logits: list[float], filters: Filters, recent: list[int], masked: list[int]) -> list[float]:
    """The filters in their order, for people."""
    scores = {token: score for token, score in enumerate(logits) if token not in masked}
    for token in set(recent[-filters.repetition_window :]) & set(scores):
        score = scores[token]
        scores[token] = score / filters.repetition_penalty if score > 0 else score * filters.repetition_penalty
    weights = {token: math.exp(score / filters.temperature) for token, score in scores.items()}
    order = sorted(weights, key=lambda token: (-weights[token], token))
    if filters.top_k is not None:
        order = order[: filters.top_k]
    total = sum(weights[token] for token in order)
    nucleus, mass = [], 0.0
    for token in order:
        nucleus.append(token)
        mass += weights[token] / total
        if mass >= filters.top_p - 1e-9:
            break
    kept = [token for token in nucleus if weights[token] >= filters.min_p * weights[order[0]]]
    total = sum(weights[token] for token in kept)
    return [weights[token] / total if token in kept else 0.0 for token in range(len(logits))]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), [0.05, 0.4, 0.25, 0.15, 0.1, 0.05]),
        (Filters(temperature=0.5), [p * p / 0.26 for p in (0.05, 0.4, 0.25, 0.15, 0.1, 0.05)]),
        (Filters(top_k=2), [0, 0.4 / 0.65, 0.25 / 0.65, 0, 0, 0]),
        (
            Filters(top_k=5),
            [0.05 / 0.95, 0.4 / 0.95, 0.25 / 0.95, 0.15 / 0.95, 0.1 / 0.95, 0],
        ),  # a tie: the first stays
        (Filters(top_k=100), [0.05, 0.4, 0.25, 0.15, 0.1, 0.05]),
        (Filters(top_p=0.64), [0, 0.4 / 0.65, 0.25 / 0.65, 0, 0, 0]),
        (Filters(top_p=0.66), [0, 0.5, 0.25 / 0.8, 0.15 / 0.8, 0, 0]),
        (Filters(top_p=0.01), [0, 1, 0, 0, 0, 0]),
        (Filters(min_p=0.3), [0, 0.5, 0.25 / 0.8, 0.15 / 0.8, 0, 0]),
        (Filters(min_p=1.0), [0, 1, 0, 0, 0, 0]),
        # top-p sees what top-k has left, 0.8 of it in the first two: 0.65 / 0.8 > 0.8
        (Filters(top_k=3, top_p=0.8), [0, 0.4 / 0.65, 0.25 / 0.65, 0, 0, 0]),
    ],
)
def test_known_distributions(filters: Filters, expected: list[float]) -> None:
    found = distribution(LOGITS, filters)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert (found > 0).tolist() == [value > 0 for value in expected]


def test_the_penalty_makes_scores_of_either_sign_less_likely() -> None:
    logits = np.array([1.0, 2.0, -1.0, 0.5], dtype=np.float32)
    filters = Filters(repetition_penalty=2.0, repetition_window=3)
    found = distribution(logits, filters, recent=[3, 1, 2, 2])  # the 3 is beyond the window
    scores = np.exp([1.0, 1.0, -2.0, 0.5])
    np.testing.assert_allclose(found, scores / scores.sum(), rtol=1e-9)


def test_masked_tokens_are_drawn_only_where_nothing_else_is_left() -> None:
    found = distribution(LOGITS, Filters(), masked=np.array([0, 1]))
    np.testing.assert_allclose(found, [0, 0, 0.25 / 0.55, 0.15 / 0.55, 0.1 / 0.55, 0.05 / 0.55], atol=1e-7)
    assert distribution(LOGITS[:1], Filters(), masked=np.array([0])).tolist() == [1.0]
    assert Chooser(Sampling("greedy"), 1).choose(LOGITS[:1], 0.5, (), np.array([0])) == 0
    assert Chooser(Sampling(), 1).choose(LOGITS[:1], 0.5, (), np.array([0])) == 0


@settings(deadline=None)
@given(
    logits=st.lists(st.integers(-40, 40).map(lambda value: value / 8), min_size=2, max_size=12),
    filters=st.builds(
        Filters,
        repetition_penalty=st.sampled_from([1.0, 1.5]),
        repetition_window=st.integers(1, 4),
        temperature=st.sampled_from([0.5, 1.0, 2.0]),
        top_k=st.none() | st.integers(1, 12),
        top_p=st.sampled_from([1.0, 0.9, 0.5, 0.123]),
        min_p=st.sampled_from([0.0, 0.013, 0.31]),
    ),
    recent=st.lists(st.integers(0, 1), max_size=5),
)
def test_all_filters_together(logits: list[float], filters: Filters, recent: list[int]) -> None:
    found = distribution(np.array(logits, dtype=np.float32), filters, recent, np.array([0]))
    np.testing.assert_allclose(found, by_hand(logits, filters, recent, [0]), atol=1e-9)
    assert math.isclose(found.sum(), 1)


def test_drawing_is_the_inverse_of_the_cumulated_probabilities() -> None:
    probabilities = np.array([0.0, 0.25, 0.0, 0.5, 0.25, 0.0])
    drawn = [draw(probabilities, uniform) for uniform in (0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2**-53)]
    assert drawn == [1, 1, 3, 3, 4, 4]


@pytest.mark.parametrize("size", [2, 63, 64, 65, 1027])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_the_fast_draw_is_the_careful_one(size: int, temperature: float, logits: Callable[[int], np.ndarray]) -> None:
    chooser, scores, masked = Chooser(Sampling(temperature=temperature), size), logits(size), np.array([0])
    probabilities = distribution(scores, Filters(temperature=temperature), masked=masked)
    sums = np.cumsum(probabilities)
    for uniform in np.random.default_rng(1).random(500).tolist():
        token = chooser.choose(scores, uniform, (), masked)
        below = sums[token - 1] if token else 0.0
        assert below - 1e-6 <= uniform <= sums[token] + 1e-6
        assert probabilities[token] > 0
    assert probabilities[chooser.choose(scores, 1 - 2**-53, (), masked)] > 0


@pytest.mark.parametrize("shift", [-1000.0, -60.0, 0.0, 60.0, 1000.0])
def test_scores_far_from_zero_draw_the_same(shift: float) -> None:
    chooser = Chooser(Sampling(), len(LOGITS))
    with np.errstate(over="ignore"):
        drawn = [chooser.choose(LOGITS + np.float32(shift), uniform, (), NONE) for uniform in UNIFORMS]
    assert drawn == [chooser.choose(LOGITS, uniform, (), NONE) for uniform in UNIFORMS]


def test_greedy_takes_the_likeliest_and_the_first_of_equals() -> None:
    greedy = Chooser(Sampling("greedy"), 4)
    assert greedy.choose(np.array([9, 1, 3, 3], dtype=np.float32), 0.9, (), np.array([0])) == 2
    assert greedy.distribution(np.array([9, 1, 3, 3], dtype=np.float32), (), np.array([0])).tolist() == [0, 0, 1, 0]
    strict = Chooser(Sampling("greedy", repetition_penalty=5.0), 4)
    assert strict.choose(np.array([9, 1, 3, 2.5], dtype=np.float32), 0.9, [2], np.array([0])) == 3


@pytest.mark.parametrize("strategy", ["greedy", "temperature", "top-k", "combined"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_scores_that_are_no_numbers(strategy: str, value: float) -> None:
    scores = np.array([0.0, 1.0, value, 2.0], dtype=np.float32)
    with pytest.raises(UserError, match="scores became non-finite"), np.errstate(all="ignore"):
        Chooser(Sampling(strategy), 4).choose(scores, 0.5, (), np.array([0]))


def test_surprise_is_measured_in_bits_under_the_model_itself() -> None:
    logits = np.log(np.array([0.5, 0.25, 0.125, 0.125])) + 300
    assert [round(surprise(logits, token), 6) for token in range(4)] == [1, 2, 3, 3]


def test_the_likeliest() -> None:
    assert likeliest(np.array([0.25, 0.5, 0.0, 0.25]), 10) == [(1, 0.5), (0, 0.25), (3, 0.25)]
    assert likeliest(np.array([0.25, 0.5, 0.0, 0.25]), 2) == [(1, 0.5), (0, 0.25)]
