"""What is drawn of the n-grams of a text: the most frequent ones as bars, and Zipf's law."""

from __future__ import annotations

from typing import Any

from tui.charts import Bar, Drawing, Palette, Series, bar_chart, line_chart
from tui.text import token_name
from tui.widgets.chart import Draw

# Bars lie close to one another: in full colour they would outshine all else.
PALETTE = Palette(bar="$primary 60%")
NAMES = {"1": "tokens", "2": "pairs", "3": "triples"}


def gram_name(gram: Any, kind: str) -> str:
    """A token, or several: words with blanks between them, characters side by side."""
    if isinstance(gram, str):
        return gram
    return (" " if kind == "word" else "").join(token_name(str(token)) for token in gram)


def bars_of(facts: dict[str, Any], order: str) -> Draw:
    """The most frequent n-grams; shares are of all of them in the text."""
    kind = str(facts["token_kind"])
    bars = [Bar(gram_name(gram, kind), float(count)) for gram, count in facts["top"][order]]
    total = max(0, int(facts["tokens"]) - int(order) + 1)

    def draw(width: int, height: int) -> Drawing:
        return bar_chart(
            bars, width=width, height=height, palette=PALETTE, total=float(total), placeholder="the text is too short"
        )

    return draw


def zipf_of(facts: dict[str, Any]) -> Draw:
    """Frequency over rank, both as logarithms, with the slope of the line that fits best beside each name."""
    series = []
    for order, name in NAMES.items():
        law = facts["zipf"][order]
        slope = law["slope"]
        label = name if slope is None else f"{name} {slope:.2f}"
        series.append(Series(label, law["ranks"], law["frequencies"]))

    def draw(width: int, height: int) -> Drawing:
        return line_chart(
            series, width=width, height=height, log_x=True, log_y=True, x_label="rank", y_label="frequency"
        )

    return draw
