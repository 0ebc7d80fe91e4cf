"""A dialog that asks for a name and validates it while it is typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from core.errors import UserError
from tui.dialogs.checked import CheckedDialog
from tui.forms.plain_input import PlainInput
from tui.text.safe import shown_text

Check = Callable[[str], object]


class NameDialog(CheckedDialog[str]):
    """The result is the name, or None if the dialog was cancelled. ``check`` raises UserError for an invalid name.

    ``check`` is called at every key: it must not block.
    """

    AUTO_FOCUS = "#name-input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", tooltip="Change nothing", id="dialog.cancel"),
    ]

    def __init__(self, title: str | Content, name: str, confirm: str, check: Check, body: str = "") -> None:
        super().__init__(confirm, error_id="name-error")
        self._title = title if isinstance(title, Content) else Content(title)
        self._check = check
        self._body = body
        self._line = PlainInput(name, placeholder="name", max_length=200, id="name-input")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="name") as dialog:
            dialog.border_title = self._title
            if self._body:
                yield Static(shown_text(self._body), classes="dialog-body", markup=False)
            yield self._line
            yield from self.foot(f"enter {str(self._yes.label).lower()}   esc cancel")

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._problem(event.value)

    def _problem(self, name: str) -> str:
        try:
            self._check(name)
            problem = ""
        except UserError as error:
            problem = str(error)
        self.show_problem(problem)
        return problem

    def finish(self) -> None:
        name = self._line.value
        if not self._problem(name):
            self.dismiss(name)
