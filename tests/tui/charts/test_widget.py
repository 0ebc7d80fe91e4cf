"""Chart widgets: drawn while visible and after changes, a few times, in their size and with the theme."""

from __future__ import annotations

from threading import Event

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region

from core.scales import LINEAR
from tests.tui.waiting import until
from tui.charts import Drawing, GrowingCurve, ReferenceLine
from tui.charts import widget as chart_module
from tui.charts.curve_chart import CurveChart, LiveSeries
from tui.charts.widget import Chart, changed_regions


class Counter:
    """A drawing function that counts its calls."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    def __call__(self, width: int, height: int) -> Drawing:
        self.sizes.append((width, height))
        text = str(len(self.sizes)).ljust(width)[:width]
        return Drawing([((text, "$primary"),)] * height, width)


class ChartApp(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.counter = Counter()
        self.chart = Chart(self.counter)

    def compose(self) -> ComposeResult:
        yield self.chart


class CurveApp(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.chart = CurveChart()

    def compose(self) -> ComposeResult:
        yield self.chart


def screen_text(app: App[None]) -> str:
    chart = app.query_one(Chart)
    return "\n".join(chart.render_line(y).text for y in range(chart.size.height))


async def test_a_chart_is_drawn_once_in_its_size() -> None:
    app = ChartApp()
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        assert app.counter.sizes == [(40, 10)]
        app.chart.refresh()
        await pilot.pause()
        assert app.counter.sizes == [(40, 10)]


async def test_the_first_chart_waits_for_the_imports_that_draw_it(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, may_load = Event(), Event()

    def load() -> None:
        may_load.wait(30)
        loaded.set()

    monkeypatch.setattr(chart_module, "is_loaded", loaded.is_set)
    monkeypatch.setattr(chart_module, "preload", load)
    app = ChartApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.chart.show(app.counter)
        await pilot.pause()
        assert app.counter.sizes == [] and not screen_text(app).strip()
        may_load.set()
        await until(pilot, lambda: screen_text(app).startswith("1"))
        assert app.counter.sizes == [(40, 10)]


async def test_many_changes_make_two_redraws_now_and_later() -> None:
    app = ChartApp()
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause(chart_module.REDRAW_SECONDS)
        before = len(app.counter.sizes)
        for _ in range(100):
            app.chart.invalidate()
        await pilot.pause()
        assert len(app.counter.sizes) == before + 1
        for _ in range(10):
            for _ in range(100):
                app.chart.invalidate()
            await pilot.pause()
        await pilot.pause(chart_module.REDRAW_SECONDS * 1.5)
        assert before + 2 <= len(app.counter.sizes) <= before + 4
        assert screen_text(app).startswith(str(len(app.counter.sizes)))


async def test_a_hidden_chart_is_not_drawn() -> None:
    app = ChartApp()
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        app.chart.display = False
        await pilot.pause()
        before = len(app.counter.sizes)
        for _ in range(3):
            app.chart.invalidate()
            await pilot.pause(chart_module.REDRAW_SECONDS)
        assert len(app.counter.sizes) == before
        app.chart.display = True
        await pilot.pause()
        assert len(app.counter.sizes) == before + 1
        assert screen_text(app).startswith(str(before + 1))


async def test_a_chart_follows_its_size() -> None:
    app = ChartApp()
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.resize_terminal(60, 20)
        await pilot.pause()
        assert app.counter.sizes[-1] == (60, 20)
        assert len(screen_text(app).splitlines()[0]) == 60


async def test_a_chart_follows_the_theme_without_drawing() -> None:
    app = ChartApp()
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        before, drawn = next(iter(app.chart.render_line(0))).style, len(app.counter.sizes)
        app.theme = "textual-light" if app.theme != "textual-light" else "nord"
        await pilot.pause()
        assert next(iter(app.chart.render_line(0))).style != before
        assert len(app.counter.sizes) == drawn


async def test_the_drawing_function_can_be_replaced() -> None:
    app = ChartApp()
    async with app.run_test(size=(40, 10)) as pilot:
        other = Counter()
        app.chart.show(other)
        await pilot.pause(chart_module.REDRAW_SECONDS * 1.2)
        assert other.sizes == [(40, 10)]


def test_changed_regions_are_the_changed_cells() -> None:
    before = Drawing([(("abcdef", "$primary"),), (("same  ", ""),), (("one", "$primary"), ("two", ""))], 6)
    after = Drawing([(("abXYef", "$primary"),), (("same  ", ""),), (("one", "$warning"), ("two", ""))], 6)
    assert changed_regions(before, before) == []
    assert changed_regions(before, after) == [Region(2, 0, 2, 1), Region(0, 2, 3, 1)]
    assert changed_regions(Drawing([(("一二", ""),)], 4), Drawing([(("一三", ""),)], 4)) == [Region(0, 0, 4, 1)]


async def test_a_curve_grows_on_screen() -> None:
    app = CurveApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "no epoch yet" in screen_text(app)
        curve = GrowingCurve()
        curve.append(1, 812.4)
        app.chart.series = (LiveSeries("training", curve),)
        await pilot.pause(chart_module.REDRAW_SECONDS * 1.2)
        assert "•" in screen_text(app)
        curve.extend(range(2, 101), [812.4 / epoch for epoch in range(2, 101)])
        app.chart.series = app.chart.series
        app.chart.references = (ReferenceLine(1027, "uniform 1,027"),)
        app.chart.end = 250
        await pilot.pause(chart_module.REDRAW_SECONDS * 1.5)
        text = screen_text(app)
        assert "perplexity, log scale" in text
        assert "uniform 1,027" in text
        assert text.splitlines()[-1].split() == ["epoch", "0", "50", "100", "150", "200", "250"]


async def test_scale_and_window_are_drawn_at_once() -> None:
    app = CurveApp()
    async with app.run_test(size=(80, 24)) as pilot:
        curve = GrowingCurve.of(range(1, 501), [1000 / epoch for epoch in range(1, 501)])
        app.chart.series = (LiveSeries("training", curve),)
        await pilot.pause(chart_module.REDRAW_SECONDS * 1.2)
        app.chart.scale = LINEAR
        await pilot.pause()
        assert "log scale" not in screen_text(app)
        app.chart.window = 100
        await pilot.pause()
        text = screen_text(app)
        assert "perplexity, last 100" in text
        assert text.splitlines()[-1].split()[1] == "400"
        app.chart.window = None
        await pilot.pause()
        assert text.splitlines()[-1] != screen_text(app).splitlines()[-1]


async def test_series_set_anew_replace_the_old_ones() -> None:
    app = CurveApp()
    async with app.run_test(size=(80, 24)) as pilot:
        app.chart.series = (LiveSeries("old", GrowingCurve.of([1, 2], [1, 2])),)
        app.chart.series = (LiveSeries("new", GrowingCurve.of([1, 2], [1, 2])),)
        await pilot.pause(chart_module.REDRAW_SECONDS * 1.2)
        assert "new" in screen_text(app)
        assert "old" not in screen_text(app)
