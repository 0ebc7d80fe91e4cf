"""The one description of what can be asked for, and its sentences for what cannot."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from core.generation.options import (
    OPTIONS,
    STRATEGIES,
    Filters,
    GenerationRequest,
    Sampling,
    settings_words,
    strategy_named,
)


def test_the_tables_agree() -> None:
    for strategy in STRATEGIES:
        assert strategy.help.strip() and not strategy.help.endswith(".")
        for name, value in strategy.defaults.items():
            assert OPTIONS[name].check(value) == value
        assert all(name in OPTIONS for name in strategy.options)
    assert set(GenerationRequest().to_message()) == set(OPTIONS)
    for name, value in GenerationRequest().to_message().items():
        if value is not None:
            assert value == OPTIONS[name].default


def test_no_torch_is_imported() -> None:
    words = "import sys, core.generation.options; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout == "False\n"


def test_strategies_have_their_own_values_and_given_filters_take_part_everywhere() -> None:
    assert Sampling("top-k").filters == Filters(top_k=40)
    assert Sampling("top-p", top_p=0.5, temperature=0.7).filters == Filters(top_p=0.5, temperature=0.7)
    assert Sampling("temperature", top_k=3).filters == Filters(top_k=3)
    assert Sampling().filters.is_temperature_alone
    assert not Sampling("min-p").filters.is_temperature_alone
    assert Sampling("beam").width == 4
    assert Sampling("greedy", beam=9).width == 1
    assert Sampling.from_message({"beam": 3}) == Sampling("beam", beam=3)
    assert Sampling.from_message({"beam": 3, "strategy": "greedy"}).strategy == "greedy"
    assert strategy_named("top-p").options == ("top_p", "temperature", "seed")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("top_k", 0, "top_k must be between 1 and 1,000,000, got 0"),
        ("top_k", 2.5, "top_k must be between 1 and 1,000,000, got 2.5"),
        ("top_k", True, "top_k must be between 1 and 1,000,000, got True"),
        ("top_k", 10**400, "top_k must be between 1 and 1,000,000, got a number beyond 64 bits"),
        ("temperature", 10**400, "temperature must be between 0.01 and 100, got a number beyond 64 bits"),
        ("temperature", float("nan"), "temperature must be between 0.01 and 100, got nan"),
        ("temperature", float("inf"), "temperature must be between 0.01 and 100, got inf"),
        ("temperature", "1", "temperature must be between 0.01 and 100, got '1'"),
        ("top_p", 0, "top_p must be above 0 and at most 1, got 0"),
        ("min_p", -0.1, "min_p must be between 0 and 1, got -0.1"),
        ("repetition_penalty", 0.5, "repetition_penalty must be between 1 and 10, got 0.5"),
        ("beam", 65, "beam must be between 1 and 64, got 65"),
        ("seed", -1, "seed must be between 0 and 9,223,372,036,854,775,807, got -1"),
        ("length", [1], "length must be between 1 and 1,000,000, got a list"),
        ("prefix", 7, "prefix must be a text, got 7"),
        ("prefix", {"a": 1}, "prefix must be a text, got an object"),
        ("details", "yes", "details must be yes or no, got 'yes'"),
        ("strategy", "best",
         "strategy must be one of temperature, greedy, top-k, top-p, min-p, combined, beam, got 'best'"),
        ("heads", "a" * 1001, "heads must be at most 1,000 characters, got 1,001"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_said_in_a_sentence(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        GenerationRequest.from_message({name: value})
    assert str(error.value) == sentence


def test_long_rubbish_makes_no_long_sentence() -> None:
    for name in OPTIONS:
        for value in (["x" * 10**6], "x" * 10**6, {"a": "b" * 10**6}, -(10**4000)):
            try:
                GenerationRequest.from_message({name: value})
            except ConfigError as error:
                assert len(str(error)) < 300


def test_values_that_do_not_go_together() -> None:
    for message, words in (
        ({"strategy": "beam", "count": 2}, "count must be 1"),
        ({"strategy": "beam", "heads": "ab"}, "heads need a strategy"),
        ({"stop": "line", "heads": "ab"}, "exclude each other"),
        ({"count": 64, "length": 20_000}, "count times length"),
        ({"details": True, "length": 30_000}, "details are available for at most 20,000 tokens"),
    ):
        with pytest.raises(ConfigError, match=words):
            GenerationRequest.from_message(message)


@given(
    st.dictionaries(
        st.sampled_from([*OPTIONS, "id"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda values: st.lists(values, max_size=2),
        ),
    )
)
def test_any_message_is_a_request_or_a_sentence(message: dict[str, Any]) -> None:
    try:
        request = GenerationRequest.from_message(message)
    except ConfigError as error:
        assert error.field in OPTIONS
    else:
        assert GenerationRequest.from_message(request.to_message()) == request


def test_typed_texts() -> None:
    request = GenerationRequest.from_texts(
        {"top_k": "5", "top_p": None, "prefix": " x ", "copy": True, "length": "1_000"}
    )
    assert request == GenerationRequest(" x ", 1000, Sampling(top_k=5), copy=True)
    with pytest.raises(ConfigError, match="top_k must be a whole number"):
        GenerationRequest.from_texts({"top_k": "many"})
    assert settings_words(GenerationRequest(sampling=Sampling("top-p", top_p=0.9, seed=42))) == (
        "top-p · top p 0.9 · seed 42 · 200 tokens"
    )
