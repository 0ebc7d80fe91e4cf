"""Horizontal bars with labels, numbers and shares, exact to an eighth of a cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from tui.charts.drawing import LABEL, Drawing, Row, Run, blank, fitted, message
from tui.charts.ticks import number_label
from tui.text.cells import pad_cells
from tui.text.safe import shown_text, token_name

MARK = "▸ "
TOKENS = "$primary 70%"
"""The style of the bars of tokens."""
_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")


@dataclass(frozen=True)
class Bar:
    """One bar. ``label`` may be any text, such as a token; ``note`` replaces the share."""

    label: str
    value: float
    note: str | None = None


def bar_chart(
    bars: Sequence[Bar],
    *,
    width: int,
    height: int,
    style: str = "$primary",
    total: float | None = None,
    decimals: int | None = None,
    placeholder: str = "nothing to count yet",
) -> Drawing:
    """One row for each bar that fits into ``height``: label, bar, value, share; each exactly ``width`` cells wide.

    Args:
        style: of the bars.
        total: the number that shares refer to; None for the sum of all bars, 0 for no shares.
        decimals: decimals of the values; None for none in whole numbers and three in others.
        placeholder: the sentence shown when there are no bars.
    """
    if width < 1 or height < 1:
        return blank(width, height)
    if not bars:
        return message(placeholder, width, height, LABEL)
    values = [bar.value if math.isfinite(bar.value) else 0.0 for bar in bars]
    largest = max(values)
    whole = total if total is not None else sum(value for value in values if value > 0)
    shown = list(zip(bars[:height], values, strict=False))
    labels = [token_name(bar.label) for bar, _ in shown]
    numbers = [_number(bar.value, decimals) for bar, _ in shown]
    notes = [_share(value, whole) if bar.note is None else shown_text(bar.note) for bar, value in shown]
    label_cells, number_cells, note_cells = _columns(labels, numbers, notes, width)
    room = max(0, width - label_cells - 1 - sum(cells + 1 for cells in (number_cells, note_cells) if cells))

    rows: list[Row] = []
    for (_, value), label, number, note in zip(shown, labels, numbers, notes, strict=True):
        bar = _bar(value / largest if largest > 0 else 0.0, room)
        runs: list[Run] = [
            (pad_cells(label, label_cells) + " ", ""),
            (bar, style),
            (" " * (room - len(bar)), ""),
        ]
        if number_cells:
            runs.append((" " + pad_cells(number, number_cells, "right"), ""))
        if note_cells:
            runs.append((" " + pad_cells(note, note_cells, "right"), LABEL))
        rows.append(fitted(runs, width))
    return Drawing([*rows, *blank(width, height - len(rows)).rows], width)


def token_bars(
    tokens: Sequence[tuple[str, float]], chosen: int | None, width: int, height: int, style: str = ""
) -> list[Row]:
    """Tokens with their probabilities, the most likely first: a row each, as many as fit, ``width`` cells wide.

    The row at ``chosen`` has a mark, and ``style`` beside its own.
    """
    bars = [Bar(token, 100 * probability, "%") for token, probability in tokens[:height]]
    chart = bar_chart(bars, width=max(1, width - len(MARK)), height=max(1, len(bars)), style=TOKENS, decimals=2)
    rows = [((" " * len(MARK), ""), *row) for row in chart.rows]
    if chosen is not None and chosen < len(rows):
        strong = [(text, f"{own} {style}".strip()) for text, own in chart.rows[chosen]]
        rows[chosen] = ((MARK, f"{TOKENS} bold"), *strong)
    return rows


def _columns(labels: list[str], numbers: list[str], notes: list[str], width: int) -> tuple[int, int, int]:
    """Cells of the labels, the numbers and the notes; 0 for a column that is left out so that the bars have room."""
    label_cells = min(max(map(cell_len, labels)), max(1, width // 3))
    number_cells = max(map(len, numbers))
    note_cells = min(max(map(cell_len, notes)), width // 3)
    if width - label_cells - number_cells - note_cells - 3 < 6:
        note_cells = 0
    if width - label_cells - number_cells - 2 < 4:
        number_cells = 0
    return label_cells, number_cells, note_cells


def _bar(fraction: float, cells: int) -> str:
    """A bar of ``fraction`` of ``cells``, at least an eighth of a cell for a fraction above 0."""
    if fraction <= 0 or cells <= 0:
        return ""
    fraction = min(1.0, fraction)
    eighths = max(1, round(fraction * cells * 8))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8]


def _number(value: float, decimals: int | None) -> str:
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 1e12:
        return number_label(value)
    if decimals is None:
        decimals = 0 if value == int(value) else 3
    return f"{value:,.{decimals}f}"


def _share(value: float, total: float) -> str:
    if not total > 0:
        return ""
    share = max(0.0, value) / total * 100
    return "<0.1 %" if 0 < share < 0.05 else f"{share:.1f} %"
