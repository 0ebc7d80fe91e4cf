"""Units: one that counts, gates, saturation, features; long texts and poems."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.errors import UserError
from core.inspection.features import features, token_class
from core.inspection.options import LONGEST
from core.inspection.text import text_of
from core.inspection.units import activations, units
from core.settings.cells import CELLS
from core.settings.run_config import END, PADDING, START
from tests.core.inspection.models import (
    VARIANTS,
    WORDS,
    asked,
    config_of,
    model_of,
    result,
    text,
    vocabulary_of,
    zeroed,
)

VOCABULARY = vocabulary_of(WORDS)


def test_a_unit_that_counts_the_position_in_the_line_is_ranked_first_for_it() -> None:
    model = zeroed(VOCABULARY, activation="relu", num_hiddens=6)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in (model.W_xh, model.W_hh):
            weight.normal_(std=0.1, generator=draw)
        model.W_hh[:, 4] = model.W_hh[4] = model.W_xh[:, 4] = 0.0
        model.W_hh[4, 4] = model.b_h[4] = 1.0  # h = relu(h + 1), and back to 0 at a line end
        model.W_xh[VOCABULARY.token_to_id("\n"), 4] = -1e4
    view = result(units(model, text(model, VOCABULARY), asked("units", unit=4)))
    first = view.units[0]
    assert (first.unit, first.feature) == (4, "position in the line") and first.correlation > 0.99
    assert view.activations is not None and view.activations[:3] == (1.0, 2.0, 3.0)
    assert view.correlations is not None and view.correlations[0][0] == "position in the line"
    searched = result(units(model, text(model, VOCABULARY), asked("units", feature="in the line")))
    assert searched.feature == "position in the line" and searched.units[0].unit == 4
    assert {unit.feature for unit in searched.units} == {"position in the line"}


@pytest.mark.parametrize("changes", VARIANTS)
def test_activations_are_those_of_the_model(changes: dict[str, object]) -> None:
    model = model_of(VOCABULARY, **changes)
    words, top = text(model, VOCABULARY), model.num_layers
    with torch.no_grad():
        H, _ = model.outputs(torch.from_numpy(words.ids).unsqueeze(1), model.begin_state(1))
    for direction in range(model.directions):
        found = result(activations(model, words, top, bool(direction), "H"))
        assert found == pytest.approx(H[:, 0, 8 * direction : 8 * (direction + 1)].numpy(), abs=1e-6)
    recorded = {name: result(activations(model, words, 1, False, name)) for name in CELLS[model.config.cell].quantities}
    if model.config.cell == "gru":
        before = np.vstack([np.zeros(8), recorded["H"][:-1]])
        assert recorded["H"] == pytest.approx(recorded["Z"] * before + (1 - recorded["Z"]) * recorded["H~"], abs=1e-6)
    if model.config.cell == "lstm":
        before = np.vstack([np.zeros(8), recorded["C"][:-1]])
        assert recorded["C"] == pytest.approx(recorded["F"] * before + recorded["I"] * recorded["C~"], abs=1e-6)
        assert recorded["H"] == pytest.approx(recorded["O"] * np.tanh(recorded["C"]), abs=1e-6)


def test_each_poem_begins_with_a_state_of_zeros() -> None:
    words = "cat\nsat on\nthe mat"
    vocabulary = vocabulary_of(WORDS, (START, END, PADDING))
    for changes in ({"cell": "lstm"}, {"bidirectional": True}):
        model = model_of(vocabulary, documents="lines", normalise="none", **changes)
        poems = text_of(words, vocabulary, model.config)
        assert poems.tokens()[:5] == (START, "c", "a", "t", END) and poems.starts == (0, 5, 13)
        assert poems.tokens()[-1] == "t"  # the last line is not ended
        for reverse in (False, True)[: model.directions]:
            found = result(activations(model, poems, 1, reverse, "H"))
            alone = text_of("sat on\n", vocabulary, model.config)
            assert found[5:13] == pytest.approx(result(activations(model, alone, 1, reverse, "H")), abs=1e-6)


def test_saturation_counts_what_is_beyond() -> None:
    model = zeroed(VOCABULARY, cell="lstm", num_hiddens=4)
    p = model.layer_parameters()
    with torch.no_grad():
        p["b_f"].copy_(torch.tensor([9.0, 9.0, -9.0, 0.0]))
        p["b_i"].fill_(9.0)
        p["b_o"].fill_(9.0)
        p["b_c"].copy_(torch.tensor([9.0, 0.0, 9.0, 0.0]))
    words = text(model, VOCABULARY)
    forget = result(units(model, words, asked("units", quantity="F")))
    assert (forget.high, forget.low, forget.saturated, forget.dead) == (0.5, 0.25, 0.75, 4)
    cell = result(units(model, words, asked("units", quantity="C")))
    count = len(WORDS)
    assert cell.high == pytest.approx((count - 1) / count / 4)  # one that counts up, and is there after a step
    assert {unit.unit: unit.is_dead for unit in cell.units} == {0: False, 1: True, 2: True, 3: True}


def test_features_are_those_of_the_text() -> None:
    words = text_of(WORDS, VOCABULARY, config_of())
    found = result(features(words))
    marked = {name: "".join(c for c, on in zip(WORDS, values, strict=True) if on) for name, values in found.items()}
    assert marked["inside brackets"] == "(a big one)" and marked["the token 'a'"] == "a" * WORDS.count("a")
    assert marked["inside quotes"] == '"woof'
    assert marked["beginning of a word"].startswith('tcsotmTd(bos"ira')
    assert "".join(f"{int(value):02}" for value in found["position in the line"][22:26]) == "22000102"
    assert "a digit" not in found and "a Chinese character" not in found
    for token, kind in (
        (" ", "space"), ("\n", "space"), ("a", "letter"), ("Ä", "capital"), ("7", "digit"), ("，", "punctuation"),
        ("分", "CJK"), ("の", "CJK"), ("。", "punctuation"), ("word", "word"), (START, "reserved"),
    ):  # fmt: skip
        assert token_class(token) == kind, token


def test_a_text_of_a_hundred_thousand_tokens_and_no_more() -> None:
    words = (WORDS * 2_000)[:LONGEST]
    model = model_of(VOCABULARY, double=False, num_hiddens=2)
    view = result(units(model, text_of(words, VOCABULARY, model.config), asked("units", unit=0)))
    assert view.num_tokens == LONGEST and view.activations is not None and len(view.activations) == LONGEST
    with pytest.raises(UserError, match="at most 100,000 tokens, got 100,001"):
        text_of(words + "a", VOCABULARY, model.config)


def test_weights_that_are_not_finite_are_refused() -> None:
    model = zeroed(VOCABULARY)
    with torch.no_grad():
        model.W_hh[0, 0] = float("nan")
    with pytest.raises(UserError, match="non-finite"):
        result(units(model, text(model, VOCABULARY), asked("units")))
