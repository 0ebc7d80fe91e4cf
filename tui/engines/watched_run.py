"""The run on screen: the state that its journal and its engine have reported so far. No widgets here."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import ConfigError
from core.events import (
    LARGEST_LOSS,
    NO_CHECKPOINT,
    BudgetFitted,
    EpochFinished,
    Event,
    Measured,
    RunResumed,
    SampleWritten,
    SettingChanged,
    State,
    StateChanged,
    StepFinished,
)
from core.runs.metrics import OTHERS
from tui.charts.curve import GrowingCurve

if TYPE_CHECKING:
    from core.engine.answers import BaselinesAnswer, StepAnswer
    from core.runs.metadata import RunMetadata
    from core.runs.summary import RunSummary
    from core.settings.run_config import RunConfig

# The state of a run whose files have not been read yet.
OPENING = "opening"
KEPT_SAMPLES = 100
KEPT_EPOCHS = 60
# The pace of one epoch is noisy; the mean over this many is steady and still follows a change.
SMOOTHED_EPOCHS = 8


class WatchedRun:
    """Grows by ``apply``; memory stays bounded however long the run trains.

    ``best`` is the epoch with the lowest held-out perplexity, and that perplexity; ``baselines`` are the perplexities
    of n-gram models on the text that ``baselines_on`` names.

    ``figures`` are the curves of the other figures of an epoch, by their names in the journal; some stay empty.

    ``losses`` are the training and held-out curves in nats if a perplexity is beyond floating point; otherwise None.

    ``from_best`` is the epoch of the best checkpoint, if its weights are used because the latest one is damaged.

    ``is_lost`` is whether none of its checkpoints can be read: then it does not continue, and ``message`` says so.

    ``summary_epoch`` is the last epoch by the run's summary, until the curve is read; 0 after that.

    ``curve_version`` and ``sample_version`` change at each change that has to be drawn.
    """

    def __init__(self, path: Path, state: str = State.IDLE) -> None:
        self.path = path
        self.name = path.name
        self.state = state
        self.message = ""
        self.summary_epoch = 0
        self.from_best: int | None = None
        self.is_lost = False
        self.config: RunConfig | None = None
        self.vocabulary: int | None = None
        self.parameters: int | None = None
        self.num_epochs: int | None = None
        self.fit: BudgetFitted | None = None
        self._has_budget = True
        self.learning_rate: float | None = None
        self.training = GrowingCurve()
        self.held_out = GrowingCurve()
        self.losses: tuple[GrowingCurve, GrowingCurve] | None = None
        self.figures = {name: GrowingCurve() for name in OTHERS}
        self.epochs: deque[EpochFinished] = deque(maxlen=KEPT_EPOCHS)
        self.samples: deque[SampleWritten] = deque(maxlen=KEPT_SAMPLES)
        self.step: StepFinished | None = None
        self.baselines_asked = False
        self.baselines: tuple[tuple[str, float], ...] = ()
        self.baselines_on = ""
        self.best: tuple[int, float] | None = None
        self._patience_from = 0
        self.curve_version = 0
        self.sample_version = 0

    # ------------------------------------------------------------------ changes

    def set_metadata(self, facts: RunMetadata, summary: RunSummary | None = None) -> None:
        """Set what ``run.json`` says. Values from the journal and from the engine are newer, and are kept."""
        if summary is not None and self.state == OPENING:
            self.apply_state(summary.state)
            self.summary_epoch, self.from_best = summary.epoch, summary.from_best
            self.is_lost = summary.is_lost
        self.config = facts.config
        self.vocabulary = facts.corpus.vocabulary
        self.parameters = facts.parameters
        self.num_epochs = self.num_epochs or facts.config.num_epochs
        self.learning_rate = self.learning_rate or facts.config.learning_rate
        self.curve_version += 1
        self.sample_version += 1  # the words shown without samples depend on the settings

    def apply(self, events: Iterable[Event]) -> None:
        """Apply events of the journal, oldest first."""
        new: list[EpochFinished] = []
        measured: list[Measured] = []
        for event in events:
            match event:
                case EpochFinished():
                    self.summary_epoch = 0
                    new.append(event)
                case SampleWritten():
                    self.samples.append(event)
                    self.sample_version += 1
                case Measured():
                    measured.append(event)
                case StateChanged():
                    self.apply_state(event.state, event.message)
                case SettingChanged():
                    self.apply_setting(event.name, event.value)
                case BudgetFitted():
                    self.fit = event
                    self.num_epochs = event.num_epochs
                case StepFinished():
                    self.step = event
                case RunResumed():
                    self._add(new, measured)
                    new, measured = [], []
                    self._undo(event.epoch)
                    self._resume_patience(event)
                case _:
                    pass
        self._add(new, measured)

    def apply_state(self, state: str, message: str = "") -> None:
        self.state = state
        self.message = NO_CHECKPOINT if self.is_lost and state not in (State.TRAINING, State.PAUSED) else message

    def apply_step(self, answer: StepAnswer) -> None:
        """Take the progress of the epoch from an engine's answer to ``step``."""
        if math.isfinite(answer.perplexity):
            self.step = StepFinished(
                answer.epoch, answer.batch, answer.num_batches, answer.step, answer.perplexity, answer.loss,
                answer.learning_rate, 0.0,
            )  # fmt: skip

    def apply_baselines(self, answer: BaselinesAnswer) -> None:
        """Take the perplexities of the n-gram models from an engine's answer to ``baselines``."""
        values = {"unigram": answer.unigram, "bigram": answer.bigram, "trigram": answer.trigram}
        self.baselines = tuple((name, value) for name, value in values.items() if math.isfinite(value))
        self.baselines_on = answer.on
        self.curve_version += 1

    def apply_setting(self, name: str, value: float) -> None:
        if name == "learning_rate":
            self.learning_rate = float(value)
        elif name == "num_epochs":
            self.num_epochs, self.fit, self._has_budget = int(value), None, False
        elif name == "minutes" and self.config is not None:
            with contextlib.suppress(ConfigError):
                self.config, self.fit, self._has_budget = self.config.replace(minutes=value), None, True

    def _add(self, epochs: list[EpochFinished], measured: list[Measured]) -> None:
        if measured:
            self._add_figures(measured)
        if not epochs:
            return
        numbers = [epoch.epoch for epoch in epochs]
        self._add_losses(epochs)
        self.training.extend(numbers, [epoch.perplexity for epoch in epochs])
        self._add_figures(epochs)
        if any(epoch.validation_perplexity is not None for epoch in epochs):
            held_out = [
                (epoch.epoch, epoch.validation_perplexity)
                for epoch in epochs
                if epoch.validation_perplexity is not None
            ]
            self.held_out.extend([epoch for epoch, _ in held_out], [perplexity for _, perplexity in held_out])
            self._note_best(held_out)
        self.epochs.extend(epochs)
        self.step = None
        self.curve_version += 1

    def _add_figures(self, events: Sequence[EpochFinished | Measured]) -> None:
        import numpy as np

        numbers = [event.epoch for event in events]
        for name, curve in self.figures.items():
            if not hasattr(events[0], name):
                continue
            values = np.array([getattr(event, name) for event in events], np.float64)  # None becomes NaN
            if not np.isnan(values).all():
                curve.extend(numbers, values)

    def _add_losses(self, epochs: list[EpochFinished]) -> None:
        """Record the losses, from the first perplexity that is beyond floating point."""
        pairs = [(nats_of(epoch.perplexity, epoch.loss), nats_of(epoch.validation_perplexity, epoch.validation_loss))
                 for epoch in epochs]  # fmt: skip
        if self.losses is None:
            if not any(nats is not None and nats > LARGEST_LOSS for pair in pairs for nats in pair):
                return
            self.losses = _logarithm(self.training), _logarithm(self.held_out)
        for which, curve in enumerate(self.losses):
            measured = [(epoch.epoch, pair[which]) for epoch, pair in zip(epochs, pairs, strict=True)]
            known = [(number, nats) for number, nats in measured if nats is not None]
            curve.extend([number for number, _ in known], [nats for _, nats in known])

    def _note_best(self, measured: Iterable[tuple[int, float]]) -> None:
        """As in the trainer: of the epochs with the lowest perplexity, the first."""
        for epoch, perplexity in measured:
            if math.isfinite(perplexity) and (self.best is None or perplexity < self.best[1]):
                self.best = (epoch, perplexity)

    def _resume_patience(self, event: RunResumed) -> None:
        """If the run had stopped early and is continued, count its patience from zero."""
        patience = self.config.patience if self.config is not None else 0
        if event.batch == 0 and 0 < patience <= (self.epochs_since_best or 0):
            self._patience_from = event.epoch

    def _undo(self, last: int) -> None:
        """Remove what is later than epoch ``last``: no checkpoint has it, so it will be trained again."""
        if self.epoch <= last:
            return
        if last == self.from_best:
            self.from_best = None
        for curve in (self.training, self.held_out, *self.figures.values(), *(self.losses or ())):
            x, y = curve.points()
            keep = x <= last
            curve.clear()
            curve.extend(x[keep], y[keep])
        if self.losses is not None and not any((curve.points()[1] > LARGEST_LOSS).any() for curve in self.losses):
            self.losses = None
        if self.best is not None and self.best[0] > last:
            self.best = None
            x, y = self.held_out.points()
            self._note_best(zip(x.astype(int).tolist(), y.tolist(), strict=True))
        self._patience_from = min(self._patience_from, last)
        self.epochs = deque((epoch for epoch in self.epochs if epoch.epoch <= last), maxlen=KEPT_EPOCHS)
        self.samples = deque((sample for sample in self.samples if sample.epoch <= last), maxlen=KEPT_SAMPLES)
        self.step = None
        self.curve_version += 1
        self.sample_version += 1

    # ------------------------------------------------------------------ figures

    @property
    def epoch(self) -> int:
        """The last finished epoch."""
        return self.epochs[-1].epoch if self.epochs else 0

    @property
    def perplexity(self) -> float | None:
        """On the training text, over the last epoch (or over the steps so far, before the first one is finished)."""
        if self.step is not None and not self.epochs:
            return self.step.perplexity
        return self.epochs[-1].perplexity if self.epochs else None

    @property
    def validation_perplexity(self) -> float | None:
        """On the held-out text, after the last epoch."""
        return self.epochs[-1].validation_perplexity if self.epochs else None

    @property
    def loss(self) -> float | None:
        """The logarithm of ``perplexity``, in nats; also known if that is beyond floating point."""
        last = self.step if self.step is not None and not self.epochs else self.epochs[-1] if self.epochs else None
        return nats_of(last.perplexity, last.loss) if last is not None else None

    @property
    def validation_loss(self) -> float | None:
        """The logarithm of ``validation_perplexity``, in nats."""
        last = self.epochs[-1] if self.epochs else None
        return nats_of(last.validation_perplexity, last.validation_loss) if last is not None else None

    @property
    def epochs_since_best(self) -> int | None:
        """Epochs without a better held-out perplexity, as patience counts them; None if no text is held out."""
        return None if self.best is None else self.epoch - max(self.best[0], self._patience_from)

    @property
    def tokens_per_second(self) -> float | None:
        """The mean over the last epochs."""
        if self.step is not None and self.step.tokens_per_second > 0:
            return self.step.tokens_per_second
        last = list(self.epochs)[-SMOOTHED_EPOCHS:]
        seconds = sum(epoch.seconds for epoch in last)
        return sum(epoch.tokens_per_second * epoch.seconds for epoch in last) / seconds if seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the last epoch is finished, by the fit to the time budget or the pace of the last epochs."""
        if self.fit is not None:
            steps = self.fit.num_steps - self.fit.step
            return self.fit.seconds_left * max(0, self.fit.num_steps - self._step_done) / max(1, steps)
        last = list(self.epochs)[-SMOOTHED_EPOCHS:]
        if not last or self.num_epochs is None:
            return None
        pace = sum(epoch.seconds for epoch in last) / len(last)
        return max(0.0, (self.num_epochs - self.epoch) * pace)

    @property
    def minutes(self) -> float | None:
        """The time budget; None without one, and once the number of epochs was changed instead."""
        return (self.config.minutes or None) if self.config is not None and self._has_budget else None

    @property
    def is_fitting(self) -> bool:
        """Whether the epochs are not fitted to the time budget yet; their number means nothing then."""
        return self.minutes is not None and self.fit is None

    @property
    def _step_done(self) -> int:
        steps = [self.step.step] if self.step is not None else []
        return max(steps + [epoch.step for epoch in list(self.epochs)[-1:]], default=0)


def nats_of(perplexity: float | None, loss: float | None) -> float | None:
    """The logarithm of a perplexity; ``loss``, which may be None, if the perplexity is beyond floating point."""
    if perplexity is None or not perplexity > 0:
        return None
    return math.log(perplexity) if math.isfinite(perplexity) else loss


def _logarithm(curve: GrowingCurve) -> GrowingCurve:
    import numpy as np

    found, (x, y) = GrowingCurve(), curve.points()
    if len(curve):
        found.extend(x[y > 0], np.log(y[y > 0]))
    return found
