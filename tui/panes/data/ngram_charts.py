"""Charts of the n-grams of a text: the most frequent ones as bars, and Zipf's law."""

from __future__ import annotations

from typing import Any

from core.scales import LOG
from tui.charts import Bar, Drawing, Series, XAxis, YAxis, bar_chart, line_chart
from tui.charts.widget import Draw
from tui.text.cells import distinct_labels
from tui.text.safe import token_name

# Adjacent bars in full colour would be too bright.
STYLE = "$primary 60%"
LABEL_SHARE = 3  # the labels have at most this part of the width
ROOM_FOR_NAMES = 72  # cells of a chart with room for names in the legend
NAMES = {"1": "tokens", "2": "pairs", "3": "triples"}


def gram_name(gram: Any, kind: str) -> str:
    """A token, or several: words with blanks between them, characters side by side."""
    if isinstance(gram, str):
        return gram
    return (" " if kind == "word" else "").join(token_name(str(token)) for token in gram)


def bars_of(facts: dict[str, Any], order: str) -> Draw:
    """The most frequent n-grams, with their shares of all n-grams."""
    kind = str(facts["token_kind"])
    names = [token_name(gram_name(gram, kind)) for gram, _ in facts["top"][order]]
    counts = [float(count) for _, count in facts["top"][order]]
    total = max(0, int(facts["tokens"]) - int(order) + 1)

    def draw(width: int, height: int) -> Drawing:
        labels = distinct_labels(names[:height], max(1, width // LABEL_SHARE))
        bars = [Bar(label, count) for label, count in zip(labels, counts, strict=False)]
        return bar_chart(
            bars, width=width, height=height, style=STYLE, total=float(total), placeholder="the text is too short"
        )

    return draw


def zipf_of(facts: dict[str, Any]) -> Draw:
    """Frequency over rank, both logarithmic, with the slope of the fitted line beside each name."""

    def series(is_narrow: bool) -> list[Series]:
        return [_zipf_series(facts["zipf"][order], order if is_narrow else name) for order, name in NAMES.items()]

    def draw(width: int, height: int) -> Drawing:
        is_narrow = width < ROOM_FOR_NAMES
        y = YAxis("slopes:" if is_narrow else "frequency, slopes:", LOG)
        return line_chart(series(is_narrow), width, height, XAxis("rank", LOG), y)

    return draw


def _zipf_series(law: dict[str, Any], name: str) -> Series:
    label = name if law["slope"] is None else f"{name} {law['slope']:.2f}"
    return Series(label, law["ranks"], law["frequencies"])
