"""OpenRun: one run, locked and in memory: opened or created, its journal, its checkpoints, its copies."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from core.corpus.vocabulary import Vocabulary
from core.devices import prepare, require_workers, workers_of
from core.engine.answers import BaselinesAnswer
from core.engine.checkpointing import Checkpointing
from core.engine.crew import Crew
from core.engine.loading import LoadedRun, load_run, new_metadata, new_trainer, write_new_run
from core.engine.preview import Preview
from core.errors import RunError, UserError, WorkersLostError, refusing
from core.events import Event, Note, State, StateChanged
from core.models.language_model import LanguageModel
from core.runs.annotation import annotated
from core.runs.atomic_write import remove_leftovers
from core.runs.held_folder import HeldFolder
from core.runs.journal import JournalWriter
from core.runs.metadata import RunMetadata
from core.runs.run import Run
from core.runs.saves import check_new_run
from core.runs.store import check_name, duplicate_run, refuse_taken, run_in_making
from core.runs.summary import from_best_words, run_summary
from core.settings.run_config import RunConfig
from core.training.backend import Change, change_of
from core.training.budget import early_stop_words
from core.training.parts import corpus_of
from core.training.trainer import Trainer
from core.training.validation import n_gram_baselines


class OpenRun:
    """A run with its tensors. At most one process has a run open: it holds the run's lock.

    Attributes:
        folder: the locked folder of the run.
        trainer: None if the text is missing or has changed; ``no_training`` is then the reason, and the model can
            still generate.
        state: see ``core.events.State``; ``message`` is the reason for it, or empty.
        annotate: changes the tags and the note of the run, see ``Checkpointing.annotate``.
        change: how training would compute differently than before the run was opened here, or None.
        recovered: a sentence if the weights are those of the best checkpoint, because the latest one is damaged; else
            empty. The journal says it when training continues.
        listener: called with events that are to be seen before the call that causes them returns.
    """

    def __init__(self, folder: HeldFolder, metadata: RunMetadata) -> None:
        """Raises OSError if the journal cannot be opened; the caller then closes ``folder``."""
        self.folder = folder
        self.state = State.IDLE
        self.message = ""
        self.trainer: Trainer | None = None
        self.no_training = ""
        self.model: LanguageModel
        self.vocabulary: Vocabulary
        self._journal = JournalWriter(folder)
        self._checkpointing = Checkpointing(folder, metadata, self._journal, self._record)
        self.annotate = self._checkpointing.annotate
        self._preview: Preview | None = None
        self._checked_at = 0.0
        self._crew = Crew(folder)
        self._is_whole = True  # False from a failure, which may leave a batch half done, until ``_restore``
        self.change: Change | None = None
        self.recovered = ""
        self.listener: Callable[[Event], None] = lambda event: None

    @property
    def run(self) -> Run:
        """The paths of the run's files now; they follow a folder that is moved."""
        return Run(self.folder.path)

    @property
    def metadata(self) -> RunMetadata:
        return self._checkpointing.metadata

    @property
    def save_problem(self) -> str:
        """A sentence if the last checkpoint could not be saved, else empty."""
        return self._checkpointing.problem

    @classmethod
    def create(
        cls,
        config: RunConfig,
        saves: Path,
        name: str | None = None,
        data_dir: Path | None = None,
        began: float | None = None,
        tags: Sequence[str] = (),
    ) -> Self:
        """Create an untrained run; its time budget counts from ``began``. Raises UserError, and leaves no folder."""
        if name is not None:
            refuse_taken(saves / check_name(name))  # a model may take minutes to build: refuse before
        check_new_run(saves)
        require_workers(config)
        corpus = corpus_of(config, data_dir)
        trainer = Trainer(config, corpus)
        metadata = annotated(new_metadata(trainer), tags, None)
        with run_in_making(saves, name, corpus.name) as folder:
            write_new_run(folder, metadata, corpus)
            session = cls(folder, metadata)
            try:
                session._adopt(LoadedRun(trainer.model, corpus.vocabulary, trainer))
                session._record(StateChanged(State.IDLE, 0))
                session._checkpointing.save_first(trainer)
                trainer.budget.hold(True, began)
            except BaseException:
                session._release()
                raise
        return session

    @classmethod
    def open(cls, run: Run, workers: int | None = None) -> Self:
        """Open a run at its last checkpoint, to be trained by ``workers`` processes, or as many as its settings say.

        Raises RunError or another UserError, one sentence.
        """
        if not run.exists():
            raise RunError(f"there is no run {run.name!r} in {run.path.parent}")
        folder = run.lock()
        try:
            with refusing(f"{run.journal_path} cannot be written to"):
                remove_leftovers(folder)
                session = cls(folder, run.metadata())
        except BaseException:
            folder.close()
            raise
        try:
            session._load(run, workers)
            if session.run.path != run.path:
                raise RunError(f"run {run.name!r} has just been renamed: open it under its new name")
        except BaseException:
            session._release()
            raise
        return session

    def _load(self, run: Run, workers: int | None) -> None:
        summary = run_summary(run)
        self.state = summary.state if summary.state not in (State.TRAINING, State.PAUSED) else State.INTERRUPTED
        loaded = load_run(run, self.metadata, self.folder, workers)
        self._adopt(loaded)
        self._record(*map(Note, loaded.notes))
        trainer = loaded.trainer
        # A run that was killed before its first checkpoint starts again: the seed gives it the same weights.
        if trainer is not None and (summary.epoch > 0 or self._checkpointing.exists()):
            self._restore()
            if trainer.step:
                now = {**trainer.backend, "workers": str(workers_of(trainer.config))}
                self.change = change_of(self.metadata.backend, self.metadata.config, trainer.config, now)
        if trainer is not None and self.state == State.INTERRUPTED and trainer.finished:
            # Killed just before it was recorded.
            self._change_state(State.FINISHED, early_stop_words(trainer.epoch, trainer.config))

    def _adopt(self, loaded: LoadedRun) -> None:
        if loaded.trainer is not None:
            prepare(loaded.trainer.config)  # generation and measuring in this process compute as training does
        self.trainer, self.model, self.vocabulary = loaded.trainer, loaded.model, loaded.vocabulary
        self.no_training = loaded.no_training

    def _restore(self) -> None:
        trainer = self._trainer()
        self._preview = None
        wrong = self._checkpointing.restore(trainer)
        self._crew.loss, self._is_whole = "", True
        self.recovered = from_best_words(wrong, trainer.epoch) if wrong else ""

    def _compute_as_before(self) -> None:
        """Compute as before the run was opened here. Raises RunError if this machine cannot."""
        if self.change is None:
            return
        if self.change.as_before is None:
            raise RunError(f"{self.change.words}; this machine cannot compute as before")
        trainer = new_trainer(self.run, self.change.as_before, self._trainer().corpus)
        self._is_whole = False
        self._adopt(LoadedRun(trainer.model, self.vocabulary, trainer))
        self._restore()

    def baselines(self) -> BaselinesAnswer:
        """Perplexities of the n-gram models, see ``n_gram_baselines``."""
        trainer = self._trainer()
        on = "held out" if trainer.held_out is not None else "training"
        return BaselinesAnswer(on, **n_gram_baselines(trainer.corpus, trainer.config))

    def save(self) -> None:
        """Save a checkpoint; if that fails, ``save_problem`` is the reason, or a worker was lost."""
        if self._crew.loss or not self._is_whole:
            return  # there is nothing whole to save
        try:
            self._checkpointing.save(self.trainer)
        except WorkersLostError as error:
            self._crew.lost(self._trainer(), error)
            self.note(f"{error}: the last checkpoint is kept")

    def copy(self, name: str) -> Path:
        """Copy the run as it was last saved; an interrupted copy leaves nothing. Raises UserError."""
        if self.save_problem:
            raise RunError(self.save_problem)
        copy = duplicate_run(self.run, name, self.folder.open_to_read)
        if self.state in (State.TRAINING, State.PAUSED):
            # The copy is not in training, and was not interrupted.
            with contextlib.suppress(OSError, RunError), copy.lock() as folder, JournalWriter(folder) as journal:
                journal.append(StateChanged(State.STOPPED, self._trainer().epoch, f"saved from {self.run.name}"))
        return copy.path

    def note(self, text: str) -> None:
        self._record(Note(text))

    def _release(self) -> None:
        if self.trainer is not None:
            self._crew.part(self.trainer)
        self._journal.close()
        self.folder.close()

    def _trainer(self) -> Trainer:
        if self.trainer is None:
            raise UserError(self.no_training)
        return self.trainer

    def _change_state(self, state: str, message: str = "") -> list[Event]:
        self.state, self.message = state, message
        if self.trainer is not None:
            self.trainer.budget.hold(state != State.TRAINING)
            if state not in (State.TRAINING, State.PAUSED):
                self._crew.part(self.trainer)
        return self._record(StateChanged(state, self.trainer.epoch if self.trainer is not None else 0, message))

    def _record(self, *events: Event) -> list[Event]:
        """Add events to the journal; returns them."""
        for event in events:
            self._journal.append(event)
        return list(events)
