"""Textual's lists, made fit for keys that come before they have a place, and for screens that have none."""

from __future__ import annotations

from typing import Any, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.geometry import Size
from textual.widgets import OptionList, Select
from textual.widgets._select import SelectCurrent, SelectOverlay

Chosen = TypeVar("Chosen")
LEAST_WIDTH = 8


class AnySize:
    """Mixed into a list, which then bears a screen without room for it.

    Page up and down do nothing while it has no height, when Textual knows no lines of it; and it is measured as if it
    had some width where it has none. A click on a line that is painted still, but gone, does nothing.

    No widget itself: a widget's styles are looked up by the first of its bases that is one.
    """

    def action_page_up(self: Any) -> None:
        """Move the highlight up one page."""
        if self.scrollable_content_region:
            OptionList.action_page_up(self)  # type: ignore[no-untyped-call]

    def action_page_down(self: Any) -> None:
        """Move the highlight down one page."""
        if self.scrollable_content_region:
            OptionList.action_page_down(self)  # type: ignore[no-untyped-call]

    def on_click(self: Any, event: events.Click) -> None:
        """Let no click through to a line that has gone since it was painted."""
        if (event.style.meta.get("option") or 0) >= self.option_count:
            event.prevent_default()

    def get_content_height(self: Any, container: Size, viewport: Size, width: int) -> int:
        """The height of all lines."""
        return OptionList.get_content_height(self, container, viewport, max(width, LEAST_WIDTH))


class PagedList(AnySize, OptionList):
    """Textual's list with that."""


class _Values(AnySize, SelectOverlay):
    """What a drop-down opens."""


class DropDown(Select[Chosen]):
    """Textual's ``Select`` with such a list."""

    def compose(self) -> ComposeResult:
        """As Textual does, but for the list's class."""
        yield SelectCurrent(self.prompt)
        yield _Values().data_bind(compact=Select.compact)
