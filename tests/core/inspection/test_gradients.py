"""Gradients through time: recurrences whose factor is known, and finite differences."""

from __future__ import annotations

import math

import pytest
import torch

from core.inspection.gradients import decay_factor, gradients, half_life, negligible_after, spectral_radius
from core.inspection.text import text_of
from tests.core.inspection.models import VARIANTS, WORDS, asked, model_of, result, text, vocabulary_of, zeroed

VOCABULARY = vocabulary_of(WORDS)


def orthogonal(size: int, seed: int = 1) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)))[
        0
    ]


def test_a_linear_recurrence_has_its_factor() -> None:
    """With inputs of zero the state is zero, where tanh is the identity: dH_{t-1} = dH_t W_hh^T."""
    turn = orthogonal(8)
    for matrix, factor in ((0.9 * torch.eye(8), 0.9), (-0.9 * torch.eye(8), 0.9), (turn, 1.0), (1.1 * turn, 1.1)):
        model = zeroed(VOCABULARY)
        with torch.no_grad():
            model.W_hh.copy_(matrix)
            model.W_hq.normal_(generator=torch.Generator().manual_seed(2))
        view = result(gradients(model, text(model, VOCABULARY), asked("gradients")))
        assert view.factor == pytest.approx(factor, abs=1e-6) and len(view.norms) == len(WORDS) - 1
        assert view.spectral_radius == pytest.approx(factor, abs=1e-6)
        ratios = [after / before for before, after in zip(view.norms, view.norms[1:], strict=False)]
        assert ratios == pytest.approx([factor] * len(ratios), abs=1e-6)
    assert view.half_life is None and view.negligible_after is None


def test_the_memory_of_an_lstm_keeps_what_its_forget_gate_lets_through() -> None:
    model = zeroed(VOCABULARY, cell="lstm")
    p = model.layer_parameters()
    with torch.no_grad():
        p["b_f"].fill_(math.log(0.9 / 0.1))  # sigmoid: 0.9
        model.W_hq.normal_(generator=torch.Generator().manual_seed(2))
    view = result(gradients(model, text(model, VOCABULARY), asked("gradients", 30)))
    assert view.cell_norms is not None
    ratios = [after / before for before, after in zip(view.cell_norms, view.cell_norms[1:], strict=False)]
    assert ratios == pytest.approx([0.9] * 30, abs=1e-9)
    assert view.norms[0] > 0 and set(view.norms[1:]) == {0.0} and view.factor is None
    assert view.vanishes and view.half_life is None and view.negligible_after == 1


@pytest.mark.parametrize("changes", VARIANTS)
def test_the_norms_are_those_of_finite_differences(changes: dict[str, object]) -> None:
    model = model_of(VOCABULARY, **changes)
    words, at = text(model, VOCABULARY), 20
    ids = torch.from_numpy(words.ids).unsqueeze(0)
    view = result(gradients(model, words, asked("gradients", at)))
    assert view.layer == model.num_layers
    rows = model.num_layers * model.directions
    for lag in (1, 4) if model.directions == 1 else ():
        with torch.no_grad():
            _, begin = model(ids[:, : at - lag + 1], model.begin_state(1))

            def loss(state: tuple[torch.Tensor, ...], lag: int = lag) -> float:
                logits, _ = model(ids[:, at - lag + 1 : at + 1], state)
                return -float(torch.log_softmax(logits[-1, 0], dim=-1)[int(words.ids[at + 1])])

            for which, norms in enumerate((view.norms, view.cell_norms)[: model.num_states]):
                assert norms is not None
                slopes = []
                for unit in range(8):
                    ends = []
                    for change in (1e-5, -1e-5):
                        state = tuple(tensor.clone() for tensor in begin)
                        state[which][rows - 1, 0, unit] += change
                        if which:  # H_t = O_t * tanh(C_t) changes with C_t
                            state[0][rows - 1] *= torch.tanh(state[1][rows - 1]) / torch.tanh(begin[1][rows - 1])
                        ends.append(loss(state))
                    slopes.append((ends[0] - ends[1]) / 2e-5)
                assert norms[lag] == pytest.approx(math.hypot(*slopes), rel=1e-5, abs=1e-10)


def test_lower_layers_and_the_other_direction_have_their_gradients() -> None:
    model = model_of(VOCABULARY, num_layers=2, bidirectional=True)
    words = text(model, VOCABULARY)
    views = [
        result(gradients(model, words, asked("gradients", 30, layer=layer, reverse=reverse)))
        for layer in (1, 2)
        for reverse in (False, True)
    ]
    assert len({view.norms[1] for view in views}) == 4
    forward, reverse = views[2:]
    assert len(forward.lags) == 31 and len(reverse.lags) == len(WORDS) - 30


def test_a_target_may_be_chosen() -> None:
    model = model_of(VOCABULARY)
    words = text_of("cat", VOCABULARY, model.config)
    own, other = (
        result(gradients(model, words, asked("gradients", 1))),
        result(gradients(model, words, asked("gradients", 1, token="z" if "z" in VOCABULARY else "d"))),
    )
    assert own.target == "t" and other.target != "t" and own.norms != other.norms
    assert len(result(gradients(model, words, asked("gradients", 2, token="s"))).lags) == 3


def test_the_spectral_radius_is_that_of_the_eigenvalues() -> None:
    draw = torch.Generator().manual_seed(5)
    for size in (1, 2, 30, 100):
        W = torch.randn(size, size, dtype=torch.float64, generator=draw)
        for matrix in (W, W.triu(), W * torch.logspace(-3, 3, size, dtype=torch.float64)):
            expected = float(torch.linalg.eigvals(matrix).abs().max())
            assert result(spectral_radius(matrix)) == pytest.approx(expected, rel=1e-6)
    assert result(spectral_radius(torch.zeros(3, 3))) == 0.0


def test_half_life_and_negligible_lag() -> None:
    halves = [0.5**lag for lag in range(5)]
    assert decay_factor(halves) == pytest.approx(0.5) and half_life(0.5) == pytest.approx(1.0)
    assert negligible_after([0.5**lag for lag in range(20)]) == 7  # 1/128 is below 1 %, 1/64 is not
    assert negligible_after(halves) is None  # beyond the lags measured
    assert negligible_after([1.0, 2.0]) is None and half_life(2.0) is None
    assert decay_factor([1.0]) is None and decay_factor([1.0, 0.0]) is None and decay_factor([]) is None
    assert negligible_after([0.0, 0.0]) is None and negligible_after([1.0, 0.0]) == 1


def test_the_half_life_is_that_of_what_counts() -> None:
    """Of a fast way back and a slow one, the slow one is left in the end."""
    model = zeroed(VOCABULARY)
    with torch.no_grad():
        model.W_hh.copy_(torch.diag(torch.tensor([0.5] * 7 + [0.99])))
        model.W_hq.normal_(generator=torch.Generator().manual_seed(2))
        model.W_hq[7] *= 1e-4
    view = result(gradients(model, text(model, VOCABULARY), asked("gradients")))
    assert view.factor is not None and view.factor > 0.8 and view.negligible_after == 7
    assert view.half_life == pytest.approx(1.0, abs=0.01)


def test_what_is_beyond_the_steps_measured_is_not_extrapolated() -> None:
    model = zeroed(VOCABULARY)
    with torch.no_grad():
        model.W_hh.copy_(0.999 * torch.eye(8))
        model.W_hq.normal_(generator=torch.Generator().manual_seed(2))
    view = result(gradients(model, text(model, VOCABULARY), asked("gradients")))
    assert view.factor == pytest.approx(0.999) and view.half_life is not None and view.negligible_after is None
