"""A table as lines of text: a heading and a line for each run, for comparisons and sweeps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from textual import events
from textual.binding import Binding
from textual.containers import ScrollableContainer
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from tui.text.cells import cell_len, pad_cells
from tui.themes import QUIET

CHOSEN = "▸"
INDENT = 4
"""Cells of the mark and the sign before each line."""
SCROLLING = Binding.Group("Table", compact=True)
"""Of the keys that scroll the columns; they are in the footer where there are more than fit."""
GAP, MORE_LEFT, MORE_RIGHT = "  ", "‹ ", " ›"


@dataclass(frozen=True)
class Column:
    """A heading and the words of each line below it, in at most ``most`` cells; a heading is never cut for it."""

    label: str
    words: Sequence[str]
    most: int = 30
    is_text: bool = False
    """Whether the words are at the left of the column, and not at its right as numbers are."""

    @cached_property
    def width(self) -> int:
        return max(cell_len(self.label), min(max(map(cell_len, self.words), default=0), self.most))

    def cell(self, words: str) -> str:
        return pad_cells(words, self.width, "left" if self.is_text else "right")


@dataclass(frozen=True)
class Lines:
    """What a table shows: a sign with its style before each line; the ``chosen`` line is marked."""

    columns: Sequence[Column]
    signs: Sequence[tuple[str, str]]
    chosen: int | None = None
    quiet: Sequence[int] = ()

    def text(self, cells: int, skipped: int = 0) -> Content:
        """The heading and the lines: the first column, and after the ``skipped`` ones as many whole ones as fit.

        A mark in the heading says on which sides there are more.
        """
        end = self._end(cells, skipped)
        shown = [*self.columns[:1], *self.columns[1 + skipped : end]]
        gaps = ["", MORE_LEFT if skipped else GAP, *([GAP] * len(shown))]
        heading = "".join(gap + column.cell(column.label) for gap, column in zip(gaps, shown, strict=False))
        lines = [Content.styled(" " * INDENT + heading + (MORE_RIGHT if end < len(self.columns) else ""), QUIET)]
        for row, sign in enumerate(self.signs):
            mark, style = (CHOSEN, "bold") if row == self.chosen else (" ", QUIET if row in self.quiet else "")
            words = GAP.join(column.cell(column.words[row]) for column in shown)
            lines.append(Content.assemble(f"{mark} ", sign, " ", (words, style)))
        return Content("\n").join(lines)

    def most_skipped(self, cells: int) -> int:
        """How many columns are skipped to show the last one."""
        return next((skip for skip in range(len(self.columns)) if self._end(cells, skip) == len(self.columns)), 0)

    def _end(self, cells: int, skipped: int) -> int:
        """The column before which a line of so many cells ends: one is shown beside the first in any case."""
        widths = [INDENT + self.columns[0].width, *(len(GAP) + item.width for item in self.columns[1 + skipped :])]
        ends = [*itertools.accumulate(widths)]
        if ends[-1] <= cells:
            return len(self.columns)
        return skipped + max(2, sum(end + len(MORE_RIGHT) <= cells for end in ends))


class LineTable(ScrollableContainer, can_focus=False):
    """Shows such lines: scrolls up and down, and whole columns to the left and to the right."""

    skipped: reactive[int] = reactive(0)
    is_cut: reactive[bool] = reactive(False)
    """Whether there are more columns than there is room for."""

    @dataclass
    class Clicked(Message):
        """The line of a run was clicked."""

        row: int

    def __init__(self, id: str) -> None:
        self._text = Static(id=f"{id}-text", classes="line-table")
        super().__init__(self._text, id=id)
        self._lines = Lines([Column("", ())], ())

    def show(self, lines: Lines) -> None:
        self._lines = lines
        self._show()

    def scroll_columns(self, by: int) -> None:
        self.skipped = max(0, min(self.skipped + by, self._lines.most_skipped(self._cells)))

    @property
    def _cells(self) -> int:
        return self.outer_size.width - self.styles.scrollbar_size_vertical  # whether there is one or not

    def _show(self) -> None:
        most = self._lines.most_skipped(self._cells)
        self.is_cut = most > 0
        self.set_reactive(LineTable.skipped, min(self.skipped, most))
        content = self._lines.text(self._cells, self.skipped)
        if self._text.content != content:
            self._text.update(content)

    watch_skipped = on_resize = _show

    def watch_is_cut(self) -> None:
        self.refresh_bindings()

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self._text)
        if place is not None and place.y >= 1:
            self.post_message(self.Clicked(place.y - 1))
