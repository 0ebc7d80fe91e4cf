"""Bars: their widths, the numbers beside them, and odd values."""

from __future__ import annotations

import math

from rich.cells import cell_len

from tests.tui.charts.sizes import assert_exact
from tui.charts import Bar, bar_chart

BARS = [
    Bar("你", 4310),
    Bar(" ", 4000),
    Bar("\n", 333),
    Bar("of the", 77),
    Bar("[bold]x[/]", 20),
    Bar("\x1b[31m", 3),
    Bar("\u202e", 0),
    Bar("一二三四五六七八九十" * 3, 1),
]


def test_bar_chart_has_exactly_the_size() -> None:
    for width in [*range(1, 60), 120]:
        for height in (1, 3, 20):
            assert_exact(bar_chart(BARS, width=width, height=height), width, height)


def test_bars_start_and_numbers_end_in_one_column() -> None:
    lines = bar_chart(BARS, width=80, height=len(BARS)).lines
    starts = {cell_len(line[: line.index("█")]) for line in lines if "█" in line}
    assert len(starts) == 1
    assert lines[0].endswith("4,310 49.3 %")
    assert lines[2].endswith("  333  3.8 %")
    assert lines[1].startswith("␣ ")
    assert lines[2].startswith("⏎ ")
    assert lines[4].startswith("[bold]x[/] ")
    assert lines[5].startswith("\\x1b[31m ")
    assert lines[6].startswith("<U+202E> ")


def test_bars_are_exact_to_an_eighth() -> None:
    lines = bar_chart([Bar("a", 80), Bar("b", 41), Bar("c", 0.001), Bar("d", 0)], width=20, height=4, total=0).lines
    room = lines[0].count("█")
    eighths = {"█": 8, "▉": 7, "▊": 6, "▋": 5, "▌": 4, "▍": 3, "▎": 2, "▏": 1}
    lengths = [sum(eighths.get(character, 0) for character in line) for line in lines]
    assert lengths == [room * 8, round(room * 8 * 41 / 80), 1, 0]


def test_bars_of_nothing_and_of_odd_values() -> None:
    assert "nothing to count yet" in bar_chart([], width=40, height=3).plain
    odd = [Bar("a", math.nan), Bar("b", math.inf), Bar("c", -5), Bar("d", 1e300), Bar("e", 0.25, note="2.0 bits")]
    drawing = bar_chart(odd, width=60, height=6)
    assert_exact(drawing, 60, 6)
    assert "0.250 2.0 bits" in drawing.plain
