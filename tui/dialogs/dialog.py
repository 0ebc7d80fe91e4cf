"""The base of all dialogs: a dialog closes once, and input that comes too early or too late is ignored."""

from __future__ import annotations

from typing import Any

from textual.await_complete import AwaitComplete
from textual.command import CommandList, CommandPalette
from textual.screen import ModalScreen, Screen, ScreenResultType


class ClosesOnce:
    """Mixed into a screen: ``dismiss`` closes this screen and no other, however often it is called.

    Textual pops the top screen, whichever screen calls ``dismiss``: a second key or click that arrives while a screen
    closes would pop the screen below, and fails if that is the last. Textual's own palette does the same.
    This is no screen itself: a widget's styles are looked up by the first of its bases that is a widget.
    """

    def dismiss(self: Any, result: Any = None) -> AwaitComplete:
        """Close the screen if it is the top one."""
        if not self.is_current:
            return AwaitComplete()
        # Textual would drop callbacks that wait until this screen is drawn, such as those of the footer's new keys.
        put_off = self._callbacks.copy()
        self._callbacks.clear()
        closed = Screen.dismiss(self, result)
        for callback, sender in put_off:
            self.app.screen._invoke_later(callback, sender)
        return closed


class Dialog(ClosesOnce, ModalScreen[ScreenResultType]):
    """The base of our dialogs.

    A dialog keeps references to its parts and does not query them: a key or a resize may come before they are mounted
    or after they were removed. ``AUTO_FOCUS`` names the part that has the focus first.
    """


class Palette(ClosesOnce, CommandPalette):
    """Textual's command palette, which can be closed by a click and a key at the same moment."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Ignore page up and down while the list has no height (see ``PagedList``)."""
        if action == "command_list":
            return any(commands.scrollable_content_region for commands in self.query(CommandList))
        return super().check_action(action, parameters)
