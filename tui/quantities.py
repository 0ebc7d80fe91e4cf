"""Quantities as people read them, in widths that do not jump."""

from __future__ import annotations

import datetime
import math

from core.quantities import bytes_text, count_text

__all__ = ["age_text", "bytes_text", "count_text", "date_text", "moment_of", "perplexity_text"]


def perplexity_text(perplexity: float | None) -> str:
    """Four figures: ``1027``, ``56.3``, ``1.163``; a dash where there is none, infinity where it overflowed."""
    if perplexity is None or math.isnan(perplexity):
        return "–"
    if math.isinf(perplexity):
        return "∞"
    if perplexity >= 1e6:
        return f"{perplexity:.1e}"
    return f"{perplexity:.0f}" if perplexity >= 1000 else f"{perplexity:.{3 if perplexity < 10 else 1}f}"


def age_text(created: str, now: datetime.datetime) -> str:
    """``just now``, ``5 min``, ``3 h``, ``12 d``, ``2 y``: how long ago an ISO date is; empty for one that is none."""
    moment = moment_of(created)
    if moment is None:
        return ""
    seconds = (now - moment).total_seconds()
    for size, unit in ((31_557_600, "y"), (86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "just now"


def date_text(created: str) -> str:
    """``2026-10-05 14:03`` in the time zone of this machine; empty for no date."""
    moment = moment_of(created)
    return moment.astimezone().strftime("%Y-%m-%d %H:%M") if moment else ""


def moment_of(created: str) -> datetime.datetime | None:
    """The moment of an ISO date, or None where it is none."""
    try:
        moment = datetime.datetime.fromisoformat(created)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.astimezone()
