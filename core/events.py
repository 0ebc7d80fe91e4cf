"""The events of a run: the trainer yields them, the journal keeps them, the screen draws them.

Each event is one JSON object with an ``event`` key; a line of ``metrics.jsonl``, a line of ``train --json`` and a
message of an engine are all this same object. No torch in this module: the screen imports it.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from core.record import MALFORMED, read_record, record_as_json
from core.settings.fit import Fit
from core.units import epochs_text

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
    INTERRUPTED = "interrupted"  # the journal says training, but no engine has the run open
    ALL = (IDLE, TRAINING, PAUSED, FINISHED, STOPPED, FAILED, DIVERGED, INTERRUPTED)


NO_CHECKPOINT = "none of its checkpoints can be read: train a new run"
"""Ends the message of a run that cannot continue."""


@dataclass(frozen=True)
class Event:
    """The base of all events; ``kind`` is the value of the JSON key ``event``."""

    kind: ClassVar[str] = ""

    def to_json(self) -> dict[str, Any]:
        """The event as a JSON-able object; a number that is not finite becomes null, which strict JSON has."""
        return {"event": self.kind, **record_as_json(self)}


@dataclass(frozen=True)
class EpochFinished(Event):
    """One pass over the text.

    ``perplexity`` is exp(``loss``), the mean cross-entropy in nats over all training tokens of the epoch, and
    ``validation_perplexity`` exp(``validation_loss``), over the held-out text. Beyond the range of floating point they
    are infinite here and null in JSON. ``step`` counts batches since the beginning of the run; ``seconds`` is the
    training time of the epoch; ``gradient_norm`` is the mean global norm before clipping, ``clipped`` the share of the
    batches that were clipped, and ``clip_factor`` the mean factor that their gradients were multiplied by; the last two
    are null where nothing is clipped by norm, and in journals of older versions.
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
    clipped: float | None = None
    clip_factor: float | None = None


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
    """Text that the model generated after ``prefix`` at the end of ``epoch``; ``text`` is the continuation alone."""

    kind: ClassVar[str] = "sample"
    epoch: int
    prefix: str
    text: str


@dataclass(frozen=True)
class Measured(Event):
    """What ``inspect_every`` measured at the end of ``epoch``, over the text that ``core.inspection`` takes by default.

    ``gradient_factor`` is that of the top layer, see ``GradientsView``; null if it has none. ``saturated`` is the share
    of the top layer's hidden states that are saturated, see ``UnitsView``.
    """

    kind: ClassVar[str] = "measured"
    epoch: int
    gradient_factor: float | None
    saturated: float


@dataclass(frozen=True)
class StateChanged(Event):
    """The run is in another state (see ``State``); ``message`` is a sentence with the reason, or empty."""

    kind: ClassVar[str] = "state"
    state: str
    epoch: int
    message: str = ""


@dataclass(frozen=True)
class SettingChanged(Event):
    """A live setting was changed."""

    kind: ClassVar[str] = "set"
    epoch: int
    name: str
    value: float | int


@dataclass(frozen=True)
class BudgetFitted(Fit, Event):
    """Epochs and schedule were fitted to the time budget of ``minutes`` after ``elapsed`` seconds of it.

    ``epoch`` counts the finished epochs and ``step`` the batches so far; ``seconds_per_batch`` is the measured pace.
    """

    kind: ClassVar[str] = "fit"
    epoch: int
    step: int
    minutes: float
    elapsed: float
    seconds_per_batch: float

    @property
    def num_steps(self) -> int:
        return (self.num_epochs - 1) * self.num_batches + self.last_batches

    @property
    def seconds_left(self) -> float:
        """Seconds of the budget that were left."""
        return max(0.0, self.minutes * 60 - self.elapsed)

    def words(self) -> str:
        """``fitted to 9.4 epochs``, with the time that was left."""
        return f"fitted to {epochs_text(self.end)} epochs: {self.elapsed:.0f} s of {self.minutes:g} min are spent"


@dataclass(frozen=True)
class RunResumed(Event):
    """Training continues from a checkpoint taken ``batch`` batches after ``epoch`` finished epochs.

    Earlier lines of later epochs are not in any checkpoint: those epochs are trained again. ``backend`` is how the run
    is computed from here on, as in ``run.json``; null in lines of older versions.
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
    EpochFinished, StepFinished, SampleWritten, Measured, StateChanged, SettingChanged, BudgetFitted, RunResumed, Note,
)  # fmt: skip
_BY_KIND = {event.kind: event for event in EVENTS}


def event_from_json(value: Mapping[str, Any]) -> Event | None:
    """The event of a JSON object, or None for an unknown kind, missing keys or wrong types."""
    event_type = _BY_KIND.get(str(value.get("event")))
    if event_type is None:
        return None
    try:
        event = read_record(event_type, value)
    except MALFORMED:
        return None
    beyond = {
        name: math.inf
        for name, loss in PERPLEXITIES
        if name in value and hasattr(event, name) and perplexity_in(value, name, loss) == math.inf
    }
    return dataclasses.replace(event, **beyond) if beyond else event


def perplexity_in(value: Mapping[str, Any], name: str, loss: str) -> float | None:
    """The perplexity called ``name`` of a JSON object, infinite if its ``loss`` is beyond the range, or None."""
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
    """exp(mean cross-entropy in nats), infinite on overflow."""
    return math.exp(mean_cross_entropy) if mean_cross_entropy <= LARGEST_LOSS else math.inf
