"""An input line without control characters, which handles keys in the order in which they arrive."""

from __future__ import annotations

from textual import events
from textual.binding import Binding
from textual.widgets import Input

EDITING = {binding.key: binding.action for binding in Binding.make_bindings(Input.BINDINGS)}
"""The actions of Input's own keys, one entry for each key."""


def without_controls(text: str) -> str:
    """``text`` without control characters; a line end or tab becomes a space."""
    if text.isprintable():
        return text
    return "".join(" " if character in "\n\t" else character for character in text
                   if character in "\n\t" or character.isprintable())  # fmt: skip


class PlainInput(Input):
    """Keeps only the printable characters of a text that is typed, pasted or set."""

    def update_node_styles(self, animate: bool = True) -> None:
        """Update the styles only once there are any: Input does so four times in its constructor."""
        if self.is_attached:
            super().update_node_styles(animate)

    async def on_key(self, event: events.Key) -> None:
        """Run the action of an editing key before the next key is handled.

        Textual runs it only after the key has bubbled through all ancestors. By then a letter typed right after a
        backspace is in the field, and the backspace would delete that letter.
        """
        action = EDITING.get(event.key)
        if action is not None:
            event.stop()
            await self.run_action(action)

    def validate_value(self, value: str) -> str:
        """Remove control characters (called by Textual for every new value)."""
        return without_controls(value)
