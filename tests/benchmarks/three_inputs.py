"""The least that an app with fields can be: what a move of the focus is compared with."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Footer, Input


class ThreeInputs(App[None]):
    """Three lines and a footer."""

    BINDINGS = [("ctrl+q", "quit", "Quit")]  # noqa: RUF012

    def compose(self) -> ComposeResult:
        yield Input("one")
        yield Input("two")
        yield Input("three")
        yield Footer()


if __name__ == "__main__":
    ThreeInputs().run()
