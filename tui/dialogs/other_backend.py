"""A dialog that asks how to continue a run whose backend is different on this machine."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Button, Static

from core.engine.answers import BackendChange
from tui.dialogs.dialog import Dialog
from tui.text.safe import shown_text


class OtherBackendDialog(Dialog[str | None]):
    """The result is "before", "here", or None to cancel, which has the focus: the other two change the run."""

    AUTO_FOCUS = "#no"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "app.focus_previous", "Other answer", show=False),
        Binding("right", "app.focus_next", "Other answer", show=False),
    ]

    def __init__(self, change: BackendChange) -> None:
        super().__init__()
        self._change = change

    def compose(self) -> ComposeResult:
        words, remains = self._change.words, self._change.remains
        with self.box("Another backend", "other-backend"):
            yield Static(shown_text(f"{words[:1].upper()}{words[1:]}."), classes="dialog-body", markup=False)
            if remains:
                yield Static(shown_text(f"Also with the old backend: {remains}."), classes="dialog-body", markup=False)
            before = [Button("As before", variant="primary", id="before", compact=True)]
            here, no = Button("Continue here", id="here", compact=True), Button("Cancel", id="no", compact=True)
            buttons = (*(before if self._change.as_before else ()), here, no)
            yield from self.foot("← → choose   enter confirm   esc cancel", *buttons)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(None if event.button.id == "no" else event.button.id)
