"""Charts as pure functions: series in, rows of styled text of an exact size out. No state, no screen.

numpy and plotext are imported for the first drawing, by ``preload`` in a thread: together they take a quarter of a
second and 20 MB, for which a playground without a chart has no use.
"""

from __future__ import annotations

from threading import Event

from core.process import pause_collection, resume_collection
from tui.charts.axis import ReferenceLine, XAxis, YAxis
from tui.charts.bars import Bar, bar_chart
from tui.charts.curve import GrowingCurve, decimate
from tui.charts.dots import Marker
from tui.charts.drawing import Drawing, blank
from tui.charts.line import Series, line_chart

__all__ = [
    "Bar",
    "Drawing",
    "GrowingCurve",
    "Marker",
    "ReferenceLine",
    "Series",
    "XAxis",
    "YAxis",
    "bar_chart",
    "blank",
    "decimate",
    "is_loaded",
    "line_chart",
    "preload",
]


_LOADED = Event()


def is_loaded() -> bool:
    """Whether all that drawing needs has been imported."""
    return _LOADED.is_set()


def preload() -> None:
    """Import what drawing needs, so that no draw waits for it; for a thread."""
    if is_loaded():
        return
    pause_collection()
    try:
        line_chart([Series("", [0.0, 1.0], [0.0, 1.0])], 20, 6)
    finally:
        resume_collection()
    _LOADED.set()
