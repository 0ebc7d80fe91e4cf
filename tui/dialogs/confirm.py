"""A question with a few answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Button, Static

from tui.dialogs.dialog import Dialog


class ConfirmDialog(Dialog[str | None]):
    """The result is the name of the chosen answer, None for Cancel.

    ``confirm`` is the label of the answer "yes", or has the label of each answer by its name. ``danger``: the action
    destroys something. The dialog is painted as a warning and Cancel has the focus, so that keys typed without looking
    change nothing. ``careful``: only the latter.
    """

    AUTO_FOCUS = ".-first"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "app.focus_previous", "Other answer", show=False),
        Binding("right", "app.focus_next", "Other answer", show=False),
    ]

    def __init__(
        self,
        title: str | Content,
        body: str | Content,
        confirm: str | Mapping[str, str],
        *,
        danger: bool = False,
        careful: bool = False,
    ) -> None:
        super().__init__()
        self._title = title
        self._body = Content(body) if isinstance(body, str) else body
        self._answers = {"yes": confirm} if isinstance(confirm, str) else confirm
        self._danger = danger
        self._careful = danger or careful

    def compose(self) -> ComposeResult:
        with self.box(self._title, "confirm") as box:
            box.set_class(self._danger, "-danger")
            yield Static(self._body, classes="dialog-body")
            buttons = [Button(label, id=name, compact=True) for name, label in self._answers.items()]
            buttons[0].variant = "error" if self._danger else "primary"
            buttons.append(Button("Cancel", id="no", compact=True))
            buttons[-1 if self._careful else 0].add_class("-first")
            keys = "← → choose   enter confirm" if self._careful else f"enter {str(buttons[0].label).lower()}"
            yield from self.foot(f"{keys}   esc cancel", *buttons)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(None if event.button.id == "no" else event.button.id)
