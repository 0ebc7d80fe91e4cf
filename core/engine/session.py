"""Session: an open run that is trained, batch by batch: its states, its failures, and what each epoch brings about."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from typing import Any

from core.engine.failure import failure_words, free_memory, write_failure
from core.engine.open_run import OpenRun
from core.engine.preview import preview_after
from core.errors import RunError, UserError, WorkersLostError
from core.events import EpochFinished, Event, Note, RunResumed, State, StateChanged
from core.runs.held_folder import FolderLostError
from core.settings.run_config import setting, shown
from core.training.budget import early_stop_words
from core.training.divergence import explosion_words
from core.training.trainer import Trainer
from core.units import counted

# Seconds between two checks, while training, that the folder of the run still exists.
LOOK_SECONDS = 1.0
_DONE = Note("")  # what follows the last event of a preview


class Session(OpenRun):
    """A run that trains, writes its journal and saves itself, one call of ``advance`` after another."""

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
        self._require_folder()
        goes_back = not self._is_whole or bool(self._crew.loss)
        if goes_back:
            self._restore()
        _require_epochs(trainer, math.inf if minutes else wanted)
        if not self._checkpointing.exists():
            self._checkpointing.require_first(trainer)
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
            events += self._resumed(trainer)
        return self._record(*events) + self._change_state(State.TRAINING)

    def _resumed(self, trainer: Trainer) -> list[Event]:
        notes, self.recovered = [Note(self.recovered)] if self.recovered else [], ""
        return [*notes, RunResumed(trainer.epoch, trainer.batch, trainer.backend)]

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

    def _require_folder(self) -> None:
        """Raise RunError if the folder was deleted."""
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
        """Change a live setting, after a failure that of the last checkpoint. Raises UserError."""
        trainer = self._trainer()
        if not self._is_whole:
            self._restore()
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
            self._is_whole = False
        except Exception as error:
            self._is_whole = False
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
        events = self._resumed(trainer)
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
            done = next(self._preview, _DONE)
            if done is _DONE:
                self._preview = None
            elif done is not None:
                events += self._record(done)
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
            events += self._record(Note(explosion_words(event, trainer.config.learning_rate, len(self.vocabulary))))
        self._preview = preview_after(trainer, event.epoch)

    def _after_divergence(self) -> list[Event]:
        trainer = self._trainer()
        message = trainer.diverged
        try:
            self._restore()
        except RunError as error:
            self._is_whole = False
            return self._change_state(State.FAILED, f"{message}; {error}")
        return self._change_state(State.DIVERGED, f"{message}; the weights are those of epoch {trainer.epoch} again")

    def close(self) -> None:
        """Stop training, save and release the run; further calls do nothing."""
        try:
            self.stop()
        finally:
            self._release()


def _require_epochs(trainer: Trainer, num_epochs: float) -> None:
    """Raise UserError if there is nothing to train."""
    if trainer.epoch >= num_epochs and trainer.batch == 0 and not trainer.budget.is_waiting:
        done, asked = counted(trainer.epoch, "epoch is", "epochs are"), counted(int(num_epochs), "was", "were")
        raise UserError(f"{done} done and {asked} asked for: ask for more than {shown(trainer.epoch)} to train on")
