"""A dialog that asks for a name and validates it while it is typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Static

from core.errors import UserError
from tui.dialogs.dialog import Dialog
from tui.forms.plain_input import PlainInput
from tui.text.safe import shown_text

Check = Callable[[str], object]


class NameDialog(Dialog[str | None]):
    """The result is the name, or None if the dialog was cancelled. ``check`` raises UserError for an invalid name.

    ``check`` is called at every key: it must not block.
    """

    AUTO_FOCUS = "#name-input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", tooltip="Change nothing", id="dialog.cancel"),
    ]

    def __init__(self, title: str | Content, name: str, confirm: str, check: Check, body: str = "") -> None:
        super().__init__()
        self._title = title if isinstance(title, Content) else Content(title)
        self._check = check
        self._body = body
        self._line = PlainInput(name, placeholder="name", max_length=200, id="name-input")
        self._error = Static("", classes="field-error", id="name-error", markup=False)
        self._yes = Button(confirm, variant="primary", id="yes", compact=True)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="name") as dialog:
            dialog.border_title = self._title
            if self._body:
                yield Static(shown_text(self._body), classes="dialog-body", markup=False)
            yield self._line
            yield self._error
            with Horizontal(classes="buttons dialog-buttons"):
                yield self._yes
                yield Button("Cancel", id="no", compact=True)
            keys = f"enter {str(self._yes.label).lower()}   esc cancel"
            yield Static(keys, classes="dialog-keys", markup=False)

    def action_cancel(self) -> None:
        self.dismiss(None)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._problem(event.value)

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self._finish()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self._finish()
        else:
            self.dismiss(None)

    def _problem(self, name: str) -> str:
        try:
            self._check(name)
            problem = ""
        except UserError as error:
            problem = str(error)
        self._error.update(shown_text(problem))
        self._yes.disabled = bool(problem)
        return problem

    def _finish(self) -> None:
        name = self._line.value
        if not self._problem(name):
            self.dismiss(name)
