"""Charts are pure functions: exact sizes, finite points only, and markup in names has no effect."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from textual.content import Content

from core.scales import LINEAR, LOG
from tests.scales import SQUARE_ROOT
from tests.tui.charts.sizes import assert_exact
from tui.charts import Drawing, GrowingCurve, ReferenceLine, Series, XAxis, YAxis, decimate, line_chart
from tui.charts.dots import MARKERS, braille, strokes
from tui.charts.grid import Grid

NAN, INF = math.nan, math.inf
BRAILLE = {chr(code) for code in range(0x2801, 0x2900)}

EPOCHS = np.arange(1, 251)
FALLING = 1 + 1000 * np.exp(-EPOCHS / 25)
TWO = [Series("training", EPOCHS, FALLING), Series("held out", EPOCHS[::5], FALLING[::5] + 30)]
TRAINED, WHOLE = XAxis("epoch", range=(0, 250), ticks="whole"), YAxis(scale=LOG)
TRAINED, WHOLE = XAxis("epoch", range=(0, 250), ticks="whole"), YAxis(scale=LOG)
REFERENCES = [ReferenceLine(1027, "uniform 1,027"), ReferenceLine(61, "trigram 61")]


def curve_chart(width: int, height: int, lines: Sequence[ReferenceLine] = REFERENCES) -> Drawing:
    return line_chart(TWO, width, height, TRAINED, YAxis("perplexity, log scale", LOG, (1, None), lines))


def inked(drawing: Drawing) -> set[tuple[int, int]]:
    """Cells with a piece of a curve in them."""
    return {
        (x, y)
        for y, line in enumerate(drawing.lines)
        if "training" not in line
        for x, character in enumerate(line)
        if character in BRAILLE or character == "•"
    }


# --- exact sizes ---


def test_line_chart_has_exactly_the_size() -> None:
    for width in [*range(1, 40), 80, 119, 200]:
        for height in [*range(1, 12), 24, 60]:
            assert_exact(curve_chart(width, height), width, height)


def test_the_smallest_chart_shows_the_curve() -> None:
    assert inked(curve_chart(10, 3))


HARD = {
    "empty": ([], []),
    "one point": ([3], [5]),
    "two points in one place": ([3, 3], [5, 5]),
    "constant": (range(50), [7] * 50),
    "zero": (range(50), [0] * 50),
    "negative": (range(50), [-value for value in range(50)]),
    "all missing": (range(50), [NAN] * 50),
    "infinities": (range(4), [INF, -INF, 3, NAN]),
    "huge range": (range(4), [1e-300, 1e300, 1, 1e-5]),
    "largest numbers": (range(3), [-1.7e308, 1.7e308, 0]),
    "smallest numbers": (range(3), [5e-324, 1e-320, 1e-310]),
    "nearly constant": (range(3), [1, 1 + 1e-15, 1]),
    "huge x": ([1e16, 1e16 + 2, 1e300], [1, 2, 3]),
    "x all but one": ([1e16, 1e16 + 2], [1, 2]),
    "x descending": ([3, 2, 1], [1, 2, 3]),
    "x missing": ([1, NAN, INF], [1, 2, 3]),
    "more x than y": (range(10), [1, 2]),
    "vertical": ([5] * 100, range(100)),
}


def test_hard_data() -> None:
    lines = [ReferenceLine(5, "five"), ReferenceLine(0, "zero"), ReferenceLine(NAN, "none")]
    scales = (LINEAR, LOG, SQUARE_ROOT)
    data = list(itertools.product(HARD.items(), scales, scales))
    small = itertools.product(data, MARKERS, [(10, 3), (40, 12)])
    large = zip(data, itertools.cycle(MARKERS), itertools.repeat((100, 30)), strict=False)  # a marker knows no size
    for ((name, (x, y)), x_scale, y_scale), marker, (width, height) in itertools.chain(small, large):
        series = [Series(name, list(x), list(y), marker=marker)]
        try:
            drawing = line_chart(series, width, height, XAxis(scale=x_scale), YAxis("y", y_scale, lines=lines))
        except Exception as error:
            pytest.fail(f"{name}, {marker}, x {x_scale.name}, y {y_scale.name}, {width} by {height}: {error!r}")
        assert_exact(drawing, width, height)


def test_a_scale_needs_only_its_row() -> None:
    squares = Series("squares", [-1, 0, 50, 100], [-1, 0, 2500, 10_000])
    drawing = line_chart([squares], 60, 14, y=YAxis(SQUARE_ROOT.named("loss"), SQUARE_ROOT))
    assert drawing.lines[0].startswith("loss, sqrt scale")
    labels = {line.split("┤")[0].strip(): row for row, line in enumerate(drawing.lines) if "┤" in line}
    assert list(labels) == ["10k", "2,500", "0"], "squares of round numbers"
    assert labels["0"] - labels["2,500"] == labels["2,500"] - labels["10k"], "in equal steps"
    straight = line_chart([Series("squares", [0, 50, 100], [0, 50, 100])], 60, 14, y=YAxis("loss, sqrt scale"))
    assert inked(drawing) == inked(straight), "a parabola is a straight line; -1 is left out"


def test_ranges_of_x() -> None:
    for x_range in [(0, 10), (5, 5), (None, 3), (200, 300), (-1e9, 1e9), (240.5, 240.6)]:
        assert_exact(line_chart(TWO, 60, 15, XAxis(range=x_range), WHOLE), 60, 15)


# --- what is drawn ---


def test_an_empty_chart_shows_its_placeholder() -> None:
    drawing = line_chart([Series("a", [], [])], 30, 5, placeholder="no epoch yet")
    assert_exact(drawing, 30, 5)
    assert drawing.plain.split() == ["no", "epoch", "yet"]


def test_only_finite_values_are_drawn() -> None:
    clean = line_chart([Series("a", [1, 2, 3], [1, 2, 3])], 40, 12)
    dirty = line_chart([Series("a", [1, 1.5, 2, NAN, 3, 9], [1, NAN, 2, 2, 3, INF])], 40, 12)
    assert dirty.plain == clean.plain


def test_a_single_point_is_visible() -> None:
    drawing = line_chart([Series("a", [1], [812.4])], 60, 15, TRAINED, WHOLE)
    assert drawing.plain.count("•") == 1


def test_a_peak_among_a_hundred_thousand_points_is_drawn() -> None:
    y = np.ones(100_000)
    y[54_321] = 1000.0
    drawing = line_chart([Series("a", np.arange(100_000), y)], 80, 20, y=WHOLE)
    highest = min(row for _, row in inked(drawing))
    assert highest <= 1


def pictured(cells: Any) -> list[str]:
    """Cells of dots as lines of braille."""
    return ["".join(chr(0x2800 + bits) for bits in row) for row in cells.tolist()]


def test_a_line_is_drawn_dot_by_dot() -> None:
    x, y = np.array([0.5, 3.5]), np.array([3.5, 0.5])
    assert pictured(braille(strokes(x, y, "solid", 4), 2, 1)) == ["⡠⠊"]
    corner = strokes(np.array([0.0, 0.0, 39.0]), np.array([7.0, 0.0, 0.0]), "dashed", 40)  # six dots on, four off
    assert pictured(braille(corner, 20, 2)) == ["⡄⠈⠉⠉⠁⠀⠈⠉⠉⠁⠀⠈⠉⠉⠁⠀⠈⠉⠉⠁", "⡇" + "⠀" * 19]


def test_series_differ_without_colour() -> None:
    drawing = curve_chart(100, 30)
    header = drawing.lines[0]
    assert "perplexity, log scale" in header
    assert "⠒⠒⠒ training" in header
    assert "⠒ ⠒ held out" in header


def test_a_title_loses_its_last_words_first() -> None:
    for width, title in ((60, "loss, log scale, smoothed 0.6"), (50, "loss, log scale"), (38, "loss"), (26, "")):
        header = line_chart(TWO, width, 8, y=YAxis("loss, log scale, smoothed 0.6")).lines[0]
        assert header.split("⠒⠒⠒")[0].strip() == title, f"in {width} cells"


def test_in_a_shared_cell_the_later_curve_is_seen_alone() -> None:
    noise = Series("noise", range(200), [(-1) ** step for step in range(200)], color="$secondary")
    flat = Series("flat", [0, 199], [0, 0], color="$error", marker="solid")
    drawing = line_chart([noise, flat], 60, 16)
    drawn = {text.strip() for row in drawing.rows[1:] for text, style in row if style == "$error"}
    alone = line_chart([Series("flat", [0, 199], [0, 0])], 60, 16, y=YAxis(range=(-1, 1))).plain
    assert drawn == {"".join(character for character in alone.split("\n", 1)[1] if character in BRAILLE)}


def test_reference_lines_are_labelled_on_their_row() -> None:
    drawing = curve_chart(100, 30)
    row = next(line for line in drawing.lines if "uniform 1,027" in line)
    assert "┈┈┈" in row
    assert "┈ uniform 1,027 ┈" in row
    assert sum("trigram 61" in line for line in drawing.lines) == 1


def test_labels_cover_no_curve() -> None:
    with_labels = curve_chart(70, 20)
    lines = [ReferenceLine(line.value, "") for line in REFERENCES]
    assert inked(with_labels) == inked(curve_chart(70, 20, lines))


def test_names_of_wide_characters_have_two_cells_each() -> None:
    """In names, legends and points alike; what covers half of a wide character leaves the other half blank."""
    for name in ("春江花月夜", "運行 一 🧠", "e\u0301tude 春"):
        y = YAxis("perplexity", LOG, lines=[ReferenceLine(300, name)])
        drawing = line_chart([Series(name, EPOCHS, FALLING)], 60, 12, XAxis("纪元"), y)
        assert_exact(drawing, 60, 12)
        assert drawing.plain.count(name) == 2 and "纪元" in drawing.plain, drawing.plain
    cases = (
        ([(0, "春江")], "春江    "),
        ([(1, "春江"), (3, "a")], " 春a    "),
        ([(1, "春江"), (2, "a")], "  a江   "),
        ([(1, "春江"), (2, "花")], "  花    "),
        ([(5, "春江")], "     春 "),
        ([(7, "春"), (6, "ab")], "      ab"),
        ([(7, "春")], "        "),
    )
    for written, expected in cases:
        grid = Grid(8, 1)
        for column, text in written:
            grid.write(0, column, text, "bold")
        row = "".join(text for text, _ in grid.rows()[0])
        assert row == expected and cell_len(row) == 8, f"{written}: {row!r}"


def test_a_reference_beyond_the_axis_is_left_out_unless_it_stretches_the_axis() -> None:
    near = [Series("a", [1, 2], [2, 3])]
    far = line_chart(near, 60, 15, y=YAxis(lines=[ReferenceLine(900, "far", stretch=False)]))
    assert "far" not in far.plain
    assert "┈" not in far.plain
    assert "far" in line_chart(near, 60, 15, y=YAxis(lines=[ReferenceLine(900, "far")])).plain


def test_a_curve_above_the_ceiling_leaves_at_the_top() -> None:
    values = [2.0, 2.0, 438.0, 440.0, 2.0, 2.0, 420.0]
    wild = Series("", [1, 2, 3, 4, 5, 6, 7], values, marker="solid", sign="x")
    for scale in (LINEAR, LOG):
        drawing = line_chart([Series("", [1, 7], [3.0, 1.5]), wild], 61, 12, y=YAxis(scale=scale, ceiling=12.8))
        top = [x for x, y in inked(drawing) if y == 0 and x > 10]
        assert len(top) == 3 and max(top) - min(top) > 20, "up, down and up again, and no line between"
        assert "x" not in drawing.lines[0]
    alone = line_chart([wild], 60, 12, y=YAxis(ceiling=1.0))
    assert len(inked(alone)) > 40, "where all is above it, all is shown"


def test_markup_and_escapes_in_names_have_no_effect() -> None:
    name = "[bold red]x[/] \x1b[31m\n"
    drawing = line_chart([Series(name, [1, 2], [1, 2])], 100, 20, y=YAxis(lines=[ReferenceLine(2, name)]))
    assert "[bold red]x[/] \\x1b[31m⏎" in drawing.lines[0]
    assert "\x1b" not in drawing.plain
    assert_exact(drawing, 100, 20)
    assert_exact(line_chart([], 40, 5, placeholder=name), 40, 5)


def test_the_same_data_give_the_same_drawing() -> None:
    assert curve_chart(80, 24).rows == curve_chart(80, 24).rows


def test_a_new_point_changes_few_rows() -> None:
    def chart(epochs: int) -> Drawing:
        x = np.arange(1, epochs + 1)
        one = Series("training", x, 1 + 1000 * np.exp(-x / 25))
        return line_chart([one], 100, 30, XAxis(range=(0, 250)), YAxis(scale=LOG, range=(1, 1000)))

    changed = sum(a != b for a, b in zip(chart(100).rows, chart(101).rows, strict=True))
    assert changed <= 2


def test_content_has_the_same_text() -> None:
    drawing = curve_chart(60, 16)
    content = drawing.content
    assert isinstance(content, Content)
    assert content.plain == drawing.plain
    assert all(span.style for span in content.spans)


# --- long curves ---


def test_decimation_keeps_extremes_and_at_most_two_points_a_column() -> None:
    rng = np.random.default_rng(1)
    x, y = np.arange(100_000.0), rng.normal(size=100_000)
    xs, ys = decimate(x, y, 0, 99_999, 120)
    assert xs.size <= 240
    assert (np.diff(xs) > 0).all()
    column = np.minimum((x * (120 / 99_999)).astype(int), 119)
    kept = np.minimum((xs * (120 / 99_999)).astype(int), 119)
    for number in range(120):
        assert ys[kept == number].min() == y[column == number].min()
        assert ys[kept == number].max() == y[column == number].max()


def test_a_line_is_drawn_to_the_edges_of_a_window() -> None:
    xs, ys = decimate(np.array([0.0, 100.0]), np.array([0.0, 10.0]), 40, 60, 50)
    assert xs.tolist() == [40, 60]
    assert ys.tolist() == pytest.approx([4, 6])


def test_a_curve_keeps_extremes_in_bounded_memory() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=200_000)
    values[123_456], values[777] = 50.0, -50.0
    curve = GrowingCurve(capacity=512)
    for start in range(0, values.size, 1000):
        curve.extend(np.arange(start, start + 1000), values[start : start + 1000])
    x, y = curve.points()
    assert len(curve) == 200_000
    assert x.size < 4 * 512
    assert (y.max(), y.min()) == (50.0, -50.0)
    assert (np.diff(x) >= 0).all()
    assert x[-1] == 199_999
    assert np.diff(x).max() < 200_000 / 100  # of equal density over all of it


def test_a_short_curve_is_kept_unchanged() -> None:
    curve = GrowingCurve()
    for epoch in range(1, 1000):
        curve.append(epoch, 1000 / epoch)
    curve.append(1000, NAN)
    x, y = curve.points()
    assert x.tolist() == list(range(1, 1000))
    assert y.tolist() == [1000 / epoch for epoch in range(1, 1000)]
    near, _ = curve.points(since=990)
    assert near.tolist() == list(range(989, 1000))
    assert curve.latest == 999


def test_a_near_view_of_a_long_curve_is_exact() -> None:
    curve = GrowingCurve(capacity=100)
    curve.extend(np.arange(10_000), np.arange(10_000))
    near, _ = curve.points(since=9950)
    assert near.tolist() == list(range(9949, 10_000))


def test_neither_numpy_nor_plotext_is_imported_before_the_first_draw() -> None:
    code = "import sys, tui.charts, tui.charts.widget; sys.exit('numpy' in sys.modules or 'plotext' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
