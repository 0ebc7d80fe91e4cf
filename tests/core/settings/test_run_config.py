"""The settings: ranges, sentences, round trips, and what must go together."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError, UserError
from core.settings.run_config import RunConfig, Setting, minimum_tokens, setting, settings, shown
from core.settings.setting import key_values

NUMBERS = [item for item in settings() if item.kind in (int, float)]


def values(item: Setting) -> st.SearchStrategy[Any]:
    """All permitted values of a setting."""
    if item.choices:
        return st.sampled_from(item.choices)
    if item.kind is bool:
        return st.booleans()
    if item.kind is str:
        return st.text(min_size=1).filter(str.strip)
    low = item.minimum if item.minimum is not None else item.above
    high = item.maximum if item.maximum is not None else item.below
    assert low is not None and high is not None
    if item.kind is int:
        return st.integers(int(low), int(high))
    ends = {"exclude_min": item.above is not None, "exclude_max": item.below is not None}
    return st.floats(low, high, allow_subnormal=False, **ends)


configurations = st.fixed_dictionaries({}, optional={item.name: values(item) for item in settings()})


def built(changes: dict[str, Any]) -> RunConfig | None:
    """The configuration, or None where the settings do not go together; then the sentence names one of them."""
    try:
        return RunConfig(**changes)
    except ConfigError as error:
        assert error.field in ("tied", "documents", "cpu_path", "workers")

        return None


def test_every_setting_is_described_and_its_default_is_right() -> None:
    for item in settings():
        assert item.label and item.help and item.group, item.name
        assert item.check(item.default) == item.default
        assert type(item.check(item.default)) is item.kind
        assert setting(item.name) is item
    assert len({item.name for item in settings()}) == len(settings()) == len(dataclasses.fields(RunConfig))


@pytest.mark.parametrize("item", NUMBERS, ids=lambda item: item.name)
def test_the_ends_of_every_range(item: Setting) -> None:
    small = 1 if item.kind is int else 1e-9
    for end, outward in ((item.minimum, -small), (item.maximum, +small)):
        if end is not None:
            assert item.check(item.kind(end)) == end
            refused(item, item.kind(end * (1 + outward) if item.kind is float and end else end + outward))
    for end in (item.above, item.below):
        if end is not None:
            refused(item, item.kind(end))
    assert (item.minimum is None) != (item.above is None), "a range has one beginning"
    assert (item.maximum is None) != (item.below is None), "a range has one end"
    for foreign in (math.nan, math.inf, -math.inf, True, "1", None, [1], 10**400, 1e308):
        refused(item, foreign)
    if item.kind is int:
        refused(item, 1.5)
    else:
        if item.above == 0:  # a denormal number is zero, as while a run computes
            refused(item, 5e-324)
        elif item.minimum == 0:
            assert item.check(5e-324) == 0
        assert type(item.check(item.parse(shown(item.default)))) is float


def refused(item: Setting, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        item.check(value)
    sentence = str(caught.value)
    assert caught.value.field == item.name
    assert sentence.startswith(f"{item.name} must be {item.range_text()}, got ")
    assert len(sentence) < 300 and "\n" not in sentence


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("num_steps", "0", "num_steps must be between 1 and 10,000, got 0"),
        ("num_steps", "abc", "num_steps must be a whole number between 1 and 10,000, got 'abc'"),
        ("num_steps", "3.5", "num_steps must be a whole number between 1 and 10,000, got '3.5'"),
        ("num_steps", "", "num_steps must be a whole number between 1 and 10,000, got ''"),
        ("learning_rate", "-1", "learning_rate must be above 0 and at most 1,000,000, got -1"),
        ("learning_rate", "fast", "learning_rate must be a number above 0 and at most 1,000,000, got 'fast'"),
        ("learning_rate", "nan", "learning_rate must be above 0 and at most 1,000,000, got nan"),
        ("learning_rate", "inf", "learning_rate must be above 0 and at most 1,000,000, got inf"),
        ("dropout", "1", "dropout must be at least 0 and below 1, got 1"),
        ("cell", "gruu", "cell must be one of rnn, gru, lstm, got 'gruu'"),
        ("tied", "maybe", "tied must be yes or no, got 'maybe'"),
        ("num_hiddens", "9" * 5000, "num_hiddens must be a whole number between 1 and 16,384, got '999"),
        ("corpus", "  ", "corpus must be the name of a bundled text or the path of a file, got nothing"),
    ],
)
def test_a_wrong_text_gets_a_sentence(name: str, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig().with_texts({name: text})
    assert str(caught.value).startswith(sentence)
    assert caught.value.field == name
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("num_steps", " 35 ", 35), ("max_tokens", "10,000", 10_000), ("max_tokens", "10_000", 10_000),
        ("learning_rate", "1e-3", 0.001), ("learning_rate", "100", 100.0), ("tied", "Yes", True), ("tied", "0", False),
        ("cell", " gru ", "gru"), ("sample_prefix", " a ", " a "), ("seed", "9223372036854775807", 2**63 - 1),
    ],
)  # fmt: skip
def test_what_people_type_is_understood(name: str, text: str, value: object) -> None:
    changes = {name: text} | ({"embedding_size": "256"} if name == "tied" else {})
    found = getattr(RunConfig().with_texts(changes), name)
    assert found == value and type(found) is type(value)


@given(configurations)
def test_a_configuration_survives_json(changes: dict[str, Any]) -> None:
    config = built(changes)
    if config is not None:
        assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@given(configurations)
def test_a_configuration_survives_being_typed(changes: dict[str, Any]) -> None:
    config = built(changes)
    if config is not None:
        texts = {name: str(value) if value is not None else "" for name, value in config.to_dict().items()}
        assert RunConfig().with_texts(texts) == config


@given(configurations, configurations)
def test_replacing_is_building(first: dict[str, Any], second: dict[str, Any]) -> None:
    config, wanted = built(first), built({**first, **second})
    if config is not None and wanted is not None:
        assert config.replace(**second) == wanted
        assert config == RunConfig(**first), "a configuration never changes"


def test_an_unknown_setting_gets_the_nearest_names() -> None:
    with pytest.raises(ConfigError, match="there is no setting 'num_hidden'; did you mean num_hiddens"):
        setting("num_hidden")
    with pytest.raises(ConfigError, match=r"there is no setting 'lr'; did you mean learning_rate\?$"):
        setting("lr")  # as a form calls it
    with pytest.raises(ConfigError, match="there is no setting 'zzz'; there are corpus"):
        RunConfig.from_dict({"zzz": 1})
    with pytest.raises(ConfigError) as caught:
        RunConfig().replace(**{"x" * 10**6: 1})
    assert len(str(caught.value)) < 2000


def test_a_form_gets_the_labels_where_the_command_line_gets_the_names() -> None:
    for changes, message, labelled in (
        ({"num_steps": "0"}, "num_steps must be between 1 and 10,000, got 0",
         "steps must be between 1 and 10,000, got 0"),
        ({"num_steps": "{tied}"}, "num_steps must be a whole number between 1 and 10,000, got '{tied}'",
         "steps must be a whole number between 1 and 10,000, got '{tied}'"),
        ({"tied": "yes"}, "tied needs embedding_size equal to the width of the output layer's input, 256, got 0",
         "tied needs embedding equal to the width of the output layer's input, 256, got 0"),
    ):  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            RunConfig().with_texts(changes)
        assert (str(caught.value), caught.value.labelled) == (message, labelled)
    assert UserError("no setting is named").labelled == "no setting is named"


def test_pairs_of_the_command_line() -> None:
    assert key_values(["seed=1", " seed =2", "corpus=a=b"], "seed=1") == {"seed": "2", "corpus": "a=b"}
    with pytest.raises(ConfigError, match=r"^--set takes KEY=VALUE, for example --set seed=1, got 'seed'$"):
        key_values(["seed"], "seed=1")


def test_tied_needs_as_many_embeddings_as_hidden_units() -> None:
    assert RunConfig(tied=True, embedding_size=256).tied
    assert RunConfig(tied=True, embedding_size=512, bidirectional=True).tied
    with pytest.raises(ConfigError, match=r"^tied needs embedding_size equal .* 256, got 0$"):
        RunConfig(tied=True)


def test_poems_need_their_line_ends() -> None:
    assert not RunConfig(documents="lines", normalise="none", state="carried").carries_state
    with pytest.raises(ConfigError, match="choose normalise=none"):
        RunConfig(documents="lines", normalise="spaces")
    with pytest.raises(ConfigError, match="needs tokens=char"):
        RunConfig(documents="lines", normalise="none", tokens="word")


@pytest.mark.parametrize(
    ("sampling", "state", "carries"),
    [
        ("sequential", "auto", True), ("random", "auto", False), ("sequential", "reset", False),
        ("random", "carried", True),
    ],
)  # fmt: skip
def test_state_is_crossed_freely_with_sampling(sampling: str, state: str, carries: bool) -> None:
    assert RunConfig(sampling=sampling, state=state).carries_state is carries


def test_small_things() -> None:
    assert minimum_tokens(RunConfig(batch_size=2, num_steps=5)) == 11
    assert [shown(value) for value in (1027, 0.1, 1e6, 2.0, 1e-9, True, "a", math.inf)] == [
        "1,027", "0.1", "1,000,000", "2", "1e-09", "True", "a", "inf",
    ]  # fmt: skip
    assert not setting("activation").relevant(RunConfig(cell="lstm"))
    assert {item.name for item in settings() if item.live} == {"learning_rate", "num_epochs"}


def test_the_textbook_computes_the_model_from_scratch_without_bf16() -> None:
    assert RunConfig(cpu_path="textbook", precision="tf32", cell="lstm", num_layers=2).cpu_path == "textbook"
    with pytest.raises(ConfigError, match=r"^cpu_path=textbook needs implementation=scratch, got torch.nn"):
        RunConfig(cpu_path="textbook", implementation="torch.nn")
    with pytest.raises(ConfigError, match=r"^cpu_path=textbook computes in precision=fp32 or tf32, got bf16$"):
        RunConfig(cpu_path="textbook", precision="bf16")
