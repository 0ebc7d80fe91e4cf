"""One line that covers the screen when the terminal is too small for a layout."""

from __future__ import annotations

from textual.geometry import Size
from textual.screen import Screen
from textual.widget import Widget

NEEDED = Size(60, 16)


class TooSmall(Widget):
    """Covers the screen while it is smaller than ``NEEDED``."""

    def on_mount(self) -> None:
        """A hidden widget receives no Resize event, so it follows the layout of the screen."""
        self.screen.screen_layout_refresh_signal.subscribe(self, self._look)
        self._look(self.screen)

    def _look(self, screen: Screen[object]) -> None:
        is_small = screen.size.width < NEEDED.width or screen.size.height < NEEDED.height
        if self.display != is_small:
            self.display = is_small

    def render(self) -> str:
        size = self.screen.size
        return (
            f"the playground needs at least {NEEDED.width}x{NEEDED.height}, this terminal is {size.width}x{size.height}"
        )
