"""A question with two answers."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Button, Static

from tui.dialogs.dialog import Dialog


class ConfirmDialog(Dialog[bool]):
    """The result is whether the question was confirmed.

    ``danger``: the action destroys something. The dialog is painted as a warning and Cancel has the focus, so that keys
    typed without looking change nothing.
    """

    AUTO_FOCUS = ".-first"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("left,right", "app.focus_next", "Other answer", show=False)]

    def __init__(self, title: str | Content, body: str | Content, confirm: str, *, danger: bool = False) -> None:
        super().__init__()
        self._title = title
        self._body = Content(body) if isinstance(body, str) else body
        self._confirm = confirm
        self._danger = danger

    def compose(self) -> ComposeResult:
        with self.box(self._title, "confirm") as box:
            box.set_class(self._danger, "-danger")
            yield Static(self._body, classes="dialog-body")
            yes = Button(self._confirm, variant="error" if self._danger else "primary", id="yes", compact=True)
            no = Button("Cancel", id="no", compact=True)
            (no if self._danger else yes).add_class("-first")
            keys = "← → choose   enter confirm" if self._danger else f"enter {self._confirm.lower()}"
            yield from self.foot(f"{keys}   esc cancel", yes, no)

    def action_cancel(self) -> None:
        self.dismiss(False)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")
