"""A text that grows while it is shown: only its last lines are wrapped again.

It has a cursor over its tokens, shows surprise as colour or marks, and underlines what was copied.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style as VisualStyle
from textual.widget import Widget

from tui.panes.generate.token_details import SHADINGS, TokenDetails
from tui.text.safe import shown_text
from tui.text.wrapping import cells_of, wrapped

HEAD_SIGN = "▸ "
# Signs of the characters at which lines break.
_SIGNS = {"\n": "⏎", " ": "␣"}
# Strings and not component classes: a widget with a dozen of those is slow to style, and there may be 64 side by side.
STYLES = {
    "text": "$foreground",
    "prefix": "$text-accent bold",
    "head": "$text-accent bold",
    "copied": "underline",
    "sign": "$foreground 50%",
    "cursor": "$background on $foreground",
    "cursor-quiet": "on $foreground 30%",
}
SURPRISE = {
    "plain": ("", "", "", ""),
    "colour": ("", "on $primary 18%", "on $primary 40%", "$background on $primary 85%"),
    "marks": ("dim", "", "bold", "bold underline"),
}
"""The style of each level of surprise, by shading."""


class WrittenText(Widget, can_focus=True):
    """A prefix and its continuation; the mouse selects text, the arrow keys select tokens.

    ``heads`` are the initials of an acrostic in order: each is marked at the beginning of its line.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "move(1)", "Token", key_display="← →",
                tooltip="In a text: the token whose details are shown; a click does the same"),
        Binding("left", "move(-1)", "Token before", show=False),
        Binding("down", "line(1)", "Line below", show=False, key_display="↑ ↓",
                tooltip="In a text: the token a line below, or above"),
        Binding("up", "line(-1)", "Line above", show=False),
        Binding("home", "jump(0)", "First token", show=False, tooltip="In a text: its first token"),
        Binding("end", "jump(-1)", "Last token", show=False, tooltip="In a text: its last token"),
    ]  # fmt: skip
    shading: reactive[str] = reactive(SHADINGS[0])
    """One of ``SHADINGS``."""
    current: reactive[bool] = reactive(False)
    """Whether the token view shows a token of this text: then its cursor is visible."""
    cursor: reactive[int] = reactive(0)
    """The token under the cursor."""

    @dataclass
    class CursorMoved(Message):
        """Another token is under the cursor, or the text got the focus."""

        written: WrittenText

    @dataclass
    class Left(Message):
        """The cursor left the text above (-1) or below (1)."""

        written: WrittenText
        by: int

    def __init__(self, prefix: str, heads: Sequence[str] = (), id: str | None = None) -> None:
        super().__init__(id=id)
        self.details = TokenDetails()
        self.copied_words = ""  # the result of the copy meter, in full
        self._text = prefix
        self._prefix_length = len(prefix)
        self._heads = tuple(heads)
        self._head_places: dict[int, int] = {}  # the offset of each head, and that of its end
        self._copied = (0, 0)
        self._gutter = len(HEAD_SIGN) if heads else 0
        self._lines: list[tuple[int, int]] = []
        self._wrapped_at = 0
        self._styles: dict[tuple[str, ...], Style] = {}

    # ------------------------------------------------------------------ the text

    @property
    def text(self) -> str:
        return self._text

    @property
    def continuation(self) -> str:
        """The text after the prefix."""
        return self._text[self._prefix_length :]

    def append(self, piece: str) -> None:
        """Append a piece. Its ``details``, if any, have been added before."""
        if not piece:
            return
        before = len(self._lines)
        self._text += piece
        self._find_heads()
        if self._wrapped_at:
            # The last two lines may break elsewhere now.
            start = self._lines[-2][0] if len(self._lines) > 1 else 0
            self._lines[-2:] = wrapped(self._text, self._wrapped_at, start)
            if len(self._lines) == before:
                self.refresh(Region(0, max(0, before - 2), self.size.width, 2))
                return
        self.refresh(layout=True)

    def replace(self, continuation: str) -> None:
        if continuation != self.continuation:
            self._text = self._text[: self._prefix_length] + continuation
            self._wrapped_at = 0
            self._find_heads()
            self.refresh(layout=True)

    def mark_copied(self, start: int, end: int) -> None:
        """Underline the characters from ``start`` to ``end`` of the continuation."""
        self._copied = (self._prefix_length + start, self._prefix_length + end)
        self.refresh()

    def _find_heads(self) -> None:
        """Find new heads, each at the beginning of a line."""
        while len(self._head_places) < len(self._heads):
            head = self._heads[len(self._head_places)]
            last = max(self._head_places.values(), default=self._prefix_length)
            place = last
            if self._head_places or not self._text.startswith(head, last):
                place = self._text.find("\n", last) + 1
            if not place or not self._text.startswith(head, place):
                break
            self._head_places[place] = place + len(head)

    # ------------------------------------------------------------------ lines

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        self._wrap(width)
        return max(1, len(self._lines))

    def _wrap(self, width: int) -> None:
        room = max(2, width - self._gutter - 1)  # the last cell is for the sign of a line end
        if room != self._wrapped_at and width > 0:
            self._lines = list(wrapped(self._text, room))
            self._wrapped_at = room

    def on_resize(self, event: events.Resize) -> None:
        self._wrap(self.size.width)

    def _line_of(self, offset: int) -> int:
        return max(0, bisect_right(self._lines, offset, key=lambda line: line[0]) - 1)

    def _offset_at(self, x: int, y: int) -> int:
        """The character at a cell; behind a line, the character that ends it or its last."""
        first, end = self._lines[y]
        cells = self._gutter
        for offset in range(first, end):
            cells += cells_of(self._text[offset])
            if x < cells:
                return offset
        return end if end < len(self._text) and self._text[end] in _SIGNS else max(first, end - 1)

    # ------------------------------------------------------------------ the cursor

    @property
    def cursor_line(self) -> int:
        return self._line_of(self._cursor_span()[0]) if len(self.details) else 0

    def _cursor_span(self) -> tuple[int, int]:
        start, end = self.details.span(self.cursor)
        return self._prefix_length + start, self._prefix_length + end

    def is_head(self, token: int) -> bool:
        """Whether a token is the head of a verse, which was not sampled."""
        return self._prefix_length + self.details.span(token)[0] in self._head_places

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without details there is no cursor, and the keys scroll."""
        return bool(len(self.details)) if action in ("move", "line", "jump") else True

    def action_move(self, by: int) -> None:
        self._go(min(max(0, self.cursor + by), len(self.details) - 1))

    def action_jump(self, index: int) -> None:
        self._go(index % len(self.details))

    def action_line(self, by: int) -> None:
        """Move to the line below or above, or leave the text."""
        start, _ = self._cursor_span()
        y = self._line_of(start)
        x = self._gutter + sum(map(cells_of, self._text[self._lines[y][0] : start]))
        target = y + by
        if not self._line_of(self._prefix_length) <= target < len(self._lines):
            self.post_message(self.Left(self, by))
        else:
            self._go_to(x, target)

    def _go_to(self, x: int, y: int) -> None:
        offset = self._offset_at(x, min(max(0, y), len(self._lines) - 1)) - self._prefix_length
        self._go(self.details.at(max(0, offset)))

    def _go(self, token: int) -> None:
        self.cursor = token
        self.post_message(self.CursorMoved(self))

    def on_click(self, event: events.Click) -> None:
        if len(self.details) and self._lines:
            self._go_to(event.x, event.y)

    def on_focus(self) -> None:
        self.post_message(self.CursorMoved(self))

    # ------------------------------------------------------------------ painting

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()

    def render_line(self, y: int) -> Strip:
        width, background = self.size.width, self.rich_style
        if y >= len(self._lines):
            return Strip.blank(width, background)
        first, end = self._lines[y]
        segments = [Segment(self._lead(first), self._style("head"))] if self._gutter else []
        segments += [Segment(shown_text(self._text[a:b]), style) for a, b, style in self._stretches(first, end)]
        segments += self._line_end(y, end)
        strip = Strip(segments or [Segment("", background)])
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(y)) is not None:
            strip = _selected(strip, *span, self.screen.get_component_rich_style("screen--selection"))
        return strip.adjust_cell_length(width, background).apply_offsets(0, y)

    def _lead(self, first: int) -> str:
        return "" if not self._gutter else HEAD_SIGN if first in self._head_places else " " * self._gutter

    def _stretches(self, first: int, end: int) -> list[tuple[int, int, Style]]:
        """The parts of a line that are of one style each."""
        written, details, shaded = self._prefix_length, self.details, self.shading != SHADINGS[0]
        cursor = self._cursor_span() if self.current and len(details) else (0, 0)
        edges = {first, end, written, *self._copied, *cursor}
        for head in (place for place in self._head_places if first <= place < end):
            edges |= {head, self._head_places[head]}
        if shaded and len(details):
            here, last = details.at(first - written), details.at(end - written)
            edges.update(written + start for start in details.starts[here : last + 1])
        out = []
        for a, b in pairwise(sorted(edge for edge in edges if first <= edge <= end)):
            names = ["prefix" if a < written else "head" if a in self._head_places else "text"]
            if shaded and written <= a < written + details.end:
                names.append(SURPRISE[self.shading][details.level(details.at(a - written))])
            if self._copied[0] <= a < self._copied[1] and self.shading != "marks":
                names.append("copied")
            if cursor[0] <= a < cursor[1]:
                names.append("cursor" if self.has_focus else "cursor-quiet")
            out.append((a, b, self._style(*names)))
        return out

    def _line_end(self, y: int, end: int) -> list[Segment]:
        """The sign of a blank or line end behind a line, if it has a style to show."""
        following = self._lines[y + 1][0] if y + 1 < len(self._lines) else len(self._text)
        if not (self._prefix_length <= end < following and len(self.details)):
            return []
        token = self.details.at(end - self._prefix_length)
        names = ["sign"]
        if self.shading != SHADINGS[0]:
            names.append(SURPRISE[self.shading][self.details.level(token)])
        is_cursor = self.current and token == self.cursor and self._cursor_span()[0] == end
        if is_cursor:
            names.append("cursor" if self.has_focus else "cursor-quiet")
        return [Segment(_SIGNS[self._text[end]], self._style(*names))] if len(names) > 1 else []

    def _style(self, *names: str) -> Style:
        """The style of a stretch: names of ``STYLES``, or styles themselves, one over the other."""
        style = self._styles.get(names)
        if style is None:
            visual = self.visual_style
            for name in names:
                visual += VisualStyle.parse(STYLES.get(name, name))
            style = self._styles[names] = visual.rich_style
        return style

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        lines = "\n".join(self._lead(first) + shown_text(self._text[first:end]) for first, end in self._lines)
        return selection.extract(lines), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
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
