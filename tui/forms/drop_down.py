"""Textual's lists, on screens without room for them, and with keys typed before their first layout."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.geometry import Size
from textual.widgets import OptionList, Select

Chosen = TypeVar("Chosen")
LEAST_WIDTH = 8


class AnySize:
    """Mixin of a list that may have no height or no width.

    Page up and page down do nothing while the list has no height: Textual then fails to find its lines. A list without
    a width is measured with ``LEAST_WIDTH``.

    Not a widget itself: Textual looks up a widget's styles by its first base that is a widget.
    """

    def action_page_up(self: Any) -> None:
        if self.scrollable_content_region:
            OptionList.action_page_up(self)  # type: ignore[no-untyped-call]

    def action_page_down(self: Any) -> None:
        if self.scrollable_content_region:
            OptionList.action_page_down(self)  # type: ignore[no-untyped-call]

    def on_click(self: Any, event: events.Click) -> None:
        """Ignore a click on a line that was removed after it was painted."""
        if (event.style.meta.get("option") or 0) >= self.option_count:
            event.prevent_default()

    def get_content_height(self: Any, container: Size, viewport: Size, width: int) -> int:
        return OptionList.get_content_height(self, container, viewport, max(width, LEAST_WIDTH))


class PagedList(AnySize, OptionList):
    """Textual's list, of any size."""


@cache
def _any_size(kind: type[OptionList]) -> type[OptionList]:
    return type(kind.__name__, (AnySize, kind), {})


class DropDown(Select[Chosen]):
    """Textual's ``Select`` with a list of any size."""

    def compose(self) -> ComposeResult:
        """As in Textual, but with a list of any size. Its class has no public name, so it is taken from the list."""
        for widget in super().compose():
            if isinstance(widget, OptionList):
                yield _any_size(type(widget))().data_bind(compact=Select.compact)
            else:
                yield widget
