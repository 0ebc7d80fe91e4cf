"""Crew: the other workers of a run that several processes train, from the start of its training to its end.

No import of ``torch.distributed`` where a run is trained by one process.
"""

from __future__ import annotations

import time

from core.devices import require_workers, workers_of
from core.errors import WorkersLostError
from core.process import torchrun_size
from core.runs.held_folder import HeldFolder
from core.training.trainer import Trainer

# Losses of workers in a row, none of them later in the training than the ones before, after which a run fails.
MOST_LOSSES = 5


class Crew:
    """The other workers of one run.

    Attributes:
        loss: what happened to a worker that was lost, or empty. The hidden states of its rows are lost with it: the
            trainer must be restored, and joined by other workers.
    """

    def __init__(self, log: HeldFolder) -> None:
        """``log`` has the file to which is written what workers print."""
        self.loss = ""
        self._log = log
        self._losses, self._furthest = 0, -1

    def missing(self, trainer: Trainer) -> int:
        """How many workers are to train ``trainer`` together, if there are several and they do not yet; else 0.

        Raises ConfigError.
        """
        require_workers(trainer.config)
        count = workers_of(trainer.config)
        return 0 if count == 1 or trainer.team is not None else count

    def join(self, trainer: Trainer) -> None:
        """Have ``trainer`` train together with as many workers as its settings say, if it does not yet.

        Raises ConfigError, RunError or WorkersLostError; no worker is left over then.
        """
        count = self.missing(trainer)
        if not count:
            return
        from core.engine.workers import local_team, torchrun_team

        began = time.monotonic()
        team = torchrun_team() if torchrun_size() else local_team(count, self._log)
        try:
            trainer.join(team)
        except BaseException:
            team.end()
            trainer.take_part(None)
            raise
        trainer.budget.elapsed += time.monotonic() - began

    def part(self, trainer: Trainer, *, in_order: bool = True) -> None:
        """End the other workers, if there are any. Unless ``in_order``, they may be in the midst of something."""
        team = trainer.team
        if team is None:
            return
        if not in_order:
            team.is_broken, self.loss = True, "the workers were ended"
        try:
            trainer.leave()
        except WorkersLostError as error:
            self.loss = str(error)
            trainer.leave()  # without them
        team.end()

    def lost(self, trainer: Trainer, error: WorkersLostError) -> str:
        """Take note that a worker was lost; returns why other workers cannot be started, or an empty text."""
        can_restart = trainer.team is None or trainer.team.can_restart
        self.part(trainer, in_order=False)
        self.loss = str(error)
        if not can_restart:
            return f"{error}: torchrun --max-restarts N starts all workers again, from the last checkpoint"
        self._losses = self._losses + 1 if trainer.step <= self._furthest else 1
        self._furthest = max(self._furthest, trainer.step)
        return f"{error}, {self._losses} times in a row: try fewer workers" if self._losses >= MOST_LOSSES else ""
