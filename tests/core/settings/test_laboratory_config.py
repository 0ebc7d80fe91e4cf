"""The settings of the laboratory: the book's by default, refused in a sentence where they make no sense."""

from __future__ import annotations

import pytest

from core.errors import ConfigError
from core.settings.laboratory_config import SequenceConfig, settings


def test_the_defaults_are_the_books() -> None:
    config = SequenceConfig()
    assert (config.train_end, config.known_points, config.steps_ahead) == (604, 604, (1, 4, 16, 64))
    assert config.is_the_books and config.replace(seed=3, horizons="2", rnn_hiddens=5, multi_start=700).is_the_books
    assert not config.replace(noise=0.3).is_the_books


def test_every_setting_has_words_and_a_range() -> None:
    for setting in settings():
        assert setting.help and setting.label and setting.group
        assert setting.check(setting.default) == setting.default
        if setting.kind is not str:
            assert "at" in setting.range_text() or "between" in setting.range_text()


def test_dictionaries_and_texts() -> None:
    config = SequenceConfig(tau=8, horizons="8 2,2")
    assert SequenceConfig.from_dict(config.to_dict()) == config and config.steps_ahead == (2, 8)
    assert SequenceConfig().with_texts({"points": "2,000", "noise": "0"}) == SequenceConfig(points=2000, noise=0.0)
    assert SequenceConfig(points=800, train_examples=796).known_points == 480
    assert SequenceConfig(multi_start=300).known_points == 300


@pytest.mark.parametrize(
    ("texts", "field", "words"),
    [
        ({"tau": "0"}, "tau", "between 1 and 128, got 0"),
        ({"noise": "-1"}, "noise", "between 0 and 10, got -1"),
        ({"frequency": "0"}, "frequency", "above 0"),
        ({"seed": "x"}, "seed", "whole number"),
        ({"points": "300"}, "train_examples", "at most points - tau, 296, got 600"),
        ({"points": "20", "tau": "20"}, "tau", "less than points, 20, got 20"),
        ({"multi_start": "3"}, "multi_start", "0 or between tau, 4, and 999, got 3"),
        ({"multi_start": "1000"}, "multi_start", "0 or between"),
        ({"horizons": ""}, "horizons", "1 to 6 whole numbers"),
        ({"horizons": "1, x"}, "horizons", "as in 1, 4, 16, 64"),
        ({"horizons": "1 2 3 4 5 6 7"}, "horizons", "1 to 6"),
        ({"horizons": "0"}, "horizons", "between 1 and 512"),
        ({"points": "100", "train_examples": "50", "horizons": "97"}, "horizons", "at most points - tau, 96, got 97"),
        ({"speed": "1"}, None, "there is no setting 'speed'; did you mean seed"),
        ({"zzz": "1"}, None, "there is no setting 'zzz'; there are points"),
    ],
)
def test_what_makes_no_sense_is_refused(texts: dict[str, str], field: str | None, words: str) -> None:
    with pytest.raises(ConfigError, match=r"must|there is no") as caught:
        SequenceConfig().with_texts(texts)
    assert words in str(caught.value) and caught.value.field == field
