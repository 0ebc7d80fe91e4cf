"""The scales of an axis: places, round ends and ticks."""

from __future__ import annotations

import pytest

from core.scales import LINEAR, LOG, linear_ticks, log_ticks


def test_log_ticks_are_one_two_five() -> None:
    assert log_ticks(1, 1000, 20) == pytest.approx([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000])
    assert log_ticks(1, 1027, 5) == pytest.approx([1, 10, 100, 1000])
    assert log_ticks(1e-6, 1e6, 5) == pytest.approx([1e-6, 1e-3, 1, 1e3, 1e6])
    assert log_ticks(1.02, 1.08, 5) == pytest.approx([1.02, 1.04, 1.06, 1.08])


def test_linear_ticks() -> None:
    assert linear_ticks(0, 250, 6) == pytest.approx([0, 50, 100, 150, 200, 250])
    assert linear_ticks(1, 3, 9, whole=True) == pytest.approx([1, 2, 3])
    assert linear_ticks(0, 0.5, 5) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert linear_ticks(3, 3, 5) == [3]


def test_ranges_include_their_ends() -> None:
    for low, high in [(1, 1027), (812, 812), (0.3, 0.31), (1e-300, 1e300), (5, 6), (1, 1)]:
        for start, end in (LINEAR.ends(low, high, 5), LOG.ends(low, high, 5)):
            assert start <= low <= high <= end, (low, high)
            assert start < end, (low, high)
        assert LOG.ends(low, high, 5)[0] > 0, (low, high)


def test_places_and_values() -> None:
    for scale in (LINEAR, LOG):
        for value in (1e-300, 0.5, 1.0, 812.4, 1e300):
            assert scale.inverse(scale.place(value)) == pytest.approx(value)
            low, high = scale.around(value)
            assert low < value < high
    assert LOG.place(0.0) == LOG.place(-1.0) == -float("inf") and LINEAR.place(-1.0) == -1.0
