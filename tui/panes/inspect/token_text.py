"""A text token by token: a cursor on one of them, each coloured by a value; line ends and blanks are visible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui.charts.drawing import Drawing, Run, fitted
from tui.panes.inspect.rows import first_visible
from tui.panes.inspect.strips import TEXT_STYLES, level
from tui.text.cells import cell_len
from tui.text.safe import shown_text
from tui.text.wrapping import may_break

BLANK = "·"
LONGEST_TOKEN = 30  # characters of a token that are shown
SIGN_STYLE = "$foreground 45%"
CURSOR_STYLE = "$background on $foreground"


@dataclass(frozen=True)
class Placed:
    """A token in a line: its position in the text, what is shown of it, its first cell and its cells."""

    token: int
    shown: str
    x: int
    cells: int


def placed_lines(tokens: Sequence[str], width: int) -> list[list[Placed]]:
    """The tokens in lines of at most ``width`` cells.

    A line ends after a line end, and otherwise after a blank, between words, or where ``may_break`` allows it.
    """
    words = has_words(tokens)
    lines: list[list[Placed]] = []
    line: list[Placed] = []
    x = 0
    for place, token in enumerate(tokens):
        shown = BLANK if token == " " else shown_text(token[:LONGEST_TOKEN])
        gap = int(words and bool(line))
        cells = cell_len(shown)
        if line and x + gap + cells > width:
            kept = len(line) if words else _break(tokens[line[0].token : place + 1])
            line, rest = line[:kept], line[kept:]
            lines.append(line)
            shift = rest[0].x if rest else 0
            line = [Placed(one.token, one.shown, one.x - shift, one.cells) for one in rest]
            x, gap = (line[-1].x + line[-1].cells if line else 0), 0
        line.append(Placed(place, shown, x + gap, cells))
        x += gap + cells
        if token == "\n":
            lines.append(line)
            line, x = [], 0
    return [*lines, line] if line else lines


def _break(tokens: Sequence[str]) -> int:
    """How many tokens of a full line stay in it; the last of ``tokens`` has no room."""
    for place in range(len(tokens) - 1, 0, -1):
        before, after = tokens[place - 1], tokens[place]
        if before == " " or len(before) > 1 or may_break(before, after[:1]):
            return place
    return len(tokens) - 1


def has_words(tokens: Sequence[str]) -> bool:
    """Whether the tokens are words, between which a blank belongs."""
    return any(len(token) > 1 and not (token[0] == "<" and token[-1] == ">") for token in tokens)


class TokenText(Widget):
    """Shows the tokens; the pane moves the cursor by its keys, a click moves it here."""

    ALLOW_SELECT = False
    cursor: reactive[int] = reactive(0)
    """The position of the token under the cursor."""

    @dataclass
    class Clicked(Message):
        """A token was clicked."""

        token: int

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._tokens: Sequence[str] = ()
        self._lines: list[list[Placed]] = []
        self._line_of: list[int] = []
        self._laid_out_at = 0
        self._first = 0
        self._values: Mapping[int, float] = {}
        self._scale = 1.0

    @property
    def tokens(self) -> Sequence[str]:
        return self._tokens

    def show(self, tokens: Sequence[str]) -> None:
        """Show another text, without colours."""
        if tokens != self._tokens:
            self._tokens, self._values = tokens, {}
            self._laid_out_at = self._first = 0
            self.refresh(layout=True)

    def colour(self, values: Mapping[int, float], scale: float) -> None:
        """Colour tokens by values, given by position; ``scale`` is the size of the strongest one."""
        if (values, scale) != (self._values, self._scale):
            self._values, self._scale = values, scale
            self.refresh()

    def watch_cursor(self) -> None:
        self._scroll()

    def validate_cursor(self, cursor: int) -> int:
        return max(0, min(cursor, len(self._tokens) - 1))

    def move_line(self, by: int) -> int:
        """The position of the token ``by`` lines below the cursor's."""
        self._lay_out()
        if not self._line_of:
            return 0
        here = self._line_of[self.cursor]
        line = self._lines[max(0, min(here + by, len(self._lines) - 1))]
        x = next(one.x for one in self._lines[here] if one.token == self.cursor)
        return min(line, key=lambda one: abs(one.x - x)).token

    # ------------------------------------------------------------------ lines

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        self._lay_out(width)
        return max(1, len(self._lines))

    def _lay_out(self, width: int | None = None) -> None:
        width = max(2, self.size.width if width is None else width)
        if width != self._laid_out_at:
            self._lines = placed_lines(self._tokens, width)
            self._line_of = [row for row, line in enumerate(self._lines) for _ in line]
            self._laid_out_at = width
            self._scroll()

    def _scroll(self) -> None:
        """Keep the cursor on screen, with a line around it where there are more than two."""
        if self._line_of and self._laid_out_at:
            here, height = self._line_of[min(self.cursor, len(self._line_of) - 1)], max(1, self.size.height)
            around = 1 if height > 2 else 0
            for line in (here - around, here + around, here):
                self._first = first_visible(max(0, line), self._first, height, len(self._lines))
        self.refresh()

    def on_resize(self) -> None:
        self._lay_out()
        self._scroll()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._scroll_by(1, event)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._scroll_by(-1, event)

    def _scroll_by(self, lines: int, event: events.MouseEvent) -> None:
        event.stop()
        self._first = max(0, min(self._first + lines, len(self._lines) - self.size.height))
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the token under the pointer, or to the nearest one in its line."""
        place = event.get_content_offset(self)
        row = self._first + (place.y if place else 0)
        if place is not None and row < len(self._lines) and self._lines[row]:
            line = self._lines[row]
            token = next((one.token for one in reversed(line) if one.x <= place.x), line[0].token)
            self.post_message(self.Clicked(token))

    # ------------------------------------------------------------------ painting

    def render(self) -> Drawing:
        self._lay_out()
        lines = self._lines[self._first : self._first + self.size.height]
        return Drawing([fitted(self._runs(line), self.size.width) for line in lines], self.size.width)

    def _runs(self, line: Sequence[Placed]) -> Iterator[Run]:
        x = 0
        for one in line:
            yield " " * (one.x - x), ""
            yield one.shown, self._style_name(one)
            x = one.x + one.cells

    def _style_name(self, one: Placed) -> str:
        if one.token == self.cursor:
            return CURSOR_STYLE
        value = self._values.get(one.token)
        of_level = level(value, self._scale) if value is not None else 0
        if of_level == 0:
            return SIGN_STYLE if self._tokens[one.token] in (" ", "\n") else TEXT_STYLES[0]
        # Without colour: bold is strong and positive, underlined strong and negative.
        return TEXT_STYLES[of_level] + {3: " bold", -3: " underline"}.get(of_level, "")
