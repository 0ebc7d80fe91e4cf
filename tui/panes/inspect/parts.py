"""The parts of the pane: the tabs of the views, the canvas that draws one of them, the line in which one types."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui.charts.widget import Chart
from tui.forms.plain_input import PlainInput
from tui.text.cells import cell_len
from tui.text.wrapped_text import WrappedText
from tui.text.wrapping import wrapped_lines

LINE_END = "⏎"
"""Stands for a line end where one types."""
SENTENCE_END = re.compile(r"[.!?](?= )")


class Sentences(WrappedText):
    """Shows whole sentences only where there is no room for the whole text."""

    @property
    def shown(self) -> str:
        return whole_sentences(str(self.content), max(1, self.size.width), self.size.height)


def whole_sentences(text: str, width: int, height: int) -> str:
    """The first sentences of a text, as many as fit into ``height`` lines of ``width``; at least one."""
    shown = text
    while width > 0 and height > 0 and len(wrapped_lines(shown, width)) > height:
        ends = [match.end() for match in SENTENCE_END.finditer(shown)]
        if not ends:
            break
        shown = shown[: ends[-1]]
    return shown


class ViewTabs(Widget):
    """``Step  Gradient …``: the titles of the views; a click chooses one."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"view-tabs--chosen"}
    chosen: reactive[int] = reactive(0)

    @dataclass
    class Clicked(Message):
        """A tab was clicked."""

        number: int

    def __init__(self, titles: Sequence[str], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._labels = [f" {title} " for title in titles]
        self.tooltip = "The views; tab shows the next one"

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return 1

    def render(self) -> Content:
        chosen = self.get_visual_style("view-tabs--chosen")
        return Content(" ").join(
            Content.styled(label, chosen) if place == self.chosen else Content(label)
            for place, label in enumerate(self._labels)
        )

    def on_click(self, event: events.Click) -> None:
        event.stop()
        offset = event.get_content_offset(self)
        end = 0
        for number, label in enumerate(self._labels):
            end += cell_len(label) + 1
            if offset is not None and offset.x < end:
                self.post_message(self.Clicked(number))
                return


class Canvas(Chart, can_focus=True):
    """Draws the view that is shown, and hears the mouse for it."""

    @dataclass
    class Clicked(Message):
        """A cell was clicked."""

        x: int
        y: int

    @dataclass
    class Scrolled(Message):
        """The wheel was turned, down (1) or up (-1)."""

        by: int

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        if place is not None:
            self.post_message(self.Clicked(place.x, place.y))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.post_message(self.Scrolled(1))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.post_message(self.Scrolled(-1))


class LineInput(PlainInput):
    """A line to type in, hidden until it is opened; what is pasted may have several lines."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Take", tooltip="In a line to type in: take what was typed"),
        Binding("escape", "close", "Cancel", tooltip="In a line to type in: close it without a change"),
    ]

    @dataclass
    class Typed(Message):
        """Enter was pressed, with real line ends in ``text``; or escape, and it is None."""

        line: LineInput
        text: str | None

        @property
        def control(self) -> LineInput:
            """The widget, for ``@on`` with a selector."""
            return self.line

    def on_mount(self) -> None:
        self.display = False

    def open(self, text: str = "") -> None:
        """Let something be typed, or a text be changed."""
        self.value, self.display = shown_lines(text), True
        self.focus()

    async def action_submit(self) -> None:
        self.post_message(self.Typed(self, typed_lines(self.value)))

    def action_close(self) -> None:
        self.post_message(self.Typed(self, None))

    def on_paste(self, event: events.Paste) -> None:
        """Paste all lines, each line end visible."""
        event.prevent_default()
        event.stop()
        self.insert_text_at_cursor(shown_lines(event.text))


def shown_lines(text: str) -> str:
    """A text with visible line ends, as it can be edited in one line."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", LINE_END)


def typed_lines(text: str) -> str:
    """What was typed, with real line ends."""
    return text.replace(LINE_END, "\n")
