"""The line at the top: name, panes, device and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from core.device import Device
from tui.text.cells import cell_len

NARROWEST_NAMED = 88  # columns; below, tabs and device leave no room for the name of the program


class PaneTab(Static):
    """The name of a pane, to be clicked."""

    @dataclass
    class Clicked(Message):
        """A tab was clicked."""

        pane: str

    def __init__(self, number: int, pane: str, title: str, key: str) -> None:
        super().__init__(Content(f"{number} {title}"), id=f"tab-{pane}")
        self.tooltip = f"{title}: {number}, or {key} while text is being typed"
        self._pane = pane

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Clicked(self._pane))


class DeviceLabel(Static):
    """``words`` about the device; where they have no room, the first one and the last part, the memory."""

    words: reactive[str] = reactive("")

    def watch_words(self) -> None:
        self._fit()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        words, room = self.words, self.content_size.width
        if room and cell_len(words) > room:
            name, *rest = words.split(" · ")  # without the name of the processor: the memory is what changes
            words = " · ".join((name.split()[0], *rest[-1:]))
        if str(self.content) != words:
            self.update(Content(words), layout=False)


class HeaderLine(Horizontal):
    """One line; ``current`` is the name of the pane shown."""

    current: reactive[str] = reactive("")

    def __init__(self, panes: Sequence[tuple[str, str, str]]) -> None:
        super().__init__(id="header")
        self._panes = panes

    def compose(self) -> ComposeResult:
        yield Static("Playground", id="header-name", markup=False)
        for number, (name, title, key) in enumerate(self._panes, 1):
            yield PaneTab(number, name, title, key)
        yield DeviceLabel(id="header-device", markup=False)

    def on_resize(self) -> None:
        self.query_one("#header-name").display = self.size.width >= NARROWEST_NAMED

    def watch_current(self, before: str, after: str) -> None:
        for tab in self.query(PaneTab):
            tab.set_class(tab.id == f"tab-{after}", "-current")

    def show_device(self, words: str) -> None:
        self.query_one(DeviceLabel).words = words


def device_words(device: Device) -> str:
    """``cuda:0 H100 · 1.2/79 GB``; memory that is not known is left out."""
    name = f"{device.name} {device.label.removeprefix('NVIDIA ')}".strip()
    used, total = device.memory_used, device.memory_total
    if used is not None and total:
        return f"{name} · {used / 1e9:.1f}/{total / 1e9:.0f} GB"
    return name
