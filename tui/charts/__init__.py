"""Charts as pure functions: series in, rows of styled text of an exact size out. No state, no screen.

numpy and plotext are imported at the first draw: together they take a quarter of a second, by which the first paint of
the playground would be later. ``preload`` imports them in a thread.
"""

from __future__ import annotations

from tui.charts.bars import Bar, bar_chart
from tui.charts.curve import Curve, decimate
from tui.charts.dots import Marker
from tui.charts.drawing import Drawing, Palette, blank
from tui.charts.line import ReferenceLine, Series, line_chart

__all__ = [
    "Bar",
    "Curve",
    "Drawing",
    "Marker",
    "Palette",
    "ReferenceLine",
    "Series",
    "bar_chart",
    "blank",
    "decimate",
    "line_chart",
    "preload",
]


def preload() -> None:
    """Import what drawing needs, so that the first draw does not wait for it; for a thread."""
    line_chart([Series("", [0.0, 1.0], [0.0, 1.0])], width=20, height=6)
