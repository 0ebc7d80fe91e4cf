"""The loop of a sweep: takes runs from its plan, trains one or several side by side, and notes what becomes of them."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from core.events import EpochFinished, State
from core.sweep.folder import PRUNED, Lock, Outcome, SweepFolder
from core.sweep.sweep import PlannedRun, Sweep
from core.sweep.training import Training

LOOK_SECONDS = 0.1
# Seconds between two looks for runs that another process has left.
WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class Taken:
    """A run to train now, and its lock."""

    planned: PlannedRun
    claim: Lock


class Plan(ABC):
    """Where the runs come from: a grid, or a search."""

    @abstractmethod
    def take(self) -> Taken | None:
        """The next run that no process trains; None if there is none now."""

    @abstractmethod
    def elsewhere(self) -> int:
        """How many unfinished runs other processes train."""

    def given_up(self) -> Sequence[str]:
        """A sentence for each run of a silent machine that was given up since the last call."""
        return ()

    def observe(self, planned: PlannedRun, events: Sequence[EpochFinished]) -> bool:
        """Note new epochs of a run that trains; called a few times a second. True ends it early, as pruned."""
        return False

    def finish(self, planned: PlannedRun, outcome: Outcome, loss: float) -> Outcome:
        """Note what became of a run; ``loss`` is its best, in nats, infinite if there is none.

        Returns what became of it in the sweep: another process may have given it up.
        """
        return outcome

    def importances(self) -> dict[str, float]:
        """The share of each setting in what makes the results differ; empty where it is not known."""
        return {}


class Listener(Protocol):
    """Whoever shows a sweep."""

    def began(self, planned: PlannedRun, is_resumed: bool) -> None:
        """A run is trained from now on."""

    def grew(self, planned: PlannedRun, event: EpochFinished) -> None:
        """The latest epoch of a run."""

    def ended(self, planned: PlannedRun, outcome: Outcome, loss: float) -> None:
        """The training of a run has ended."""

    def waits(self, count: int) -> None:
        """Nothing is left here, but other processes train ``count`` runs."""

    def gave_up(self, words: str) -> None:
        """A run of a silent machine was given up."""


@dataclass(frozen=True)
class Place:
    """What a run gets that is trained beside others: threads and a device; 0 and empty leave the settings alone."""

    threads: int = 0
    device: str = ""

    def settings_of(self, planned: PlannedRun) -> PlannedRun:
        """The run with the settings of this place, unless they are its own."""
        changes: dict[str, int | str] = {}
        if self.threads and planned.config.threads == 0:
            changes["threads"] = max(1, self.threads // max(1, planned.config.workers))  # in each worker
        if self.device and planned.config.device in ("auto", "cuda") and planned.config.workers < 2:
            changes["device"] = self.device
        return replace(planned, config=planned.config.replace(**changes)) if changes else planned


def places(sweep: Sweep, jobs: int) -> list[Place]:
    """The places of ``jobs`` runs side by side: the cores are divided, the GPUs are taken in turn, or one is shared."""
    if jobs == 1:
        return [Place()]
    from core.process import cores

    threads = max(1, cores() // jobs)
    devices = [""]
    if sweep.config.device in ("auto", "cuda"):
        from core.devices import cuda_names  # imports torch

        devices = cuda_names() or devices
    return [Place(threads, devices[job % len(devices)]) for job in range(jobs)]


class Driver:
    """Works on a sweep until no run is left. ``is_ending``: whether to stop; what trains then is saved."""

    def __init__(
        self, sweep: Sweep, folder: SweepFolder, plan: Plan, where: Sequence[Place], listener: Listener,
        is_ending: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._sweep = sweep
        self._folder = folder
        self._plan = plan
        self._free = list(where)
        self._listener = listener
        self._is_ending = is_ending
        self._active: list[tuple[Training, Place]] = []
        self._pruned: set[str] = set()
        self._restarted: set[str] = set()
        self._is_stopping = False

    def run(self) -> bool:
        """Train. Returns whether the sweep is done; if not, it was asked to stop, and what trained is saved."""
        waited, told = 0.0, 0
        try:
            while True:
                if not self._is_stopping and (self._is_ending() or self._folder.is_asked_to_stop()):
                    self._is_stopping = True
                    self._stop()
                if not self._is_stopping and self._free and time.monotonic() >= waited:
                    self._fill()
                    waited = time.monotonic() + WAIT_SECONDS if self._free else 0.0
                for training, place in list(self._active):
                    if self._advance(training):
                        self._active.remove((training, place))
                        self._free.append(place)
                        waited = 0.0
                if not self._active and (self._is_stopping or waited):
                    elsewhere = 0 if self._is_stopping else self._plan.elsewhere()
                    if not elsewhere:
                        return not self._is_stopping
                    if elsewhere != told:
                        self._listener.waits(told := elsewhere)
                time.sleep(LOOK_SECONDS)
        except BaseException:
            self._stop()
            raise

    def _stop(self) -> None:
        for training, _ in self._active:
            training.stop()

    def _fill(self) -> None:
        """Begin as many runs as there are places."""
        while self._free and not self._is_ending() and (taken := self._plan.take()) is not None:
            place = self._free.pop(0)
            planned = place.settings_of(taken.planned)
            folder = self._folder
            folder.set_outcome(planned.name, Outcome(planned.values))
            training = Training(planned, folder.saves, taken.claim, tag=self._sweep.name, data=self._sweep.data)
            self._active.append((training, place))
            self._listener.began(planned, training.is_resumed)
        for words in self._plan.given_up():
            self._listener.gave_up(words)

    def _advance(self, training: Training) -> bool:
        """Note what is new of a run. Returns whether its training has ended."""
        planned = training.planned
        has_ended = training.has_ended  # asked first: its last epochs are then in the journal
        events = training.read()
        if self._plan.observe(planned, events) and not has_ended and planned.name not in self._pruned:
            self._pruned.add(planned.name)
            training.stop()
        if events:
            self._listener.grew(planned, events[-1])
        if not has_ended:
            return False
        outcome = training.outcome()
        if outcome.state == State.INTERRUPTED and not self._is_stopping and planned.name not in self._restarted:
            self._restarted.add(planned.name)  # its process was killed: once more, from its checkpoint
            training.start()
            return False
        if planned.name in self._pruned and outcome.state == State.STOPPED:
            outcome = replace(outcome, state=PRUNED)
        outcome = self._plan.finish(planned, outcome, training.best)
        self._folder.set_outcome(planned.name, outcome)
        training.close()
        self._listener.ended(planned, outcome, training.best)
        return True
