"""The time budget of a training: its clock, and the fit of epochs and schedule to the time that is left.

The clock counts compilation and warm-up; it stops while the run is paused or closed. As soon as the pace is known, the
end of the training is fitted to the time that is left, and fitted again where the pace has changed since. A run that is
opened again keeps its fit, so that it gives the numbers of the uninterrupted one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from core.events import BudgetFitted
from core.record import read_record, record_as_json
from core.settings.fit import Fit
from core.settings.run_config import RunConfig, setting
from core.training.pace import PaceMeter
from core.units import counted

# The pace is known after so many batches and this share of the budget, or once the second share is spent; the third
# where no batch was timed until then.
MEASURED_BATCHES, MEASURED_SHARE, LATEST_SHARE, LATEST_UNMEASURED = 10, 0.03, 0.15, 0.5
# Older times count less and less, by this share of the budget.
MEMORY_SHARE = 0.1
# Training is fitted again at most once in the first share of the budget, and if its end would miss by the second.
AGAIN_SHARE, TOLERANCE = 0.05, 0.02
# A last epoch with less than this share of its batches is left out.
SHORTEST_LAST = 0.05
# The learning rate warms up in at most this share of the training.
LONGEST_WARM_UP = 0.25
# Seconds; another one in tests.
clock = time.monotonic
MOST_EPOCHS = int(setting("num_epochs").maximum or 0)


class Budget:
    """Where one training ends: after the epochs of its settings, or with its time budget.

    Attributes:
        elapsed: seconds counted so far, up to the last batch.
        fit: where the time budget ends the training; None without a budget, and before the pace is known.
        saving: seconds that the last checkpoint took, for which the fit leaves room.
    """

    def __init__(self, config: RunConfig, num_batches: int) -> None:
        """``num_batches``: of an epoch. The clock starts."""
        self.seconds = config.minutes * 60.0
        self.elapsed = self.saving = 0.0
        self.fit: Fit | None = None
        self._config, self._num_batches, self._num_epochs = config, num_batches, config.num_epochs
        self._is_open = config.minutes > 0
        self._is_settled = False
        self._decay_share = config.decay_epochs / config.num_epochs
        self._pace = PaceMeter(config, num_batches, MEMORY_SHARE * self.seconds)
        self._mark: float | None = clock()
        self._step: int | None = None
        self._is_held = False
        self._fitted_at = 0.0

    # ------------------------------------------------------------------ the clock

    @property
    def left(self) -> float | None:
        """Seconds that are left, below zero once the budget is spent; None without a budget."""
        return self.seconds - self.elapsed if self._is_open else None

    def hold(self, is_held: bool, since: float | None = None) -> None:
        """Stop the clock, or start it with the next batch; ``since``: the time of the clock from which it has run."""
        if is_held == self._is_held:
            return
        self._mark = self._mark if since is None else since
        if is_held:
            self._count()
        self._is_held, self._mark, self._step = is_held, None, None

    def _count(self) -> float:
        """Count the seconds since the last call and return them."""
        now = clock()
        spent = 0.0 if self._mark is None else now - self._mark
        self.elapsed, self._mark = self.elapsed + spent, now
        return spent

    # ------------------------------------------------------------------ the fit

    @property
    def end(self) -> float:
        """Epochs at which training ends: fractional where the last one is cut, infinite before the fit."""
        if self.fit is not None:
            return self.fit.end
        return math.inf if self.is_waiting else self._num_epochs

    @property
    def is_waiting(self) -> bool:
        """Whether the pace of the budget is not known yet."""
        return self._is_open and self.fit is None

    def end_after(self, num_epochs: int) -> None:
        """End after ``num_epochs`` whole epochs, whatever the budget."""
        self._num_epochs, self._is_open, self.fit = num_epochs, False, None

    def renewed(self, config: RunConfig, began: float | None = None) -> Budget:
        """The budget of ``config``, counted from ``began``, in place of this one: with as many decays in the whole."""
        budget = Budget(config, self._num_batches)
        budget._mark = budget._mark if began is None else began
        budget._decay_share = self.fit.decay_epochs / self.fit.end if self.fit is not None else self._decay_share
        budget.saving = self.saving
        return budget

    def batches_of(self, epoch: int) -> int:
        """Batches of an epoch, which counts from 0: fewer in the last one."""
        is_last = self.fit is not None and epoch + 1 == self.fit.num_epochs
        return self.fit.last_batches if self.fit is not None and is_last else self._num_batches

    def observe(self, epoch: int, batch: int, step: int) -> BudgetFitted | None:
        """Count the time since the last call; return the event of a new fit, if there is one.

        To be called before each batch, and each part of the measuring, with the place that the trainer has reached.
        """
        if not self._is_open or self._is_held:
            return None
        has_trained, self._step = self._step is not None and step > self._step, step
        self._pace.observe(self._count(), batch, has_trained)
        is_between = batch < self.batches_of(epoch) and epoch < self.end
        if self._is_settled or not is_between or not self._is_due(epoch, batch):
            return None
        fit = self._fit(epoch, batch)
        if fit == self.fit:
            return None
        self.fit, self._fitted_at = fit, self.elapsed
        values = {**record_as_json(fit), "minutes": self._config.minutes, "elapsed": self.elapsed}
        return BudgetFitted(epoch=epoch, step=step, seconds_per_batch=self._pace.batch or 0.0, **values)

    def _is_due(self, epoch: int, batch: int) -> bool:
        """Whether the pace is known for the first time, or training would miss the end of the budget."""
        pace, seconds = self._pace, self.seconds
        if self.fit is None:
            is_known = pace.measured >= MEASURED_BATCHES and pace.seconds >= MEASURED_SHARE * seconds
            latest = LATEST_SHARE if pace.measured else LATEST_UNMEASURED
            return is_known or (pace.batch is not None and self.elapsed >= latest * seconds)
        needed, left = self._needed(self.fit, epoch, batch), seconds - self.elapsed
        is_time = self.elapsed - self._fitted_at >= AGAIN_SHARE * seconds or needed < AGAIN_SHARE * seconds
        return abs(needed - left) > TOLERANCE * seconds and is_time

    def _needed(self, fit: Fit, epoch: int, batch: int) -> float:
        """Seconds from a place to the end of a fit, the last checkpoint included."""
        batches = (fit.num_epochs - 1 - epoch) * self._num_batches + fit.last_batches - batch
        return batches * (self._pace.batch or 0.0) + (fit.num_epochs - epoch) * self._pace.epoch_end + self.saving

    def _fit(self, epoch: int, batch: int) -> Fit:
        """The fit to the time that is left, from a place between two batches."""
        pace, whole = self._pace, self._num_batches
        a_batch = max(pace.batch or 0.0, 1e-9)
        room = self.seconds - self.elapsed - self.saving - ((whole - batch) * a_batch + pace.epoch_end)
        fewest = max(1, round(SHORTEST_LAST * whole))
        if room < 0:  # it ends in this epoch
            num_epochs, last = epoch + 1, max(batch, 1, whole + math.floor(room / a_batch))
            if batch == 0 and epoch > 0 and last < fewest:
                num_epochs, last = epoch, whole
        else:
            more, rest = divmod(room, whole * a_batch + pace.epoch_end)
            last = min(whole, int((rest - pace.epoch_end) / a_batch))
            num_epochs = min(epoch + 1 + int(more) + (last >= fewest), MOST_EPOCHS)
            last = last if last >= fewest else whole
        return self._with_schedule(num_epochs, last)

    def _with_schedule(self, num_epochs: int, last_batches: int) -> Fit:
        """The fit with a schedule of that length: as many decays as asked for, and a warm-up that is a part of it."""
        config = self._config
        end = num_epochs - 1 + last_batches / self._num_batches
        return Fit(
            num_epochs=num_epochs,
            last_batches=last_batches,
            num_batches=self._num_batches,
            warmup_epochs=min(config.warmup_epochs, LONGEST_WARM_UP * end),
            decay_epochs=self._decay_share * end,
        )

    # ------------------------------------------------------------------ checkpoints

    def facts(self) -> dict[str, Any] | None:
        """The budget as a checkpoint keeps it; None without one."""
        if not self._is_open:
            return None
        fit = None if self.fit is None else record_as_json(self.fit)
        return {"elapsed": self.elapsed, "fit": fit, "minutes": self._config.minutes, "decay_share": self._decay_share}

    @classmethod
    def restored(cls, config: RunConfig, num_batches: int, facts: Mapping[str, Any] | None) -> Budget:
        """The inverse of ``facts``, its clock standing still. Raises one of ``core.record.MALFORMED``."""
        budget = cls(config, num_batches)
        budget._is_open, budget._mark = facts is not None, None
        if facts is not None:
            fit = None if facts["fit"] is None else read_record(Fit, facts["fit"])
            if fit is not None and not (
                fit.is_sound and (fit.num_epochs, fit.num_batches) == (config.num_epochs, num_batches)
            ):
                raise ValueError("its fit is impossible")
            budget.elapsed, budget.fit, budget._is_settled = float(facts["elapsed"]), fit, fit is not None
            budget._decay_share = float(facts.get("decay_share", budget._decay_share))
            if not 0 < budget._decay_share < math.inf:
                raise ValueError("its decays are impossible")
        return budget


def early_stop_words(epoch: int, config: RunConfig) -> str:
    """Why a training that has finished ``epoch`` epochs ended before the last one; empty if it did not."""
    if epoch < config.num_epochs:
        return f"no better held-out perplexity for {counted(config.patience, 'epoch')}: stopped early"
    return ""
