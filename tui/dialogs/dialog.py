"""What every dialog is made of: it closes once, and what comes too early or too late for it does nothing."""

from __future__ import annotations

from typing import Any

from textual.await_complete import AwaitComplete
from textual.command import CommandList, CommandPalette
from textual.screen import ModalScreen, Screen, ScreenResultType


class ClosesOnce:
    """Mixed into a screen: ``dismiss`` closes it, and no other, however often it is called.

    Textual takes the uppermost screen off the stack, whoever asks: a second key or click that arrives while a screen
    closes would take the one below it, and fails where that is the last. Textual's own palette does so too.
    No screen itself: a widget's styles are looked up by the first of its bases that is one.
    """

    def dismiss(self: Any, result: Any = None) -> AwaitComplete:
        """Close the screen, if it is the uppermost one."""
        if not self.is_current:
            return AwaitComplete()
        # What was put off until this screen is drawn, by whatever widget, Textual would forget: the footer's new keys.
        put_off = self._callbacks.copy()
        self._callbacks.clear()
        closed = Screen.dismiss(self, result)
        for callback, sender in put_off:
            self.app.screen._invoke_later(callback, sender)
        return closed


class Dialog(ClosesOnce, ModalScreen[ScreenResultType]):
    """The base of our dialogs.

    A dialog keeps its parts from the beginning and does not look for them: a key or a change of size may come before
    they are on the screen, or when they are gone already. What gets the focus first says ``AUTO_FOCUS``.
    """


class Palette(ClosesOnce, CommandPalette):
    """Textual's command palette, which can be clicked away and left by a key at once."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There are no pages to turn while the list has no height (see ``PagedList``)."""
        if action == "command_list":
            return any(commands.scrollable_content_region for commands in self.query(CommandList))
        return super().check_action(action, parameters)
