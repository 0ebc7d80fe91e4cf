"""The line that folds some fields of a form away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui.text.cells import cell_len, clip_cells


class Fold(Widget, can_focus=True):
    """Opens and closes the folded fields of a group with enter, space or a click.

    With a title: ``text ───── 1 changed · 5 more ▸``. Without one, the folded fields by name, the changed ones in bold:
    ``▸ samples, acrostic, mood``.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "unfold", "More or fewer fields", show=False)]

    is_open: reactive[bool] = reactive(False)
    members: reactive[tuple[tuple[str, bool], ...]] = reactive(())
    """The label of each folded field, and whether it was changed."""

    @dataclass
    class Toggled(Message):
        """The person opened or closed the fold."""

        fold: Fold
        is_open: bool

    def __init__(self, group: str, title: str = "") -> None:
        super().__init__(id=f"group-{group}")
        self.group = group
        self._title = title

    def render(self) -> Content:
        if self._title:
            return self._titled()
        if self.is_open:
            return Content("▾ fewer")
        parts: list[str | tuple[str, str]] = ["▸ "]
        room = self.size.width - 2
        for index, (label, is_changed) in enumerate(self.members):
            shown = clip_cells((", " if index else "") + label, room)
            parts.append((shown, "bold" if is_changed else ""))
            room -= cell_len(shown)
        return Content.assemble(*parts)

    def _titled(self) -> Content:
        words = "fewer ▾" if self.is_open else f"{len(self.members)} more ▸"
        changed = sum(is_changed for _, is_changed in self.members)
        if changed and not self.is_open:
            words = f"{changed} changed · {words}"
        line = "─" * max(1, self.size.width - cell_len(self._title) - cell_len(words) - 2)
        return Content.assemble((self._title, "bold"), (f" {line} ", "dim"), words)

    def action_unfold(self) -> None:
        self.is_open = not self.is_open
        self.post_message(self.Toggled(self, self.is_open))

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.action_unfold()
