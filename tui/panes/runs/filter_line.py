"""The line in which a filter of the list is typed."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Input, Static

from core.errors import UserError
from core.runs.filter import SORT_KEYS, parse_filter
from tui.forms.plain_input import PlainInput
from tui.text.safe import shown_text

EXAMPLE = "words, or cell:lstm  ppl<3  tag:best  state:finished  epochs>=100  !corpus:tale"


def without_begun_key(text: str) -> str:
    """What counts while ``text`` is typed: not a last word that may become ``ppl<3``, and finds nothing by itself."""
    before, _, last = text.rpartition(" ")
    word = last.removeprefix("!").casefold()
    return before if word and any(key.startswith(word) for key in SORT_KEYS) else text


class FilterLine(Vertical):
    """Shown while there is a filter, or one is typed. What is wrong with it is said below; the last good one counts."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,down", "done", "To the list", key_display="enter", id="filter.done"),
    ]

    class Finished(Message):
        """Typing has ended: the list gets the focus."""

    text: reactive[str] = reactive("", init=False, repaint=False)
    """The filter that counts."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.show(False)

    def compose(self) -> ComposeResult:
        with Horizontal(classes="field-line"):
            yield Static("filter", classes="field-label")
            words = "Only the runs that have these words, or these values"
            yield PlainInput(placeholder=EXAMPLE, max_length=500, tooltip=words, id="filter-input")
        yield Static(classes="field-error", id="filter-error", markup=False)

    def open(self) -> None:
        """Show the line and put the focus into it."""
        self.show(True)
        self.query_one(Input).focus()

    def clear(self) -> None:
        self.query_one(Input).value = ""
        self.show(False)

    def close_empty(self) -> None:
        """Hide the line if nothing is typed in it."""
        if not self.query_one(Input).value:
            self.show(False)

    def show(self, is_shown: bool) -> None:
        """Show or hide the line. It is also disabled while it is hidden: else it could get the focus."""
        self.display, self.disabled = is_shown, not is_shown

    @property
    def is_typed(self) -> bool:
        return bool(self.query_one(Input).value)

    def action_done(self) -> None:
        self._apply(self.query_one(Input).value)
        self.post_message(self.Finished())

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_done()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self._apply(without_begun_key(event.value))

    def _apply(self, text: str) -> None:
        """Let ``text`` count, or say what is wrong with it."""
        error, text = self.query_one("#filter-error", Static), text.strip()
        try:
            parse_filter(text)
        except UserError as problem:
            error.update(shown_text(str(problem)))
            error.display = True
            return
        error.display = False
        self.text = text
