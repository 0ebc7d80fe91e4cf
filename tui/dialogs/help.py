"""The help: short pages, and a search over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from tui.dialogs.dialog import Dialog
from tui.forms.plain_input import PlainInput
from tui.text.cells import pad_cells
from tui.text.safe import shown_text
from tui.text.wrapping import wrapped_lines
from tui.themes import QUIET

Lines: TypeAlias = Sequence[tuple[str, str]]
Section: TypeAlias = tuple[str, Lines]
COLUMN = 17  # cells of the first column


@dataclass(frozen=True)
class HelpPage:
    """One page: its name in the row of pages, and its sections."""

    name: str
    sections: tuple[Section, ...]


class _SearchLine(PlainInput):
    """The line of the search: ``?`` closes the help while nothing is typed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "screen.close", "Close", show=False, priority=True)
    ]


class HelpScreen(Dialog[None]):
    """Opens on the first of ``pages``. What is typed filters the lines of all pages."""

    AUTO_FOCUS = "#help-search"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Close", tooltip="Clear the search, or close the help", id="help.back"),
        Binding("f1", "dismiss", "Close", tooltip="Back to the pane", id="help.close"),
        Binding("right,tab", "turn(1)", "Page", show=False, priority=True),
        Binding("left,shift+tab", "turn(-1)", "Page before", show=False, priority=True),
        Binding("down", "scroll('scroll_down')", "Down", show=False),
        Binding("up", "scroll('scroll_up')", "Up", show=False),
        Binding("pagedown", "scroll('scroll_page_down')", "Page down", show=False),
        Binding("pageup", "scroll('scroll_page_up')", "Page up", show=False),
    ]

    def __init__(self, pages: Sequence[HelpPage]) -> None:
        super().__init__()
        self._pages = pages
        self._at = 0
        self._search = _SearchLine(
            placeholder="type to search all pages", compact=True, max_length=100, id="help-search"
        )
        self._row = Static("", id="help-pages")
        self._text = Static("", id="help-text")
        self._box = VerticalScroll(self._text, id="help-box", can_focus=False)

    def compose(self) -> ComposeResult:
        with Vertical(id="help", classes="dialog") as dialog:
            dialog.border_title = Content("Help")
            dialog.border_subtitle = Content("← → pages   ↑ ↓ scroll   esc closes")
            yield self._search
            yield self._row
            yield self._box

    def on_resize(self) -> None:
        self.call_after_refresh(self._fill)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While something is typed, the arrows and ? belong to it."""
        return not self._search.value if action in ("turn", "close") else True

    def action_close(self) -> None:
        self.dismiss()

    def action_back(self) -> None:
        if self._search.value:
            self._search.value = ""
        else:
            self.dismiss()

    def action_turn(self, by: int) -> None:
        self.action_page((self._at + by) % len(self._pages))

    def action_page(self, index: int) -> None:
        """Show a page: a click on its name."""
        self._at = index
        self._search.value = ""
        self._fill()
        self._box.scroll_home(animate=False)

    def action_scroll(self, how: str) -> None:
        getattr(self._box, how)(animate=False)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._fill()
        self._box.scroll_home(animate=False)

    def _fill(self) -> None:
        query = self._search.value.casefold().split()
        names = [
            Content.styled(f" {page.name} ", "bold $background on $accent")
            if index == self._at and not query
            else Content(f" {page.name} ").stylize(f"@click=screen.page({index})")
            for index, page in enumerate(self._pages)
        ]
        self._row.update(Content("").join(names))
        width = max(40, self._box.scrollable_content_region.width - 1)
        sections = self._found(query) if query else self._pages[self._at].sections
        text = Content("\n\n").join(_section(title, lines, width) for title, lines in sections)
        nothing = f"No line of the help has {shown_text(self._search.value)!r}. esc clears the search."
        self._text.update(text if text else Content.styled(nothing, QUIET))

    def _found(self, query: Sequence[str]) -> Iterator[Section]:
        """The lines of all pages that have every word of the search, each line once."""
        seen: set[tuple[str, str]] = set()
        for title, lines in (section for page in self._pages for section in page.sections):
            found = []
            for line in lines:
                words = f"{title} {line[0]} {line[1]}".casefold()
                if line not in seen and all(word in words for word in query):
                    seen.add(line)
                    found.append(line)
            if found:
                yield title, found


def _section(title: str, lines: Lines, width: int) -> Content:
    """A heading, and lines in two columns; the second column wraps."""
    rows = [Content.styled(title, "bold $accent")]
    for word, meaning in lines:
        first, *more = wrapped_lines(meaning, max(20, width - COLUMN))
        rows.append(Content.assemble(("  " + pad_cells(word, COLUMN - 2), "bold"), first))
        rows += [Content(" " * COLUMN + line) for line in more]
    return Content("\n").join(rows)
