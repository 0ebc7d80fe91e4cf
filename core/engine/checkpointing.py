"""Saving: when a run's checkpoint is taken, and what is said where the disk does not take it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from core.engine.failure import is_out_of_memory
from core.events import Event, Note
from core.runs.atomic_write import Disk, write_whole
from core.runs.held_folder import FolderLostError, HeldFolder
from core.runs.journal import JournalWriter
from core.runs.latest_and_best import Checkpoints
from core.runs.metadata import RunMetadata
from core.runs.recovery import use_last_good
from core.runs.run import METADATA, Run
from core.training.trainer import Trainer

# A changed setting is in a checkpoint after so many seconds.
SAVE_SOON = 1.0


class Saving:
    """The checkpoints of one run.

    Attributes:
        metadata: what ``run.json`` says; a checkpoint brings it up to date.
        problem: a sentence where the last checkpoint could not be taken.
        is_current: whether the last checkpoint holds all that training has done.
        has_trained: whether what is saved is computed here, and not only read.
    """

    def __init__(
        self, folder: HeldFolder, metadata: RunMetadata, journal: JournalWriter, tell: Callable[[Event], object]
    ) -> None:
        """``tell`` takes the notes for the journal."""
        self.metadata = metadata
        self.problem = ""
        self._unsaved = "checkpoint"
        self.is_current = self.has_trained = False
        self.disk = Disk()
        self._checkpoints = Checkpoints(folder)
        self._folder, self._journal, self._tell = folder, journal, tell
        self._saved_at = time.monotonic()

    def is_due(self, seconds: float) -> bool:
        """Whether the last checkpoint is so many seconds old."""
        return time.monotonic() - self._saved_at >= seconds

    def soon(self, seconds: float) -> None:
        """What was changed just now is worth a checkpoint; a key held down changes it thirty times a second.

        ``seconds`` is the usual time between two checkpoints.
        """
        self.is_current = False
        self._saved_at = min(self._saved_at, time.monotonic() - seconds + SAVE_SOON)

    def save(self, trainer: Trainer | None) -> None:
        """Take a checkpoint, unless there is nothing new or what there is has diverged."""
        self._saved_at = time.monotonic()
        if trainer is not None and not self.is_current and trainer.is_sound():
            self._write(trainer)
            self.is_current = not self.problem

    def keep_best(self, trainer: Trainer) -> None:
        """This epoch is the best so far: it goes to the disk with the next checkpoint."""
        try:
            self._checkpoints.keep_best(*trainer.checkpoint())
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self._refused(error)

    def save_first(self, trainer: Trainer) -> None:
        """Take the checkpoint that a run begins from. Raises OSError: a run that cannot take it does not begin."""
        self._journal.sync()
        self._checkpoints.write(*trainer.checkpoint(), self.disk)
        self.is_current, self._saved_at = True, time.monotonic()

    def _write(self, trainer: Trainer) -> None:
        """Put a checkpoint on the disk.

        One that the disk or the memory refuses is no end: the sentence goes to the journal and ``problem``, training
        goes on in memory, and the next save is tried again.
        """
        refused: OSError | None = None
        try:
            # The journal first: a checkpoint must not know of an epoch that a power failure takes out of the curve.
            self._journal.sync()
        except OSError as error:
            refused = error  # the weights are worth more than the curve
        try:
            self._checkpoints.write(*trainer.checkpoint(), self.disk)
            backend = trainer.backend if self.has_trained else self.metadata.backend
            metadata = dataclasses.replace(self.metadata, config=trainer.config, backend=backend)
            if metadata != self.metadata:
                write_whole(self._folder, METADATA, metadata.encoded(), self.disk)
                self.metadata = metadata
        except (OSError, MemoryError, RuntimeError) as error:
            if not isinstance(error, OSError) and not is_out_of_memory(error):
                raise
            self._refused(error)
            return
        if refused is not None:
            self._refused(refused, "journal")
            return
        if self.problem:
            self._tell(Note(f"the {self._unsaved} is saved again"))
        self.problem = ""

    def _refused(self, error: Exception, what: str = "checkpoint") -> None:
        if isinstance(error, FolderLostError):
            self.problem = self._folder.lost
            return
        if isinstance(error, OSError):
            reason, remedy = error.strerror or str(error), f"make room or permit writing in {self._folder.path}"
        else:
            reason, remedy = "out of memory", "close other programs, its copy needs room"
        problem = f"the {what} could not be saved ({reason}): {remedy}"
        if problem != self.problem:
            self._tell(Note(f"{problem}; training goes on in memory, and saving is tried again"))
        self.problem, self._unsaved = problem, what

    def restore(self, trainer: Trainer) -> str:
        """Put ``trainer`` at the last checkpoint, or at the best where that is damaged; then return what was wrong.

        Raises RunError where there is no good one.
        """
        self._checkpoints.settle()
        wrong = use_last_good(Run(self._folder.path), trainer.restore, self._folder.open_to_read)
        self.is_current = True
        return wrong
