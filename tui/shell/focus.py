"""An app in which something always has the focus, and a key goes to what the user saw when it was typed."""

from __future__ import annotations

from textual import events
from textual.screen import ModalScreen
from textual.widget import Widget

from tui.preferences.preferring_app import PreferringApp
from tui.shell.turns import Turns


class FocusKeepingApp(PreferringApp):
    """The base of the playground. What has lost the focus gives it to ``shown_pane``."""

    def __init__(self) -> None:
        super().__init__()
        self._turns = Turns(self, super().on_event)

    @property
    def shown_pane(self) -> Widget:
        raise NotImplementedError

    async def on_event(self, event: events.Event) -> None:
        """A key goes to what the user saw when it was typed: see ``Turns``."""
        if isinstance(event, (events.InputEvent, events.Paste)) and not event.is_forwarded:
            await self._turns.take(event)
        else:
            await super().on_event(event)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Textual delays focus changes: one may reach a widget that has been hidden since, such as a closed list."""
        if not self.screen_stack:  # the app is closing
            return
        hidden = [node for node in event.widget.ancestors_with_self if not node.display]
        if hidden and self.focused is event.widget and not isinstance(self.screen, ModalScreen):
            outside = (node for node in hidden[-1].ancestors if isinstance(node, Widget) and not node.is_dom_root)
            shown = next((node for node in outside if node.focusable), None)
            (shown or self.shown_pane).focus()

    def on_descendant_blur(self) -> None:
        """If nothing has the focus, since the widget that had it was hidden or removed, the shown pane gets it."""
        self.call_later(self._focus_something)

    def _focus_something(self) -> None:
        if self.app_focus and self.is_running and not isinstance(self.screen, ModalScreen) and self.focused is None:
            self.shown_pane.focus()
