"""The framed boxes of the pane: the text with its cursor, and a view with its sentence."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tui.charts.drawing import Drawing, blank
from tui.charts.widget import Chart
from tui.panes.inspect.parts import Canvas, LineInput, Sentences
from tui.panes.inspect.subject import Subject
from tui.panes.inspect.token_text import TokenText
from tui.panes.inspect.view import View
from tui.shell.frame import name_for_edge
from tui.shell.lit_box import LitVertical
from tui.text.safe import shown_text

BAR = 20  # cells of a progress


class TextBox(LitVertical):
    """The tokens of a text, or a line to type another one."""

    def compose(self) -> ComposeResult:
        yield TokenText(id="inspect-text")
        tooltip = "A text to look at; enter takes it"
        yield LineInput(placeholder="type or paste a text", compact=True, tooltip=tooltip, id="inspect-edit")

    def show(self, subject: Subject) -> None:
        """Show the text, its cursor, and the colours of the view."""
        text = self.query_one(TokenText)
        text.show(subject.text.tokens if subject.text is not None else ())
        text.cursor = subject.cursor
        shades = subject.view.shades()
        text.colour(shades.values, shades.scale)

    def show_state(self, subject: Subject) -> None:
        name = name_for_edge(self, subject.run.name) if subject.run is not None else "Inspect"
        set_edges(self, name, subject.text_words())

    def edit(self, text: str) -> None:
        self.query_one(TokenText).display = False
        self.query_one(LineInput).open(text)

    def close_line(self) -> None:
        self.query_one(LineInput).display = False
        self.query_one(TokenText).display = True


class ViewBox(LitVertical):
    """A view: its sentence, its picture, and a line to type what to find."""

    def __init__(self, *, is_main: bool, id: str) -> None:
        """``is_main``: it takes the focus and the mouse."""
        super().__init__(id=id, classes="box")
        self._is_main = is_main
        self._view: View[Any] | None = None

    def compose(self) -> ComposeResult:
        yield Sentences("", classes="inspect-words", markup=False)
        if self._is_main:
            yield Canvas(self._draw)
            yield LineInput(compact=True, tooltip="What to find; enter finds it", id="inspect-search")
        else:
            yield Chart(self._draw)

    def _draw(self, width: int, height: int) -> Drawing:
        return self._view.draw(width, height) if self._view is not None else blank(width, height)

    def show(self, subject: Subject, view: View[Any] | None) -> None:
        """Show a view of a subject; None hides the box."""
        self._view = view
        if not self._is_main:
            self.display = view is not None and subject.run is not None
        if view is None:
            return
        words = "\n".join(map(shown_text, subject.words(view).split("\n")))
        line, chart = self.query_one(Static), self.query_one(Chart)
        line.set_class(subject.run is None, "-empty")
        line.set_class(bool(subject.failure(view)), "-wrong")
        if str(line.content) != words:
            line.update(Content(words))
        chart.set_class(subject.run is None, "-empty")  # still shown: the focus must be on something visible
        chart.invalidate(at_once=True)

    def show_state(self, title: str, note: str, share: float | None = None) -> None:
        if share is not None:
            done = round(BAR * share)
            note = f"{'█' * done}{'░' * (BAR - done)} {100 * share:3.0f} %, esc cancels"
        set_edges(self, title, note)

    def seek(self, placeholder: str) -> None:
        line = self.query_one(LineInput)
        line.placeholder = placeholder
        line.open()

    def close_line(self) -> None:
        self.query_one(LineInput).display = False


def set_edges(box: Widget, title: str, note: str) -> None:
    """The words in the edges of a box, set only when they change, since the whole box is then painted."""
    if str(box.border_title or "") != title:
        box.border_title = Content(title)
    if str(box.border_subtitle or "") != note:
        box.border_subtitle = Content(note)
