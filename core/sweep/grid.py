"""The runs of a grid, in their order: each is trained once, whichever process does it."""

from __future__ import annotations

from core.runs.run import Run
from core.sweep.driver import Plan, Taken
from core.sweep.folder import Outcome, SweepFolder
from core.sweep.sweep import PlannedRun, Sweep
from core.sweep.training import ENDED, is_open_elsewhere


class GridPlan(Plan):
    """Which runs of a grid are left. A run that failed or was stopped is trained on by the next command.

    Several processes may work on the same grid: each run has a lock.
    """

    def __init__(self, sweep: Sweep, folder: SweepFolder) -> None:
        self._folder = folder
        self._left = {run.name: run for run in sweep.runs()}
        self._mine: set[str] = set()

    def take(self) -> Taken | None:
        for name, planned in list(self._left.items()):
            if name in self._mine:
                continue
            if self._is_done(name):
                del self._left[name]
                continue
            claim = self._folder.claim(name)
            if claim is None:
                continue
            # Another process may have finished it meanwhile.
            if self._is_done(name) or is_open_elsewhere(Run(self._folder.saves / name)):
                claim.close()
                continue
            self._mine.add(name)
            return Taken(planned, claim)
        return None

    def elsewhere(self) -> int:
        return sum(name not in self._mine and not self._is_done(name) for name in self._left)

    def finish(self, planned: PlannedRun, outcome: Outcome, loss: float) -> Outcome:
        del self._left[planned.name]
        return outcome

    def _is_done(self, name: str) -> bool:
        """Whether training has ended, and the run was not deleted since."""
        outcome = self._folder.outcome(name)
        return outcome is not None and outcome.state in ENDED and Run(self._folder.saves / name).exists()
