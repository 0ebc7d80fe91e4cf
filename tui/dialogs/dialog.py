"""The base of all dialogs: a dialog closes once, and input that comes too early or too late is ignored."""

from __future__ import annotations

from typing import Any

from textual.await_complete import AwaitComplete
from textual.command import CommandList, CommandPalette
from textual.screen import ModalScreen, Screen, ScreenResultType


class ClosesOnce:
    """Mixed into a screen: ``dismiss`` closes this screen and no other, however often it is called.

    Textual pops the top screen, whichever screen calls ``dismiss``, and drops callbacks that wait for the next refresh,
    such as those of the footer below: hence it closes after them.
    Not a screen itself: Textual looks up a widget's styles by its first base that is a widget.
    """

    _is_closing = False

    def dismiss(self: Any, result: Any = None) -> AwaitComplete:
        """Close after the next refresh, if the screen is the top one then."""
        if self.is_current and not self._is_closing:
            self._is_closing = True
            self.call_after_refresh(self._close_now, result)
        return AwaitComplete()

    def _close_now(self: Any, result: Any) -> None:
        if self.is_current:
            Screen.dismiss(self, result)
        else:
            self._is_closing = False


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
