"""Asks for a name, and says beside the field what is wrong with it while it is typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from core.errors import UserError
from tui.text import shown_text
from tui.widgets.plain_input import PlainInput

Check = Callable[[str], object]


class NameDialog(ModalScreen[str | None]):
    """Its result is the name, or None where it was cancelled. ``check`` raises a UserError for a name that cannot be.

    ``check`` is called at every key: it must not wait for anything.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", tooltip="Leave everything as it is", id="dialog.cancel"),
    ]

    def __init__(self, title: str | Content, name: str, confirm: str, check: Check, body: str = "") -> None:
        super().__init__()
        self._title = title if isinstance(title, Content) else Content(title)
        self._name_before = name
        self._confirm = confirm
        self._check = check
        self._body = body

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="name") as dialog:
            dialog.border_title = self._title
            if self._body:
                yield Static(shown_text(self._body), classes="dialog-body", markup=False)
            yield PlainInput(self._name_before, placeholder="name", max_length=200, id="name-input")
            yield Static("", classes="field-error", id="name-error", markup=False)
            with Horizontal(classes="dialog-buttons"):
                yield Button(self._confirm, variant="primary", id="yes", compact=True)
                yield Button("Cancel", id="no", compact=True)
            yield Static(f"enter {self._confirm.lower()}   esc cancel", classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def action_cancel(self) -> None:
        """Close the dialog without a name."""
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
        self.query_one("#name-error", Static).update(shown_text(problem))
        self.query_one("#yes", Button).disabled = bool(problem)
        return problem

    def _finish(self) -> None:
        name = self.query_one(Input).value
        if not self._problem(name):
            self.dismiss(name)
