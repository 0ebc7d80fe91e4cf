"""Input lines without control characters; one of them is the editor of a form."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.reactive import Reactive
from textual.widgets import Input


def without_controls(text: str) -> str:
    """``text`` without control characters; a line end or tab becomes a space."""
    if text.isprintable():
        return text
    return "".join(" " if character in "\n\t" else character for character in text
                   if character in "\n\t" or character.isprintable())  # fmt: skip


class PlainInput(Input):
    """Keeps only the printable characters of a text that is typed, pasted or set."""

    # Textual lays the whole screen out at each key; but the length of its text changes no size here.
    virtual_size: Reactive[Size] = Reactive(Size(0, 0))

    def update_node_styles(self, animate: bool = True) -> None:
        """Update the styles only once there are any: Input does so four times in its constructor."""
        if self.is_attached:
            super().update_node_styles(animate)

    def validate_value(self, value: str) -> str:
        return without_controls(value)


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
