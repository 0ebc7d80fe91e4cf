"""The buttons that continue a failed run: one for each lower learning rate."""

from __future__ import annotations

from collections.abc import Mapping

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button

from tui.panes.train.failure import DIVISORS, offer_words


class Recovery(Horizontal):
    """The buttons ``#recover-r`` and ``#recover-h``; hidden if no lower learning rate is offered."""

    def on_mount(self) -> None:
        self.display = False

    def compose(self) -> ComposeResult:
        for key in DIVISORS:
            yield Button("", compact=True, id=f"recover-{key}", classes="recover",
                         tooltip="Continue from the last good checkpoint with a smaller learning rate")  # fmt: skip

    def show(self, rates: Mapping[str, float]) -> None:
        self.display = bool(rates)
        for key in DIVISORS:
            button = self.query_one(f"#recover-{key}", Button)
            button.display = key in rates
            if key in rates:
                button.label = Content(offer_words(key, rates[key]))
                button.refresh(layout=True)
