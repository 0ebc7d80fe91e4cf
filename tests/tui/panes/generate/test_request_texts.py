"""What the texts of the Generate form ask for, without a screen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from core.engine.requests import Generate
from core.generation.options import OPTIONS, STRATEGIES, GenerationRequest, Sampling, strategy_named
from tui.panes.generate.request_texts import (
    NAMES,
    PARAMETERS,
    SCHEMA,
    default_texts,
    folded_words,
    request_words,
    setting_of,
    with_seed,
)

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize("strategy", [strategy.name for strategy in STRATEGIES])
def test_every_strategy_can_be_asked_as_it_stands(strategy: str) -> None:
    reading = SCHEMA.read({**default_texts(strategy), "prefix": "分开"})
    assert reading.value is not None and not reading.errors
    assert reading.value.sampling.filters == Sampling(strategy).filters
    assert GenerationRequest.from_message(Generate(reading.value).to_json()) == reading.value
    assert {"length", *(name for name in strategy_named(strategy).options if name in PARAMETERS)} <= reading.relevant


def test_every_option_has_its_place_in_the_form() -> None:
    assert set(OPTIONS) - {"prefix", "strategy", "details", "copy"} == set(NAMES)
    assert all(setting_of(name).help == OPTIONS[name].help and SCHEMA.placeholder(name) for name in NAMES)


def test_all_errors_are_found_at_once_and_those_without_effect_are_not() -> None:
    texts = {**default_texts(), "length": "0", "count": "x", "top_k": "-1", "verse_length": "0"}
    assert set(SCHEMA.read(texts).errors) == {"length", "count"}


def test_errors_between_fields_stand_at_one_of_them() -> None:
    texts = {**default_texts(), "length": "100000", "count": "64"}
    errors = SCHEMA.read(texts).errors
    assert list(errors) == ["count"] and "at most 1,000,000 tokens" in errors["count"]
    errors = SCHEMA.read({**default_texts(), "prefix": "a" * 100_001}).errors
    assert list(errors) == ["length"] and "prefix must be at most" in errors["length"]


def test_details_are_asked_for_as_long_as_they_may_be() -> None:
    for length, count, details in (("20000", "1", True), ("20001", "1", False), ("2000", "11", False)):
        request = SCHEMA.read({**default_texts(), "length": length, "count": count}).value
        assert request is not None and request.details is details and request.copy


def test_the_line_above_a_text() -> None:
    texts = {**default_texts("top-p"), "heads": "春夏", "count": "3", "mood": "[b]\x1b", "seed": "7"}
    request = SCHEMA.read(texts).value
    assert request is not None
    words = request_words(request)
    assert words.startswith("top-p · temperature 1 · top p 0.9 · seed 7 · 200 tokens · 3 samples · acrostic 春夏")
    assert words.endswith("mood [b]\\x1b")


def test_a_seed_is_given_where_chance_has_a_part() -> None:
    assert with_seed(GenerationRequest(), 5).sampling.seed == 5
    assert with_seed(GenerationRequest(sampling=Sampling(seed=1)), 5).sampling.seed == 1
    for strategy in ("greedy", "beam"):
        assert with_seed(GenerationRequest(sampling=Sampling(strategy)), 5).sampling.seed is None


def test_what_is_set_behind_the_fold_comes_first() -> None:
    words = folded_words({**default_texts(), "mood": "月亮"})
    assert words[0] == ("mood 月亮", True) and words[1][0] == "samples"


def test_an_error_of_the_engine_finds_its_field() -> None:
    assert SCHEMA.named("stop: this model has read a text without line ends") == "stop"
    assert SCHEMA.named("length must be at least 4") == "length"
    assert SCHEMA.named("the engine has gone") is None


def test_the_description_of_generation_needs_no_torch() -> None:
    code = "import sys, tui.panes.generate.pane; print([m for m in ('torch', 'numpy') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert ran.stdout.strip() == "[]"
