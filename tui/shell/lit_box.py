"""Boxes whose border has the accent colour while the focus is inside.

``:focus-within`` would restyle everything in a box at each move of the focus: 50 ms a key for a form of sixty fields. A
class restyles the box and its direct children alone.
"""

from __future__ import annotations

from textual.containers import Vertical, VerticalScroll
from textual.widget import Widget

from tui.services import is_alive

LIT = "-lit"


class LitBorder(Widget):
    """Mixed into a box: it has the class ``-lit`` while the focus is inside."""

    def on_descendant_focus(self) -> None:
        self._light()

    def on_descendant_blur(self) -> None:
        """The focus left or moved inside: that is known once it has arrived."""
        self.call_later(self._light)

    def _light(self) -> None:
        if is_alive(self) and self.has_focus_within != self.has_class(LIT):
            self.set_class(self.has_focus_within, LIT, update=False)
            for node in (self, *self.children):
                self.app.stylesheet.apply(node)


class LitVertical(Vertical, LitBorder):
    """A box of widgets, one below the other."""


class LitScroll(VerticalScroll, LitBorder):
    """A box of widgets that scrolls."""
