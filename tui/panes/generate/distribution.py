"""The most likely next tokens as bars, with a mark at the chosen one."""

from __future__ import annotations

from collections.abc import Sequence

from tui.charts.bars import Bar, bar_chart
from tui.charts.drawing import Drawing, Palette, Row
from tui.text.cells import pad_cells
from tui.text.safe import token_name

MARK = "▸ "


def distribution_chart(
    distribution: Sequence[tuple[str, float]],
    *,
    chosen: int | None,
    other: str = "",
    width: int,
    palette: Palette | None = None,
) -> Drawing:
    """One row for each token: mark, token, bar, percent; each exactly ``width`` cells wide.

    Args:
        distribution: (token, probability), the most likely first.
        chosen: the position of the chosen token, or None if it is not among them.
        other: a last row for the chosen token if it is not among them.
    """
    palette = palette or Palette()
    bars = [Bar(token, 100 * probability, "%") for token, probability in distribution]
    room = max(1, width - len(MARK))
    drawn = bar_chart(bars, width=room, height=max(1, len(bars)), palette=palette, decimals=2)
    rows: list[Row] = []
    for place, row in enumerate(drawn.rows):
        if place == chosen:
            strong = tuple((text, f"{style} bold" if style else "bold") for text, style in row)
            rows.append(((MARK, f"{palette.bar} bold"), *strong))
        else:
            rows.append((("  ", ""), *row))
    if chosen is None and other:
        rows.append(((MARK, f"{palette.bar} bold"), (pad_cells(other, room), "bold")))
    return Drawing(rows, width)


def other_words(token: str, probability: float | None) -> str:
    """The row of a chosen token that is not among the most likely ones."""
    name = token_name(token)
    return f"{name}  {100 * probability:.2g} %" if probability is not None else f"{name}  less likely than these"
