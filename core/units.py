"""Quantities in words and figures, in widths that do not jump."""

from __future__ import annotations

import datetime
import math

BEYOND = ">1e308"
"""A perplexity beyond the range of floating point."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """``1 token``, ``1,027 tokens``; ``plural`` if it is not the noun with an s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def bytes_text(count: float) -> str:
    """``38.0 kB``: three digits and a decimal unit, at most 8 cells."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 999.5 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.95 else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def count_text(count: int) -> str:
    """``590 k``: a count in at most 6 cells."""
    if count < 10_000:
        return f"{count:,}"
    for power, unit in ((1e3, "k"), (1e6, "M"), (1e9, "G")):
        if count < 999.5 * power or unit == "G":
            return f"{count / power:.1f} {unit}" if count < 99.95 * power else f"{count / power:.0f} {unit}"
    raise AssertionError


def perplexity_text(perplexity: float | None) -> str:
    """Four digits or more: ``30,570``, ``1,027``, ``56.3``, ``1.163``; a dash for None, ``>1e308`` on overflow."""
    if perplexity is None or math.isnan(perplexity):
        return "–"
    if math.isinf(perplexity):
        return BEYOND
    if perplexity >= 999_999.5:
        return f"{perplexity:.1e}"
    if perplexity >= 999.95:
        return f"{perplexity:,.0f}"
    return f"{perplexity:.{3 if perplexity < 10 else 1}f}"


def rate_text(rate: float) -> str:
    """``1e-05``, ``0.001``, ``156.2``, ``1,000``, ``1e+06``: a learning rate in at most 9 cells."""
    return f"{rate:,.0f}" if 999.95 <= rate < 1e6 else f"{rate:.4g}"


def epochs_text(epochs: float) -> str:
    """``9.4``, ``12,350``: epochs that need not be whole."""
    return f"{epochs:,.0f}" if epochs >= 999.95 else f"{epochs:.4g}"


def loss_text(nats: float) -> str:
    """``6.9``, ``709.8``, ``17,468,927``, ``1.3e+12``: a loss that may have exploded, in nats or bits."""
    return f"{nats:,.1f}" if nats < 1e4 else f"{nats:,.0f}" if nats < 1e9 else f"{nats:.1e}"


def loss_words(nats: float) -> str:
    """``loss 17,468,927 nats, 25,202,334 bits/token``: shown if the perplexity overflowed."""
    return f"loss {loss_text(nats)} nats, {loss_text(nats / math.log(2))} bits/token"


def clock_text(seconds: float) -> str:
    """``0:14``, ``12:05``, ``3:12:00``, ``5 d 3 h``."""
    whole = int(seconds + 0.5)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 72:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def date_text(created: str) -> str:
    """``2026-10-05 14:03`` in the time zone of this machine; empty for an invalid date."""
    moment = moment_of(created)
    return moment.strftime("%Y-%m-%d %H:%M") if moment else ""


def moment_of(created: str) -> datetime.datetime | None:
    """An ISO date in the time zone of this machine; None if it is malformed."""
    try:
        return datetime.datetime.fromisoformat(created).astimezone()
    except (ValueError, OverflowError, OSError):
        return None
