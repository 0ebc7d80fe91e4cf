"""The base of the dialogs that validate what is typed."""

from __future__ import annotations

from abc import abstractmethod

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.screen import ScreenResultType
from textual.widgets import Button, Input, Static

from tui.dialogs.dialog import Dialog
from tui.text.safe import shown_text


class CheckedDialog(Dialog[ScreenResultType | None]):
    """Enter or the first button finishes, the other one cancels; the result of a cancelled dialog is None."""

    def __init__(self, confirm: str, *, error_id: str | None = None) -> None:
        super().__init__()
        self._error = Static("", classes="field-error", id=error_id, markup=False)
        self._yes = Button(confirm, variant="primary", id="yes", compact=True)
        self._no = Button("Cancel", id="no", compact=True)

    def foot(self, keys: str) -> ComposeResult:
        """The last rows of the dialog: the error, the buttons, the keys."""
        yield self._error
        with Horizontal(classes="buttons dialog-buttons"):
            yield self._yes
            yield self._no
        yield Static(keys, classes="dialog-keys", markup=False)

    @abstractmethod
    def finish(self) -> None:
        """Dismiss the dialog with what is typed, if it is valid."""

    def show_problem(self, problem: str) -> None:
        """Show why what is typed is not valid; empty if it is."""
        self._error.update(shown_text(problem))
        self._yes.disabled = bool(problem)

    def action_cancel(self) -> None:
        self.dismiss(None)

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.finish()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button is self._yes:
            self.finish()
        else:
            self.dismiss(None)
