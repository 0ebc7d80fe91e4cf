"""The runs of a sweep as a table, the best first: from the journals, while they train too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.events import State, perplexity
from core.runs.run import Run
from core.runs.summaries import Stamp, stamp_of
from core.runs.summary import run_summary
from core.settings.setting import Value
from core.sweep.folder import GIVEN_UP, PRUNED, Outcome, SweepFolder
from core.sweep.sweep import Sweep

if TYPE_CHECKING:
    from core.runs.comparison import RunCurve

WAITING = "waiting"


@dataclass(frozen=True)
class Result:
    """A run of a sweep.

    ``best`` is its lowest perplexity on the text that ``on`` names, at ``best_epoch``; None if there is none. ``state``
    is one of ``core.events.State``, ``PRUNED``, ``GIVEN_UP`` or ``WAITING``; ``message`` is the reason of a
    failure. ``place`` is the machine that has the run, if it is not here.
    """

    run: str
    values: Mapping[str, Value]
    state: str
    best: float | None = None
    best_epoch: int | None = None
    on: str = ""
    epochs: int = 0
    seconds: float = 0.0
    message: str = ""
    place: str = ""

    @property
    def words(self) -> str:
        """The state, and on which machine if it is not this one."""
        return f"{self.state} on {self.place}" if self.place else self.state

    def to_json(self) -> dict[str, Any]:
        best = self.best if self.best is not None and math.isfinite(self.best) else None
        return {**vars(self), "values": dict(self.values), "best": best, "seconds": round(self.seconds, 3)}


class Results:
    """The results of one sweep, which follow the journals; not thread-safe."""

    def __init__(self, folder: SweepFolder) -> None:
        self.folder = folder
        self._curves: dict[str, RunCurve] = {}
        # Of runs that are not being trained: read again when they change.
        self._ended: dict[str, tuple[Stamp, Result]] = {}

    def read(self, sweep: Sweep) -> list[Result]:
        """All runs, the best first, those without a result last. Raises RunError for a damaged sweep."""
        planned = {run.name: Outcome(run.values) for run in sweep.runs()} if sweep.is_grid else {}
        names = list(dict.fromkeys((*planned, *self.folder.run_names())))
        on = "held out" if sweep.config.validation_fraction else "training"
        found = [self._result(name, planned.get(name), on) for name in names]
        return sorted(found, key=lambda result: math.inf if result.best is None else result.best)

    def _result(self, name: str, planned: Outcome | None, on: str) -> Result:
        journal = Run(self.folder.saves / name).journal_path
        stamp = stamp_of(f"{self.folder.path}/{name}.json") + stamp_of(str(journal))
        if name in self._ended and self._ended[name][0] == stamp:
            return self._ended[name][1]
        known = self.folder.outcome(name) or planned or Outcome()
        result = _elsewhere(name, known, on) if known.place else self._read(name, known)
        if has_ended(result):
            self._curves.pop(name, None)
            self._ended[name] = stamp, result
        return result

    def _read(self, name: str, known: Outcome) -> Result:
        from core.runs.comparison import RunCurve, figures  # and numpy, which a list of runs does not need

        run = Run(self.folder.saves / name)
        if not run.exists():
            state = known.state if known.state in (State.FAILED, PRUNED, GIVEN_UP) else WAITING
            return Result(name, known.values, state, message=known.message)
        curve = self._curves.setdefault(name, RunCurve(run.path))
        while curve.read():
            pass
        shown, state = figures(curve), run_summary(run).state
        if known.state == PRUNED and state == State.STOPPED:
            state = PRUNED
        if known.state == GIVEN_UP and state not in (State.TRAINING, State.PAUSED):
            state = GIVEN_UP  # by another machine; what it has reached is shown
        best = shown.best, shown.best_epoch, shown.on
        return Result(name, known.values, state, *best, shown.epochs, shown.seconds, known.message)


def _elsewhere(name: str, known: Outcome, on: str) -> Result:
    best = None if known.loss is None else perplexity(known.loss)
    return Result(name, known.values, known.state, best, None, on, message=known.message, place=known.place)


def has_ended(result: Result) -> bool:
    """Whether a run is not trained any further."""
    return result.state in (State.FINISHED, State.DIVERGED, State.FAILED, PRUNED, GIVEN_UP)


def counted_results(results: Sequence[Result]) -> list[Result]:
    """Those that count as runs of the sweep: another run takes the place of one that was given up."""
    return [result for result in results if result.state != GIVEN_UP]


def is_done(results: Sequence[Result], sweep: Sweep) -> bool:
    """Whether no run is left to train."""
    return sum(map(has_ended, counted_results(results))) >= (len(results) if sweep.is_grid else sweep.trials)
