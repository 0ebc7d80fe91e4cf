"""Axes: the range of values that one shows, its ticks with their labels, and where a value is along it.

An axis is in the units that are drawn: the values themselves, or their decimal logarithms (decades).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from tui.charts.curve import LARGEST
from tui.charts.ticks import (
    count_labels,
    linear_range,
    linear_ticks,
    log_range,
    log_ticks,
    tick_labels,
    time_labels,
    time_ticks,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

Range: TypeAlias = tuple[float | None, float | None]

DECADES = 300.0
"""The largest decimal logarithm on a logarithmic axis; its negative is the smallest."""


@dataclass(frozen=True)
class Axis:
    """The ends of an axis and its ticks, in its units, with the labels of the ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.high > self.low:  # the ends are so close, or so large, that their difference rounds to zero
            object.__setattr__(self, "high", self.low + max(1e-9, abs(self.low) * 1e-9))

    def places(self, values: ArrayLike, cells: int) -> NDArray[np.float64]:
        """Where values are, in cells from the middle of the first of ``cells``; those outside are at the nearer end."""
        import numpy as np

        span = self.high - self.low
        return np.clip((np.asarray(values, np.float64) - self.low) / span, 0.0, 1.0) * (cells - 1)


@dataclass(frozen=True)
class XScale:
    """Where x is on a drawing: ``cells`` columns from ``left`` on, from ``low`` to ``high``."""

    left: int
    cells: int
    low: float
    high: float

    def value_at(self, column: int) -> float:
        """The x in the middle of a column; of one beside the canvas, that at the nearer edge."""
        place = min(max(0, column - self.left), self.cells - 1)
        return self.low + (self.high - self.low) * place / max(1, self.cells - 1)


def scaled(value: float, log: bool) -> float:
    """A value in the units of its axis; negative infinity if a logarithmic axis cannot show it."""
    if not log:
        return value
    return max(-DECADES, min(DECADES, math.log10(value))) if value > 0 else -math.inf


def scaled_ends(wanted: Range | None, log: bool) -> Range:
    """The ends of a range in the units of its axis; None for an end that the axis cannot have."""

    def end(value: float | None) -> float | None:
        if value is None or not math.isfinite(value):
            return None
        place = scaled(max(-LARGEST, min(LARGEST, value)), log)
        return place if math.isfinite(place) else None

    low, high = wanted or (None, None)
    return end(low), end(high)


def x_limits(low: float, high: float, wanted: Range | None, log: bool) -> tuple[float, float]:
    """The ends of the x axis for data from ``low`` to ``high``, in its units."""
    wanted_low, wanted_high = scaled_ends(wanted, log)
    low = low if wanted_low is None else wanted_low
    high = high if wanted_high is None else wanted_high
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        margin = 0.5 if log else (abs(low) / 10 or 1.0)
        low, high = (low - margin if wanted_low is None else low), low + margin
    if log and high > DECADES:
        low, high = min(low, DECADES - 0.5), DECADES
    return low, high


def x_axis(low: float, high: float, log: bool, integers: bool, cells: int, time: bool = False) -> Axis:
    """The x axis over ``cells`` cells, with as many ticks as have room; ``time``: in seconds since 1970."""
    most = max(1, min(10, cells // 9))
    if time:
        ticks = time_ticks(low, high, max(1, cells // 12))
        return Axis(low, high, tuple(ticks), tuple(time_labels(ticks)))
    if log:
        ticks = log_ticks(10**low, 10**high, most)
        return Axis(low, high, tuple(math.log10(tick) for tick in ticks), tuple(count_labels(ticks, cells)))
    ticks = linear_ticks(low, high, most, integers)
    return Axis(low, high, tuple(ticks), tuple(count_labels(ticks, cells)))


def y_axis(low: float, high: float, log: bool, cells: int) -> Axis:
    """The y axis over ``cells`` cells: round ends around ``low`` and ``high``, ticks with room between them."""
    most = max(2, cells * 2 // 5)
    if not log:
        low, high = linear_range(low, high, max(2, min(5, most)))
        ticks = linear_ticks(low, high, min(8, most))
        return Axis(low, high, tuple(ticks), tuple(tick_labels(ticks)))
    low, high = log_range(10**low, 10**high)
    ticks = log_ticks(low, high, most)
    labels = tick_labels(ticks, equal_steps=high < low * 3)
    return Axis(math.log10(low), math.log10(high), tuple(math.log10(tick) for tick in ticks), tuple(labels))
