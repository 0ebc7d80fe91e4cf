"""The keys that are active now, in the last line of the screen.

Textual's footer is a widget for each key, removed and mounted again at each move of the focus between a text and
another field: half the time of such a move. This one is a line of text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

from textual import events
from textual.app import App
from textual.binding import ActiveBinding
from textual.content import Content
from textual.screen import Screen
from textual.style import Style
from textual.widget import Widget

from tui.text.cells import cell_len

DIM = Style(dim=True)
NAMES = ("key", "words", "hover", "edge")


@dataclass(frozen=True)
class ShownKey:
    """A key of the footer: its name as it is shown, the words behind it, and what it does."""

    key: str
    shown: str
    words: str
    action: str
    enabled: bool
    tooltip: str
    before: str = ""
    """The blanks before it."""


def shown_keys(app: App[Any], active: dict[str, ActiveBinding]) -> tuple[ShownKey, ...]:
    """The active bindings that are shown; the words of a group are behind its last key."""
    first: dict[str, ActiveBinding] = {}
    for item in active.values():
        if item.binding.show:
            first.setdefault(item.binding.action, item)
    keys: list[ShownKey] = []
    for group, members in groupby(first.values(), lambda item: item.binding.group):
        items = list(members)
        is_group = group is not None and len(items) > 1
        for place, (_, binding, enabled, tooltip) in enumerate(items):
            words = binding.description
            before = " " if keys else ""
            if group is not None and is_group:
                words = group.description if place == len(items) - 1 else ""
                before = "" if place else "  " if keys else " "
            tooltip = tooltip or (binding.description if is_group else "")
            shown = app.get_key_display(binding)
            keys.append(ShownKey(binding.key, shown, words, binding.action, enabled, tooltip, before))
    return tuple(keys)


class KeyLine(Widget):
    """The keys as one line of text; a click presses the key. The command palette is at the right end."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"key-line--{name}" for name in NAMES}

    def __init__(self) -> None:
        super().__init__()
        self.keys: tuple[ShownKey, ...] = ()
        """The keys shown, the palette's included."""
        self._palette: ShownKey | None = None
        self._is_waiting = False
        self._hovered: ShownKey | None = None

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_updated)

    def on_resize(self) -> None:
        """The screen has its class of width only now: where there is room for the palette is known from it."""
        self.refresh()

    def _bindings_updated(self, screen: Screen[Any]) -> None:
        if not self._is_waiting and screen is self.screen and self.app.app_focus:
            self._is_waiting = self.call_later(self._update)

    def _update(self) -> None:
        self._is_waiting = False
        active = self.screen.active_bindings
        keys, palette = shown_keys(self.app, active), active.get(self.app.COMMAND_PALETTE_BINDING)
        self._palette = None
        if palette is not None:
            binding = palette.binding
            shown, words = self.app.get_key_display(binding), binding.description
            tooltip = binding.tooltip or words
            self._palette = ShownKey(binding.key, shown, words, binding.action, palette.enabled, tooltip)
            keys = (*keys, self._palette)
        if keys != self.keys:
            self.keys = keys
            self.refresh()

    @property
    def _places(self) -> Iterator[tuple[int, ShownKey]]:
        """Where each key begins: the palette's first, only where there is room; of the others those that fit, and help.

        Help is always there: it names the keys for which there is no room.
        """
        room, x = self.size.width, 0
        if self._palette is not None and not self.screen.has_class("-narrow"):
            room -= cell_len(_text(self._palette)) + 1
            yield room, self._palette
            room -= 1
        keys = [key for key in self.keys if key != self._palette]
        cells = [len(key.before) + cell_len(_text(key)) for key in keys]
        left = room - sum(width for key, width in zip(keys, cells, strict=True) if key.action == "help")
        for key, width in zip(keys, cells, strict=True):
            if key.action != "help":
                left -= width
            if left >= 0 or key.action == "help":
                yield x + len(key.before), key
                x += width

    def render(self) -> Content:
        room, right = self.size.width, Content()
        style = {name: self.get_visual_style(f"key-line--{name}") for name in NAMES}
        line: list[Content] = []
        for x, key in self._places:
            kind, words = ("hover", "hover") if key == self._hovered else ("key", "words")
            faded = Style() if key.enabled else DIM
            behind = f" {key.words}" if key.words else ""
            text = Content.assemble((key.shown, style[kind] + faded), (behind, style[words] + faded))
            if key == self._palette:
                room, right = x - 1, Content.assemble(("▏", style["edge"]), text, " ")
            else:
                line += [Content(key.before), text]
        return Content("").join([Content("").join(line).truncate(max(0, room), pad=True), right])

    def _key_at(self, x: int) -> ShownKey | None:
        return next((key for begin, key in self._places if begin <= x < begin + cell_len(_text(key))), None)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        key = self._key_at(event.x)
        if key is not None and key.enabled:
            self.app.simulate_key(key.key)
        elif key is not None:
            self.app.bell()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._hover(self._key_at(event.x))

    def on_leave(self) -> None:
        self._hover(None)

    def _hover(self, key: ShownKey | None) -> None:
        if key != self._hovered:
            self._hovered = key
            self.tooltip = key.tooltip or None if key is not None else None
            self.refresh()


def _text(key: ShownKey) -> str:
    return f"{key.shown} {key.words}" if key.words else key.shown
