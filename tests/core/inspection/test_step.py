"""One step: the stages against the page and the model, in double precision."""

# ruff: noqa: E741  the gates are called I and O in every textbook

from __future__ import annotations

import math

import pytest
import torch

from core.inspection.figures import bits
from core.inspection.recording import equations
from core.inspection.step import step
from core.inspection.text import text_of
from core.models.scratch import STEPS, gru_step, lstm_step, rnn_step
from core.models.scratch_model import ScratchLanguageModel
from core.settings.cells import CELLS
from tests.core.inspection.models import VARIANTS, WORDS, asked, config_of, model_of, result, text, vocabulary_of

VOCABULARY = vocabulary_of(WORDS)


@pytest.mark.parametrize("changes", VARIANTS)
def test_the_probabilities_are_those_of_the_model(changes: dict[str, object]) -> None:
    model = model_of(VOCABULARY, **changes)
    words = text(model, VOCABULARY)
    at = 37
    with torch.no_grad():
        logits, _ = model(torch.from_numpy(words.ids).unsqueeze(0), model.begin_state(1))
    expected = torch.softmax(logits[at, 0], dim=-1)
    for layer in range(1, model.num_layers + 1):
        for reverse in (False, True)[: model.directions]:
            view = result(step(model, words, asked("step", at, layer=layer, reverse=reverse)))
            assert torch.tensor(view.stages[-1].values, dtype=torch.float64) == pytest.approx(expected, abs=1e-12)
            assert view.identity_difference < 1e-14
            previous = "H_{t+1}" if reverse else "H_{t-1}"
            assert view.previous[0].name == previous and previous in view.separate.name
            assert any(stage.name.startswith(f"{previous} W_h") for stage in view.stages)
    assert (view.token, view.following) == (WORDS[at], WORDS[at + 1])
    assert view.surprise_bits == pytest.approx(-math.log2(expected[words.ids[at + 1]]))
    assert [token for token, _ in view.next] == [VOCABULARY.id_to_token(int(i)) for i in expected.topk(10).indices]


def test_a_certain_token_is_no_surprise_and_has_no_sign() -> None:
    assert str(bits(1.0)) == "0.0" and bits(0.25) == 2.0 and bits(0.0) == math.inf


def test_a_given_text_is_normalised_as_the_text_of_training() -> None:
    for normalise, read in (("none", "The\ncat."), ("spaces", "The cat."), ("letters", "thecat"),
                            ("no-punctuation", "The cat")):  # fmt: skip
        config = config_of(normalise=normalise)
        found = text_of("The\ncat.", VOCABULARY, config)
        assert (found.text, "".join(found.tokens())) == (read, read)


def test_every_stage_is_that_of_the_page() -> None:
    at = 20
    for cell, activation in (("rnn", "tanh"), ("rnn", "relu"), ("gru", "tanh"), ("lstm", "tanh")):
        model = model_of(VOCABULARY, cell=cell, activation=activation)
        assert isinstance(model, ScratchLanguageModel)
        words = text(model, VOCABULARY)
        with torch.no_grad():
            _, state = model(torch.from_numpy(words.ids[:at]).unsqueeze(0), model.begin_state(1))
        H, C = state[0][0, 0], state[-1][0, 0]
        p, row = model.layer_parameters(), int(words.ids[at])
        view = result(step(model, words, asked("step", at)))
        found = {stage.name: torch.tensor(stage.values, dtype=torch.float64) for stage in view.stages}

        Z_of = {g: p[f"W_x{g}"][row] + H @ p[f"W_h{g}"] + p[f"b_{g}"] for g in model.cell.gates}
        expected = {"Y_t": found["H_t"] @ model.W_hq + model.b_q, "H_t W_hq": found["H_t"] @ model.W_hq}
        if cell == "rnn":
            act = torch.relu if activation == "relu" else torch.tanh
            expected |= {
                "X_t W_xh": p["W_xh"][row], "H_{t-1} W_hh": H @ p["W_hh"],
                "X_t W_xh + H_{t-1} W_hh": Z_of["h"] - p["b_h"], "X_t W_xh + H_{t-1} W_hh + b_h": Z_of["h"],
                "H_t": act(Z_of["h"]),
            }  # fmt: skip
            assert len(view.stages) == 8
        elif cell == "gru":
            R, Z = torch.sigmoid(Z_of["r"]), torch.sigmoid(Z_of["z"])
            inner = H @ p["W_hh"] + p["b_hn"]
            H_tilda = torch.tanh(p["W_xh"][row] + p["b_h"] + R * inner)
            expected |= {
                "R_t": R, "Z_t": Z, "H~_t": H_tilda, "H_t": Z * H + (1 - Z) * H_tilda,
                "R_t * (H_{t-1} W_hh + b_hn)": R * inner, "(1 - Z_t) * H~_t": (1 - Z) * H_tilda, "1 - Z_t": 1 - Z,
            }  # fmt: skip
        else:
            I, F, O = (torch.sigmoid(Z_of[g]) for g in "ifo")
            C_tilda = torch.tanh(Z_of["c"])
            C_t = F * C + I * C_tilda
            expected |= {
                "I_t": I, "F_t": F, "O_t": O, "C~_t": C_tilda, "C_t": C_t, "H_t": O * torch.tanh(C_t),
                "F_t * C_{t-1}": F * C, "I_t * C~_t": I * C_tilda, "tanh(C_t)": torch.tanh(C_t),
            }  # fmt: skip
        for name, value in expected.items():
            assert found[name] == pytest.approx(value.detach(), abs=1e-14), (cell, name)


def test_every_quantity_of_a_cell_is_an_equation_of_the_page() -> None:
    assert STEPS.keys() == CELLS.keys()
    for name, cell in CELLS.items():
        left = {left.removesuffix("_t") for left in equations(STEPS[name]).values()}
        assert left == set(cell.quantities)
    assert "relu(X_t W_xh + H_{t-1} W_hh + b_h)" in equations(rnn_step, "relu")
    assert len(equations(gru_step)) == 4 and len(equations(lstm_step)) == 6
