"""Runs compared: curves that follow their journals, the settings that differ, and the figures of each. No torch."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.events import PERPLEXITIES, Measured, RunResumed
from core.runs.journal import EPOCH_FIGURES, EpochRow, JournalReader
from core.runs.metrics import METRICS
from core.runs.run import Run
from core.scales import LARGEST
from core.settings.run_config import RunConfig, settings
from core.settings.setting import Setting, shown

Column = npt.NDArray[np.float64]

JOURNAL_COLUMNS = EPOCH_FIGURES
"""The figures of an epoch, as the journal has them; ``time`` is in seconds since 1970."""
MEASURED_COLUMNS = tuple(field.name for field in fields(Measured) if field.name != "epoch")
DERIVED: Mapping[str, tuple[Callable[..., Column], tuple[str, ...]]] = {
    # A journal has both; the files of other programs often have the loss alone.
    "perplexity": (lambda loss: _exponential(loss), ("loss",)),
    "validation_perplexity": (lambda loss: _exponential(loss), ("validation_loss",)),
    "bits": (lambda loss: loss / math.log(2), ("loss",)),
    "validation_bits": (lambda loss: loss / math.log(2), ("validation_loss",)),
    "tokens": (lambda pace, seconds: np.cumsum(pace * seconds), ("tokens_per_second", "seconds")),
    # The sum of the epochs' own seconds: pauses and the time between two sessions are not in it.
    "training": (np.cumsum, ("seconds",)),
}
"""The columns that follow from others."""
ROOM = 8
"""A column that grows has room for an eighth more."""
# Fifty journals of 100,000 epochs fit into 300 MB. A perplexity may be larger than a float of 32 bits.
_SHORT = METRICS.keys() - {name for name, _ in PERPLEXITIES}


class Curves(ABC):
    """The figures of one training, which may grow by ``read``: ``version`` changes whenever they do."""

    version: int = 0

    @abstractmethod
    def stored(self, name: str) -> Column | None:
        """A column that does not follow from others; None if there is no such figure."""

    def column(self, name: str) -> Column | None:
        """A column by its name, also one that follows from others; None if there is no such figure."""
        if (column := self.stored(name)) is not None:
            return column
        derive, sources = DERIVED.get(name, (None, ()))
        columns = [column for source in sources if (column := self.column(source)) is not None]
        return derive(*columns) if derive is not None and len(columns) == len(sources) else None

    def has(self, name: str) -> bool:
        """Whether there are finite figures of this name."""
        column = self.column(name)
        return column is not None and bool(np.isfinite(column).any())

    def points(self, metric: str, axis: str) -> tuple[Column, Column]:
        """The points that can be drawn, in the order of ``axis``: those whose figures are finite.

        Beside finite ones, infinite ones are ``LARGEST``: the curve of a run that diverged leaves its chart at the top.
        """
        x, y = self.column(axis), self.column(metric)
        if x is None or y is None:
            return np.empty(0), np.empty(0)
        if np.isposinf(y).any() and np.isfinite(y).any():
            y = np.minimum(y, LARGEST)
        return finite_in_order(x, y)

    def read(self, at_most: int = 1 << 22) -> bool:
        """Read what is new, ``at_most`` so many bytes. Returns whether there was anything to read."""
        return False


def _exponential(loss: Column) -> Column:
    with np.errstate(over="ignore"):
        found: Column = np.exp(loss)
    return found


class RunCurve(Curves):
    """The epochs of a run as columns, without those that a resume has undone; it grows by ``read``.

    Attributes:
        rows: epochs that are known.
        version: changes whenever the curve does.
    """

    def __init__(self, path: Path, is_exact: bool = False) -> None:
        """``is_exact``: keep all digits of every figure, for the memory of twice as many."""
        self.path = path
        self._short = frozenset() if is_exact else _SHORT
        self.rows = 0
        self.version = 0
        self._reader = JournalReader(Run(path).journal_path)
        self._columns: dict[str, npt.NDArray[np.floating]] = {}
        self._measured: dict[int, Measured] = {}

    def read(self, at_most: int = 1 << 22) -> bool:
        """See ``Curves``.

        A journal that is missing or cannot be read has no epochs. One whose epochs begin again was replaced: the later
        lines count.
        """
        before = self._reader.offset
        rows: list[EpochRow] = []
        for piece in self._reader.pieces(at_most):
            if isinstance(piece, list):
                rows += piece
            elif isinstance(piece[0], RunResumed):
                self._append(rows)
                self._cut(piece[0].epoch)
                rows = []
            elif isinstance(piece[0], Measured):
                self._measured[piece[0].epoch] = piece[0]
                self.version += 1
        self._append(rows)
        return self._reader.offset != before

    def stored(self, name: str) -> Column | None:
        if name in self._columns:
            return self._columns[name][: self.rows].astype(np.float64, copy=False)
        return self._measured_column(name) if name in MEASURED_COLUMNS else None

    def has(self, name: str) -> bool:
        """See ``Curves``; by the names alone, which is quick."""
        if name in MEASURED_COLUMNS:
            return bool(self._measured)
        return name in self._columns or all(source in self._columns for source in DERIVED.get(name, (None, (name,)))[1])

    @property
    def _last_epoch(self) -> float:
        return float(self._columns["epoch"][self.rows - 1]) if self.rows else -math.inf

    def _append(self, rows: list[EpochRow]) -> None:
        """Add epochs; where they begin again, those before are forgotten."""
        if not rows:
            return
        # None becomes NaN.
        size = len(rows) * len(JOURNAL_COLUMNS)
        table = np.fromiter(itertools.chain.from_iterable(rows), np.float64, size).reshape(len(rows), -1)
        table[:, -1][table[:, -1] == 0] = np.nan
        again = np.flatnonzero(np.diff(table[:, 0], prepend=self._last_epoch) <= 0)
        for block in np.split(table, again):
            if len(block):
                if block[0, 0] <= self._last_epoch:
                    self._cut(block[0, 0] - 1)
                self._append_rising(block)

    def _append_rising(self, table: Column) -> None:
        end = self.rows + len(table)
        for name, added in zip(JOURNAL_COLUMNS, table.T, strict=True):
            column = self._columns.get(name)
            if column is None:
                if np.isnan(added).all():
                    continue  # most runs clip nothing and many hold nothing out
                column = np.full(max(64, end), np.nan, np.float32 if name in self._short else np.float64)
            elif column.size < end:
                more = np.full(end // ROOM + end - column.size, np.nan, column.dtype)
                column = np.concatenate((column, more))
            self._columns[name] = column
            with np.errstate(over="ignore"):
                column[self.rows : end] = added
        for name, column in self._columns.items():
            if column.size < end:
                self._columns[name] = np.concatenate((column, np.full(end - column.size, np.nan, column.dtype)))
        self.rows = end
        self.version += 1

    def _cut(self, last: float) -> None:
        """Forget the epochs after ``last``."""
        if self.rows:
            kept = int(np.searchsorted(self._columns["epoch"][: self.rows], last, "right"))
            # Copies, because what was drawn of the epochs after them is not to change.
            self._columns = {name: column[:kept].copy() for name, column in self._columns.items()}
            self.rows = kept
        self._measured = {epoch: event for epoch, event in self._measured.items() if epoch <= last}
        self.version += 1

    def _measured_column(self, name: str) -> Column | None:
        if not self._measured or not self.rows:
            return None
        found = np.full(self.rows, np.nan)
        epochs = self._columns["epoch"][: self.rows]
        rows = np.searchsorted(epochs, list(self._measured))
        for row, event in zip(rows.tolist(), self._measured.values(), strict=True):
            value = getattr(event, name)
            if row < self.rows and epochs[row] == event.epoch and value is not None:
                found[row] = value
        return found


def finite_in_order(x: Column, y: Column) -> tuple[Column, Column]:
    """The points with finite figures, in the order of ``x``."""
    is_finite = np.isfinite(x) & np.isfinite(y)
    if not is_finite.all():  # otherwise without a copy: fifty long curves are kept at once
        x, y = x[is_finite], y[is_finite]
    if x.size > 1 and (np.diff(x) < 0).any():
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
    return x, y


def smoothed(x: Column, y: Column, weight: float) -> Column:
    """The time-weighted exponential moving average of the points; for equal distances, as TensorBoard computes it.

    Points at ``LARGEST``, which are infinite, stay and count for no other.

    Args:
        x: ascending; the further apart two points are, the less the earlier one counts.
        weight: what a point counts at the next one, at the usual distance: from 0, no smoothing, to below 1.
    """
    is_finite = y < LARGEST
    if not is_finite.all():
        found = y.copy()
        found[is_finite] = smoothed(x[is_finite], y[is_finite], weight)
        return found
    gaps = np.diff(x, prepend=x[:1])
    if weight <= 0 or not (gaps > 0).any():
        return y
    factors = weight ** (gaps / np.median(gaps[gaps > 0]))
    # total[i] = total[i-1] * factors[i] + y[i] for all i at once: each pass doubles the points behind that are summed.
    total, count, span = np.array(y, np.float64), np.ones(y.size), 1
    factors[0] = 0.0
    while span < y.size and factors.max() > 1e-20:
        total[span:] += factors[span:] * total[:-span]
        count[span:] += factors[span:] * count[:-span]
        factors[span:] *= factors[:-span].copy()
        factors[:span] = 0.0
        span *= 2
    return total / count


@dataclass(frozen=True)
class Figures:
    """The figures of one run: perplexities on the text that ``on`` names, epochs, seconds of training.

    A perplexity is None if there is none, infinite if all are beyond floating point.
    """

    on: str
    best: float | None
    best_epoch: int | None
    last: float | None
    epochs: int
    seconds: float


def figures(curve: Curves) -> Figures:
    """The figures of a run: on the held-out text if it has one."""
    name, values = _perplexities(curve)
    known = np.flatnonzero(~np.isnan(values))
    best = known[np.argmin(values[known])] if known.size else None
    seconds, epochs = curve.column("seconds"), curve.column("epoch")
    return Figures(
        "training" if name == "perplexity" else "held out",
        float(values[best]) if best is not None else None,
        int(epochs[best]) if best is not None and epochs is not None else None,
        float(values[known[-1]]) if known.size else None,
        int(epochs[-1]) if epochs is not None and epochs.size else 0,
        float(np.nansum(seconds)) if seconds is not None else 0.0,
    )


def seconds_to(curve: Curves, perplexity: float) -> float | None:
    """Seconds of training until the perplexity that ``figures`` is about was first ``perplexity`` or lower, or None."""
    _, values = _perplexities(curve)
    reached = np.flatnonzero(values <= perplexity)[:1].tolist()
    seconds, training = curve.column("seconds"), None
    if reached and seconds is not None:
        return float(seconds[: reached[0] + 1].sum())  # not the whole column of ``training``: the target changes often
    if reached:
        training = curve.column("training")
    return float(training[reached[0]]) if training is not None else None


def _perplexities(curve: Curves) -> tuple[str, Column]:
    for name in ("validation_perplexity", "perplexity"):
        values = curve.column(name)
        if values is not None and not np.isnan(values).all():
            return name, values
    return "perplexity", np.empty(0)


def differing_settings(configs: Sequence[RunConfig | None]) -> list[tuple[Setting, list[str]]]:
    """The settings that are not the same in all runs, in the order of the form, with the value of each run.

    A setting without effect in a run, and those of a run whose settings cannot be read (None), are dashes.
    """
    found = []
    for setting in settings():
        words = [
            "–" if config is None or not setting.relevant(config) else value_words(getattr(config, setting.name))
            for config in configs
        ]
        if len({word for word, config in zip(words, configs, strict=True) if config is not None}) > 1:
            found.append((setting, words))
    return found


def value_words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return shown(value) if isinstance(value, (int, float, str)) else str(value)
