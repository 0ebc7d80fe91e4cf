"""Textual's lists, made fit for a key that comes before they have a place on the screen."""

from __future__ import annotations

from typing import Any, TypeVar

from textual.app import ComposeResult
from textual.widgets import OptionList, Select
from textual.widgets._select import SelectCurrent, SelectOverlay

Chosen = TypeVar("Chosen")


class PagesOnceShown:
    """Mixed into a list: page up and down do nothing while it has no height, when Textual knows no lines of it.

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


class PagedList(PagesOnceShown, OptionList):
    """Textual's list with that."""


class _Values(PagesOnceShown, SelectOverlay):
    """What a drop-down opens."""


class DropDown(Select[Chosen]):
    """Textual's ``Select`` with such a list."""

    def compose(self) -> ComposeResult:
        """As Textual does, but for the list's class."""
        yield SelectCurrent(self.prompt)
        yield _Values().data_bind(compact=Select.compact)
