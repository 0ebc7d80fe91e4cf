"""The list of texts, local and downloadable: name and size on one line, a description below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from core.corpus.catalogue import Download, Text
from core.units import bytes_text
from tui.forms.drop_down import PagedList
from tui.services import host
from tui.shell.breakpoints import is_short, when_short_changes
from tui.text.cells import cell_len, clip_cells, pad_cells
from tui.text.safe import shown_text
from tui.themes import QUIET

NOT_HERE = "not downloaded"
NOT_HERE_SHORT = "not here"


class TextList(PagedList):
    """Lists texts. A click moves the highlight; a double click or enter selects."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Use this text", show=False, id="data.enter"),
    ]

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, markup=False)
        self._entries: tuple[Text | Download, ...] = ()
        self._notes: dict[str, str] = {}
        self._painted_width = 0

    def on_mount(self) -> None:
        when_short_changes(self, self._paint)

    def show(self, texts: Sequence[Text], downloads: Sequence[Download] = ()) -> None:
        """Show ``texts``, and below them ``downloads``; none is highlighted."""
        self._entries = (*texts, *downloads)
        self.highlighted = None
        self._paint()

    def highlight(self, name: str) -> Text | Download | None:
        """Highlight the text called ``name``, or the first for no name, without an event, and return it."""
        found = [index for index, entry in enumerate(self._entries) if name in (entry.name, "")]
        with self.prevent(OptionList.OptionHighlighted):
            self.highlighted = found[0] if found else None
        return self._entries[found[0]] if found else None

    def note(self, notes: Mapping[str, str]) -> None:
        """Show the progress of downloads, by name."""
        before, self._notes = self._notes, dict(notes)
        for index, entry in enumerate(self._entries):
            if before.get(entry.name) != self._notes.get(entry.name):
                self.replace_option_prompt_at_index(index, self._prompt(entry))

    def entry_at(self, index: int) -> Text | Download:
        return self._entries[index]

    def on_click(self, event: events.Click) -> None:
        """Only highlight at a single click: Textual would select, and so use the text."""
        option = event.style.meta.get("option")
        if option is not None:
            event.prevent_default().stop()
            self.highlighted = option
            if event.chain == 2:
                self.action_select()

    def on_resize(self, event: events.Resize) -> None:
        if self.scrollable_content_region.width != self._painted_width:
            self._paint()

    def _paint(self) -> None:
        self._painted_width = self.scrollable_content_region.width
        highlighted = self.highlighted
        with self.prevent(OptionList.OptionHighlighted):
            self.clear_options()
            self.add_options(Option(self._prompt(entry)) for entry in self._entries)
            self.highlighted = highlighted

    def _prompt(self, entry: Text | Download) -> Content:
        width = max(16, self._painted_width - 2)
        if isinstance(entry, Text):
            return _two_lines(entry.name, bytes_text(entry.bytes), entry.description, width)
        if is_short(self):  # one line instead of two
            words = NOT_HERE_SHORT if host(self).read_only else "download"
            return Content.styled(_line(entry.name, self._notes.get(entry.name, words), width), QUIET)
        note = self._notes.get(entry.name, NOT_HERE)
        return _two_lines(entry.name, bytes_text(entry.bytes), f"{note} · {entry.title}", width, QUIET)


def _line(name: str, words: str, width: int) -> str:
    return f"{pad_cells(shown_text(name), width - cell_len(words) - 1)} {words}"


def _two_lines(name: str, words: str, description: str, width: int, style: str = "") -> Content:
    room = width - cell_len(words) - 1
    line = Content.assemble((pad_cells(shown_text(name), room), style), " ", (words, QUIET))
    if not description:
        return line
    return Content("\n").join([line, Content.styled(clip_cells(shown_text(description), width), QUIET)])
