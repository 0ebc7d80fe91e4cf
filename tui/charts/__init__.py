"""Charts as pure functions: series in, rows of styled text of an exact size out. No state, no screen.

Neither numpy nor plotext is imported before the first draw: together they cost a quarter of a second, which the first
paint of the playground does not have. ``preload`` does it beside the first paint, in a thread.
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
    """Import what drawing needs, so that the first draw does not wait for it. To be run in a thread."""
    line_chart([Series("", [0.0, 1.0], [0.0, 1.0])], width=20, height=6)
