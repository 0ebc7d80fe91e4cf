"""The presets: valid, named, and with figures that can be compared."""

from __future__ import annotations

import json

import pytest

from core.corpus.catalogue import DOWNLOADS, texts
from core.errors import ConfigError
from core.settings.own_presets import preset_named
from core.settings.presets import PRESETS, offered_presets
from core.settings.run_config import RunConfig, minimum_tokens


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_holds_together(name: str) -> None:
    found = PRESETS[name]
    assert found.name == name and found.title and found.source
    assert RunConfig.from_dict(json.loads(json.dumps(found.to_json()))["config"]) == found.config
    assert found.config.corpus in {text.name for text in texts()} | {entry.name for entry in DOWNLOADS}
    if found.config.max_tokens:
        assert found.config.max_tokens * (1 - found.config.validation_fraction) >= minimum_tokens(found.config)
    for epoch, perplexity in found.published.items():
        assert 1 <= epoch <= found.config.num_epochs and perplexity >= 1


def test_the_three_of_the_reference() -> None:
    scratch = RunConfig(
        corpus="lyrics-zh", normalise="spaces", max_tokens=10_000, num_hiddens=256, batch_size=32, num_steps=35,
        optimiser="sgd", learning_rate=100.0, clipping="norm", clip=0.01, num_epochs=250,
    )  # fmt: skip
    for name, changes in (
        ("lyrics-scratch-sequential", {"sampling": "sequential"}),
        ("lyrics-scratch-random", {"sampling": "random"}),
        (
            "lyrics-nn-rnn",
            {"implementation": "torch.nn", "optimiser": "adam", "learning_rate": 0.001, "clipping": "none"},
        ),
    ):
        wanted, config = scratch.replace(**changes), PRESETS[name].config
        for field in (
            "corpus", "normalise", "max_tokens", "implementation", "cell", "num_hiddens", "batch_size", "num_steps",
            "sampling", "optimiser", "learning_rate", "clipping", "num_epochs",
        ):  # fmt: skip
            assert getattr(config, field) == getattr(wanted, field), (name, field)


def test_an_unknown_preset_gets_the_names() -> None:
    with pytest.raises(ConfigError, match=r"there is no preset 'x': choose one of .*lyrics-scratch-sequential, "):
        preset_named("x")


def test_the_english_tale_is_first_except_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    for variables, first in (
        ({}, "tale-en"),
        ({"LANG": "C.UTF-8"}, "tale-en"),
        ({"LANG": "de_DE.UTF-8"}, "tale-en"),
        ({"LANG": "zh_CN.UTF-8"}, "lyrics-scratch-sequential"),
        ({"LANG": "en_GB.UTF-8", "LC_MESSAGES": "zh_TW"}, "lyrics-scratch-sequential"),
        ({"LC_ALL": "en_GB.UTF-8", "LC_MESSAGES": "zh_TW", "LANG": "zh_TW"}, "tale-en"),
    ):
        for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert next(iter(offered_presets())) == first, variables
        assert sorted(offered_presets()) == sorted(PRESETS)
