"""The line in which the value of a row of a form is typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.forms.plain_input import PlainInput


class RowEditor(PlainInput):
    """The line in which the value of one row is typed. ``?`` opens the help, except where the value is a text."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark", "explain", "Help", show=False, priority=True)]

    def __init__(self, edited: Callable[[str], None]) -> None:
        super().__init__(compact=True, select_on_focus=True)
        self.is_number = False
        self._edited = edited
        self._is_typed = True

    def put(self, text: str) -> None:
        """Show ``text``. What of it cannot be shown in a line is left out, which is no edit."""
        self._is_typed = False
        self.value = text
        self._is_typed = True

    def watch_value(self, value: str) -> None:
        """Say so at once: a message would arrive after the cursor has moved to another row."""
        if self._is_typed:
            self._edited(value)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.is_number if action == "explain" else True

    async def action_explain(self) -> None:
        await self.run_action("app.help")
