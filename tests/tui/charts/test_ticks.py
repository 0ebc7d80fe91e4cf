"""Where the ticks of an axis are, and their labels."""

from __future__ import annotations

import pytest

from tui.charts.ticks import count_labels, linear_range, linear_ticks, log_range, log_ticks, tick_labels


def test_log_ticks_are_one_two_five() -> None:
    assert log_ticks(1, 1000, 20) == pytest.approx([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000])
    assert log_ticks(1, 1027, 5) == pytest.approx([1, 10, 100, 1000])
    assert log_ticks(1e-6, 1e6, 5) == pytest.approx([1e-6, 1e-3, 1, 1e3, 1e6])
    assert log_ticks(1.02, 1.08, 5) == pytest.approx([1.02, 1.04, 1.06, 1.08])


def test_linear_ticks() -> None:
    assert linear_ticks(0, 250, 6) == pytest.approx([0, 50, 100, 150, 200, 250])
    assert linear_ticks(1, 3, 9, integers=True) == pytest.approx([1, 2, 3])
    assert linear_ticks(0, 0.5, 5) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert linear_ticks(3, 3, 5) == [3]


def test_tick_labels_are_short_and_align() -> None:
    assert tick_labels([0, 0.5, 1]) == ["0", "0.5", "1.0"]
    assert tick_labels([1, 10, 1000, 20_000, 1.5e6, 5e11], equal_steps=False) == [
        "1", "10", "1,000", "20k", "1.5M", "500G",
    ]  # fmt: skip


def test_labels_of_one_axis_have_units_or_exponents_but_not_both() -> None:
    for extreme in (1e12, 1e20, 1e-4):
        labels = tick_labels([extreme, 1, 1000, 20_000, 1.5e6, 1e10], equal_steps=False)
        assert labels[1:] == ["1", "1,000", "2e4", "1.5e6", "1e10"], extreme
        assert "e" in labels[0]


def test_epochs_have_separators_where_there_is_room() -> None:
    ticks = [0, 20_000, 40_000, 60_000, 80_000, 100_000]
    assert count_labels(ticks, 80) == ["0", "20,000", "40,000", "60,000", "80,000", "100,000"]
    assert count_labels(ticks, 30) == ["0", "20k", "40k", "60k", "80k", "100k"]


def test_ranges_include_their_ends() -> None:
    for low, high in [(1, 1027), (812, 812), (0.3, 0.31), (1e-300, 1e300), (5, 6), (1, 1)]:
        for start, end in (linear_range(low, high), log_range(low, high)):
            assert start <= low <= high <= end, (low, high)
            assert start < end, (low, high)
        assert log_range(low, high)[0] > 0, (low, high)
