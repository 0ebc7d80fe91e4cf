"""Session: one run, held and loaded. It trains, writes the journal, saves, and knows in which state the run is."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from core.corpus.vocabulary import Vocabulary
from core.devices import at_home, prepare
from core.engine.answers import BackendChange, BaselinesAnswer, RunAnswer
from core.engine.checkpointing import Saving
from core.engine.failure import failure_words, free_memory, write_failure
from core.engine.loading import corpus_again, load_model, moved_words, trainer_again, versions, write_new_run
from core.engine.preview import SampleInMaking, sample_prefix
from core.errors import CorpusError, RunError, UserError
from core.events import EpochFinished, Event, Note, RunResumed, State, StateChanged
from core.models.language_model import LanguageModel
from core.runs.atomic_write import Disk, remove_leftovers
from core.runs.held_folder import FolderLostError, HeldFolder
from core.runs.journal import JournalWriter
from core.runs.metadata import CorpusIdentity, RunMetadata
from core.runs.run import Run
from core.runs.store import check_name, duplicate_run, now, refuse_taken, run_in_making
from core.runs.summary import run_summary
from core.settings.run_config import RunConfig, setting, shown
from core.training.backend import Change, change_of
from core.training.divergence import explosion_words
from core.training.trainer import Trainer, corpus_of
from core.training.validation import n_gram_baselines
from core.units import counted

# A training looks so often, in seconds, whether its folder is still there.
LOOK_SECONDS = 1.0


class Session:
    """A run with its tensors. Exactly one process has a session on a run: it holds the run's lock.

    Attributes:
        folder: the run's, held; run: its paths at this moment.
        model, vocabulary: live.
        trainer: None where the text is gone or changed; ``no_training`` then says why, and the model can still write.
        state: see ``core.events.State``.
        change: what training would compute otherwise than before the run was opened here; None where nothing.
    """

    def __init__(self, folder: HeldFolder, metadata: RunMetadata, disk: Disk | None = None) -> None:
        """Raises OSError where the journal cannot be written to; ``folder`` is then still the caller's."""
        self.folder = folder
        self.state = State.IDLE
        self.message = ""
        self.trainer: Trainer | None = None
        self.no_training = ""
        self.model: LanguageModel
        self.vocabulary: Vocabulary
        self._run = Run(folder.path)
        self._journal = JournalWriter(folder)
        self._saving = Saving(folder, metadata, self._journal, self._tell)
        if disk is not None:
            self._saving.disk = disk
        self._sample: SampleInMaking | None = None
        self._looked_at = 0.0
        self.change: Change | None = None

    @property
    def run(self) -> Run:
        """The paths of the run's files, for whoever reads them: they follow a folder that is moved."""
        path = self.folder.path
        if path != self._run.path:
            self._run = Run(path)
        return self._run

    @property
    def metadata(self) -> RunMetadata:
        """What ``run.json`` says."""
        return self._saving.metadata

    @property
    def save_problem(self) -> str:
        """A sentence where the last checkpoint could not be saved, else empty."""
        return self._saving.problem

    # ------------------------------------------------------------------ ways to get one

    @classmethod
    def create(
        cls,
        config: RunConfig,
        saves: Path,
        name: str | None = None,
        data_dir: Path | None = None,
        disk: Disk | None = None,
    ) -> Session:
        """A new run, untrained, saved. Raises UserError; then no folder is left behind."""
        if name:
            refuse_taken(saves / check_name(name))
        corpus = corpus_of(config, data_dir)
        trainer = Trainer(config, corpus)
        identity = CorpusIdentity(
            corpus.name, corpus.sha256, len(corpus.ids), len(corpus.vocabulary), str(corpus.path.resolve()),
            corpus.bytes,
        )  # fmt: skip
        metadata = RunMetadata(config, identity, trainer.model.num_parameters(), now(), versions(), trainer.backend)
        with run_in_making(saves, name or None, corpus.name) as folder:
            write_new_run(folder, metadata, corpus)
            session = cls(folder, metadata, disk)
            try:
                session._adopt(trainer)
                session._tell(StateChanged(State.IDLE, 0))
                session._saving.save_first(trainer)
            except BaseException:
                session._let_go()
                raise
        return session

    @classmethod
    def open(cls, run: Run, disk: Disk | None = None) -> Session:
        """A run from its folder, at its last checkpoint. Raises RunError or another UserError, one sentence."""
        if not run.exists():
            raise RunError(f"there is no run {run.name!r} in {run.path.parent}")
        session = cls._held(run, disk)
        try:
            session._load(run)
            if session.run.path != run.path:
                raise RunError(f"run {run.name!r} has just been renamed: open it under its new name")
        except BaseException:
            session._let_go()
            raise
        return session

    @classmethod
    def _held(cls, run: Run, disk: Disk | None) -> Session:
        """A session without a model yet, holding the run. Raises RunError."""
        folder = run.lock()
        try:
            remove_leftovers(folder)
            return cls(folder, run.metadata(), disk)
        except OSError as error:
            folder.close()
            raise RunError(f"{run.journal_path} cannot be written to: {error.strerror}") from None
        except BaseException:
            folder.close()
            raise

    def _load(self, run: Run) -> None:
        metadata, summary = self.metadata, run_summary(run)
        self.state = summary.state if summary.state not in (State.TRAINING, State.PAUSED) else State.INTERRUPTED
        try:
            corpus, wrong = corpus_again(run, metadata, self.folder)
        except CorpusError as error:
            self._adopt_model_alone(str(error))
        else:
            config = at_home(metadata.config)
            self._adopt(trainer_again(run, config, corpus))
            if wrong:
                self._tell(Note(f"{wrong}; it was made again from the text"))
            if config != metadata.config:
                self._tell(Note(moved_words(metadata.config, config)))
            # A run that was killed before its first checkpoint begins again: its seed gives it the same weights.
            if summary.epoch > 0 or self._has_checkpoint():
                self._restore()
                self._compare()
            if self.state == State.INTERRUPTED and self._trainer().finished:
                self._changed([], State.FINISHED, self._farewell())  # killed just before it could say so

    def _adopt(self, trainer: Trainer) -> None:
        prepare(trainer.config)  # the process is this run's: what it writes and measures computes as the training does
        self.trainer, self.model, self.vocabulary = trainer, trainer.model, trainer.corpus.vocabulary

    def _adopt_model_alone(self, why: str) -> None:
        self.no_training = f"this run can write but not train on: {why}"
        self.model, self.vocabulary = load_model(self.run)

    def _has_checkpoint(self) -> bool:
        return self.run.latest_path.exists() or self.run.best_path.exists()

    def _restore(self) -> None:
        trainer = self._trainer()
        self._sample = None
        wrong = self._saving.restore(trainer)
        if wrong:
            self._tell(Note(f"{wrong}; the run goes on from its best checkpoint, epoch {trainer.epoch}"))

    def _compare(self) -> None:
        """Find out whether what was trained so far was computed as it would be here."""
        trainer, metadata = self._trainer(), self.metadata
        if trainer.step:
            self.change = change_of(metadata.backend, metadata.config, trainer.config, trainer.backend)

    def _compute_as_before(self) -> None:
        """Compute as before the run was opened here. Raises RunError where this machine cannot."""
        if self.change is None:
            return
        if self.change.as_before is None:
            raise RunError(f"{self.change.words}; this machine cannot compute as before")
        self._adopt(trainer_again(self.run, self.change.as_before, self._trainer().corpus))
        self._restore()

    # ------------------------------------------------------------------ what it does

    def train(self, num_epochs: int | None = None, *, as_before: bool = False) -> list[Event]:
        """Begin to train, or go on. Raises UserError where there is nothing to do.

        A run that would compute otherwise than before (``change``) says so first; with ``as_before`` it computes as
        before, and UserError is raised where this machine cannot.
        """
        if as_before:
            self._compute_as_before()
        trainer = self._trainer()
        wanted = trainer.num_epochs if num_epochs is None else int(setting("num_epochs").check(num_epochs))
        if trainer.diverged:
            raise UserError("the run diverged and its last checkpoint cannot be read: start a new one")
        if trainer.epoch >= wanted and trainer.batch == 0:
            raise UserError(
                f"{counted(trainer.epoch, 'epoch is', 'epochs are')} done and {shown(wanted)} were asked for: "
                f"ask for more than {shown(trainer.epoch)} to train on"
            )
        self._look_after_folder()
        if self.folder.lost:
            raise RunError(self.folder.lost)
        if not self._has_checkpoint():
            self._take_first_checkpoint()
        elif self.state == State.FAILED:
            self._restore()  # whatever failed, failed in the middle of something
        events: list[Event] = []
        if wanted != trainer.num_epochs:
            events.append(trainer.set("num_epochs", wanted))
            self._saving.soon(trainer.config.checkpoint_seconds)
        if trainer.batch == 0 and trainer.finished:
            trainer.epochs_since_best = 0  # it had run out of patience, and somebody has more
        if self.state not in (State.PAUSED, State.TRAINING):
            if self.change is not None and not as_before:
                events.append(Note(self.change.words))
            self.change, self._saving.has_trained = None, True
            events.append(RunResumed(trainer.epoch, trainer.batch, trainer.backend))
        return self._changed(events, State.TRAINING)

    def _take_first_checkpoint(self) -> None:
        """Raises RunError where it cannot be saved: a training that could not be gone on with does not begin."""
        try:
            self._saving.save_first(self._trainer())
        except OSError as error:
            raise RunError(
                f"the run's first checkpoint could not be saved ({error.strerror or error}): make room or permit "
                f"writing in {self.run.path}"
            ) from None

    def pause(self) -> list[Event]:
        """Hold still; a checkpoint is taken. Raises UserError where nothing is training."""
        if self.state != State.TRAINING:
            raise UserError(f"there is nothing to pause: the run is {self.state}")
        self.save()
        return self._changed([], State.PAUSED)

    def stop(self) -> list[Event]:
        """End the training here; a checkpoint is taken."""
        if self.state not in (State.TRAINING, State.PAUSED):
            return []
        self._sample = None  # nobody waits for the rest of it
        self.save()
        return self._changed([], State.STOPPED)

    def step(self, is_ending: Callable[[], bool] = lambda: False, *, as_before: bool = False) -> list[Event]:
        """Train one batch by hand and hold still; measuring and a sample that come after it are done too.

        Those are cut short where ``is_ending`` says so. ``as_before``: see ``train``. Raises UserError where all epochs
        are done.
        """
        events = [] if self.state in (State.TRAINING, State.PAUSED) else self.train(as_before=as_before)
        if self.state == State.TRAINING:
            events += self._changed([], State.PAUSED)
        events += self.advance()
        while self.state == State.PAUSED and self._has_more_to_do and not is_ending():
            events += self.advance()
        if self.state == State.PAUSED and not any(isinstance(event, EpochFinished) for event in events):
            events += self._tell(self._trainer().progress())
        return events

    @property
    def _has_more_to_do(self) -> bool:
        """Whether the last batch has something behind it that takes more than one call of ``advance``."""
        return self._sample is not None or self._trainer().is_measuring

    def set(self, name: str, value: Any) -> list[Event]:
        """Change a live setting. Raises UserError."""
        trainer = self._trainer()
        events = self._tell(trainer.set(name, value))
        self._saving.soon(trainer.config.checkpoint_seconds)
        if self.state != State.TRAINING:
            self.save()
        return events

    def advance(self) -> list[Event]:
        """Train one batch, or do a little of what comes after it; return what happened.

        An exception in it makes the run ``failed``, and is told in words.
        """
        events: list[Event] = []
        try:
            events = self._advance(events)
            if time.monotonic() - self._looked_at >= LOOK_SECONDS:
                self._look_after_folder()
            if not self.folder.lost:
                return events
            words = self.folder.lost
        except Exception as error:
            write_failure(error, self.folder)
            words = failure_words(error, self.folder)
        # Only here is the failed frame gone, and all that it held.
        self._sample = None
        free_memory(self.model)
        return events + self._changed([], State.FAILED, words)

    def _look_after_folder(self) -> None:
        """Notice where the run's folder was deleted; ``folder.lost`` then says so."""
        self._looked_at = time.monotonic()
        with contextlib.suppress(FolderLostError):
            self.folder.check()

    def _advance(self, events: list[Event]) -> list[Event]:
        trainer = self._trainer()
        if self._sample is not None:
            events += self._write_sample(self._sample)
        elif not trainer.finished:  # num_epochs may have been lowered just now
            self._saving.is_current = False
            told = [event for event in trainer.advance() if not isinstance(event, StateChanged)]
            events += self._tell(*told)
            for event in told:
                if isinstance(event, EpochFinished):
                    events += self._after_epoch(event)
        if trainer.diverged:
            return events + self._after_divergence()
        if self._sample is not None:
            return events
        if trainer.finished:
            self.save()
            return events + self._changed([], State.FINISHED, self._farewell())
        if self._saving.is_due(trainer.config.checkpoint_seconds):
            self.save()
        return events

    def _after_epoch(self, event: EpochFinished) -> list[Event]:
        trainer, config = self._trainer(), self.metadata.config
        if trainer.is_best:
            self._saving.keep_best(trainer)
        events: list[Event] = []
        if trainer.exploding_epochs == 1:
            events += self._tell(Note(explosion_words(event, len(self.vocabulary))))
        every = config.sample_every
        if every and (event.epoch % every == 0 or event.epoch == 1) and not config.bidirectional:
            prefix = sample_prefix(config, trainer.corpus)
            self._sample = SampleInMaking(self.model, self.vocabulary, event.epoch, prefix, config.sample_length)
            events += self._write_sample(self._sample)
        return events

    def _write_sample(self, sample: SampleInMaking) -> list[Event]:
        """A little more of what the model writes; the event when it is done."""
        done = sample.advance()
        if done is None:
            return []
        self._sample = None
        return self._tell(done)

    def _after_divergence(self) -> list[Event]:
        trainer = self._trainer()
        message = trainer.diverged
        try:
            self._restore()
            message += f"; the weights are those of epoch {trainer.epoch} again"
        except RunError as error:
            message += f"; {error}"
        return self._changed([], State.DIVERGED, message)

    def baselines(self) -> BaselinesAnswer:
        """Perplexities of the n-gram models, and on which text they are measured: see ``n_gram_baselines``."""
        trainer = self._trainer()
        on = "held out" if trainer.held_out is not None else "training"
        return BaselinesAnswer(on, **n_gram_baselines(trainer.corpus, trainer.config))

    # ------------------------------------------------------------------ saving

    def save(self, name: str | None = None) -> Path:
        """Take a checkpoint (see ``Saving``); under another ``name``, copy the run. Raises UserError for a copy."""
        self._saving.save(self.trainer)
        return self.run.path if name is None or name == self.run.name else self.copy(name)

    def copy(self, name: str) -> Path:
        """A copy of the run as it was last saved; a copying that is broken off leaves nothing. Raises UserError."""
        if self.save_problem:
            raise RunError(self.save_problem)
        copy = duplicate_run(self.run, name, self.folder.open_to_read)
        if self.state in (State.TRAINING, State.PAUSED):
            # Nobody trains the copy, and nothing was interrupted in it.
            with contextlib.suppress(OSError, RunError), copy.lock() as folder, JournalWriter(folder) as journal:
                journal.append(StateChanged(State.STOPPED, self._trainer().epoch, f"saved from {self.run.name}"))
        return copy.path

    def open_log(self) -> int:
        """The descriptor of the run's log, for the engine's output; of nothing where there can be no log.

        The journal then says why: a log that cannot be written is no reason to train less.
        """
        try:
            return self.folder.open_to_append(self.run.log_path, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            self.note(f"{self.run.log_path} cannot be written to ({error.strerror or error}): the run goes on without")
            return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def note(self, text: str) -> None:
        """Put a remark into the journal."""
        self._tell(Note(text))

    def close(self) -> None:
        """Save what is not saved and let the run go."""
        if not self.folder.is_open:
            return
        try:
            if self.state in (State.TRAINING, State.PAUSED):
                self.stop()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._journal.close()
        self.folder.close()

    # ------------------------------------------------------------------ what it says

    def describe(self) -> RunAnswer:
        """The run as clients see it."""
        trainer, change = self.trainer, self.change
        backend_change = change and BackendChange(change.words, change.as_before is not None, change.remains)
        config = trainer.config if trainer is not None else self.metadata.config
        return RunAnswer(
            run=self.run.path,
            state=self.state,
            epoch=trainer.epoch if trainer is not None else run_summary(self.run).epoch,
            config=config,
            parameters=self.metadata.parameters,
            vocabulary=len(self.vocabulary),
            name=self.run.name,
            message=self.message,
            num_epochs=config.num_epochs,
            corpus=self.metadata.corpus,
            batches_per_epoch=trainer.batches.per_epoch if trainer is not None else 0,
            shapes=tuple(self.model.describe()),
            device=str(next(self.model.parameters()).device),
            threads=torch.get_num_threads(),
            ways=trainer.ways if trainer is not None else {},
            change=backend_change or None,
            no_training=self.no_training,
            save_problem=self.save_problem,
        )

    def _trainer(self) -> Trainer:
        if self.trainer is None:
            raise UserError(self.no_training)
        return self.trainer

    def _farewell(self) -> str:
        trainer = self._trainer()
        if trainer.epoch < trainer.num_epochs:
            return f"no better held-out perplexity for {counted(trainer.config.patience, 'epoch')}: stopped early"
        return ""

    def _changed(self, events: list[Event], state: str, message: str = "") -> list[Event]:
        self.state, self.message = state, message
        epoch = self.trainer.epoch if self.trainer is not None else 0
        return self._tell(*events, StateChanged(state, epoch, message))

    def _tell(self, *events: Event) -> list[Event]:
        for event in events:
            self._journal.append(event)
        return list(events)


def train_to_end(session: Session) -> Iterator[Event]:
    """Train without a server: for scripts and notebooks."""
    yield from session.train()
    while session.state == State.TRAINING:
        yield from session.advance()
