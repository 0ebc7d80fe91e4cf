"""A grid of cells in which a chart is composed: the frame, curves over it, names where they cover nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.cells import cell_len, split_graphemes

from tui.charts.drawing import Row, Run
from tui.text.cells import clip_cells, pad_cells
from tui.text.safe import shown_text

_INK = re.compile("[^ \u2800]+")
LINE = "┈"
"""The character of reference lines."""


class Grid:
    """``width`` by ``height`` cells, each with a style and a character; ``""`` is the second half of a wide one."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._characters = [[" "] * width for _ in range(height)]
        self._styles = [[""] * width for _ in range(height)]

    def write(self, row: int, column: int, text: str, style: str) -> None:
        """Write ``text`` over the cells at this place, as far as there is room."""
        cells = [cell for start, end, size in split_graphemes(text)[0] if size
                 for cell in (text[start:end], *[""] * (size - 1))]  # fmt: skip
        room = max(0, self.width - column)
        if cells[room:] and not cells[room]:  # half a character
            cells[room - 1] = " "
        self.put(row, column, cells[:room], style)

    def lay(self, lines: Sequence[str], column: int, style: str) -> None:
        """Lay a picture of narrow characters over the grid; its blanks are transparent."""
        for row, line in enumerate(lines[: self.height]):
            for ink in _INK.finditer(line):
                self.put(row, column + ink.start(), ink.group()[: self.width - column - ink.start()], style)

    def put(self, row: int, column: int, cells: Sequence[str], style: str) -> None:
        """Put characters into the cells from this place on, which are there."""
        characters, end = self._characters[row], column + len(cells)
        if cells and not characters[column]:  # of a wide character that is half covered, the rest is blank
            characters[column - 1] = " "
        if cells and end < self.width and not characters[end]:
            characters[end] = " "
        characters[column:end] = cells
        self._styles[row][column:end] = [style] * len(cells)

    def columns(self, row: int) -> str:
        """A row as one character a column."""
        return "".join(cell[:1] or "█" for cell in self._characters[row])

    def write_name(self, row: int, first: int, name: str, style: str) -> None:
        """Write the name of the line in ``row`` on it, as far right as possible without covering a curve or a name.

        If there is no room right of column ``first``, the rows above and below are tried, then the name is left out.
        """
        label = f" {clip_cells(shown_text(name), max(4, (self.width - first) // 2))} "
        if not label.strip():
            return
        for place in (row, row - 1, row + 1):
            if not 0 <= place < self.height:
                continue
            free = self.columns(place)
            if place == row:  # a name may cover its own line
                free = free.replace(LINE, " ")
            column = free.rfind(" " * (cell_len(label) + 1), first)
            if column >= 0:
                self.write(place, column, label, style)
                return

    def write_x_name(self, gutter: int, name: str, style: str) -> None:
        """Write the name of the x axis in the last row: in the ``gutter`` at the left, or between two ticks."""
        label = shown_text(name)
        cells, row = cell_len(label), self.height - 1
        ticks = self.columns(row)
        if label and cells <= gutter and not ticks[: gutter + 1].strip():
            self.write(row, gutter - cells, label, style)
        elif label:
            free = ticks.rfind(" " * (cells + 2))
            if free >= 0:
                self.write(row, free + 1, label, style)

    def rows(self) -> list[Row]:
        """The rows as runs of one style each."""
        rows: list[Row] = []
        for characters, styles in zip(self._characters, self._styles, strict=True):
            runs: list[Run] = []
            start, current = 0, styles[0]
            for column, style in enumerate(styles):
                # Blanks join the run before them, unless it can be seen on a blank.
                if style != current and (characters[column] != " " or "on " in current or "underline" in current):
                    if column > start:
                        runs.append(("".join(characters[start:column]), current))
                    start, current = column, style
            runs.append(("".join(characters[start:]), current))
            rows.append(tuple(runs))
        return rows


def header(title: str, legend: Sequence[tuple[str, str, str]], width: int, style: str) -> Row:
    """The title (left) and the legend (right) in one row of ``width`` cells.

    ``legend`` holds a sample of each line, its style and its name. Entries without room are left out; a title without
    room is cut at its last comma that leaves it room, then left out.
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
    while shown and cell_len(shown) > room:
        shown = shown.rpartition(",")[0]
    runs = [(pad_cells(shown, width - used), style), *entries]
    return tuple(run for run in runs if run[0])
