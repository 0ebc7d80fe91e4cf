"""A grid of cells in which a chart is composed: the frame, curves over it, names where they cover nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.cells import cell_len

from tui.charts.drawing import Row, Run
from tui.text.cells import clip_cells, pad_cells
from tui.text.safe import shown_text

_INK = re.compile("[^ \u2800]+")
REFERENCE = "┈"
"""The character of reference lines."""


class Grid:
    """``width`` by ``height`` cells, each a character one cell wide and a style."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._characters = [[" "] * width for _ in range(height)]
        self._styles = [[""] * width for _ in range(height)]

    def write(self, row: int, column: int, text: str, style: str) -> None:
        """Write ``text`` over the cells at this place."""
        text = text[: self.width - column]
        self._characters[row][column : column + len(text)] = text
        self._styles[row][column : column + len(text)] = [style] * len(text)

    def lay(self, lines: Sequence[str], column: int, style: str) -> None:
        """Lay a picture over the grid; its blanks are transparent."""
        for row, line in enumerate(lines[: self.height]):
            for ink in _INK.finditer(line):
                self.write(row, column + ink.start(), ink.group(), style)

    def text(self, row: int) -> str:
        """The characters of a row."""
        return "".join(self._characters[row])

    def write_name(self, row: int, first: int, name: str, style: str) -> None:
        """Write the name of the line in ``row`` on it, as far right as possible without covering a curve or a name.

        If there is no room right of column ``first``, the rows above and below are tried, then the name is left out.
        """
        label = f" {_narrow(clip_cells(shown_text(name), max(4, (self.width - first) // 2)))} "
        if not label.strip():
            return
        for place in (row, row - 1, row + 1):
            if not 0 <= place < self.height:
                continue
            free = self.text(place)
            if place == row:  # a name may cover its own line
                free = free.replace(REFERENCE, " ")
            column = free.rfind(" " * (len(label) + 1), first)
            if column >= 0:
                self.write(place, column, label, style)
                return

    def write_x_name(self, gutter: int, name: str, style: str) -> None:
        """Write the name of the x axis in the last row: in the ``gutter`` at the left, or between two ticks."""
        label = _narrow(shown_text(name))
        row = self.height - 1
        ticks = self.text(row)
        if label and len(label) <= gutter and not ticks[: gutter + 1].strip():
            self.write(row, 0, label.rjust(gutter), style)
        elif label:
            free = ticks.rfind(" " * (len(label) + 2))
            if free >= 0:
                self.write(row, free + 1, label, style)

    def rows(self) -> list[Row]:
        """The rows as runs of one style each."""
        rows: list[Row] = []
        for characters, styles in zip(self._characters, self._styles, strict=True):
            text = "".join(characters)
            runs: list[Run] = []
            start, current = 0, styles[0]
            for column, style in enumerate(styles):
                if style != current and characters[column] != " ":  # blanks join the run before them
                    if column > start:
                        runs.append((text[start:column], current))
                    start, current = column, style
            runs.append((text[start:], current))
            rows.append(tuple(runs))
        return rows


def _narrow(text: str) -> str:
    """Text for cells of one character each: wide characters and marks are replaced."""
    return (
        text if len(text) == cell_len(text) and all(map(cell_len, text)) else text.encode("ascii", "replace").decode()
    )


def header(title: str, legend: Sequence[tuple[str, str, str]], width: int, style: str) -> Row:
    """The title (left) and the legend (right) in one row of ``width`` cells.

    ``legend`` holds a sample of each line, its style and its name. Entries without room are left out; a title without
    room is cut at its first comma, then left out.
    """
    entries: list[Run] = []
    used = 0
    for sample, sample_style, name in legend:
        shown = clip_cells(shown_text(name), max(6, width // 3))
        entry = [("  " if entries else "", ""), (sample, sample_style), (" " + shown, style)]
        cells = sum(cell_len(text) for text, _ in entry)
        if used + cells > width:
            break
        entries += entry
        used += cells
    shown = shown_text(title)
    room = width - used - (2 if used else 0)
    if cell_len(shown) > room:
        shown = shown.split(",")[0] if cell_len(shown.split(",")[0]) <= room else ""
    runs = [(pad_cells(shown, width - used), style), *entries]
    return tuple(run for run in runs if run[0])
