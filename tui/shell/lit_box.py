"""Boxes whose border is of the accent while the focus is inside.

Not by ``:focus-within``: for that Textual styles all that a box encloses anew at every move of the focus, for a form
of sixty fields a twentieth of a second a key. So a class says it, and the box alone is styled, when it changes.
"""

from __future__ import annotations

from textual.containers import Vertical, VerticalScroll
from textual.widget import Widget

from tui.services import stands

LIT = "-lit"


class LitBorder(Widget):
    """Mixed into a box: it has the class ``-lit`` while the focus is inside."""

    def on_descendant_focus(self) -> None:
        """The focus came, or moved inside."""
        self._light()

    def on_descendant_blur(self) -> None:
        """The focus left, or only moves: which of them is known when it has arrived."""
        self.call_later(self._light)

    def _light(self) -> None:
        if stands(self) and self.has_focus_within != self.has_class(LIT):
            if self.has_focus_within:
                self.add_class(LIT, update=False)
            else:
                self.remove_class(LIT, update=False)
            self.app.stylesheet.apply(self)


class LitVertical(Vertical, LitBorder):
    """A box of widgets, one below the other."""


class LitScroll(VerticalScroll, LitBorder):
    """The same where they may be more than fit."""
