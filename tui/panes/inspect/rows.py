"""Rows of a drawing: fitted to a width, joined side by side, scrolled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tui.charts.drawing import Drawing, Row, Run, blank, fitted
from tui.text.wrapping import wrapped_lines
from tui.themes import QUIET

BETWEEN = 2
"""Blank cells between two drawings side by side."""


def drawn(rows: Sequence[Iterable[Run]], width: int, height: int) -> Drawing:
    """The rows as a drawing of exactly this size; what does not fit is left out."""
    shown = [fitted(row, width) for row in rows[:height]]
    return Drawing([*shown, *blank(width, height - len(shown)).rows], width)


def beside(left: Drawing, right: Drawing) -> Drawing:
    gap: Run = (" " * BETWEEN, "")
    rows = [(*one, gap, *other) for one, other in zip(left.rows, right.rows, strict=True)]
    return Drawing(rows, left.width + BETWEEN + right.width)


def paragraph(text: str, width: int, style: str = QUIET) -> list[Row]:
    """A text wrapped to ``width``."""
    return [((line, style),) for line in wrapped_lines(text, max(10, width))]


def heading(text: str) -> Row:
    return ((text, "bold"),)


def first_visible(selected: int, first: int, height: int, count: int) -> int:
    """The first row of a window of ``height`` out of ``count`` rows that has ``selected`` in it, moved least."""
    first = min(first, selected)
    first = max(first, selected - height + 1)
    return max(0, min(first, count - height))


def percent(probability: float) -> str:
    """``12.5 %``; a small one with one digit."""
    share = 100 * probability
    return f"{share:.1f} %" if share >= 0.1 else f"{share:.1g} %"


def number(value: float | None, cells: int = 7) -> str:
    """A number in ``cells`` cells, right-aligned, with four significant digits at most; a dash for None or NaN."""
    if value is None or value != value:
        return "–".rjust(cells)
    size = abs(value)
    if size and (size < 1e-3 or size >= 1e5):
        text = f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")
    elif size >= 100:
        text = f"{value:.0f}" if size >= 1000 else f"{value:.1f}"
    else:
        text = f"{value:.3f}"
    return text.rjust(cells)
