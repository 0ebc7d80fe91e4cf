"""The keys of the moment, in the screen's last line."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Footer


class KeyLine(Footer):
    """Textual's footer, built anew only where other keys are to be shown.

    Bindings are looked through several times at each move of the focus, and nearly always are the same: to take all
    keys away, put them there again and lay the screen out was a third of what such a move took.
    """

    _shown: tuple[object, ...] | None = None

    def compose(self) -> ComposeResult:
        """The keys of this moment: after those of the one before were taken away, they may be others than asked for."""
        self._shown = self._keys()
        yield from super().compose()

    async def recompose(self) -> None:
        """Show the keys of the moment, where they are others."""
        if self._keys() != self._shown or not self.children:
            await super().recompose()

    def _keys(self) -> tuple[object, ...]:
        return tuple(
            (binding.key, binding.key_display, binding.description, binding.action, enabled, tooltip)
            for _, binding, enabled, tooltip in self.screen.active_bindings.values()
            if binding.show or binding.key == self.app.COMMAND_PALETTE_BINDING
        )
