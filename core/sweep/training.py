"""One run of a sweep that is trained by a process of its own, ``python -m core train`` or ``resume``."""

from __future__ import annotations

import math
import signal
import subprocess
import tempfile
from pathlib import Path

from core.errors import EngineError, refusing
from core.events import EpochFinished, RunResumed, State
from core.process import start_core
from core.runs.journal import JournalReader
from core.runs.run import Run
from core.runs.summary import run_summary
from core.sweep.folder import Lock, Outcome
from core.sweep.ranges import value_text
from core.sweep.sweep import PlannedRun

ENDED = (State.FINISHED, State.DIVERGED)
"""States of a run that a sweep does not train further."""


class Training:
    """A run and the process that trains it. The process has the run's lock of the sweep: it may outlive this one.

    A run that is there is resumed from its last checkpoint; one whose training has ended gets no process.
    """

    def __init__(self, planned: PlannedRun, saves: Path, claim: Lock, *, tag: str, data: str = "") -> None:
        """Raises EngineError if no process can be started."""
        self.planned = planned
        self.best = math.inf
        self._tag, self._data = tag, data
        self._claim = claim
        self._run = Run(saves / planned.name)
        self._reader = JournalReader(self._run.journal_path)
        self._losses: dict[int, float] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - for as long as the process runs
        self.is_resumed = self._run.exists()
        if not self.is_resumed or run_summary(self._run).state not in ENDED:
            self.start()

    def start(self) -> None:
        """Start a process that trains the run, or resumes it. Raises EngineError."""
        name, saves = self.planned.name, self._run.path.parent
        if self._run.exists():
            command = ["resume", f"--saves={saves}", "--", name]
        else:
            values = self.planned.config.to_dict()
            settings = [f"--set={key}={value_text(value)}" for key, value in values.items()]
            command = ["train", f"--saves={saves}", f"--name={name}", f"--tag={self._tag}", *settings]
            command += [f"--data={self._data}"] if self._data else []
        with refusing("no training can be started", EngineError):
            self._process = start_core(
                *command, stdout=subprocess.DEVNULL, stderr=self._errors, pass_fds=(self._claim.fileno(),)
            )

    def read(self) -> list[EpochFinished]:
        """The epochs that the journal has had added, without those that a resume has undone."""
        new: list[EpochFinished] = []
        for event, _ in self._reader.poll():
            if isinstance(event, EpochFinished):
                new.append(event)
                self._losses[event.epoch] = measured_loss(event)
            elif isinstance(event, RunResumed):
                new = [before for before in new if before.epoch <= event.epoch]
                self._losses = {epoch: loss for epoch, loss in self._losses.items() if epoch <= event.epoch}
        self.best = min(self._losses.values(), default=self.best)
        return new

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended, or none was needed."""
        return self._process is None or self._process.poll() is not None

    def stop(self) -> None:
        """Ask the process to save and end."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def outcome(self) -> Outcome:
        """What became of the run, after the process has ended. One whose process was killed is interrupted."""
        if self._run.exists():
            summary = run_summary(self._run)
            if summary.state != State.FAILED:
                return Outcome(self.planned.values, summary.state)
            words = self._last_words() or summary.problem
        elif self._process is not None and (self._process.returncode or 0) < 0:
            return Outcome(self.planned.values, State.INTERRUPTED)
        else:
            words = self._last_words()
        return Outcome(self.planned.values, State.FAILED, words or "its process has ended without a word")

    def close(self) -> None:
        """Release the run's lock; a process that still trains keeps it."""
        self._claim.close()
        self._errors.close()

    def _last_words(self) -> str:
        self._errors.seek(0)
        words = self._errors.read(1 << 16).decode(errors="replace").strip().splitlines()
        return words[-1].removeprefix("error: ")[:400] if words else ""


def is_open_elsewhere(run: Run) -> bool:
    """Whether an engine has the run open that may still train it, such as that of a playground."""
    return run.is_held() and run_summary(run).state not in ENDED


def measured_loss(event: EpochFinished) -> float:
    """The loss of an epoch, in nats: on the held-out text, or in training if nothing is held out."""
    return event.loss if event.validation_loss is None else event.validation_loss
