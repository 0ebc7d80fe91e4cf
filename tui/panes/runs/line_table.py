"""A table as lines of text: a heading and a line for each run, for comparisons and sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from textual import events
from textual.containers import ScrollableContainer
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from tui.text.cells import cell_len, pad_cells
from tui.themes import QUIET

CHOSEN = "▸"


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


def table_text(
    columns: Sequence[Column], signs: Sequence[tuple[str, str]], chosen: int | None, quiet: Sequence[int] = ()
) -> Content:
    """The heading and the lines, each after its sign, with its style; the ``chosen`` line is marked."""
    lines = [Content.styled("    " + "  ".join(column.cell(column.label) for column in columns), QUIET)]
    for row, sign in enumerate(signs):
        mark, style = (CHOSEN, "bold") if row == chosen else (" ", QUIET if row in quiet else "")
        words = "  ".join(column.cell(column.words[row]) for column in columns)
        lines.append(Content.assemble(f"{mark} ", sign, " ", (words, style)))
    return Content("\n").join(lines)


class LineTable(ScrollableContainer, can_focus=False):
    """Shows such a text, and scrolls."""

    @dataclass
    class Clicked(Message):
        """The line of a run was clicked."""

        row: int

    def __init__(self, id: str) -> None:
        self._text = Static(id=f"{id}-text", classes="line-table")
        super().__init__(self._text, id=id)

    def show(self, content: Content) -> None:
        if self._text.content != content:
            self._text.update(content)

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self._text)
        if place is not None and place.y >= 1:
            self.post_message(self.Clicked(place.y - 1))
