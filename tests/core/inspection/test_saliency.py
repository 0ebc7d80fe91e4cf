"""Saliency: a network that copies a token, and finite differences."""

from __future__ import annotations

import pytest
import torch

from core.inspection.saliency import saliency
from core.inspection.text import text_of
from core.models.scratch_model import ScratchLanguageModel
from tests.core.inspection.models import WORDS, asked, model_of, result, text, vocabulary_of, zeroed

VOCABULARY = vocabulary_of(WORDS)


def copier(steps: int) -> ScratchLanguageModel:
    """Predicts the token that was ``steps`` before the predicted one: its state is a shift register of tokens."""
    size = len(VOCABULARY)
    model = zeroed(VOCABULARY, activation="relu", num_hiddens=steps * size)
    with torch.no_grad():
        model.W_xh[:, :size].copy_(torch.eye(size))
        for place in range(1, steps):
            model.W_hh[(place - 1) * size : place * size, place * size : (place + 1) * size].copy_(torch.eye(size))
        model.W_hq[(steps - 1) * size :].copy_(20 * torch.eye(size))
    return model


def test_a_network_that_copies_a_token_is_explained_by_it() -> None:
    for steps in (1, 3, 7):
        model = copier(steps)
        words = text_of("ran and the cat ran and the cat"[: 9 + steps], VOCABULARY, model.config)
        at = len(words) - 1
        copied = words.tokens()[at - steps]
        view = result(saliency(model, words, asked("saliency", at, token=copied)))
        assert view.shares[at - steps] > 0.95 and sum(view.absolute) == pytest.approx(1)
        assert view.tokens[at - steps] == copied == view.next[0][0] and view.begin == 0 and len(view.tokens) == at


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_share_is_what_scaling_the_input_changes(cell: str) -> None:
    """x . dY/dx is the change of the score where x is stretched: by finite differences, for tokens that occur once."""
    for changes in ({"num_layers": 2}, {"bidirectional": True}):
        model = model_of(VOCABULARY, cell=cell, embedding_size=5, **changes)
        words = text_of("cat sodTh", VOCABULARY, model.config)
        at = 6
        view = result(saliency(model, words, asked("saliency", at)))
        ids, vectors = torch.from_numpy(words.ids).unsqueeze(0), model.input_vectors()
        assert vectors is not None
        slopes = []
        with torch.no_grad():
            for token in words.ids[: len(view.tokens)].tolist():
                original, ends = vectors[token].clone(), []
                for scale in (1 + 1e-5, 1 - 1e-5):
                    vectors[token] = original * scale
                    logits, _ = model(ids, model.begin_state(1))
                    ends.append(float(logits[at - 1, 0, int(words.ids[at])]))
                vectors[token] = original
                slopes.append((ends[0] - ends[1]) / 2e-5)
        total = sum(map(abs, slopes))
        assert view.shares == pytest.approx([slope / total for slope in slopes], abs=1e-6)


def test_a_score_that_depends_on_nothing_has_no_shares() -> None:
    view = result(saliency(zeroed(VOCABULARY), text(zeroed(VOCABULARY), VOCABULARY), asked("saliency", 5)))
    assert set(view.shares) == {0.0} and view.probability == pytest.approx(1 / len(VOCABULARY))
