"""The pace of a training: seconds a batch and seconds at the end of an epoch, as measured while it trains."""

from __future__ import annotations

import math

from core.settings.run_config import RunConfig

# Batches before the pace is measured: they compile kernels, capture graphs and fill caches.
WARM_UP_BATCHES = 5
# Measuring a held-out token takes this part of the time of training on one, until an epoch's end has been timed.
MEASURING_COST = 0.35
# With fewer batches an epoch, the end of an epoch is counted among its batches.
SHORT_EPOCH = 8
# A batch that takes this many times as long was interrupted by another program: it is left out of the pace.
INTERRUPTED = 10.0


class PaceMeter:
    """Means in which older times count less and less, because the load of a machine changes.

    Attributes:
        measured: batches that were timed.
        seconds: their time.
    """

    def __init__(self, config: RunConfig, num_batches: int, memory: float) -> None:
        """``num_batches``: of an epoch; ``memory``: seconds after which a time counts for a third."""
        self.measured, self.seconds = 0, 0.0
        self._num_batches, self._memory = num_batches, max(memory, 1e-9)
        held_out = config.validation_fraction / (1.0 - config.validation_fraction)
        self._guess = held_out * num_batches * MEASURING_COST
        self._trained = 0
        self._last: float | None = None
        self._since_batch = 0.0
        self._batches = self._batch_seconds = self._ends = self._end_seconds = 0.0

    def observe(self, spent: float, batch: int, has_trained: bool) -> None:
        """Take the time since the last call, in which a batch or a part of the measuring was done.

        ``batch``: finished batches of the epoch afterwards, 0 after its end.
        """
        self._trained += has_trained
        self._since_batch += spent
        if self._trained <= WARM_UP_BATCHES:
            self._since_batch, self._last = 0.0, spent if self._trained > 1 else None
            return
        fading = math.exp(-spent / self._memory)
        self._batches, self._batch_seconds = self._batches * fading, self._batch_seconds * fading
        self._ends, self._end_seconds = self._ends * fading, self._end_seconds * fading
        is_within = 1 < batch < self._num_batches or self._num_batches < SHORT_EPOCH
        if has_trained and (is_within or batch == 1):
            self._add(self._since_batch, is_within)
            self._since_batch = 0.0

    def _add(self, seconds: float, is_within: bool) -> None:
        """Add the time of a batch, or that from the last batch of an epoch to the first one of the next."""
        if not is_within:
            batch = self.batch or 0.0
            self._ends, self._end_seconds = self._ends + 1, self._end_seconds + max(0.0, seconds - 2 * batch)
            return
        if self._batches and self.batch:
            seconds = min(seconds, INTERRUPTED * self.batch)
        self._batches, self._batch_seconds = self._batches + 1, self._batch_seconds + seconds
        self.measured, self.seconds = self.measured + 1, self.seconds + seconds

    @property
    def batch(self) -> float | None:
        """Seconds a batch; before any was timed, those of the last one of the warm-up, None before the second one."""
        return self._batch_seconds / self._batches if self._batches > 0 else self._last

    @property
    def epoch_end(self) -> float:
        """Seconds from the last batch of an epoch to the first of the next: measuring, a sample, a checkpoint."""
        if self._ends > 0:
            return self._end_seconds / self._ends
        return 0.0 if self._num_batches < SHORT_EPOCH else self._guess * (self.batch or 0.0)
