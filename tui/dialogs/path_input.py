"""An input for the path of a file, with completion and a list of matches."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from tui.corpora.statistics import matches
from tui.forms.drop_down import PagedList
from tui.forms.plain_input import PlainInput
from tui.services import host, is_alive
from tui.text.safe import shown_text

SHOWN = 40


class PathSuggester(Suggester):
    """Suggests the first path that begins with the typed text; reads the disk in a thread."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        found = await asyncio.to_thread(matches, value, 1)
        return found[0] if found and found[0] != value else None


class _PathLine(PlainInput):
    """The line: tab completes as far as all matches agree, down goes to the list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", tooltip="Complete the path", id="path.complete"),
        Binding("tab", "pass", "Next", show=False),
        Binding("down", "list", "Matches", show=False),
        Binding("enter", "submit", "Show it", tooltip="Take this path", id="path.enter"),
    ]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Tab passes on if there is nothing to complete."""
        parent = self.parent
        if action == "complete" and isinstance(parent, PathInput):
            return bool(parent.completion)
        return super().check_action(action, parameters)

    def action_complete(self) -> None:
        if isinstance(self.parent, PathInput):
            self.value = self.parent.completion or self.value
            self.cursor_position = len(self.value)

    def action_pass(self) -> None:
        """Go past the list: only the arrows enter it."""
        if isinstance(self.parent, PathInput):
            self.parent.close_list()
        self.screen.focus_next()

    def action_list(self) -> None:
        if isinstance(self.parent, PathInput):
            self.parent.enter_list()


class _Matches(PagedList):
    """The list: up from its first line goes back to the input."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Take it", tooltip="Take this path; a folder shows what is in it", id="path.take"),
    ]

    def on_hide(self) -> None:
        """Escape does something else now."""
        if self.is_attached:
            self.refresh_bindings()

    def action_cursor_up(self) -> None:
        if not self.highlighted and isinstance(self.parent, PathInput):
            self.parent.leave_list()
        else:
            super().action_cursor_up()


class PathInput(Vertical):
    """Posts ``Submitted`` when a path was entered or picked."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close list", key_display="esc", tooltip="Close the list of paths", id="path.close"),
    ]

    @dataclass
    class Submitted(Message):
        """A path was entered, or a file was ``picked`` from the list."""

        path: str
        picked: bool = False

    def __init__(self, placeholder: str, tooltip: str = "", *, recent: bool = False, id: str | None = None) -> None:
        """``recent``: the files that were opened before are offered until something is typed."""
        super().__init__(id=id)
        self.tooltip = tooltip or None
        # Held and not looked for: the last events of a path input come when its parts have been removed.
        self._line = _PathLine(placeholder=placeholder, compact=True, suggester=PathSuggester(), id="path-line")
        self._list = _Matches(id="path-matches", compact=True, markup=False)
        self._has_recent = recent
        self._matches: list[str] = []

    def compose(self) -> ComposeResult:
        yield self._line
        yield self._list

    def on_mount(self) -> None:
        self._list.display = False

    @property
    def value(self) -> str:
        return self._line.value.strip()

    def propose(self, path: str) -> None:
        """Put a path on the line, and offer no matches of it."""
        with self._line.prevent(Input.Changed):
            self._line.value = path
        self._line.cursor_position = len(path)
        self._list.display = False

    def begin(self, path: str) -> None:
        """Put the beginning of a path on the line, for the next keys to go on from its end."""
        self._line.select_on_focus = False  # else the next key would replace it
        self.screen.set_focus(self._line)  # at once: the next key may be waiting
        self._line.value = path
        self._line.cursor_position = len(path)

    @property
    def completion(self) -> str:
        """The text after tab; empty if tab would change nothing, as where nothing has been typed."""
        typed, common = self._line.value, _common_beginning(self._matches)
        return common if typed and len(common) > len(typed) else ""

    def enter_list(self) -> None:
        if self._list.display:
            self._list.focus()
            self._list.highlighted = 0

    def close_list(self) -> None:
        self._list.display = False

    def leave_list(self) -> None:
        """Go back to the line, where enter takes the typed path again."""
        self._list.highlighted = None
        self._line.focus()

    def action_close(self) -> None:
        if self._list.display:
            self._list.display = False
            self._line.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Escape closes the matches only while they are open."""
        return self._list.display if action == "close" else True

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._look_up(event.value)

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        highlighted = self._list.highlighted
        if self._list.display and highlighted is not None:  # the focus was in the list and came back
            self._pick(highlighted)
            return
        self._list.display = False
        if self.value:
            self.post_message(self.Submitted(self.value))

    @on(OptionList.OptionHighlighted)
    def _moved(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()

    @on(OptionList.OptionSelected)
    def _picked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._pick(event.option_index)

    def _pick(self, index: int) -> None:
        """Take a match: a folder is opened, a file is submitted."""
        path = self._matches[index]
        self._line.value = path
        self._line.focus()
        self._line.cursor_position = len(path)
        if not path.endswith("/"):
            with self._list.prevent(Input.Changed):
                self._list.display = False
            self.post_message(self.Submitted(path, picked=True))

    def on_descendant_focus(self) -> None:
        """Offer the recent files before anything is typed."""
        if self._has_recent and not self._line.value and self._line.has_focus:
            self._look_up("")

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        self.call_after_refresh(self._close_unless_focused)

    def _close_unless_focused(self) -> None:
        if not self.has_focus_within:
            self._list.display = False

    @work(exclusive=True, group="path")
    async def _look_up(self, typed: str) -> None:
        recent = list(host(self).remembered.files) if self._has_recent else []
        self._matches = await asyncio.to_thread(matches, typed, SHOWN) if typed else recent
        if not is_alive(self):
            return
        if self._matches == [typed]:
            self._matches = []
        self._list.clear_options()
        self._list.add_options(Option(Content(shown_text(path))) for path in self._matches)
        self._list.display = bool(self._matches) and self._line.has_focus
        self.refresh_bindings()


def _common_beginning(names: list[str]) -> str:
    """The longest text that all ``names`` begin with."""
    if not names:
        return ""
    # Of sorted names only the first and the last can differ early.
    first, last = min(names), max(names)
    for index, character in enumerate(first):
        if index >= len(last) or last[index] != character:
            return first[:index]
    return first
