"""The top edge of a frame as a widget of its own, one line high.

Textual repaints a widget and its children when its border title changes; over a slow line that is the whole chart for
one number, several times a second.
"""

from __future__ import annotations

from typing import ClassVar

from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget

from tui.text.cells import cell_len, clip_cells, clipped_middle
from tui.text.safe import shown_text

CORNERS = {"top": "╭╮", "middle": "├┤", "bottom": "╰╯"}
BESIDE, USUAL = 6, 40  # cells of an edge beside its title; the room for a title where a box is not laid out yet


def name_for_edge(box: Widget, name: str) -> str:
    """The name of a run as the title of ``box``, its middle left out where there is no room for it."""
    width = box.outer_size.width
    return clipped_middle(shown_text(name), width - BESIDE if width else USUAL)


class FrameEdge(Widget):
    """``╭─ title ────── note ─╮``. Title and note are text, never markup."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"frame-edge--title", "frame-edge--note"}

    title: reactive[str] = reactive("")
    note: reactive[str] = reactive("")

    def __init__(self, kind: str = "top", title: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._corners = CORNERS[kind]
        self.set_reactive(FrameEdge.title, title)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return 1

    @property
    def room(self) -> int:
        """Cells available to title and note."""
        return max(0, self.size.width - 6)

    def render(self) -> Content:
        left, right = self._corners[0], self._corners[1]
        title = clip_cells(self.title, self.room).rstrip()  # it may end with a padded number
        note = self.note if cell_len(title) + cell_len(self.note) + 4 <= self.room else ""
        used = (cell_len(title) + 2 if title else 0) + (cell_len(note) + 2 if note else 0)
        line = "─" * max(0, self.size.width - 4 - used)
        return Content.assemble(
            left + "─",
            (f" {title} " if title else "", self.get_visual_style("frame-edge--title")),
            line,
            (f" {note} " if note else "", self.get_visual_style("frame-edge--note")),
            "─" + right,
        )
