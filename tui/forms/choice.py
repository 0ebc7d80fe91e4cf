"""A choice of one of a few values, on one line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui.text.cells import cell_len, pad_cells


class Choice(Widget, can_focus=True):
    """``● scratch  ○ torch.nn``, or ``‹ spaces ›`` if that is too wide; arrows, space and clicks change it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,space,enter", "move(1)", "Next value", show=False),
        Binding("left", "move(-1)", "Previous value", show=False),
        Binding("home", "jump(0)", "First value", show=False),
        Binding("end", "jump(-1)", "Last value", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"choice--chosen", "choice--other"}

    value: reactive[str] = reactive("")

    @dataclass
    class Changed(Message):
        """The person chose another value."""

        choice: Choice
        value: str

        @property
        def control(self) -> Choice:
            """The widget, for ``@on`` with a selector."""
            return self.choice

    def __init__(self, options: tuple[str, ...], value: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.options = options
        self.set_reactive(Choice.value, value if value in options else options[0])

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return 1

    @property
    def side_by_side(self) -> bool:
        """Whether there is room for all values side by side."""
        return sum(cell_len(option) + 4 for option in self.options) - 2 <= self.size.width

    def render(self) -> Content:
        chosen, other = self.get_visual_style("choice--chosen"), self.get_visual_style("choice--other")
        if not self.side_by_side:
            arrows = chosen if self.has_focus else other
            width = max(1, min(self.size.width - 4, max(cell_len(option) for option in self.options)))
            return Content.assemble(("‹ ", arrows), (pad_cells(self.value, width), chosen), (" ›", arrows))
        parts: list[Content] = []
        for option in self.options:
            mark, style = ("● ", chosen) if option == self.value else ("○ ", other)
            parts.append(Content.assemble((mark, style), (option, style)))
        return Content("  ").join(parts)

    def action_move(self, by: int) -> None:
        self._choose((self.options.index(self.value) + by) % len(self.options))

    def action_jump(self, index: int) -> None:
        self._choose(index)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        if not self.side_by_side:
            return self.action_move(-1 if event.x == 0 else 1)
        end = 0
        for index, option in enumerate(self.options):
            end += cell_len(option) + 4
            if event.x < end:
                return self._choose(index)

    def watch_has_focus(self, _has_focus: bool) -> None:
        """Show the arrows in the colour of the focus."""
        super().watch_has_focus(_has_focus)
        self.refresh()

    def _choose(self, index: int) -> None:
        value = self.options[index]
        if value != self.value:
            self.value = value
            self.post_message(self.Changed(self, value))
