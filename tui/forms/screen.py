"""The screen of an app with forms: tab moves through the rows of a form as through widgets."""

from __future__ import annotations

from textual.css.query import QueryType
from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget

from tui.forms.rows import Rows
from tui.text.wide import WholeCharacters


class FormScreen(WholeCharacters, Screen[None]):
    """Textual's screen; the rows of ``Rows`` are places of the focus too."""

    # Textual repaints the whole screen with every move of the focus; what it concerns is repainted with its styles.
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)

    def focus_next(self, selector: str | type[QueryType] = "*") -> Widget | None:
        return self._step(1) if selector == "*" else super().focus_next(selector)

    def focus_previous(self, selector: str | type[QueryType] = "*") -> Widget | None:
        return self._step(-1) if selector == "*" else super().focus_previous(selector)

    def set_focus(self, widget: Widget | None, scroll_visible: bool = True, from_app_focus: bool = False) -> None:
        """As in Textual, but ``Rows`` scroll to their cursor themselves."""
        super().set_focus(widget, scroll_visible and not isinstance(widget, Rows), from_app_focus)

    def _step(self, direction: int) -> Widget | None:
        ancestors = self.focused.ancestors_with_self if self.focused is not None else ()
        rows = next((node for node in ancestors if isinstance(node, Rows)), None)
        if rows is not None and rows.step(direction):
            return self.focused
        chain = self.focus_chain
        if not chain:
            return self.focused
        here = rows or self.focused
        place = chain.index(here) + direction if here in chain else 0
        found = chain[place % len(chain)]
        if isinstance(found, Rows):
            found.enter(direction)
        else:
            self.set_focus(found)
        return self.focused
