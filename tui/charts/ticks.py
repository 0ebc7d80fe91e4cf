"""Ranges that end on round numbers, ticks at round numbers, and short labels for them."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence

_TIDY_STEPS = (1.0, 2.0, 5.0, 10.0)
_TIDY_ENDS = (0.8, 1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0)
_LARGEST = 1e300
"""Beyond this a range would overflow when it is doubled."""


def _tidy_step(span: float, most: int) -> float:
    """The smallest of 1, 2, 5 times a power of ten that fits at most ``most`` times into ``span``."""
    wanted = span / max(1, most)
    magnitude = 10.0 ** max(-300, math.floor(math.log10(wanted))) if wanted > 0 else 1.0
    for factor in _TIDY_STEPS:
        if factor * magnitude >= wanted * (1 - 1e-9):
            return factor * magnitude
    return 10.0 * magnitude


def linear_range(low: float, high: float, parts: int = 5) -> tuple[float, float]:
    """A range around ``low`` and ``high`` that starts and ends on round numbers; never empty."""
    low, high = max(-_LARGEST, min(low, high)), min(_LARGEST, max(low, high))
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        margin = abs(low) / 10 or 1.0
        low, high = low - margin, high + margin
    step = _tidy_step(high - low, parts)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def log_range(low: float, high: float) -> tuple[float, float]:
    """A range around two positive numbers that starts and ends on round numbers.

    Within a factor of three the range is the linear one, which is finer.
    """
    if high < low * 3:
        start, end = linear_range(low, high)
        if start > low / 2:
            return start, end
    return _tidy_below(low), _tidy_above(high)


def _tidy_below(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return max(factor * power for factor in _TIDY_ENDS if factor * power <= value * (1 + 1e-9))


def _tidy_above(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return min(factor * power for factor in _TIDY_ENDS if factor * power >= value * (1 - 1e-9))


def linear_ticks(low: float, high: float, most: int, integers: bool = False) -> list[float]:
    """About ``most`` round numbers at most, from ``low`` to ``high`` in equal steps; ``integers``: whole ones only."""
    span = high - low
    if span <= 0 or most < 1:
        return [low]
    step = _tidy_step(span, most)
    if integers:
        step = max(1.0, step)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)] or [low]


def log_ticks(low: float, high: float, most: int) -> list[float]:
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
        return linear_ticks(low, high, most)
    if len(fine) <= most:
        return fine
    every = max(1, math.ceil((end - start) / most))
    exponents = [d for d in decades if d % every == 0 and start - tolerance <= d <= end + tolerance]
    if len(exponents) < 2 and fine:
        return [fine[0], fine[-1]][:most]
    return [10.0**exponent for exponent in exponents] or [low]


_SMALLEST, _LARGEST_WITH_UNIT = 1e-3, 1e12 * (1 - 1e-9)
"""Numbers beyond these are written with an exponent, because their units are not well known."""


def _with_unit(value: float) -> str:
    """A large number in at most six characters: ``20k``, ``1.5M``, ``500G``."""
    limit, unit = next((limit, unit) for limit, unit in ((1e3, "k"), (1e6, "M"), (1e9, "G"))
                       if abs(value) < limit * 1e3 * (1 - 1e-9))  # fmt: skip
    return f"{value / limit:.4g}{unit}"


def _with_exponent(value: float) -> str:
    """``1e20``, ``1.5e6``, ``2e-5``."""
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def _needs_exponent(value: float) -> bool:
    return value != 0 and not _SMALLEST <= abs(value) < _LARGEST_WITH_UNIT


def number_label(value: float, decimals: int = 0, exponent: bool = False) -> str:
    """A tick's number, short: ``0``, ``0.25``, ``500``, ``1,000``, ``20k``, ``1.5M``, ``1e-4``.

    ``exponent``: large numbers have one (``2e4``), because another label of the axis needs one.
    """
    if value == 0:
        return "0"
    if _needs_exponent(value) or (exponent and abs(value) >= 10_000):
        return _with_exponent(value)
    return _with_unit(value) if abs(value) >= 10_000 else f"{value:,.{decimals}f}"


def _decimals(value: float, most: int = 6) -> int:
    """The number of decimals in ``value``."""
    for decimals in range(most):
        if abs(round(value, decimals) - value) <= 1e-9 * max(1.0, abs(value)):
            return decimals
    return most


def tick_labels(ticks: Sequence[float], equal_steps: bool = True) -> list[str]:
    """Labels for ticks; those in equal steps have the same number of decimals, so that they align.

    Units and exponents are not mixed: ``1e4`` and ``1e20``, or ``10k`` and ``1M``.
    """
    exponent = any(map(_needs_exponent, ticks))
    decimals = [_decimals(tick) for tick in ticks]
    if equal_steps:
        decimals = [max(decimals, default=0)] * len(decimals)
    return [number_label(tick, places, exponent) for tick, places in zip(ticks, decimals, strict=True)]


def count_labels(ticks: Sequence[float], cells: int) -> list[str]:
    """Labels for ticks along ``cells`` cells: thousands separated if there is room, else short."""
    whole = all(tick == int(tick) for tick in ticks)
    if whole:
        labels = [f"{int(tick):,}" for tick in ticks]
        if sum(len(label) + 2 for label in labels) <= cells:
            return labels
    return tick_labels(ticks)


_DAY = 86_400
_CLOCK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)


def time_ticks(low: float, high: float, most: int) -> list[float]:
    """About ``most`` round times at most, from ``low`` to ``high`` in seconds since 1970, in this machine's zone."""
    wanted = (high - low) / max(1, most)
    step = next((step for step in _CLOCK_STEPS if step >= wanted), 0) or _DAY * math.ceil(wanted / _DAY)
    try:
        zone = datetime.datetime.fromtimestamp(low).astimezone().utcoffset()
    except (ValueError, OverflowError, OSError):  # the year 1 or 10,000
        return [low]
    offset = zone.total_seconds() if zone is not None else 0.0
    first, last = math.ceil((low + offset) / step), math.floor((high + offset) / step)
    return [index * step - offset for index in range(first, last + 1)] or [low]


def time_labels(ticks: Sequence[float]) -> list[str]:
    """``14:05``, with seconds if the ticks need them; the date at the first tick of each day."""
    labels: list[str] = []
    day: datetime.date | None = None
    form = "%H:%M:%S" if any(tick % 60 for tick in ticks) else "%H:%M"
    for tick in ticks:
        try:
            moment = datetime.datetime.fromtimestamp(tick)
        except (ValueError, OverflowError, OSError):
            return ["" for _ in ticks]
        is_new, day = moment.date() != day, moment.date()
        labels.append(moment.strftime("%m-%d" if is_new and len(labels) else form))
    return labels
