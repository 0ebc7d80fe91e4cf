"""The scales of an axis: which values it shows, where they are along it, and the round numbers that are its ticks.

A scale is a row of ``SCALES``: charts, keys, preferences, ``--scale`` and pictures take it from there by its name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Ends: TypeAlias = tuple[float, float]

LARGEST = 1e300
"""Larger numbers are drawn as this one: their differences may be infinite."""


@dataclass(frozen=True)
class Scale:
    """From values to the units of an axis and back. The functions of values take a number or an array.

    Attributes:
        name: on the command line, in the preferences, and after what is drawn: ``perplexity, log scale``.
        label: as in ``a logarithmic axis``.
        forward, inverse: from values to units, and back; a value that is not allowed may be anywhere.
        around: the ends of an axis that shows one value alone.
        ends: the round ends around a lowest and a highest value, about so many ticks apart; never empty.
        ticks: round values from a lowest to a highest, about so many at most; true asks for whole numbers.
        allows: which finite values the axis can show.
        domain: these values in words; empty for all.
        most: ticks of a tall axis at most.
    """

    name: str
    label: str
    forward: Callable[[Any], Any]
    inverse: Callable[[Any], Any]
    around: Callable[[float], Ends]
    ends: Callable[[float, float, int], Ends]
    ticks: Callable[[float, float, int, bool], list[float]]
    allows: Callable[[Any], Any] = lambda values: values == values
    domain: str = ""
    most: int = 8

    def place(self, value: float) -> float:
        """A value in the units of the axis; negative infinity if it is not allowed."""
        return float(self.forward(value)) if self.allows(value) else -math.inf

    def named(self, label: str) -> str:
        """The label of an axis with this scale."""
        return label if self is LINEAR else f"{label}, {self.name} scale"


_TIDY_STEPS = (1.0, 2.0, 5.0, 10.0)
_TIDY_ENDS = (0.8, 1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0)


def _tidy_step(span: float, most: int) -> float:
    """The smallest of 1, 2, 5 times a power of ten that fits at most ``most`` times into ``span``."""
    wanted = span / max(1, most)
    magnitude = 10.0 ** max(-300, math.floor(math.log10(wanted))) if wanted > 0 else 1.0
    for factor in _TIDY_STEPS:
        if factor * magnitude >= wanted * (1 - 1e-9):
            return factor * magnitude
    return 10.0 * magnitude


# ------------------------------------------------------------------ linear


def _same(values: Any) -> Any:
    return values


def _around_linear(value: float) -> Ends:
    margin = abs(value) / 10 or 1.0
    return value - margin, value + margin


def linear_ends(low: float, high: float, parts: int = 5) -> Ends:
    """A range around ``low`` and ``high`` that starts and ends on round numbers; never empty."""
    low, high = max(-LARGEST, min(low, high)), min(LARGEST, max(low, high))
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        low, high = _around_linear(low)[0], _around_linear(high)[1]
    step = _tidy_step(high - low, parts)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def linear_ticks(low: float, high: float, most: int, whole: bool = False) -> list[float]:
    """About ``most`` round numbers at most, from ``low`` to ``high`` in equal steps; ``whole``: whole ones only."""
    span = high - low
    if span <= 0 or most < 1:
        return [low]
    step = _tidy_step(span, most)
    if whole:
        step = max(1.0, step)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)] or [low]


# ------------------------------------------------------------------ logarithmic


def _decades(values: Any) -> Any:
    import numpy as np

    return np.log10(np.clip(values, 1 / LARGEST, LARGEST))


def _around_log(value: float) -> Ends:
    return value / math.sqrt(10), value * math.sqrt(10)


def log_ends(low: float, high: float, _parts: int = 5) -> Ends:
    """A range around two positive numbers that starts and ends on round numbers.

    Within a factor of three the range is the linear one, which is finer.
    """
    if high < low * 3:
        start, end = linear_ends(low, high)
        if start > low / 2:
            return start, end
    return _tidy_below(low), _tidy_above(high)


def _tidy_below(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return max(factor * power for factor in _TIDY_ENDS if factor * power <= value * (1 + 1e-9))


def _tidy_above(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return min(factor * power for factor in _TIDY_ENDS if factor * power >= value * (1 - 1e-9))


def log_ticks(low: float, high: float, most: int, whole: bool = False) -> list[float]:
    """About ``most`` round numbers at most, from ``low`` to ``high``, both positive, for a logarithmic axis.

    1, 2, 5, 10, 20, ... if there is room, else decades, else every second decade, and so on; equal steps if the ends
    are so close that fewer than three of these numbers are between them.
    """
    start, end = math.log10(low), math.log10(high)
    if end <= start or most < 1:
        return [low]
    tolerance = 1e-9
    decades = range(math.floor(start), math.ceil(end) + 1)
    fine = [factor * 10.0**decade for decade in decades if abs(decade) < 300 for factor in (1, 2, 5)]
    fine = [tick for tick in fine if start - tolerance <= math.log10(tick) <= end + tolerance]
    if len(fine) < 3 and end - start < 1.5:
        return linear_ticks(low, high, most, whole)
    if len(fine) <= most:
        return fine
    every = max(1, math.ceil((end - start) / most))
    exponents = [d for d in decades if d % every == 0 and start - tolerance <= d <= end + tolerance]
    if len(exponents) < 2 and fine:
        return [fine[0], fine[-1]][:most]
    return [10.0**exponent for exponent in exponents] or [low]


LINEAR = Scale("linear", "linear", _same, _same, _around_linear, linear_ends, linear_ticks)
LOG = Scale(
    "log", "logarithmic", _decades, lambda places: 10.0**places, _around_log, log_ends, log_ticks,
    allows=lambda values: values > 0, domain="above 0", most=24,
)  # fmt: skip
SCALES = {scale.name: scale for scale in (LOG, LINEAR)}
SCALE_LABELS = " or ".join(scale.label for scale in SCALES.values())
