"""Curves: the figures of a training as columns, from a run's journal or from another program's file."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.errors import RunError, UserError, refusing
from core.events import SampleWritten
from core.runs.comparison import DERIVED, JOURNAL_COLUMNS, MEASURED_COLUMNS, Column, Curves, RunCurve
from core.runs.journal import last_lines, read_journal
from core.runs.metrics import AXES
from core.runs.run import Run

WHOLE_COLUMNS = frozenset({"epoch", "step"})


@dataclass(frozen=True)
class Curve(Curves):
    """The figures of one training.

    Attributes:
        name: of the run, or of the file.
        columns: by their names, all of one length; NaN where a row lacks the figure.
        source: where it was read.
        vocabulary: how many tokens a run's model knows; 0 where that is not known.
    """

    name: str
    columns: Mapping[str, Column]
    source: Path
    version: int = 0
    vocabulary: int = 0

    @property
    def rows(self) -> int:
        """How many rows it has: the epochs of a run."""
        return len(next(iter(self.columns.values()), ()))

    @property
    def only_figure(self) -> str:
        """The one figure of a file that has no other; empty where it has several. TensorBoard's CSV calls it Value."""
        figures = [name for name in self.columns if name.lower().replace(" ", "_") not in (*AXES, "wall_time")]
        return figures[0] if len(figures) == 1 else ""

    def stored(self, name: str) -> Column | None:
        return self.columns.get(name)

    def required(self, name: str) -> Column:
        """A column by its name, also one that follows from others. Raises UserError with the names that there are."""
        if (column := self.column(name)) is not None:
            return column
        derived = (name for name, (_, needed) in DERIVED.items() if set(needed) <= set(self.columns))
        there = list(dict.fromkeys((*self.columns, *derived)))  # a run's own perplexity could also be derived
        named = ", ".join(there[:20]) + (", ..." if len(there) > 20 else "")
        raise UserError(f"{self.name} has no {name}; it has {named}")

    def points(self, metric: str, axis: str) -> tuple[Column, Column]:
        """See ``Curves``; of a file with one figure, that figure, whatever it is called."""
        return super().points(metric if self.has(metric) else self.only_figure or metric, axis)


def read_run(run: Run, name: str = "") -> Curve:
    """The epochs of a run, without those that a resume has undone; ``name`` is another than the run's own.

    Raises RunError for a journal that cannot be read; a missing one has no epochs.
    """
    curve = RunCurve(run.path, is_exact=True)
    while curve.read():
        pass
    if not curve.rows:
        _require_readable(run)
    missing = np.full(curve.rows, math.nan)
    columns = {column: missing if (found := curve.stored(column)) is None else found for column in JOURNAL_COLUMNS}
    measured = {column: found for column in MEASURED_COLUMNS if (found := curve.stored(column)) is not None}
    vocabulary = 0
    with contextlib.suppress(RunError):  # a curve can be exported without the settings
        vocabulary = run.metadata().corpus.vocabulary
    return Curve(name or run.name, columns | measured, run.path, vocabulary=vocabulary)


def read_samples(run: Run) -> list[SampleWritten]:
    """The texts that a run wrote while it trained. Raises RunError for a journal that cannot be read."""
    _require_readable(run)
    return [event for event, _ in read_journal(run.journal_path) if isinstance(event, SampleWritten)]


def _require_readable(run: Run) -> None:
    """Raise RunError if the journal exists but cannot be read: its readers take it for empty."""
    with refusing(f"{run.journal_path} cannot be read"):
        last_lines(run.journal_path)


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


def require_rows(curves: Iterable[Curve]) -> tuple[list[Curve], list[str]]:
    """The curves that have rows, and a sentence for each other one. Raises UserError where none has."""
    curves = list(curves)
    empty = [f"{curve.name} has no epochs yet" for curve in curves if not curve.rows]
    if len(empty) == len(curves):
        raise UserError(f"{'; '.join(empty[:8])}: train it first" if curves else "there is nothing to export")
    return [curve for curve in curves if curve.rows], [f"{words}: it is left out" for words in empty]
