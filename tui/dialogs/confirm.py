"""A question with two answers."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Static

from tui.dialogs.dialog import Dialog


class ConfirmDialog(Dialog[bool]):
    """The result is whether the question was confirmed.

    ``danger``: the action destroys something. The dialog is painted as a warning and Cancel has the focus, so that keys
    typed without looking change nothing.
    """

    AUTO_FOCUS = ".-first"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "answer(False)", "Cancel", tooltip="Change nothing", id="dialog.cancel"),
        Binding("left,right", "app.focus_next", "Other answer", show=False),
    ]

    def __init__(self, title: str | Content, body: str | Content, confirm: str, *, danger: bool = False) -> None:
        super().__init__()
        self._title = title if isinstance(title, Content) else Content(title)
        self._body = body if isinstance(body, Content) else Content(body)
        self._confirm = confirm
        self._danger = danger

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="confirm") as dialog:
            dialog.border_title = self._title
            dialog.set_class(self._danger, "-danger")
            yield Static(self._body, classes="dialog-body")
            with Horizontal(classes="buttons dialog-buttons"):
                yes = Button(self._confirm, variant="error" if self._danger else "primary", id="yes", compact=True)
                no = Button("Cancel", id="no", compact=True)
                (no if self._danger else yes).add_class("-first")
                yield yes
                yield no
            keys = "← → choose   enter confirm" if self._danger else f"enter {self._confirm.lower()}"
            yield Static(f"{keys}   esc cancel", classes="dialog-keys", markup=False)

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")
