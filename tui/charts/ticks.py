"""Short labels for the ticks of an axis, and the ticks of an axis of time."""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Sequence

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


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Labels for ticks; those in equal steps have the same number of decimals, so that they align.

    Units and exponents are not mixed: ``1e4`` and ``1e20``, or ``10k`` and ``1M``.
    """
    exponent = any(map(_needs_exponent, ticks))
    decimals = [0 if _needs_exponent(tick) else _decimals(tick) for tick in ticks]
    steps = [after - before for before, after in itertools.pairwise(ticks)]
    if steps and max(steps) <= min(steps) * (1 + 1e-6):
        decimals = [max(decimals)] * len(decimals)
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
