"""Texts in a number of cells."""

from __future__ import annotations

from tui.text.cells import cell_len, distinct_labels


def test_long_n_grams_stay_distinct() -> None:
    names = ["the time traveller", "the time traveller s", "the time machine", "a b", "猫坐在垫子上面看着窗外的雨"]
    for cells in range(1, 24):
        labels = distinct_labels(names, cells)
        assert all(cell_len(label) <= cells for label in labels)
        if cells >= 5:
            assert len(set(labels)) == len(names), (cells, labels)
    assert distinct_labels(names, 12) == ["the t…veller", "the t…ller s", "the time ma…", "a b", "猫坐在垫子…"]
    same = ["x" * 30 + "a" * 30 + "y" * 30, "x" * 30 + "b" * 30 + "y" * 30]
    assert len(set(distinct_labels(same, 10))) == 2
