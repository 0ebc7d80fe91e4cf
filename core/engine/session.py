"""Session: one run, locked and loaded. It trains the run, writes its journal and saves it."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from core.corpus.vocabulary import Vocabulary
from core.devices import prepare, require_workers, workers_of
from core.engine.answers import BaselinesAnswer
from core.engine.checkpointing import Checkpointing
from core.engine.crew import Crew
from core.engine.failure import failure_words, free_memory, write_failure
from core.engine.loading import LoadedRun, load_run, new_metadata, new_trainer, write_new_run
from core.engine.preview import Preview, preview_after
from core.errors import RunError, UserError, WorkersLostError
from core.events import EpochFinished, Event, Note, RunResumed, State, StateChanged
from core.models.language_model import LanguageModel
from core.runs.annotation import annotated
from core.runs.atomic_write import Disk, remove_leftovers
from core.runs.held_folder import FolderLostError, HeldFolder
from core.runs.journal import JournalWriter
from core.runs.metadata import RunMetadata
from core.runs.run import Run
from core.runs.saves import check_new_run
from core.runs.store import check_name, duplicate_run, refuse_taken, run_in_making
from core.runs.summary import run_summary
from core.settings.run_config import RunConfig, setting, shown
from core.training.backend import Change, change_of
from core.training.budget import early_stop_words
from core.training.divergence import explosion_words
from core.training.trainer import Trainer, corpus_of
from core.training.validation import n_gram_baselines
from core.units import counted

# Seconds between two checks, while training, that the folder of the run still exists.
LOOK_SECONDS = 1.0


class Session:
    """A run with its tensors. At most one process has a session of a run: it holds the run's lock.

    Attributes:
        folder: the locked folder of the run.
        trainer: None if the text is missing or has changed; ``no_training`` is then the reason, and the model can
            still generate.
        state: see ``core.events.State``; ``message`` is the reason for it, or empty.
        annotate: changes the tags and the note of the run, see ``Checkpointing.annotate``.
        change: how training would compute differently than before the run was opened here, or None.
        listener: called with events that are to be seen before the call that causes them returns.
    """

    def __init__(self, folder: HeldFolder, metadata: RunMetadata, disk: Disk | None = None) -> None:
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
        if disk is not None:
            self._checkpointing.disk = disk
        self._preview: Preview | None = None
        self._checked_at = 0.0
        self._crew = Crew(folder)
        self.change: Change | None = None
        self.listener: Callable[[Event], None] = lambda event: None

    @property
    def run(self) -> Run:
        """The paths of the run's files now; they follow a folder that is moved."""
        return Run(self.folder.path)

    @property
    def metadata(self) -> RunMetadata:
        """The contents of ``run.json``."""
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
        disk: Disk | None = None,
        began: float | None = None,
        tags: Sequence[str] = (),
    ) -> Session:
        """Create an untrained run; its time budget counts from ``began``. Raises UserError, and leaves no folder."""
        if name:
            refuse_taken(saves / check_name(name))  # a model may take minutes to build: refuse before
        check_new_run(saves)
        require_workers(config)
        corpus = corpus_of(config, data_dir)
        trainer = Trainer(config, corpus)
        metadata = annotated(new_metadata(trainer), tags, None)
        with run_in_making(saves, name or None, corpus.name) as folder:
            write_new_run(folder, metadata, corpus)
            session = cls(folder, metadata, disk)
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
    def open(cls, run: Run, disk: Disk | None = None, workers: int | None = None) -> Session:
        """Open a run at its last checkpoint, to be trained by ``workers`` processes, or as many as its settings say.

        Raises RunError or another UserError, one sentence.
        """
        if not run.exists():
            raise RunError(f"there is no run {run.name!r} in {run.path.parent}")
        folder = run.lock()
        try:
            remove_leftovers(folder)
            session = cls(folder, run.metadata(), disk)
        except OSError as error:
            folder.close()
            raise RunError(f"{run.journal_path} cannot be written to: {error.strerror}") from None
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
        self._crew.loss = ""
        if wrong:
            self.note(f"{wrong}; the run continues from its best checkpoint, epoch {trainer.epoch}")

    def _compute_as_before(self) -> None:
        """Compute as before the run was opened here. Raises RunError if this machine cannot."""
        if self.change is None:
            return
        if self.change.as_before is None:
            raise RunError(f"{self.change.words}; this machine cannot compute as before")
        trainer = new_trainer(self.run, self.change.as_before, self._trainer().corpus)
        self._adopt(LoadedRun(trainer.model, self.vocabulary, trainer))
        self._restore()

    # ------------------------------------------------------------------ training

    def train(
        self,
        num_epochs: int | None = None,
        *,
        learning_rate: float | None = None,
        as_before: bool = False,
        minutes: float | None = None,
        began: float | None = None,
    ) -> list[Event]:
        """Start or continue training, to ``num_epochs`` and with ``learning_rate`` if they are given.

        With ``minutes``, a new time budget counts from ``began``, and training ends with it.
        If the run would compute differently than before (``change``), the journal says so first; with ``as_before`` it
        computes as before. Raises UserError if there is nothing to train, or this machine cannot compute as before.
        """
        if as_before:
            self._compute_as_before()
        trainer = self._trainer()
        wanted = trainer.num_epochs if num_epochs is None else int(setting("num_epochs").check(num_epochs))
        self._check_can_train(trainer, math.inf if minutes else wanted)
        goes_back = self.state == State.FAILED or bool(self._crew.loss)
        if not self._checkpointing.exists():
            self._checkpointing.require_first(trainer)
        elif goes_back:
            self._restore()  # the failure may have left a batch half done
        events: list[Event] = []
        try:
            self._join(trainer)
        except WorkersLostError as error:
            if words := self._crew.lost(trainer, error):
                raise WorkersLostError(words) from None
            events.append(Note(f"{error}: all are started again"))
        if wanted != trainer.num_epochs:
            events.append(trainer.set("num_epochs", wanted))
            self._checkpointing.soon(trainer.config.checkpoint_seconds)
        if learning_rate is not None:
            events.append(trainer.set("learning_rate", learning_rate))
        if minutes is not None:
            events.append(trainer.renew_budget(minutes, began))
        if learning_rate is not None or minutes is not None:
            # Before the first batch: a divergence goes back to the checkpoint, which must not bring the old rate back.
            self._checkpointing.is_current = False
            self.save()
        if trainer.batch == 0 and trainer.finished:
            trainer.epochs_since_best = 0  # stopped early before, and continued on request
        if self.state not in (State.PAUSED, State.TRAINING) or goes_back:
            if self.change is not None and not as_before:
                events.append(Note(self.change.words))
            self.change, self._checkpointing.has_trained = None, True
            events.append(RunResumed(trainer.epoch, trainer.batch, trainer.backend))
        return self._record(*events) + self._change_state(State.TRAINING)

    def _join(self, trainer: Trainer) -> None:
        """Have the other workers train with ``trainer``; the journal says so first, since their start takes seconds.

        Raises ConfigError, RunError or WorkersLostError.
        """
        count = self._crew.missing(trainer)
        if not count:
            return
        self._tell(State.TRAINING, f"starting {counted(count, 'worker')}")
        try:
            self._crew.join(trainer)
        except BaseException:
            self._tell(self.state, self.message)
            raise

    def _tell(self, state: str, message: str) -> None:
        """Add a state to the journal and call ``listener`` with it at once."""
        epoch = self.trainer.epoch if self.trainer is not None else 0
        for event in self._record(StateChanged(state, epoch, message)):
            self.listener(event)

    def _check_can_train(self, trainer: Trainer, num_epochs: float) -> None:
        """Raise UserError if there is nothing to train, or the folder was deleted."""
        if trainer.diverged:
            raise UserError("the run diverged and its last checkpoint cannot be read: start a new one")
        if trainer.epoch >= num_epochs and trainer.batch == 0 and not trainer.budget.is_waiting:
            raise UserError(
                f"{counted(trainer.epoch, 'epoch is', 'epochs are')} done and {shown(num_epochs)} were asked for: "
                f"ask for more than {shown(trainer.epoch)} to train on"
            )
        self._check_folder()
        if self.folder.lost:
            raise RunError(self.folder.lost)

    def pause(self) -> list[Event]:
        """Pause and save. Raises UserError if the run is not training."""
        if self.state != State.TRAINING:
            raise UserError(f"there is nothing to pause: the run is {self.state}")
        self.save()
        return self._change_state(State.PAUSED)

    def stop(self) -> list[Event]:
        """Stop training and save."""
        if self.state not in (State.TRAINING, State.PAUSED):
            return []
        self._preview = None
        self.save()
        return self._change_state(State.STOPPED)

    def step(self, is_ending: Callable[[], bool] = lambda: False, *, as_before: bool = False) -> list[Event]:
        """Train one batch and pause; validation and preview at the end of an epoch stop early once ``is_ending``.

        ``as_before``: see ``train``. Raises UserError if all epochs are done.
        """
        events = [] if self.state in (State.TRAINING, State.PAUSED) else self.train(as_before=as_before)
        if self.state == State.TRAINING:
            events += self._change_state(State.PAUSED)
        events += self.advance()
        while self.state == State.PAUSED and self._has_more_to_do and not is_ending():
            events += self.advance()
        if self.state == State.PAUSED and not any(isinstance(event, EpochFinished) for event in events):
            events += self._record(self._trainer().progress())
        return events

    @property
    def _has_more_to_do(self) -> bool:
        """Whether validation or a preview of the last batch needs another call of ``advance``."""
        return self._preview is not None or self._trainer().is_measuring

    def set(self, name: str, value: Any) -> list[Event]:
        """Change a live setting. Raises UserError."""
        trainer = self._trainer()
        events = self._record(trainer.set(name, value))
        self._checkpointing.soon(trainer.config.checkpoint_seconds)
        if self.state != State.TRAINING:
            self.save()
        return events

    def advance(self) -> list[Event]:
        """Train one batch, or a few milliseconds of validation or preview; returns the events.

        An exception makes the run ``failed``; the event has its message.
        """
        events: list[Event] = []
        try:
            trainer = self._trainer()
            if self._crew.loss:
                events += self._replace_workers(trainer)
            if self._preview is None and not trainer.finished:  # num_epochs may have been lowered just now
                self._checkpointing.is_current = False
                new = self._record(*(event for event in trainer.advance() if not isinstance(event, StateChanged)))
                events += new
                for event in new:
                    if isinstance(event, EpochFinished):
                        self._after_epoch(event, events)
            self._after_batch(trainer, events)
            if time.monotonic() - self._checked_at >= LOOK_SECONDS:
                self._check_folder()
            if not self.folder.lost:
                return events
            words = self.folder.lost
        except WorkersLostError as error:
            words = self._crew.lost(self._trainer(), error)
            self._preview = None
            if not words:
                return events + self._record(Note(f"{error}: all start again from the last checkpoint"))
        except Exception as error:
            write_failure(error, self.folder)
            words = failure_words(error, self.folder)
            if self.trainer is not None:
                self._crew.part(self.trainer, in_order=False)
        # Outside of ``except``: only here is the failed frame gone, with the tensors in it.
        self._preview = None
        free_memory(self.model)
        return events + self._change_state(State.FAILED, words)

    def _replace_workers(self, trainer: Trainer) -> list[Event]:
        """Continue from the last checkpoint with other workers; a learning rate set since then is kept."""
        rate = trainer.schedule.base
        self._restore()
        self._join(trainer)
        events: list[Event] = [RunResumed(trainer.epoch, trainer.batch, trainer.backend)]
        if trainer.schedule.base != rate:
            events.append(trainer.set("learning_rate", rate))
        return self._record(*events) + self._change_state(self.state)

    def _check_folder(self) -> None:
        """Find out whether the run's folder was deleted; ``folder.lost`` is then a sentence."""
        self._checked_at = time.monotonic()
        with contextlib.suppress(FolderLostError):
            self.folder.check()

    def _after_batch(self, trainer: Trainer, events: list[Event]) -> None:
        """Write a part of the preview, and save what is due; each event goes to ``events`` as it happens."""
        if self._preview is not None:
            done = self._preview.advance()
            if done is not None:
                events += self._record(done)
            if self._preview.finished:
                self._preview = None
        if trainer.diverged:
            events += self._after_divergence()
        elif self._preview is None and trainer.finished:
            self.save()
            if not self._crew.loss:
                events += self._change_state(State.FINISHED, early_stop_words(trainer.epoch, trainer.config))
        elif self._preview is None and self._checkpointing.is_due(trainer):
            self.save()

    def _after_epoch(self, event: EpochFinished, events: list[Event]) -> None:
        trainer = self._trainer()
        if trainer.is_best:
            self._checkpointing.keep_best(trainer)
        if trainer.exploding_epochs == 1:
            events += self._record(Note(explosion_words(event, len(self.vocabulary))))
        self._preview = preview_after(trainer, event.epoch)

    def _after_divergence(self) -> list[Event]:
        trainer = self._trainer()
        message = trainer.diverged
        try:
            self._restore()
            message += f"; the weights are those of epoch {trainer.epoch} again"
        except RunError as error:
            message += f"; {error}"
        return self._change_state(State.DIVERGED, message)

    def baselines(self) -> BaselinesAnswer:
        """Perplexities of the n-gram models, see ``n_gram_baselines``."""
        trainer = self._trainer()
        on = "held out" if trainer.held_out is not None else "training"
        return BaselinesAnswer(on, **n_gram_baselines(trainer.corpus, trainer.config))

    def save(self) -> None:
        """Save a checkpoint; if that fails, ``save_problem`` is the reason, or a worker was lost."""
        if self._crew.loss:
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
        """Add a remark to the journal."""
        self._record(Note(text))

    def close(self) -> None:
        """Stop training, save and release the run; further calls do nothing."""
        try:
            self.stop()
        finally:
            self._release()

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
