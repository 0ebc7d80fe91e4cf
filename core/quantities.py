"""Quantities as people read them, in widths that do not jump."""

from __future__ import annotations


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
