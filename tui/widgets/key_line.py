"""The keys of the moment, in the screen's last line."""

from __future__ import annotations

from textual.widgets import Footer


class KeyLine(Footer):
    """Textual's footer, built anew only where other keys are to be shown.

    Bindings are looked through several times at each move of the focus, and nearly always are the same: to take all
    keys away, put them there again and lay the screen out was a third of what such a move took.
    """

    _shown: tuple[object, ...] | None = None

    async def recompose(self) -> None:
        """Show the keys of the moment, where they are others."""
        shown = tuple(
            (binding.key, binding.key_display, binding.description, binding.action, enabled, tooltip)
            for _, binding, enabled, tooltip in self.screen.active_bindings.values()
            if binding.show or binding.key == self.app.COMMAND_PALETTE_BINDING
        )
        if shown != self._shown:
            self._shown = shown
            await super().recompose()
