"""Gradients from many places of a text: the mean of what each place gives, and places that there are."""

from __future__ import annotations

from itertools import pairwise
from statistics import fmean

import pytest
import torch

from core.corpus.vocabulary import Vocabulary
from core.errors import UserError
from core.inspection.gradients import gradients
from core.inspection.places import SHORTEST, fitting_places, windows
from core.inspection.text import text_of
from core.models.language_model import LanguageModel
from tests.core.inspection.models import VARIANTS, WORDS, asked, model_of, result, text, vocabulary_of, zeroed

VOCABULARY = vocabulary_of(WORDS)


def test_a_linear_recurrence_has_its_factor_everywhere() -> None:
    model = zeroed(VOCABULARY)
    with torch.no_grad():
        model.W_hh.copy_(0.9 * torch.eye(8))
        model.W_hq.normal_(generator=torch.Generator().manual_seed(2))
    words = text(model, VOCABULARY, WORDS * 8)
    view = result(gradients(model, words, asked("gradients", places=20)))
    assert view.factor == pytest.approx(0.9, abs=1e-6) and view.negligible_after == 44  # 0.9**44 < 1 %
    assert len(view.places) == 20 and view.at == view.places[-1] and view.target == ""
    gaps = [after - before for before, after in pairwise(view.places)]
    assert max(gaps) - min(gaps) <= 1, "evenly spread"


@pytest.mark.parametrize("changes", VARIANTS)
def test_the_mean_is_that_of_the_places(changes: dict[str, object]) -> None:
    """What is read before and after a place makes the difference: all of it, in poems."""
    lines = ["the cat sat on", "a mat. The dog", "(a big one) said woof", "it ran and"]
    poems = vocabulary_of("".join(lines) + "\n", reserved=("<bos>", "<eos>"))
    model = model_of(poems, documents="lines", **changes)
    words = text_of("\n".join(lines), poems, model.config)
    for reverse in (False, True) if model.directions == 2 else (False,):
        view = result(gradients(model, words, asked("gradients", places=10, reverse=reverse)))
        assert len(view.places) == len(lines) and view.norms
        single = [result(gradients(model, words, asked("gradients", at, reverse=reverse))) for at in view.places]
        assert view.loss == pytest.approx(fmean(one.loss for one in single))
        for which in ("norms", "cell_norms"):
            means = getattr(view, which)
            for lag in range(len(means or ())):
                known = [getattr(one, which)[lag] for one in single if len(one.lags) > lag]
                assert means[lag] == pytest.approx(fmean(known)) and 2 * len(known) >= len(single)


def test_what_is_read_before_a_place_is_enough_for_its_state() -> None:
    model = model_of(VOCABULARY, cell="gru")
    words = text(model, VOCABULARY, WORDS * 6)
    places = windows(model, words, 2)
    assert all(place.before > 200 and 40 < place.warm_up <= 64 for place in places)
    view = result(gradients(model, words, asked("gradients", places=2)))
    single = [result(gradients(model, words, asked("gradients", at))) for at in view.places]
    for lag in (0, 1, 5, 20):
        assert view.norms[lag] == pytest.approx(fmean(one.norms[lag] for one in single), rel=1e-3)


def test_short_texts_have_the_places_that_there_are() -> None:
    for changes in VARIANTS[::3]:
        model = model_of(VOCABULARY, **changes)
        assert fitting_places(model, text(model, VOCABULARY, WORDS * 8)) == 32
        for length in (*range(SHORTEST, 40), 400):
            words = text(model, VOCABULARY, (WORDS * 6)[:length])
            for count in (1, 3, 1000):
                places = windows(model, words, count)
                assert 1 <= len(places) <= count
                assert all(one.at >= one.before >= one.warm_up and one.before for one in places)
                assert all(one.at + max(one.after, 1) < length for one in places)
            if length in (SHORTEST, SHORTEST + 1, 21):
                assert result(gradients(model, words, asked("gradients", places=3))).norms[0] > 0
        short = text(model, VOCABULARY, WORDS[: SHORTEST - 1])
        assert fitting_places(model, short) == 0
        with pytest.raises(UserError, match="too short to look back from several places: it needs 8 tokens"):
            windows(model, short, 3)
        for count in (0, 1001):
            with pytest.raises(UserError, match="places must be between 1 and 1,000"):
                windows(model, words, count)


def test_a_large_model_has_fewer_places() -> None:
    def places(model: LanguageModel, vocabulary: Vocabulary = VOCABULARY) -> int:
        return fitting_places(model, text(model, vocabulary))

    assert places(model_of(VOCABULARY, num_hiddens=256)) == 32
    assert places(model_of(VOCABULARY, False, cell="lstm", num_hiddens=1024)) == 7
    assert places(model_of(VOCABULARY, False, cell="lstm", num_hiddens=1024, num_layers=2)) == 4
