"""An input line into which no command for the terminal can be pasted."""

from __future__ import annotations

from textual.widgets import Input


def without_controls(text: str) -> str:
    """``text`` without control characters; a line end or tab becomes a blank."""
    if text.isprintable():
        return text
    return "".join(" " if character in "\n\t" else character for character in text
                   if character in "\n\t" or character.isprintable())  # fmt: skip


class PlainInput(Input):
    """Keeps what can be seen of whatever is typed, pasted or set."""

    def validate_value(self, value: str) -> str:
        """Drop what would not be text (called by Textual for every new value)."""
        return without_controls(value)
