"""What happens to a run, as values: the trainer yields them, the journal keeps them, the screen draws them.

Each event is one JSON object with an ``event`` key; a line of ``metrics.jsonl``, a line of ``train --json`` and a
message of an engine are all this same object. No torch in this module: the screen imports it.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

# The largest loss, in nats, whose perplexity is a number: about 709.8.
LARGEST_LOSS = math.log(sys.float_info.max)
# Perplexities, each with the loss that it is exp() of.
PERPLEXITIES = (("perplexity", "loss"), ("validation_perplexity", "validation_loss"))


class State:
    """The states of a run: idle -> training <-> paused -> finished | stopped | failed | diverged."""

    IDLE = "idle"
    TRAINING = "training"
    PAUSED = "paused"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"  # the journal says training, but nobody holds the run: its engine died
    ALL = (IDLE, TRAINING, PAUSED, FINISHED, STOPPED, FAILED, DIVERGED, INTERRUPTED)


@dataclass(frozen=True)
class Event:
    """The base of all events; ``kind`` is the value of the JSON key ``event``."""

    kind: ClassVar[str] = ""

    def to_json(self) -> dict[str, Any]:
        """The event as a JSON-able object; a number that is not finite becomes null, which strict JSON has."""
        values = {name: _finite_or_none(value) for name, value in dataclasses.asdict(self).items()}
        return {"event": self.kind, **values}


@dataclass(frozen=True)
class EpochFinished(Event):
    """One pass over the text.

    ``perplexity`` is exp(``loss``), the mean cross-entropy in nats over all training tokens of the epoch, and
    ``validation_perplexity`` exp(``validation_loss``), over the held-out text. Beyond the range of floating point they
    are infinite here and null in JSON, where the loss tells how large they are. ``step`` counts batches since the
    beginning of the run; ``seconds`` is the training time of the epoch; ``gradient_norm`` is the mean global norm
    before clipping.
    """

    kind: ClassVar[str] = "epoch"
    epoch: int
    step: int
    perplexity: float
    validation_perplexity: float | None
    loss: float
    gradient_norm: float
    learning_rate: float
    tokens_per_second: float
    seconds: float
    validation_loss: float | None = None


@dataclass(frozen=True)
class StepFinished(Event):
    """Progress inside an epoch: ``batch`` of ``num_batches`` is done, ``perplexity`` is over the batches so far."""

    kind: ClassVar[str] = "step"
    epoch: int
    batch: int
    num_batches: int
    step: int
    perplexity: float
    loss: float
    learning_rate: float
    tokens_per_second: float


@dataclass(frozen=True)
class SampleWritten(Event):
    """What the model writes after ``prefix``, at the end of ``epoch``; ``text`` is the continuation alone."""

    kind: ClassVar[str] = "sample"
    epoch: int
    prefix: str
    text: str


@dataclass(frozen=True)
class StateChanged(Event):
    """The run is in another state (see ``State``); ``message`` says why, in a sentence, where there is a why."""

    kind: ClassVar[str] = "state"
    state: str
    epoch: int
    message: str = ""


@dataclass(frozen=True)
class SettingChanged(Event):
    """A setting was changed in mid-run."""

    kind: ClassVar[str] = "set"
    epoch: int
    name: str
    value: float | int


@dataclass(frozen=True)
class RunResumed(Event):
    """Training goes on from a checkpoint taken after ``batch`` batches beyond ``epoch`` finished epochs.

    Lines of later epochs that stand before this one were not kept by any checkpoint: they will be written again.
    ``backend``: how it computes from here on, as ``run.json`` has it; null in lines of older versions.
    """

    kind: ClassVar[str] = "resumed"
    epoch: int
    batch: int
    backend: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Note(Event):
    """A remark for the reader of the journal."""

    kind: ClassVar[str] = "note"
    text: str


EVENTS: tuple[type[Event], ...] = (
    EpochFinished, StepFinished, SampleWritten, StateChanged, SettingChanged, RunResumed, Note,
)  # fmt: skip
_BY_KIND = {event.kind: event for event in EVENTS}


def event_from_json(value: Mapping[str, Any]) -> Event | None:
    """The event of a JSON object, or None for an unknown kind, missing keys or wrong types."""
    event_type = _BY_KIND.get(str(value.get("event")))
    if event_type is None:
        return None
    try:
        found = {name: read(value[name]) for name, read, must in _FIELDS[event_type] if must or name in value}
        for name, loss in PERPLEXITIES:
            if name in found and perplexity_in(value, name, loss) == math.inf:
                found[name] = math.inf
        return event_type(**found)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def perplexity_in(value: Mapping[str, Any], name: str, loss: str) -> float | None:
    """The perplexity called ``name`` of a JSON object, infinite where its ``loss`` says so, or None."""
    nats = number_in(value, loss)
    if value.get(name) is None and nats is not None and nats > LARGEST_LOSS:
        return math.inf
    return number_in(value, name)


def number_in(value: Mapping[str, Any], name: str) -> float | None:
    """The finite number called ``name`` of a JSON object, or None."""
    number = value.get(name)
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not abs(number) <= sys.float_info.max:
        return None
    return float(number)


def perplexity(mean_cross_entropy: float) -> float:
    """exp(mean cross-entropy in nats), infinite where that overflows."""
    return math.exp(mean_cross_entropy) if mean_cross_entropy <= LARGEST_LOSS else math.inf


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 2**63:
        raise TypeError("not a whole number")
    return value


def _read_float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, type(None))):
        raise TypeError("not a number")
    return math.nan if value is None else float(value)


def _read_number(value: Any) -> float | int:
    return _read_int(value) if isinstance(value, int) else _read_float(value)


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def read_backend(value: Any) -> dict[str, str]:
    """How a run computes, by name: see ``core.training.backend``. Raises TypeError, ValueError."""
    if not isinstance(value, Mapping) or len(value) > 20:
        raise TypeError("not an object of few entries")
    return {str(name)[:100]: _read_text(given)[:200] for name, given in value.items()}


_READERS: dict[str, Callable[[Any], Any]] = {
    "Mapping[str, str] | None": lambda value: None if value is None else read_backend(value),
    "int": _read_int,
    "float": _read_float,
    "str": _read_text,
    "float | None": lambda value: None if value is None else _read_float(value),
    "float | int": _read_number,
}
# Once for each kind of event: a long journal has a hundred thousand lines to read.
_FIELDS: dict[type[Event], tuple[tuple[str, Callable[[Any], Any], bool], ...]] = {
    event: tuple(
        (item.name, _READERS[str(item.type)], item.default is dataclasses.MISSING) for item in dataclasses.fields(event)
    )
    for event in EVENTS
}
