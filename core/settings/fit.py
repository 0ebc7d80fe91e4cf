"""The fit of a training to its time budget: where it ends, and the lengths of its schedule."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fit:
    """Training ends after ``last_batches`` of the ``num_batches`` of epoch ``num_epochs``.

    ``warmup_epochs`` and ``decay_epochs`` take the place of the settings of these names, so that the schedule is at its
    end when the training is.
    """

    num_epochs: int
    last_batches: int
    num_batches: int
    warmup_epochs: float
    decay_epochs: float

    @property
    def is_sound(self) -> bool:
        """Whether a training can have this fit."""
        return 1 <= self.last_batches <= self.num_batches and self.warmup_epochs >= 0 and self.decay_epochs > 0

    @property
    def end(self) -> float:
        """The end in epochs, fractional."""
        return self.num_epochs - 1 + self.last_batches / self.num_batches
