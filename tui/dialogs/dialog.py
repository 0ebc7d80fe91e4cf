"""The base of all dialogs: a dialog closes once, and input that comes too early or too late is ignored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.command import CommandList, CommandPalette
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen, Screen, ScreenResultType
from textual.widgets import Button, Static

from tui.text.wide import WholeCharacters


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


class Dialog(ClosesOnce, WholeCharacters, ModalScreen[ScreenResultType]):
    """The base of our dialogs.

    A dialog keeps references to its parts and does not query them: a key or a resize may come before they are mounted
    or after they were removed. ``AUTO_FOCUS`` names the part that has the focus first. The result of a cancelled dialog
    is None.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", tooltip="Change nothing", id="dialog.cancel"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._key_words = Static("", classes="dialog-keys", markup=False)

    @contextmanager
    def box(self, title: str | Content, id: str) -> Iterator[Vertical]:
        """The frame around the parts that are composed inside the block."""
        with Vertical(classes="dialog", id=id) as box:
            box.border_title = Content(title) if isinstance(title, str) else title
            yield box

    def foot(self, keys: str, *buttons: Button) -> ComposeResult:
        """The last rows: the buttons, the keys."""
        with Horizontal(classes="buttons dialog-buttons"):
            yield from buttons
        self.show_keys(keys)
        yield self._key_words

    def show_keys(self, keys: str) -> None:
        """Show the keys in the last line."""
        self._key_words.update(keys)

    def action_cancel(self) -> None:
        self.dismiss()


class Palette(ClosesOnce, CommandPalette):
    """Textual's command palette, which can be closed by a click and a key at the same moment."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Ignore page up and down while the list has no height (see ``PagedList``)."""
        if action == "command_list":
            return any(commands.scrollable_content_region for commands in self.query(CommandList))
        return super().check_action(action, parameters)
