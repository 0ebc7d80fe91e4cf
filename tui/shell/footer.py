"""The keys that are active now, in the last line of the screen."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Footer


class KeyLine(Footer):
    """Textual's footer, which is rebuilt only when its keys change.

    Textual rebuilds it several times at each move of the focus, nearly always with the same keys: removing and mounting
    them and the layout were a third of the time of such a move.
    """

    _shown: tuple[object, ...] | None = None

    def compose(self) -> ComposeResult:
        """The keys that are active now: they may have changed while the ones before were removed."""
        self._shown = self._keys()
        yield from super().compose()

    async def recompose(self) -> None:
        """Rebuild the footer if its keys changed."""
        if self._keys() != self._shown or not self.children:
            await super().recompose()

    def _keys(self) -> tuple[object, ...]:
        return tuple(
            (binding.key, binding.key_display, binding.description, binding.action, enabled, tooltip)
            for _, binding, enabled, tooltip in self.screen.active_bindings.values()
            if binding.show or binding.key == self.app.COMMAND_PALETTE_BINDING
        )
