"""Text that grows while it is shown: only its last line is wrapped again when more comes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from tui.text import cell_len, shown_text


def wrapped(text: str, width: int, start: int = 0) -> Iterator[tuple[int, int]]:
    """The lines of ``text`` from ``start`` on, as offsets (first, end) into it, none wider than ``width`` cells.

    A line breaks after a blank, and anywhere between wide characters; a line end in ``text`` is no part of a line.
    """
    length = len(text)
    while start < length:
        cells, index, fit = 0, start, start
        while index < length and text[index] != "\n":
            character = text[index]
            size = 1 if " " <= character <= "~" else cell_len(shown_text(character))
            if cells + size > width and index > start:
                break
            cells += size
            index += 1
            if character == " " or size > 1 or (size == 1 and index < length and not text[index].isascii()):
                fit = index
        if index >= length or text[index] == "\n":
            yield start, index
            start = index + 1
        else:
            end = fit if fit > start else index
            yield start, end
            # A blank at the place of the break belongs to no line.
            start = end + 1 if text[end] == " " and end == index else end
    if length and text[-1] == "\n":
        yield length, length


class WrittenText(Widget):
    """A prefix and what was written after it, each in its own style; the text can be selected with the mouse."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"written-text--prefix", "written-text--text"}

    def __init__(self, prefix: str, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._text = prefix
        self._prefix_length = len(prefix)
        self._lines: list[tuple[int, int]] = []
        self._wrapped_at = 0

    @property
    def text(self) -> str:
        """Prefix and continuation, as they came."""
        return self._text

    @property
    def continuation(self) -> str:
        """What was written after the prefix."""
        return self._text[self._prefix_length :]

    def append(self, piece: str) -> None:
        """More of the text has been written."""
        if not piece:
            return
        before = len(self._lines)
        self._text += piece
        if self._wrapped_at:
            # The last two lines may break elsewhere now: what follows decides where a line ends.
            kept = self._lines[:-2]
            start = self._lines[-2][0] if len(self._lines) > 1 else 0
            self._lines = kept + list(wrapped(self._text, self._wrapped_at, start))
            if len(self._lines) == before:
                self.refresh(Region(0, max(0, before - 2), self.size.width, 2))
                return
        self.refresh(layout=True)

    def replace(self, continuation: str) -> None:
        """Put ``continuation`` in the place of what was written so far."""
        if continuation != self.continuation:
            self._text = self._text[: self._prefix_length] + continuation
            self._wrapped_at = 0
            self.refresh(layout=True)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """All there is."""
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """One line at least."""
        self._wrap(width)
        return max(1, len(self._lines))

    def _wrap(self, width: int) -> None:
        if width != self._wrapped_at and width > 0:
            self._lines = list(wrapped(self._text, max(2, width)))
            self._wrapped_at = width

    def on_resize(self, event: events.Resize) -> None:
        self._wrap(self.size.width)

    def render_line(self, y: int) -> Strip:
        """One line, its prefix part and its written part each in its style."""
        width = self.size.width
        background = self.rich_style
        if y >= len(self._lines):
            return Strip.blank(width, background)
        first, end = self._lines[y]
        middle = min(max(first, self._prefix_length), end)
        segments = [
            Segment(shown_text(self._text[a:b]), background + self._part_style(name))
            for a, b, name in ((first, middle, "prefix"), (middle, end, "text"))
            if b > a
        ]
        strip = Strip(segments or [Segment("", background)])
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(y)) is not None:
            strip = _selected(strip, *span, self.screen.get_component_rich_style("screen--selection"))
        return strip.adjust_cell_length(width, background).apply_offsets(0, y)

    def _part_style(self, name: str) -> Style:
        style = self.get_component_rich_style(f"written-text--{name}", partial=True)
        return Style(color=style.color, bold=style.bold, italic=style.italic, underline=style.underline)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The text under a selection made with the mouse."""
        lines = "\n".join(shown_text(self._text[first:end]) for first, end in self._lines)
        return selection.extract(lines), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Paint the selection."""
        self.refresh()


def _selected(strip: Strip, start: int, end: int, style: Style) -> Strip:
    """The characters from ``start`` to ``end`` (-1 for the end of the line) in the style of a selection."""
    segments: list[Segment] = []
    position = 0
    for text, own, _ in strip:
        stop = position + len(text)
        last = stop if end == -1 else min(end, stop)
        a, b = max(start, position) - position, max(last, position) - position
        for part, part_style in ((text[:a], own), (text[a:b], (own or Style.null()) + style), (text[b:], own)):
            if part and a <= b:
                segments.append(Segment(part, part_style))
        if a > b:
            segments.append(Segment(text, own))
        position = stop
    return Strip(segments)
