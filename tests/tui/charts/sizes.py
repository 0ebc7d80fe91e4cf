"""That a drawing has exactly the cells that it was asked for."""

from __future__ import annotations

from rich.cells import cell_len

from tui.charts import Drawing


def assert_exact(drawing: Drawing, width: int, height: int) -> None:
    cells = [cell_len(line) for line in drawing.lines]
    assert cells == [width] * height, f"{width} by {height}, got rows of {cells}:\n{drawing.plain}"
    assert drawing.height == height
