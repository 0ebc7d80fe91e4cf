"""Exploring a chart: zoom, pan and a crosshair by keys and by mouse; levels of detail show what all points show."""

from __future__ import annotations

import datetime
import time

import numpy as np
import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.geometry import Offset

from tests.tui.waiting import until
from tui.charts import GrowingCurve, Series, XAxis, YAxis, line_chart
from tui.charts.curve_chart import CurveChart, LiveSeries
from tui.charts.explorer import MOVES
from tui.charts.levels import Levels
from tui.charts.ticks import time_labels, time_ticks


class ChartApp(App[None]):
    """A chart of two curves over 100 epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.chart = CurveChart()
        epochs = np.arange(1, 101)
        self.chart.series = (
            LiveSeries("training", GrowingCurve.of(epochs, 1000.0 / epochs), "$accent", "solid"),
            LiveSeries("held out", GrowingCurve.of(epochs, 2000.0 / epochs), "$secondary", "dashed"),
        )
        self.chart.end = 100.0

    def compose(self) -> ComposeResult:
        yield self.chart

    @property
    def heading(self) -> str:
        return self.chart.render_line(0).text


def reading(epoch: int) -> list[str]:
    """What is above the chart with the crosshair at an epoch."""
    return f"epoch {epoch} ⠒⠒⠒ training {1000 / epoch:.4g} ⠒ ⠒ held out {2000 / epoch:.4g}".split()


def test_levels_show_the_picture_of_all_points() -> None:
    chance = np.random.default_rng(1)
    x, y = np.arange(200_000.0), chance.normal(size=200_000).cumsum()
    levels = Levels(x, y)
    for low, high in ((0.0, 199_999.0), (-50.0, 250_000.0), (1000.5, 150_000.25), (90_000.0, 90_500.0), (7.2, 7.6)):
        few = levels.points(low, high, 90)
        assert few[0].size <= 2 * 90 + 2
        for column in range(90):
            left, inner, end, right = (low + (high - low) * (column + part) / 90 for part in (0, 0.1, 0.9, 1))
            there = y[np.searchsorted(x, inner) : np.searchsorted(x, end)]  # a stretch may lie over an edge
            drawn = few[1][np.searchsorted(few[0], left) : np.searchsorted(few[0], right, "right")]
            if there.size:
                assert drawn.max() >= there.max() and drawn.min() <= there.min(), (low, high, column)
    assert levels.nearest(70.4) == (70.0, y[70]) and levels.nearest(-1) is None
    assert Levels([], []).extent is None and Levels([], []).nearest(0.0) is None


async def test_keys_zoom_pan_and_read() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        chart = app.chart
        await until(pilot, lambda: chart.x_span)
        chart.explore("zoom_in")
        assert chart.view == (25.0, 75.0)
        chart.explore("pan_left")
        assert chart.view == (12.5, 62.5)
        for _ in range(3):
            chart.explore("pan_left")
        assert chart.view == (0.0, 50.0), "not beyond the ends"
        chart.explore("zoom_out")
        assert chart.view is None
        chart.explore("cross_left")
        assert chart.cross == 100.0
        await until(pilot, lambda: app.heading.split() == reading(100))
        for _ in range(30):
            chart.explore("zoom_in")
        low, high = chart.view or (0.0, 0.0)
        assert 0 < high - low <= 0.001 and low < 100.0 <= high, "what is under the crosshair stays"
        chart.explore("whole")
        chart.cross = None
        await until(pilot, lambda: "perplexity" in app.heading)
        for _, _, move, _ in MOVES:
            chart.explore(move)
            chart.draw(80, 20)


async def test_the_mouse_zooms_drags_and_reads() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        chart = app.chart
        await until(pilot, lambda: chart.x_span)
        scale = chart.x_span
        assert scale is not None
        middle = scale.left + scale.cells // 2
        await pilot.hover(CurveChart, offset=(middle, 8))
        await until(pilot, lambda: app.heading.split() == reading(round(scale.value_at(middle))))
        place = chart.region.offset + Offset(middle, 8)
        wheel = events.MouseScrollUp(chart, place.x, place.y, 0, -1, 0, False, False, False, place.x, place.y)
        app.screen.post_message(wheel)
        await until(pilot, lambda: chart.view is not None and chart.view[1] - chart.view[0] == pytest.approx(80.0))
        chart.view = (20.0, 60.0)
        await until(pilot, lambda: chart.x_span is not None and chart.x_span.low == 20.0)
        await pilot.mouse_down(CurveChart, offset=(middle, 8))
        await pilot.hover(CurveChart, offset=(middle + 10, 8))
        await until(pilot, lambda: chart.view is not None and chart.view[0] < 16)
        await pilot.mouse_up(CurveChart, offset=(middle + 10, 8))
        await pilot.click(CurveChart, offset=(middle, 8), times=2)
        await until(pilot, lambda: chart.view is None)


def test_times_have_round_ticks_and_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")  # half an hour off the whole one
    time.tzset()
    begin = datetime.datetime(2026, 5, 1, 22, 58, 30).timestamp()
    for seconds, first, label in ((60, "22:58:30", "22:58:40"), (3600, "23:00", "23:10"), (7200, "23:00", "05-02")):
        labels = time_labels(time_ticks(begin, begin + seconds, 6))
        assert labels[0] == first and label in labels and len(labels) <= 7, labels
    assert len(time_ticks(begin, begin + 40 * 86_400, 6)) <= 7
    drawing = line_chart([Series("a", [begin, begin + 3600], [1.0, 2.0])], 80, 12, XAxis(ticks="time"))
    assert "23:10" in drawing.plain
    monkeypatch.undo()
    time.tzset()


def test_signs_tell_lines_apart_and_a_cross_is_behind_them() -> None:
    x = np.arange(50.0)
    series = [
        Series(name, x, x + 10 * number, sign=sign) for number, (name, sign) in enumerate((("a", "●"), ("b", "▲")))
    ]
    drawing = line_chart(series, 80, 20, XAxis(cross=25.0), YAxis("y"))
    assert drawing.lines[0].endswith("⠒●⠒ a  ⠒▲⠒ b")
    for sign in "●▲":
        assert 4 <= "\n".join(drawing.lines[1:]).count(sign) <= 6
    assert drawing.plain.count("│") >= 10
    scale = drawing.x_span
    assert scale is not None
    cross = next(line.rindex("│") for line in drawing.lines if "│" in line[10:])
    assert scale.value_at(cross) == pytest.approx(25.0, abs=0.5)
    assert scale.value_at(-5) == 0.0 and scale.value_at(500) == 49.0
