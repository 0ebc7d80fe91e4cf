"""Events: to JSON and back, and what is no event."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.events import (
    EVENTS,
    BudgetFitted,
    EpochFinished,
    Event,
    Measured,
    Note,
    RunResumed,
    SampleWritten,
    SettingChanged,
    StateChanged,
    StepFinished,
    event_from_json,
    perplexity,
)

EPOCH = EpochFinished(3, 27, 812.4, None, 6.7, 0.4, 100.0, 69_000.0, 0.13)
EXAMPLES: tuple[Event, ...] = (
    EPOCH,
    StepFinished(4, 2, 9, 29, 5.0, 1.6, 0.1, 70_000.0),
    dataclasses.replace(EPOCH, clipped=0.25, clip_factor=0.5),
    Measured(10, 0.9, 0.25),
    SampleWritten(10, "分开", "\x1b[31m[bold]\ud800"),
    StateChanged("training", 0),
    SettingChanged(3, "learning_rate", 0.5),
    SettingChanged(3, "num_epochs", 500),
    BudgetFitted(11, 5, 9, 0.3, 7.5, 3, 29, 3.0, 9.5, 0.04),
    RunResumed(3, 4),
    Note("a remark"),
)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.kind)
def test_an_event_survives_json(event: Event) -> None:
    value = json.loads(json.dumps(event.to_json(), allow_nan=False))
    assert value["event"] == event.kind
    assert event_from_json(value) == event
    assert event_from_json({**value, "time": 1.5, "later": [1]}) == event, "what a newer program adds is passed over"


def test_every_kind_has_an_example() -> None:
    assert {type(event) for event in EXAMPLES} == set(EVENTS)
    assert len({event.kind for event in EVENTS}) == len(EVENTS)


def test_an_epoch_has_the_keys_that_scripts_rely_on() -> None:
    assert set(EPOCH.to_json()) >= {
        "event", "epoch", "perplexity", "validation_perplexity", "tokens_per_second", "seconds", "loss",
        "gradient_norm", "learning_rate",
    }  # fmt: skip


def test_what_is_not_finite_is_null_in_strict_json() -> None:
    event = dataclasses.replace(EPOCH, perplexity=math.inf, loss=math.nan, validation_perplexity=math.inf)
    value = json.loads(json.dumps(event.to_json(), allow_nan=False))
    assert value["perplexity"] is None and value["loss"] is None
    back = event_from_json(value)
    assert isinstance(back, EpochFinished) and math.isnan(back.perplexity) and back.validation_perplexity is None


def test_a_perplexity_beyond_floating_point_survives_json() -> None:
    for event in (
        dataclasses.replace(EPOCH, perplexity=math.inf, loss=2e7),
        dataclasses.replace(EPOCH, validation_perplexity=math.inf, validation_loss=709.8),
        dataclasses.replace(EPOCH, perplexity=perplexity(709.7), loss=709.7, validation_perplexity=1.0),
        StepFinished(4, 2, 9, 29, math.inf, 2e7, 0.1, 70_000.0),
    ):
        value = json.loads(json.dumps(event.to_json(), allow_nan=False))
        assert event_from_json(value) == event, event
    assert event_from_json({"event": "note", "text": "a", "perplexity": None, "loss": 1e9}) == Note("a")


def test_a_damaged_epoch_is_no_event() -> None:
    for name in (item.name for item in dataclasses.fields(EpochFinished)):
        for wrong in ("text", True, [1], {}):
            assert event_from_json({**EPOCH.to_json(), name: wrong}) is None, (name, wrong)
        without = {key: value for key, value in EPOCH.to_json().items() if key != name}
        is_newer = name in ("validation_loss", "clipped", "clip_factor")  # journals of earlier versions have none
        assert (event_from_json(without) is None) != is_newer, name


@pytest.mark.parametrize(
    "value",
    [
        {}, {"event": "nothing"}, {"event": None}, {"event": ["epoch"]}, {"event": "note"},
        {"event": "note", "text": 1},
        {"event": "set", "epoch": 1, "name": "num_epochs", "value": True},
        {"event": "set", "epoch": 1, "name": "num_epochs", "value": 10**400},
        {"event": "resumed", "epoch": 1.5, "batch": 0}, {"event": "resumed", "epoch": 2**70, "batch": 0},
        {**EPOCH.to_json(), "loss": 10**400},
    ],
    ids=range(11),
)  # fmt: skip
def test_other_objects_are_no_events(value: dict[str, Any]) -> None:
    assert event_from_json(value) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@given(st.dictionaries(st.sampled_from(["event", *EPOCH.to_json()]), json_values), st.sampled_from(EVENTS))
def test_nothing_that_json_can_say_does_harm(value: dict[str, Any], kind: type[Event]) -> None:
    event = event_from_json({**value, "event": kind.kind})
    assert event is None or isinstance(event, kind)


def test_perplexity() -> None:
    assert perplexity(0.0) == 1.0
    assert perplexity(math.log(1027)) == pytest.approx(1027)
    assert perplexity(709.0) == pytest.approx(8.218e307, rel=1e-3) and perplexity(709.8) == math.inf
    assert perplexity(1e6) == math.inf
    assert perplexity(math.nan) == math.inf
