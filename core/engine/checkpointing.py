"""Checkpointing: when the checkpoint of a run is saved, and what is reported if that fails."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable

from core.engine.failure import is_out_of_memory
from core.errors import RunError
from core.events import Event, Note
from core.runs.annotation import annotated, write_annotated
from core.runs.atomic_write import write_whole
from core.runs.held_folder import FolderLostError, HeldFolder
from core.runs.journal import JournalWriter
from core.runs.latest_and_best import Checkpoints
from core.runs.metadata import RunMetadata
from core.runs.recovery import use_last_good
from core.runs.run import METADATA, Run
from core.training.trainer import Trainer

# Seconds after which a changed setting is in a checkpoint.
SAVE_SOON = 1.0


class Checkpointing:
    """The checkpoints of one run.

    Attributes:
        metadata: the contents of ``run.json``, updated with each checkpoint.
        problem: a sentence if the last checkpoint could not be saved, else empty.
        is_current: whether the last checkpoint contains all training so far.
        has_trained: whether this process has trained the run; if not, the stored backend is kept.
    """

    def __init__(
        self, folder: HeldFolder, metadata: RunMetadata, journal: JournalWriter, record: Callable[[Event], object]
    ) -> None:
        """``record`` adds an event to the journal."""
        self.metadata = metadata
        self.problem = ""
        self._unsaved = "checkpoint"
        self.is_current = self.has_trained = False
        self._checkpoints = Checkpoints(folder)
        self._folder, self._journal, self._record = folder, journal, record
        self._saved_at = time.monotonic()
        self._saved_fit = metadata.fit

    def is_due(self, trainer: Trainer) -> bool:
        """Whether the last checkpoint is old enough, or from before the last fit to a time budget."""
        if trainer.budget.fit != self._saved_fit:
            return True
        return time.monotonic() - self._saved_at >= trainer.config.checkpoint_seconds

    def soon(self, seconds: float) -> None:
        """Save ``SAVE_SOON`` after a change; not at once, because a key held down makes thirty changes a second.

        ``seconds`` is the usual time between two checkpoints.
        """
        self.is_current = False
        self._saved_at = min(self._saved_at, time.monotonic() - seconds + SAVE_SOON)

    def save(self, trainer: Trainer | None) -> None:
        """Save a checkpoint, unless there is nothing new or the run has diverged.

        One whose file was changed or removed since it was written is written again: these weights may be the only ones.
        So is a ``run.json`` that was removed.
        """
        self._saved_at = began = time.monotonic()
        is_saved = self.is_current and self._checkpoints.is_as_written() and self._folder.state_of(METADATA)
        if trainer is not None and not is_saved and trainer.is_sound():
            self._write(trainer)
            self.is_current = not self.problem
            trainer.budget.saving = time.monotonic() - began
        self._saved_fit = trainer.budget.fit if trainer is not None else None

    def keep_best(self, trainer: Trainer) -> None:
        """Keep a copy of the best epoch so far; it is written with the next checkpoint."""
        try:
            self._checkpoints.keep_best(*trainer.checkpoint())
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self._refused(error)

    def save_first(self, trainer: Trainer) -> None:
        """Save the first checkpoint of a run. Raises OSError: a run without it does not begin."""
        self._journal.sync()
        self._checkpoints.write(*trainer.checkpoint())
        self.is_current, self._saved_at = True, time.monotonic()

    def require_first(self, trainer: Trainer) -> None:
        """``save_first``, raising RunError: a training that cannot be resumed is not started."""
        try:
            self.save_first(trainer)
        except OSError as error:
            raise RunError(
                f"the run's first checkpoint could not be saved ({error.strerror or error}): make room or permit "
                f"writing in {self._folder.path}"
            ) from None

    def exists(self) -> bool:
        """Whether the folder contains a checkpoint, damaged or not."""
        run = Run(self._folder.path)
        return run.latest_path.exists() or run.best_path.exists()

    def annotate(self, tags: Iterable[str] | None, note: str | None) -> None:
        """Change the tags and the note in ``run.json``; None keeps them. Raises RunError."""
        metadata = annotated(self.metadata, tags, note)
        if metadata != self.metadata:
            write_annotated(self._folder, metadata)
            self.metadata = metadata

    def _write(self, trainer: Trainer) -> None:
        """Write a checkpoint. If that fails, ``problem`` and the journal say why, and the next save tries again."""
        refused: OSError | None = None
        try:
            # The journal first: after a power failure the curve must have every epoch of the checkpoint.
            self._journal.sync()
        except OSError as error:
            refused = error  # saving the weights is more important
        try:
            self._checkpoints.write(*trainer.checkpoint())
            backend = trainer.backend if self.has_trained else self.metadata.backend
            metadata = dataclasses.replace(
                self.metadata, config=trainer.config, backend=backend, fit=trainer.budget.fit
            )
            if metadata != self.metadata or not self._folder.state_of(METADATA):
                write_whole(self._folder, METADATA, metadata.encoded())
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
            self._record(Note(f"the {self._unsaved} is saved again"))
        self.problem = ""

    def _refused(self, error: Exception, what: str = "checkpoint") -> None:
        if isinstance(error, FolderLostError):
            self.problem = self._folder.lost
            return
        if isinstance(error, OSError):
            reason, remedy = error.strerror or str(error), f"make room or permit writing in {self._folder.path}"
        else:
            reason, remedy = "out of memory", "close other programs: the copy of the weights needs memory"
        problem = f"the {what} could not be saved ({reason}): {remedy}"
        if problem != self.problem:
            self._record(Note(f"{problem}; training continues in memory, and the next save tries again"))
        self.problem, self._unsaved = problem, what

    def restore(self, trainer: Trainer) -> str:
        """Restore the last checkpoint into ``trainer``, or the best one if the last is damaged.

        Returns what was wrong with the last one, else an empty text. Raises RunError if neither can be read.
        """
        self._checkpoints.settle()
        wrong = use_last_good(Run(self._folder.path), trainer.restore, self._folder.open_to_read)
        self.is_current = True
        return wrong
