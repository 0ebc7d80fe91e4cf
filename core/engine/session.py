"""Session: one run, held and loaded. It trains, writes the journal, saves, and knows in which state the run is."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import os
import platform
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import core
from core.config import RunConfig, setting, shown
from core.corpus.reader import Corpus
from core.corpus.vocabulary import Vocabulary
from core.devices import at_home, prepare
from core.errors import CorpusError, RunError, UserError
from core.events import EpochFinished, Event, Note, RunResumed, SampleWritten, State, StateChanged
from core.generation.strategies import Sampling
from core.generation.writer import write
from core.models.language_model import LanguageModel, build_model
from core.runs.checkpoint import Disk, read_checkpoint, remove_leftovers, write_checkpoint, write_whole
from core.runs.journal import JournalWriter
from core.runs.run import (
    CorpusIdentity,
    Run,
    RunFacts,
    check_name,
    create_run,
    duplicate_run,
    free_name,
    now,
    refuse_taken,
)
from core.training.evaluation import n_gram_baselines
from core.training.trainer import Trainer, corpus_of

# A changed setting is in a checkpoint after so many seconds.
SAVE_SOON = 1.0


class Session:
    """A run with its tensors. Exactly one process has a session on a run: it holds the run's lock.

    Attributes:
        run, facts: the folder and what ``run.json`` says.
        model, vocabulary: live.
        trainer: None where the text is gone or changed; ``no_training`` then says why, and the model can still write.
        state: see ``core.events.State``.
    """

    def __init__(self, run: Run, lock: int, facts: RunFacts, disk: Disk | None = None) -> None:
        self.run, self.facts = run, facts
        self.state = State.IDLE
        self.message = ""
        self.trainer: Trainer | None = None
        self.no_training = ""
        self.save_problem = ""
        self.model: LanguageModel
        self.vocabulary: Vocabulary
        self._lock = lock
        self._disk = disk or Disk()
        self._journal = JournalWriter(run.journal_path)
        self._saved_at = time.monotonic()
        self._is_at_checkpoint = False

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
            corpus.name, corpus.sha256, len(corpus.ids), len(corpus.vocabulary), str(corpus.path.resolve())
        )
        facts = RunFacts(config, identity, trainer.model.num_parameters(), now(), versions())
        run = _new_run(saves, name, facts, corpus)
        try:
            session = cls._held(run, facts, disk)
            session._adopt(trainer)
            session._tell(StateChanged(State.IDLE, 0))
            session.save()
        except BaseException:
            shutil.rmtree(run.path, ignore_errors=True)
            raise
        return session

    @classmethod
    def open(cls, run: Run, disk: Disk | None = None) -> Session:
        """A run from its folder, at its last checkpoint. Raises RunError or another UserError, one sentence."""
        if not run.exists():
            raise RunError(f"there is no run {run.name!r} in {run.path.parent}")
        session = cls._held(run, None, disk)
        try:
            facts, summary = session.facts, run.summary()
            session.state = summary.state if summary.state not in (State.TRAINING, State.PAUSED) else State.INTERRUPTED
            try:
                corpus = _corpus_again(run, facts)
            except CorpusError as error:
                session._adopt_model_alone(str(error))
            else:
                config = at_home(facts.config)
                session._adopt(Trainer(config, corpus))
                if config != facts.config:
                    session._tell(Note(_moved(facts.config, config)))
                # A run that was killed before its first checkpoint begins again: its seed gives it the same weights.
                if summary.epoch > 0 or session._has_checkpoint():
                    session._restore()
        except BaseException:
            session._let_go()
            raise
        return session

    @classmethod
    def _held(cls, run: Run, facts: RunFacts | None, disk: Disk | None) -> Session:
        """A session without a model yet, holding the run's lock. Raises RunError."""
        lock = run.acquire()
        try:
            remove_leftovers(run.path)
            return cls(run, lock, facts or run.facts(), disk)
        except OSError as error:
            os.close(lock)
            raise RunError(f"{run.journal_path} cannot be written to: {error.strerror}") from None
        except BaseException:
            os.close(lock)
            raise

    def _adopt(self, trainer: Trainer) -> None:
        self.trainer, self.model, self.vocabulary = trainer, trainer.model, trainer.corpus.vocabulary

    def _adopt_model_alone(self, why: str) -> None:
        self.no_training = f"this run can write but not train on: {why}"
        self.model, self.vocabulary = load_model(self.run)

    def _has_checkpoint(self) -> bool:
        return self.run.latest_path.exists() or self.run.best_path.exists()

    def _restore(self) -> None:
        assert self.trainer is not None
        try:
            self.trainer.restore(*read_checkpoint(self.run.latest_path))
        except RunError as error:
            if not self.run.best_path.exists():
                raise
            self.trainer.restore(*read_checkpoint(self.run.best_path))
            self._tell(Note(f"{error}; the run goes on from its best checkpoint, epoch {self.trainer.epoch}"))
        self._is_at_checkpoint = True

    # ------------------------------------------------------------------ what it does

    def train(self, num_epochs: int | None = None) -> list[Event]:
        """Begin to train, or go on. Raises UserError where there is nothing to do."""
        trainer = self._trainer()
        wanted = trainer.num_epochs if num_epochs is None else int(setting("num_epochs").check(num_epochs))
        if trainer.diverged:
            raise UserError("the run diverged and its last checkpoint cannot be read: start a new one")
        if trainer.epoch >= wanted and trainer.batch == 0:
            raise UserError(
                f"{shown(trainer.epoch)} epochs are done and {shown(wanted)} were asked for: ask for more than "
                f"{shown(trainer.epoch)} to train on"
            )
        if self.state == State.FAILED and self._has_checkpoint():
            self._restore()  # whatever failed, failed in the middle of something
        events: list[Event] = []
        if wanted != trainer.num_epochs:
            events.append(trainer.set("num_epochs", wanted))
            self._save_soon()
        if trainer.batch == 0 and trainer.finished:
            trainer.epochs_since_best = 0  # it had run out of patience, and somebody has more
        if self.state not in (State.PAUSED, State.TRAINING):
            events.append(RunResumed(trainer.epoch, trainer.batch))
        return self._changed(events, State.TRAINING)

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
        self.save()
        return self._changed([], State.STOPPED)

    def step(self) -> list[Event]:
        """Train one batch by hand and hold still. Raises UserError where all epochs are done."""
        events = [] if self.state in (State.TRAINING, State.PAUSED) else self.train()
        if self.state == State.TRAINING:
            events += self._changed([], State.PAUSED)
        events += self.advance()
        if self.state == State.PAUSED and not any(isinstance(event, EpochFinished) for event in events):
            events += self._tell(self._trainer().progress())
        return events

    def set(self, name: str, value: Any) -> list[Event]:
        """Change a live setting. Raises UserError."""
        events = self._tell(self._trainer().set(name, value))
        self._save_soon()
        if self.state != State.TRAINING:
            self.save()
        return events

    def _save_soon(self) -> None:
        """What was changed just now is worth a checkpoint; a key held down changes it thirty times a second."""
        self._is_at_checkpoint = False
        interval = self._trainer().config.checkpoint_seconds
        self._saved_at = min(self._saved_at, time.monotonic() - interval + SAVE_SOON)

    def advance(self) -> list[Event]:
        """Train one batch; return what happened. An exception in it makes the run ``failed``, and is told in words."""
        trainer = self._trainer()
        events: list[Event] = []
        try:
            if not trainer.finished:  # num_epochs may have been lowered just now
                self._is_at_checkpoint = False
                told = [event for event in trainer.advance() if not isinstance(event, StateChanged)]
                events += self._tell(*told)
                for event in told:
                    if isinstance(event, EpochFinished):
                        events += self._after_epoch(event)
            if trainer.diverged:
                return events + self._after_divergence()
            if trainer.finished:
                self.save()
                return events + self._changed([], State.FINISHED, self._farewell())
            if time.monotonic() - self._saved_at >= trainer.config.checkpoint_seconds:
                self.save()
        except Exception as error:
            traceback.print_exc()
            return events + self._changed([], State.FAILED, failure_words(error))
        return events

    def _after_epoch(self, event: EpochFinished) -> list[Event]:
        trainer, config = self._trainer(), self.facts.config
        events: list[Event] = []
        every = config.sample_every
        if every and (event.epoch % every == 0 or event.epoch == 1) and not config.bidirectional:
            prefix = self.sample_prefix()
            text = "".join(write(self.model, self.vocabulary, prefix, config.sample_length, Sampling("greedy")))
            events += self._tell(SampleWritten(event.epoch, prefix, text))
        if trainer.is_best:
            self._write(self.run.best_path)
        return events

    def _after_divergence(self) -> list[Event]:
        trainer = self._trainer()
        message = trainer.diverged
        try:
            self._restore()
            message += f"; the weights are those of epoch {trainer.epoch} again"
        except RunError as error:
            message += f"; {error}"
        return self._changed([], State.DIVERGED, message)

    def baselines(self) -> dict[str, Any]:
        """Perplexities of the n-gram models, and on which text they are measured: see ``n_gram_baselines``."""
        trainer = self._trainer()
        on = "held out" if trainer.held_out is not None else "training"
        return {"on": on, **n_gram_baselines(trainer.corpus, trainer.config)}

    def sample_prefix(self) -> str:
        """How samples begin: the setting's text, or the beginning of the corpus where it says nothing that is known."""
        prefix = self.facts.config.sample_prefix
        if prefix and len(self.vocabulary.unknown_tokens(prefix)) < len(set(self.vocabulary.split(prefix))):
            return prefix
        assert self.trainer is not None
        return self.vocabulary.decode(self.trainer.corpus.ids[: 2 if self.vocabulary.kind == "word" else 5].tolist())

    # ------------------------------------------------------------------ saving

    def save(self, name: str | None = None) -> Path:
        """Take a checkpoint; with another ``name``, make a copy of the whole run under it. Raises UserError for a copy.

        A checkpoint that the disk refuses is no end: the sentence goes to the journal and ``save_problem``, training
        goes on in memory, and the next save is tried again.
        """
        self._saved_at = time.monotonic()
        if self.trainer is not None and not self._is_at_checkpoint and self.trainer.is_finite():
            self._write(self.run.latest_path)
            self._is_at_checkpoint = not self.save_problem
        if name is None or name == self.run.name:
            return self.run.path
        if self.save_problem:
            raise RunError(self.save_problem)
        copy = duplicate_run(self.run, name)
        if self.state in (State.TRAINING, State.PAUSED):
            # Nobody trains the copy, and nothing was interrupted in it.
            with contextlib.suppress(OSError), JournalWriter(copy.journal_path) as journal:
                journal.append(StateChanged(State.STOPPED, self._trainer().epoch, f"saved from {self.run.name}"))
        return copy.path

    def _write(self, path: Path) -> None:
        assert self.trainer is not None
        # The journal first: a checkpoint must not know of an epoch that a power failure takes out of the curve.
        with contextlib.suppress(OSError):
            self._journal.sync()
        try:
            write_checkpoint(path, *self.trainer.checkpoint(), self._disk)
            if self.trainer.config != self.facts.config:
                facts = dataclasses.replace(self.facts, config=self.trainer.config)
                write_whole(self.run.facts_path, facts.encoded(), self._disk)
                self.facts = facts
        except OSError as error:
            reason = error.strerror or str(error)
            problem = f"the checkpoint could not be saved ({reason}): make room or permit writing in {path.parent}"
            if problem != self.save_problem:
                self._tell(Note(f"{problem}; training goes on in memory, and saving is tried again"))
            self.save_problem = problem
        else:
            if self.save_problem:
                self._tell(Note("the checkpoint is saved again"))
            self.save_problem = ""

    def close(self) -> None:
        """Save what is not saved and let the run go."""
        if self._lock < 0:
            return
        try:
            if self.state in (State.TRAINING, State.PAUSED):
                self.stop()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._journal.close()
        os.close(self._lock)
        self._lock = -1

    # ------------------------------------------------------------------ what it says

    def describe(self) -> dict[str, Any]:
        """What a client needs to know of the run, JSON-able."""
        trainer = self.trainer
        config = trainer.config if trainer is not None else self.facts.config
        return {
            "run": str(self.run.path),
            "name": self.run.name,
            "state": self.state,
            "message": self.message,
            "epoch": trainer.epoch if trainer is not None else self.run.summary().epoch,
            "num_epochs": config.num_epochs,
            "config": config.to_dict(),
            "corpus": dataclasses.asdict(self.facts.corpus),
            "vocabulary": len(self.vocabulary),
            "parameters": self.facts.parameters,
            "batches_per_epoch": trainer.batches.per_epoch if trainer is not None else 0,
            "shapes": [[name, list(shape)] for name, shape in self.model.describe()],
            "device": str(next(self.model.parameters()).device),
            "threads": torch.get_num_threads(),
            "no_training": self.no_training,
            "save_problem": self.save_problem,
        }

    def _trainer(self) -> Trainer:
        if self.trainer is None:
            raise UserError(self.no_training)
        return self.trainer

    def _farewell(self) -> str:
        trainer = self._trainer()
        if trainer.epoch < trainer.num_epochs:
            return f"no better held-out perplexity for {trainer.config.patience} epochs: stopped early"
        return ""

    def _changed(self, events: list[Event], state: str, message: str = "") -> list[Event]:
        self.state, self.message = state, message
        epoch = self.trainer.epoch if self.trainer is not None else 0
        return self._tell(*events, StateChanged(state, epoch, message))

    def _tell(self, *events: Event) -> list[Event]:
        for event in events:
            self._journal.append(event)
        return list(events)


def _new_run(saves: Path, name: str | None, facts: RunFacts, corpus: Corpus) -> Run:
    """The folder of a new run; one without a name gets the next free one, also where others look for one as well."""
    while True:
        chosen = name or free_name(saves, corpus.name)
        try:
            return create_run(saves, chosen, facts, corpus.vocabulary.to_json(), corpus.path, corpus.bytes)
        except RunError:
            if name or not (saves / chosen).exists():
                raise


def load_model(run: Run) -> tuple[LanguageModel, Vocabulary]:
    """The model of a run at its last checkpoint, and its vocabulary: all that writing needs. No lock is taken.

    Raises RunError or another UserError, one sentence.
    """
    config, vocabulary = at_home(run.facts().config), Vocabulary.from_json(run.vocabulary_json())
    model = build_model(config, len(vocabulary), prepare(config))
    tensors, _ = read_checkpoint(run.latest_path)
    try:
        model.load_state_dict({name: tensors[f"model.{name}"] for name in model.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise RunError(f"{run.latest_path} does not fit the run's settings: {str(error)[:200]}") from None
    return model.eval(), vocabulary


def _moved(before: RunConfig, here: RunConfig) -> str:
    return (
        f"this machine has no {before.device} with {before.precision}: the run goes on with device {here.device} and "
        f"{here.precision}, so its numbers will not be the same to the last bit"
    )


def _corpus_again(run: Run, facts: RunFacts) -> Corpus:
    """The text of a run, from its own copy or from where it was. Raises CorpusError where it is not the same."""
    source = run.corpus_path if run.corpus_path.exists() else Path(facts.corpus.path)
    corpus = corpus_of(facts.config, source=source)
    if corpus.sha256 != facts.corpus.sha256:
        raise CorpusError(f"{source} is not the text that the run began with: its sha256 has changed")
    if corpus.vocabulary != Vocabulary.from_json(run.vocabulary_json()):
        raise CorpusError(f"{run.vocabulary_path} does not belong to {source}")
    return dataclasses.replace(corpus, name=facts.corpus.name)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller model or batch would have gone well."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)


def failure_words(error: BaseException) -> str:
    """An exception of the machine in words, with what to change."""
    text = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
    if is_out_of_memory(error):
        return "out of memory: choose a smaller batch_size, num_steps or num_hiddens, or another device"
    if isinstance(error, UserError):
        return text
    return f"the engine failed ({type(error).__name__}: {text}): see engine.log in the run's folder"


def versions() -> dict[str, str]:
    """What computed a run."""
    return {
        "rnn-playground": core.__version__,
        "torch": importlib.metadata.version("torch"),
        "python": platform.python_version(),
        "system": sys.platform,
    }


def train_to_end(session: Session) -> Iterator[Event]:
    """Train without a server: for scripts and notebooks."""
    yield from session.train()
    while session.state == State.TRAINING:
        yield from session.advance()
