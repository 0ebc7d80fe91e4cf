"""Curves: the figures of a training as columns, from a run's journal or from another program's file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.errors import RunError, UserError
from core.events import EpochFinished, Event, SampleWritten
from core.runs.journal import JournalReader, last_lines, standing
from core.runs.run import Run

Column = npt.NDArray[np.float64]

JOURNAL_COLUMNS = (*(field.name for field in fields(EpochFinished)), "time")
"""The figures of an epoch, as the journal has them; ``time`` is in seconds since 1970."""
WHOLE_COLUMNS = frozenset({"epoch", "step"})


@dataclass(frozen=True)
class Quantity:
    """A figure that can be drawn: its label with the unit, and whether its axis is logarithmic by default."""

    label: str
    is_log: bool = False


METRICS = {
    "perplexity": Quantity("training perplexity", is_log=True),
    "validation_perplexity": Quantity("held-out perplexity", is_log=True),
    "loss": Quantity("training loss (nats/token)"),
    "validation_loss": Quantity("held-out loss (nats/token)"),
    "bits": Quantity("training loss (bits/token)"),
    "validation_bits": Quantity("held-out loss (bits/token)"),
    "gradient_norm": Quantity("gradient norm", is_log=True),
    "learning_rate": Quantity("learning rate"),
    "tokens_per_second": Quantity("tokens/s"),
    "seconds": Quantity("seconds per epoch"),
}
AXES = {
    "epoch": Quantity("epoch"),
    "step": Quantity("step (batches)"),
    "tokens": Quantity("tokens seen"),
    "training": Quantity("seconds of training"),
    "time": Quantity("time of day"),
}


@dataclass(frozen=True)
class Curve:
    """The figures of one training.

    Attributes:
        name: of the run, or of the file.
        columns: by their names, all of one length; NaN where a row lacks the figure.
        source: where it was read.
    """

    name: str
    columns: Mapping[str, Column]
    source: Path

    @property
    def rows(self) -> int:
        """How many rows it has: the epochs of a run."""
        return len(next(iter(self.columns.values()), ()))

    def column(self, name: str) -> Column:
        """A column by its name, also one that follows from others. Raises UserError with the names that there are."""
        if name in self.columns:
            return self.columns[name]
        derived, sources = _DERIVED.get(name, (None, ()))
        if derived is not None and all(source in self.columns for source in sources):
            return derived(*(self.columns[source] for source in sources))
        there = [*self.columns, *(key for key, (_, needed) in _DERIVED.items() if set(needed) <= set(self.columns))]
        named = ", ".join(there[:20]) + (", ..." if len(there) > 20 else "")
        raise UserError(f"{self.name} has no {name}; it has {named}")

    def points(self, metric: str, axis: str) -> tuple[Column, Column]:
        """The points that can be drawn, in the order of ``axis``: those whose figures are finite. Raises UserError."""
        x, y = self.column(axis), self.column(metric)
        is_finite = np.isfinite(x) & np.isfinite(y)
        x, y = x[is_finite], y[is_finite]
        order = np.argsort(x, kind="stable")
        return x[order], y[order]


_DERIVED: dict[str, tuple[Callable[..., Column], tuple[str, ...]]] = {
    "bits": (lambda loss: loss / math.log(2), ("loss",)),
    "validation_bits": (lambda loss: loss / math.log(2), ("validation_loss",)),
    "tokens": (lambda pace, seconds: np.cumsum(pace * seconds), ("tokens_per_second", "seconds")),
    "training": (np.cumsum, ("seconds",)),
}


def read_run(run: Run, name: str = "") -> Curve:
    """The epochs of a run, without those that a resume has undone; ``name`` is another than the run's own.

    Raises RunError for a journal that cannot be read; a missing one has no epochs.
    """
    events = [(event, time) for event, time in _journal(run) if isinstance(event, EpochFinished)]
    columns = {
        column: np.array([_figure(getattr(event, column)) for event, _ in events]) for column in JOURNAL_COLUMNS[:-1]
    }
    columns["time"] = np.array([time or math.nan for _, time in events])
    return Curve(name or run.name, columns, run.path)


def read_samples(run: Run) -> list[SampleWritten]:
    """The texts that a run wrote while it trained. Raises RunError for a journal that cannot be read."""
    return [event for event, _ in _journal(run) if isinstance(event, SampleWritten)]


def _journal(run: Run) -> list[tuple[Event, float]]:
    """The events of a run that no resume has undone, with their times."""
    reader = JournalReader(run.journal_path)
    found: list[tuple[Event, float]] = []
    while True:
        before = reader.offset
        found += reader.poll()
        if reader.offset == before:
            break
    if not found:
        _check_readable(run)
    times = {id(event): time for event, time in found}
    return [(event, times[id(event)]) for event in standing([event for event, _ in found])]


def _check_readable(run: Run) -> None:
    """Raise RunError where the journal is there and cannot be read: its reader says nothing then."""
    try:
        last_lines(run.journal_path)
    except OSError as error:
        raise RunError(f"{run.journal_path} cannot be read: {error.strerror or error}") from None


def _figure(value: float | None) -> float:
    return math.nan if value is None else float(value)


def distinct_names(runs: Sequence[Run]) -> list[str]:
    """A name for each run that no other has: its own, and where two share it, the folders that tell them apart."""
    names = []
    for run in runs:
        namesakes = [other.path for other in runs if other.name == run.name and other.path != run.path]
        parts, length = run.path.parts, 1
        while length < len(parts) and any(path.parts[-length:] == parts[-length:] for path in namesakes):
            length += 1
        names.append("/".join(parts[-length:]))
    return names


def with_distinct_names(curves: Iterable[Curve]) -> list[Curve]:
    """The curves with distinct names: a name that is taken gets the folder's before it, or a number behind it."""
    found: dict[str, Curve] = {}
    for curve in curves:
        name, number = curve.name, 1
        if name in found:
            name = f"{curve.source.parent.name}/{curve.name}"
        while name in found:
            number += 1
            name = f"{curve.name} ({number})"
        found[name] = replace(curve, name=name)
    return list(found.values())


def smoothed(x: Column, y: Column, weight: float) -> Column:
    """The time-weighted exponential moving average of the points; for equal distances, as TensorBoard computes it.

    Args:
        x: ascending; the further apart two points are, the less the earlier one counts.
        weight: what a point counts at the next one, at the usual distance: from 0, no smoothing, to below 1.
    """
    gaps = np.diff(x, prepend=x[:1])
    if weight <= 0 or not (gaps > 0).any():
        return y
    factors = weight ** (gaps / np.median(gaps[gaps > 0]))
    means, total, count = [], 0.0, 0.0
    for value, factor in zip(y.tolist(), factors.tolist(), strict=True):
        total, count = total * factor + value, count * factor + 1
        means.append(total / count)
    return np.array(means)


def require_rows(curves: Iterable[Curve]) -> tuple[list[Curve], list[str]]:
    """The curves that have rows, and a sentence for each other one. Raises UserError where none has."""
    curves = list(curves)
    empty = [f"{curve.name} has no epochs yet" for curve in curves if not curve.rows]
    if len(empty) == len(curves):
        raise UserError(f"{'; '.join(empty[:8])}: train it first" if curves else "there is nothing to export")
    return [curve for curve in curves if curve.rows], [f"{words}: it is left out" for words in empty]
