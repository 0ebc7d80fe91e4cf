"""An input line into which no command for the terminal can be pasted, and which obeys keys in the order they came."""

from __future__ import annotations

from textual import events
from textual.binding import Binding
from textual.widgets import Input

EDITING = {binding.key: binding.action for binding in Binding.make_bindings(Input.BINDINGS)}
"""What Input's own keys do; a binding of several keys is one entry for each of them."""


def without_controls(text: str) -> str:
    """``text`` without control characters; a line end or tab becomes a blank."""
    if text.isprintable():
        return text
    return "".join(" " if character in "\n\t" else character for character in text
                   if character in "\n\t" or character.isprintable())  # fmt: skip


class PlainInput(Input):
    """Keeps what can be seen of whatever is typed, pasted or set."""

    def update_node_styles(self, animate: bool = True) -> None:
        """Look for other styles, but not before there are any: Input asks for them four times while it is made."""
        if self.is_attached:
            super().update_node_styles(animate)

    async def on_key(self, event: events.Key) -> None:
        """Do what an editing key does before the next key comes.

        Textual carries such a key up through all that encloses the field, and looks only then what it does: a letter
        typed right behind it is in the field by then, and is what the backspace takes away.
        """
        action = EDITING.get(event.key)
        if action is not None:
            event.stop()
            await self.run_action(action)

    def validate_value(self, value: str) -> str:
        """Drop what would not be text (called by Textual for every new value)."""
        return without_controls(value)
