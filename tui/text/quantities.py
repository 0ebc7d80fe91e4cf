"""Ages in the words that people read."""

from __future__ import annotations

import datetime

from core.units import moment_of


def age_text(created: str, now: datetime.datetime) -> str:
    """``just now``, ``5 min``, ``3 h``, ``12 d``, ``2 y``: the time since an ISO date; empty for an invalid one."""
    moment = moment_of(created)
    if moment is None:
        return ""
    seconds = (now - moment).total_seconds()
    for size, unit in ((31_557_600, "y"), (86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "just now"
