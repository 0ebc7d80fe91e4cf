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

from tui.forms.lines import choice_at, choice_pieces, next_choice


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

    def render(self) -> Content:
        styles = {
            "chosen": self.get_visual_style("choice--chosen"), "other": self.get_visual_style("choice--other"),
        }  # fmt: skip
        styles |= {"focused": styles["other"], "chosen-focused": styles["chosen"]}
        pieces = choice_pieces(self.options, self.value, self.size.width, self.has_focus)
        return Content.assemble(*((text, styles[names.split()[-1]]) for text, names in pieces))

    def action_move(self, by: int) -> None:
        self._choose(next_choice(self.options, self.value, by))

    def action_jump(self, index: int) -> None:
        self._choose(self.options[index])

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self._choose(choice_at(self.options, self.value, self.size.width, event.x))

    def watch_has_focus(self, _has_focus: bool) -> None:
        """Show the arrows in the colour of the focus."""
        super().watch_has_focus(_has_focus)
        self.refresh()

    def _choose(self, value: str) -> None:
        if value != self.value:
            self.value = value
            self.post_message(self.Changed(self, value))
