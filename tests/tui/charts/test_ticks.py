"""Where the ticks of an axis are, and their labels."""

from __future__ import annotations

from tui.charts.ticks import count_labels, tick_labels


def test_tick_labels_are_short_and_align() -> None:
    assert tick_labels([0, 0.5, 1]) == ["0", "0.5", "1.0"]
    assert tick_labels([1e-5, 1]) == ["1e-5", "1"], "an exponent has no decimals"
    assert tick_labels([1, 10, 1000, 20_000, 1.5e6, 5e11]) == [
        "1", "10", "1,000", "20k", "1.5M", "500G",
    ]  # fmt: skip


def test_labels_of_one_axis_have_units_or_exponents_but_not_both() -> None:
    for extreme in (1e12, 1e20, 1e-4):
        labels = tick_labels([extreme, 1, 1000, 20_000, 1.5e6, 1e10])
        assert labels[1:] == ["1", "1,000", "2e4", "1.5e6", "1e10"], extreme
        assert "e" in labels[0]


def test_epochs_have_separators_where_there_is_room() -> None:
    ticks = [0, 20_000, 40_000, 60_000, 80_000, 100_000]
    assert count_labels(ticks, 80) == ["0", "20,000", "40,000", "60,000", "80,000", "100,000"]
    assert count_labels(ticks, 30) == ["0", "20k", "40k", "60k", "80k", "100k"]
