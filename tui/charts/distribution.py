"""The likeliest next tokens as bars, the one that was chosen marked."""

from __future__ import annotations

from collections.abc import Sequence

from tui.charts.bars import Bar, bar_chart
from tui.charts.drawing import Drawing, Palette, Row
from tui.text import pad_cells, token_name

MARK = "▸ "


def distribution_chart(
    distribution: Sequence[tuple[str, float]],
    *,
    chosen: int | None,
    other: str = "",
    width: int,
    palette: Palette | None = None,
) -> Drawing:
    """One row a token: mark, token, bar, percent. Exactly ``width`` cells a row.

    Args:
        distribution: (token, probability), the likeliest first.
        chosen: the place of the chosen token, or None where it is not among them.
        other: what is said of the chosen token, in a last row, where it is not among them.
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
    """What is said of a token beyond the likeliest ones."""
    name = token_name(token)
    return f"{name}  {100 * probability:.2g} %" if probability is not None else f"{name}  less likely than these"
