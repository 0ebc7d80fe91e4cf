"""Trainer: the training loop, as a generator of events. No printing, no files, no screen.

    trainer = Trainer(RunConfig(corpus="tale-en", num_epochs=20))
    for event in trainer:
        print(event)

What it trains, and how that is saved and restored, is in ``core.training.parts``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

from core.events import EpochFinished, Event, Note, SettingChanged, State, StateChanged, StepFinished, perplexity
from core.settings.run_config import RunConfig, live_setting, shown
from core.training.divergence import PATIENCE, exploded_words, infinite_words, is_exploding
from core.training.optimisation import norm_figures, trained_on
from core.training.parts import TrainingParts
from core.training.records import are_finite

# Seconds between progress reports within a long epoch.
NEWS_EVERY = 0.5
# Seconds for which one call measures a held-out text before it returns.
MEASURING_SECONDS = 0.05


class Trainer(TrainingParts):
    """One model in training, batch by batch."""

    def __iter__(self) -> Iterator[Event]:
        """Train to the end; yield the events."""
        while not self.finished:
            yield from self.advance()

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do: all epochs done, diverged, or out of patience."""
        is_out_of_patience = 0 < self.config.patience <= self.epochs_since_best
        return bool(self.diverged) or (self.batch == 0 and (self.epoch >= self.budget.end or is_out_of_patience))

    def advance(self) -> tuple[Event, ...]:
        """Train one batch; return the events, most often none.

        One may be a note that the CUDA graph is no longer used. After the last batch of an epoch a held-out text is
        measured, a long one over several calls.
        """
        with self.computing():
            notes = self._fit_to_budget()
            if notes and self.finished:
                return notes
            if self.is_measuring:
                return notes + self._finish_epoch()
            began = time.perf_counter()
            rate = self.schedule.rate(self.epoch + self.batch / self.batches.per_epoch, self.budget.end)
            reason = self.graph_unavailable_reason
            self.train_batch(self.epoch, self.batch, rate)
            self.learning_rate_used = rate
            self.batch += 1
            self.step += 1
            if self.graph_unavailable_reason != reason:
                notes += (Note(f"{self.graph_unavailable_reason}; it runs call by call, which is slower"),)
            if self.is_measuring:
                float(self.records.losses[self.batch - 1])  # wait: the work queued on the device is this epoch's
            seconds = time.perf_counter() - began
            self._seconds += seconds
            self._since_report += seconds
            if self.is_measuring:
                return notes + self._finish_epoch()
            return (*notes, self._news()) if self._since_report >= NEWS_EVERY else notes

    def _fit_to_budget(self) -> tuple[Event, ...]:
        """The event of a new fit of epochs and schedule to the time budget, if there is one."""
        event = self.budget.observe(self.epoch, self.batch, self.step)
        if event is None:
            return ()
        self.schedule.fit = self.budget.fit
        self.config = self.config.replace(num_epochs=event.num_epochs)
        return (event,)

    @property
    def is_measuring(self) -> bool:
        """Whether all batches of the epoch are done and the held-out text is being measured."""
        return self.batch == self.budget.batches_of(self.epoch)

    def train_batch(self, epoch: int, batch: int, rate: float) -> None:
        """One step on a batch, within ``computing``: the arithmetic of ``advance``, which all workers of a team do."""
        if self.team is not None:
            self.team.order_batch(epoch, batch, rate)
        self.epoch, self.batch = epoch, batch
        if self.graph is not None:
            self._state = self.graph.train(epoch, batch, rate, self._state)
            self.graph_unavailable_reason = self.graph.unavailable_reason
            return
        if batch == 0 or not self.config.carries_state:
            self._state = self.model.begin_state(self.batches.num_rows)
        self.optimiser.rate = rate
        loss, norm, count, self._state = trained_on(
            self.batches.batch(epoch, batch), self._state, self.model, self.optimiser, self.config, self.team
        )
        self.records.write(batch, loss, norm, count)

    def _finish_epoch(self) -> tuple[Event, ...]:
        batches, loss = self.batch, self.records.mean_loss(self.batch)
        norm, clipped, clip_factor = norm_figures(self.records.norms[:batches], self.config)
        if not (math.isfinite(loss) and math.isfinite(norm) and are_finite(self._parameters)):
            return (self._diverge(),)
        held_out = None
        if self.held_out is not None and (held_out := self._held_out_loss()) is None:
            return ()
        seconds, self._seconds, self._since_report = self._seconds, 0.0, 0.0
        self.epoch, self.batch = self.epoch + 1, 0
        self.schedule.observe(perplexity(loss if held_out is None else held_out))
        event = EpochFinished(
            epoch=self.epoch,
            step=self.step,
            perplexity=perplexity(loss),
            validation_perplexity=None if held_out is None else perplexity(held_out),
            loss=loss,
            gradient_norm=norm,
            learning_rate=self.learning_rate_used,
            tokens_per_second=self._tokens(batches) / seconds if seconds > 0 else 0.0,
            seconds=seconds,
            validation_loss=held_out,
            clipped=clipped,
            clip_factor=clip_factor,
        )
        return event, *self._explosion(event)

    def _explosion(self, event: EpochFinished) -> tuple[StateChanged, ...]:
        """A loss far above that of guessing, for several epochs or at the end of training, is a divergence too."""
        size = len(self.corpus.vocabulary)
        self.exploding_epochs = self.exploding_epochs + 1 if is_exploding(event.loss, size) else 0
        if not self.exploding_epochs or not (self.exploding_epochs >= PATIENCE or self.finished):
            return ()
        self.diverged = exploded_words(event, self.exploding_epochs, size)
        return (StateChanged(State.DIVERGED, self.epoch, self.diverged),)

    def _tokens(self, batches: int) -> float:
        return self.batches.tokens_per_epoch * batches / self.batches.per_epoch

    def _news(self) -> StepFinished | StateChanged:
        news = self.progress()
        return news if math.isfinite(news.loss) else self._diverge()

    def progress(self) -> StepFinished:
        """The progress of the current epoch; between epochs, the end of the last one."""
        self._since_report = 0.0
        done = self.batch or self.budget.batches_of(self.epoch - 1)
        loss = self.records.mean_loss(done)
        return StepFinished(
            epoch=self.epoch + 1 if self.batch else self.epoch,
            batch=done,
            num_batches=self.batches.per_epoch,
            step=self.step,
            perplexity=perplexity(loss),
            loss=loss,
            learning_rate=self.learning_rate_used,
            tokens_per_second=self._tokens(done) / self._seconds if self._seconds > 0 and self.batch else 0.0,
        )

    def measure(self, is_first: bool) -> float | None:
        """Measure a piece of the held-out text, within ``computing``: the loss in nats after the last, else None."""
        if self.team is not None:
            self.team.order_piece(is_first)
        if is_first and self.held_out is not None:
            self._measuring = self.held_out.measuring(self.model)
        assert self._measuring is not None
        return next(self._measuring)

    def _held_out_loss(self) -> float | None:
        """In nats; None if the time of one call was not enough. A checkpoint in between restarts the measuring."""
        until = time.perf_counter() + MEASURING_SECONDS
        while (measured := self.measure(is_first=self._measuring is None)) is None:
            if time.perf_counter() >= until:
                return None
        self._measuring = None
        found = perplexity(measured)
        self.is_best = found < self.best_validation
        self.epochs_since_best = 0 if self.is_best else self.epochs_since_best + 1
        self.best_validation = min(found, self.best_validation)
        return measured

    def is_finite(self) -> bool:
        """Whether every weight, and every loss and gradient of this epoch, is finite."""
        return self.records.first_infinite(self.batch) is None and are_finite(self._parameters)

    def is_sound(self) -> bool:
        """Whether a checkpoint is worth taking: all is finite, and the loss is not exploding."""
        if self.exploding_epochs or not self.is_finite():
            return False
        return not self.batch or not is_exploding(self.records.mean_loss(self.batch), len(self.corpus.vocabulary))

    def _diverge(self) -> StateChanged:
        first = self.records.first_infinite(self.batch)
        if first is None:  # then the last step made the weights non-finite
            first = self.batch - 1
        step = self.step - self.batch + first + 1
        self.diverged = infinite_words(step, first + 1, self.epoch + 1)
        return StateChanged(State.DIVERGED, self.epoch, self.diverged)

    # ------------------------------------------------------------------ settings that may change while a run trains

    def set(self, name: str, value: Any) -> SettingChanged:
        """Change ``learning_rate`` or ``num_epochs`` from the next batch on. Raises ConfigError."""
        checked = live_setting(name).check(value)
        assert isinstance(checked, (int, float))
        begun = self.epoch + (self.batch > 0)
        if name == "num_epochs" and checked < begun:
            words = "{num_epochs} must be at least {begun}, the epochs that are done or begun, got {given}"
            raise RunConfig.refusal(name, words, begun=shown(begun), given=shown(checked))
        if name == "learning_rate":
            self.schedule.base = float(checked)
        else:
            self.budget.end_after(int(checked))
            self.schedule.fit = None
            self._measuring = self._measuring if self.is_measuring else None
        self.config = self.config.replace(**{name: checked})
        return SettingChanged(self.epoch, name, checked)

    def renew_budget(self, minutes: float, began: float | None = None) -> SettingChanged:
        """End ``minutes`` after ``began``, a time of the budget's clock, wherever training was to end.

        Epochs and schedule are fitted anew once the pace is measured; until then the rate is that before any decay.
        """
        self.config = self.config.replace(minutes=minutes)
        self.budget = self.budget.renewed(self.config, began)
        self.schedule.config, self.schedule.fit = self.config, None
        self._measuring = self._measuring if self.is_measuring else None
        return SettingChanged(self.epoch, "minutes", minutes)
