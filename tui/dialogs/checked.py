"""The base of the dialogs that validate what is typed."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ScreenResultType
from textual.widgets import Button, Input, Static

from core.errors import UserError
from tui.dialogs.dialog import Dialog
from tui.text.safe import shown_text


class CheckedDialog(Dialog[ScreenResultType | None]):
    """Enter or the first button finishes, the other one cancels. What is typed is checked at every key."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", "Up", show=False),
        Binding("down", "app.focus_next", "Down", show=False),
    ]

    def __init__(self, confirm: str) -> None:
        super().__init__()
        self._error = Static("", classes="field-error", id="dialog-error", markup=False)
        self._yes = Button(confirm, variant="primary", id="yes", compact=True)

    def foot(self, keys: str = "", *buttons: Button) -> ComposeResult:
        """The last rows: the error, the buttons with ``buttons`` among them, ``keys`` and those of all such dialogs."""
        yield self._error
        words = f"{keys}   enter {str(self._yes.label).lower()}   esc cancel".strip()
        yield from super().foot(words, self._yes, *buttons, Button("Cancel", id="no", compact=True))

    def answer(self) -> ScreenResultType:
        """What is typed. Raises UserError. It must not block."""
        raise NotImplementedError

    def check(self) -> ScreenResultType | None:
        """What is typed; None if it is not valid, and the reason is shown."""
        try:
            answer, problem = self.answer(), ""
        except UserError as error:
            answer, problem = None, error.labelled
        self.show_problem(problem)
        return answer

    def finish(self) -> None:
        """Dismiss the dialog with what is typed, if it is valid."""
        if (answer := self.check()) is not None:
            self.dismiss(answer)

    def show_problem(self, problem: str) -> None:
        """Show why what is typed is not valid; empty if it is."""
        self._error.update(shown_text(problem))
        self._yes.disabled = bool(problem)

    @on(Input.Changed)
    def _typed(self) -> None:
        self.check()

    @on(Input.Submitted)
    @on(Button.Pressed, "#yes")
    def _finished(self) -> None:
        self.finish()

    @on(Button.Pressed, "#no")
    def _cancelled(self) -> None:
        self.action_cancel()
