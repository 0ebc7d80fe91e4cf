"""A dialog that asks for a name and validates it while it is typed."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from tui.dialogs.checked import CheckedDialog
from tui.forms.plain_input import PlainInput
from tui.text.safe import shown_text

Check = Callable[[str], object]


class NameDialog(CheckedDialog[str]):
    """The result is the name, or what else the ``placeholder`` calls it. ``check`` raises UserError for an invalid one.

    ``check`` is called at every key: it must not block.
    """

    AUTO_FOCUS = "#name-input"

    def __init__(
        self, title: str | Content, name: str, confirm: str, check: Check, body: str = "", placeholder: str = "name"
    ) -> None:
        super().__init__(confirm)
        self._title = title
        self._check = check
        self._body = body
        self._line = PlainInput(name, placeholder=placeholder, max_length=200, id="name-input")

    def compose(self) -> ComposeResult:
        with self.box(self._title, "name"):
            if self._body:
                yield Static(shown_text(self._body), classes="dialog-body", markup=False)
            yield self._line
            yield from self.foot()

    def answer(self) -> str:
        self._check(self._line.value)
        return self._line.value
