"""An input line without control characters."""

from __future__ import annotations

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
