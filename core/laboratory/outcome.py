"""The result of an experiment of the sequence laboratory: numbers, their JSON, and sentences about them.

Points are counted from 1, as in the book: ``data[0]`` is x at time 1. No torch in this module: the screen imports it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from core.record import read_record, record_as_json
from core.settings.laboratory_config import SequenceConfig
from core.units import counted

Numbers = tuple[float, ...]
# A prediction this many times larger than the largest data point diverges.
RUNAWAY = 3.0
# Decimals of the fields of an outcome in JSON; 4 for the others.
DIGITS = {"losses": 6, "errors": 6}


@dataclass(frozen=True)
class Predictions:
    """Predictions for consecutive times, the first one for ``start``."""

    start: int
    values: Numbers

    @property
    def times(self) -> range:
        return range(self.start, self.start + len(self.values))

    def error(self, data: Numbers) -> float:
        """The root mean square error against ``data``; nan if there are no values."""
        wanted = data[self.start - 1 :]
        found = self.values[: len(wanted)]
        if not found:
            return math.nan
        try:
            return math.sqrt(sum((a - b) ** 2 for a, b in zip(found, wanted, strict=False)) / len(found))
        except OverflowError:
            return math.inf


@dataclass(frozen=True)
class Outcome:
    """The result of one model.

    Attributes:
        name: MLP or RNN; ``layers`` its widths, ``parameters`` their number.
        losses: mean squared error over the training examples after each epoch.
        one_step: predictions from the tau real points before each point.
        multi_step: predictions after ``known_points``, from its own predictions.
        ahead: k -> predictions k steps after the last real point.
        errors: root mean square errors 1, 2, 3, ... steps ahead, after the training part; nan without points there.
    """

    name: str
    layers: str
    parameters: int
    losses: Numbers
    one_step: Predictions
    multi_step: Predictions
    ahead: Mapping[int, Predictions]
    errors: Numbers

    @property
    def title(self) -> str:
        """``MLP 4-10-1``."""
        return f"{self.name} {self.layers}"

    @property
    def diverged(self) -> bool:
        return not all(map(math.isfinite, self.losses))


@dataclass(frozen=True)
class EpochDone:
    """One pass over the training examples; ``loss`` is the mean squared error over all of them after it."""

    model: str
    epoch: int
    num_epochs: int
    loss: float

    def to_json(self) -> dict[str, Any]:
        return {"event": "epoch", **_rounded(record_as_json(self), DIGITS["losses"])}


@dataclass(frozen=True)
class Experiment:
    """The sequence and the results of the models."""

    config: SequenceConfig
    data: Numbers
    outcomes: tuple[Outcome, ...]
    seconds: float = field(compare=False)

    @cached_property
    def unseen(self) -> Numbers:
        return self.data[self.config.train_end :]

    @cached_property
    def guess_error(self) -> float:
        """The error of always predicting the mean of the unseen points, nan without any: the baseline."""
        return statistics.pstdev(self.unseen) if self.unseen else math.nan

    @cached_property
    def limit(self) -> float:
        """A prediction farther from 0 than this diverges."""
        return RUNAWAY * max(map(abs, self.data))

    def to_json(self) -> dict[str, Any]:
        """The last event, JSON-able; non-finite numbers become null."""
        return {
            "event": "done",
            "settings": self.config.to_dict(),
            "train_end": self.config.train_end,
            "known_points": self.config.known_points,
            "seconds": round(self.seconds, 4),
            "data": _rounded(self.data, 4),
            "models": [
                {name: _rounded(value, DIGITS.get(name, 4)) for name, value in record_as_json(one).items()}
                | {"multi_step_error": _rounded(one.multi_step.error(self.data), 6)}
                for one in self.outcomes
            ],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Experiment:
        """The inverse of ``to_json``, up to its digits. Raises ConfigError or one of ``core.record.MALFORMED``."""
        config = SequenceConfig.from_dict(value["settings"])
        data = tuple(map(float, value["data"]))
        outcomes = tuple(read_record(Outcome, one) for one in value["models"])
        return cls(config, data, outcomes, float(value["seconds"]))


def _rounded(value: Any, digits: int) -> Any:
    """A JSON value with rounded numbers; non-finite ones become null."""
    if isinstance(value, float):
        return round(value, digits) if math.isfinite(value) else None
    if isinstance(value, (list, tuple)):
        return [_rounded(item, digits) for item in value]
    return {key: _rounded(item, digits) for key, item in value.items()} if isinstance(value, dict) else value


# ---------------------------------------------------------------------------------------------------------------------
# sentences about the results


def one_step_words(experiment: Experiment) -> str:
    config = experiment.config
    read = f"the {config.tau} real points before it" if config.tau > 1 else "the real point before it"
    words = f"Each point is predicted from {read}."
    if not experiment.unseen:
        return f"{words} All points were trained on: none is left to test the models on."
    found = ", ".join(f"{number(one.errors[0])} ({one.name})" for one in experiment.outcomes)
    words += f" Error after {config.train_end}, the end of the training part: {found}."
    if not config.noise:
        return f"{words} There is no noise: all of it is due to the models."
    best = min((one.errors[0] for one in experiment.outcomes if math.isfinite(one.errors[0])), default=math.inf)
    words += f" The noise alone makes {number(config.noise)}, and no model can predict it"
    return words + (": there is little left to learn." if best < 1.25 * config.noise else ".")


def multi_step_words(experiment: Experiment) -> str:
    start, data = experiment.config.known_points, experiment.data
    errors = [one.multi_step.error(data) for one in experiment.outcomes]
    courses = ", ".join(f"the {one.name} {_course(experiment, one)}" for one in experiment.outcomes)
    guess = statistics.pstdev(data[start:])
    words = f"After {start} the models read only what they predicted: {courses}. "
    words += f"Errors: {', '.join(map(number, errors))}; always predicting the mean: {number(guess)}."
    return (
        f"{words} So far ahead they are no better than the mean."
        if all(not error < 0.9 * guess for error in errors)
        else words
    )


def ahead_words(experiment: Experiment, outcome: Outcome) -> str:
    config, errors = experiment.config, outcome.errors
    read = f"{config.tau} real points" if config.tau > 1 else "one real point"
    words = f"From {read} the {outcome.name} predicts k steps ahead."
    if not experiment.unseen:
        return f"{words} No unseen point is left to measure the error on."
    if not errors[0] < experiment.guess_error:
        return f"{words} It has learned nothing: always predicting the mean is as good, even one step ahead."
    near, far = config.steps_ahead[0], config.steps_ahead[-1]
    found = [errors[steps - 1] for steps in config.steps_ahead]
    if near == far:
        return f"{words} The error {_at(near)} is {number(found[0])}."
    course = f"{number(found[0])} {_at(near)}, {number(found[-1])} {_at(far)}"
    if not found[-1] > 1.25 * found[0]:
        return f"{words} The error hardly grows: {course}."
    steadily = all(here < there * 1.02 for here, there in pairwise(found))
    return f"{words} Errors accumulate{'' if steadily else ', though not at every step'}: {course}."


def errors_words(experiment: Experiment) -> str:
    if not experiment.unseen:
        return "All points were trained on: none is left to measure errors on."
    guess = experiment.guess_error
    words = [
        f"Always predicting the mean of the points after {experiment.config.train_end} would make {number(guess)}."
    ]
    for one in experiment.outcomes:
        lost = next((k for k, error in enumerate(one.errors, 1) if not error < guess), None)
        if lost == 1:
            words.append(f"The {one.name} is no better than that even one step ahead.")
        elif lost is not None:
            words.append(f"The {one.name} is better than that up to {_steps(lost - 1)} ahead, then no longer.")
        else:
            words.append(f"The {one.name} is better than that as far as {_steps(len(one.errors))} ahead.")
    return " ".join(words)


def loss_words(experiment: Experiment) -> str:
    """A sentence about the losses; empty unless a training diverged."""
    lost = [one.name for one in experiment.outcomes if one.diverged]
    return f"The training of the {' and the '.join(lost)} diverged: a lower learning rate helps." if lost else ""


def _course(experiment: Experiment, outcome: Outcome) -> str:
    """The course of the multi-step curve: ``settles at 0.12 within 60 points``."""
    values = outcome.multi_step.values
    if any(not abs(value) <= experiment.limit for value in values):
        return "diverges"
    last = values[-max(8, len(values) // 4) :]
    spread = statistics.pstdev(experiment.data)
    if len(values) >= 32 and max(last) - min(last) < 0.1 * spread:
        moving = [index for index, value in enumerate(values) if abs(value - values[-1]) > 0.05 * spread]
        if not moving:
            return f"stays at {number(values[-1])}"
        return f"settles at {number(values[-1])} within {counted(moving[-1] + 2, 'point')}"
    return f"varies between {number(min(values))} and {number(max(values))}"


def chosen_epochs(num_epochs: int, most: int) -> list[int]:
    """At most ``most`` epochs from the first to the last, evenly spread."""
    if num_epochs <= most:
        return list(range(1, num_epochs + 1))
    if most < 2:
        return [num_epochs][:most]
    return [1 + round(index * (num_epochs - 1) / (most - 1)) for index in range(most)]


def loss_text(loss: float) -> str:
    """A loss in at most 8 columns."""
    if not math.isfinite(loss):
        return "–"
    return f"{loss:.4f}" if 0.001 <= loss < 1000 or loss == 0 else f"{loss:.1e}"


def _at(steps: int) -> str:
    return "one step ahead" if steps == 1 else f"at k = {steps}"


def _steps(count: int) -> str:
    return "one step" if count == 1 else f"{count} steps"


def number(value: float) -> str:
    """A figure as it is shown: two decimals, or two significant digits if it is small or large; a dash for nan."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    return f"{value:.2g}" if 0 < abs(value) < 0.1 or abs(value) >= 1000 else f"{value:.2f}"
