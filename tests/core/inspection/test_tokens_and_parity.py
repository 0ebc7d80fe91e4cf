"""Tokens as vectors against numpy; the model from scratch beside torch.nn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.inspection.options import VIEWS
from core.inspection.parity import Reference, batch_of, compared, parity, scratch_model
from core.inspection.tokens import plane, tokens
from core.inspection.view import OVER_TEXT, WITHOUT_TEXT
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


@pytest.mark.parametrize("changes", [*VARIANTS, {"embedding_size": 8, "tied": True}, {"activation": "relu"}])
def test_scratch_and_torch_nn_differ_by_rounding(changes: dict[str, object]) -> None:
    model = model_of(VOCABULARY, num_steps=7, **changes)
    inputs, targets = batch_of(text(model, VOCABULARY).ids, model.config)
    drawn, before = torch.get_rng_state(), {name: value.clone() for name, value in model.state_dict().items()}
    view = result(parity(model, inputs, targets))
    assert max(view.output_difference, view.state_difference, view.gradient_difference) < 1e-12
    assert (view.batch_size, view.num_steps) == (3, 7) and view.scratch_seconds > 0 and view.torch_seconds > 0
    for seconds, around in ((view.scratch_seconds, view.scratch_range), (view.torch_seconds, view.torch_range)):
        assert around is not None and around[0] <= seconds <= around[1]
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_every_view_has_an_answer() -> None:
    assert sorted((*OVER_TEXT, *WITHOUT_TEXT)) == sorted(VIEWS)


def test_a_wrong_gate_order_is_found() -> None:
    for cell in ("gru", "lstm"):
        model = model_of(VOCABULARY, cell=cell, num_steps=7)
        inputs, targets = batch_of(text(model, VOCABULARY).ids, model.config)
        wrong = scratch_model(model)
        with torch.no_grad():
            W_x = wrong.stored_layer(0)[0]
            first, second, *rest = W_x.clone().chunk(4 if cell == "lstm" else 3, dim=-1)
            W_x.copy_(torch.cat((second, first, *rest), dim=-1))
        view = result(compared(wrong, Reference(model), inputs, targets))
        assert min(view.output_difference, view.state_difference, view.gradient_difference) > 1e-3


def test_a_short_text_makes_a_batch() -> None:
    inputs, targets = batch_of(np.array([1, 2]), config_of(num_steps=3))
    assert (
        inputs.shape == targets.shape == (3, 3) and inputs[0].tolist() == [1, 2, 1] and targets[0].tolist() == [2, 1, 2]
    )


def test_neighbours_have_the_largest_cosines() -> None:
    model = model_of(VOCABULARY, cell="gru")
    view = result(tokens(model, VOCABULARY, asked("tokens", token="a")))
    for table, found in (
        (model.stored_layer(0)[0].detach().numpy(), view.neighbours),
        (model.output_layer()[0].detach().numpy().T, view.output_neighbours),
    ):
        unit = table / np.linalg.norm(table, axis=1, keepdims=True)
        cosines = unit @ unit[VOCABULARY.token_to_id("a")]
        order = [index for index in np.argsort(-cosines) if index != VOCABULARY.token_to_id("a")][:10]
        assert [token for token, _ in found] == [VOCABULARY.id_to_token(int(index)) for index in order]
        assert [cosine for _, cosine in found] == pytest.approx(cosines[order])
    assert len(view.points) == len(view.classes) == len(VOCABULARY)


def test_the_plane_is_that_of_the_singular_values() -> None:
    draw = torch.Generator().manual_seed(4)
    for count, size in ((300, 40), (5, 60), (50, 1), (2, 3)):
        table = torch.randn(count, size, dtype=torch.float64, generator=draw)
        table *= torch.linspace(3, 1, size, dtype=torch.float64)
        places, shares = result(plane(table))
        U, S, _ = torch.linalg.svd(table - table.mean(dim=0), full_matrices=False)
        for axis in range(min(2, len(S))):
            expected = U[:, axis] * S[axis]
            if float(S[axis]) > 1e-9:
                assert places[:, axis].abs() == pytest.approx(expected.abs(), rel=1e-2, abs=1e-2 * float(S[0]))
            assert shares[axis] == pytest.approx(float(S[axis] ** 2 / (S**2).sum()), abs=1e-4)
    assert result(plane(torch.zeros(4, 3)))[1] == (0.0, 0.0)
    assert result(tokens(zeroed(VOCABULARY), VOCABULARY, asked("tokens"))).axes == (0.0, 0.0)
