"""The texts at hand: name and size on one line, what they are below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from core.corpus.catalogue import Text
from tui.palette import QUIET
from tui.quantities import bytes_text
from tui.text import clip_cells, pad_cells, shown_text


class TextList(OptionList):
    """Lists texts, as wide as it is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Use this text", show=False, id="data.enter"),
    ]

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, markup=False)
        self._texts: tuple[Text, ...] = ()
        self._painted_width = 0

    def show(self, texts: Sequence[Text]) -> None:
        """Show ``texts``; the first is highlighted."""
        self._texts = tuple(texts)
        self._paint()
        self.highlighted = 0 if self._texts else None

    def text_at(self, index: int) -> Text:
        """The text at a place of the list."""
        return self._texts[index]

    def on_resize(self, event: events.Resize) -> None:
        if self.scrollable_content_region.width != self._painted_width:
            self._paint()

    def _paint(self) -> None:
        self._painted_width = self.scrollable_content_region.width
        width = max(16, self._painted_width - 2)
        highlighted = self.highlighted
        with self.prevent(OptionList.OptionHighlighted):
            self.clear_options()
            self.add_options(Option(_prompt(text, width)) for text in self._texts)
            self.highlighted = highlighted


def _prompt(text: Text, width: int) -> Content:
    size = bytes_text(text.bytes)
    name = pad_cells(shown_text(text.name), width - len(size) - 1)
    line = Content.assemble(name, " ", (size, QUIET))
    if not text.description:
        return line
    return Content("\n").join([line, Content.styled(clip_cells(shown_text(text.description), width), QUIET)])
