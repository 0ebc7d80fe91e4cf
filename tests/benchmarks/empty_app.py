"""The least that a Textual app with a chart can be: what a first paint is compared with."""

from __future__ import annotations

import plotext
from rich.text import Text
from textual.app import App, ComposeResult
from textual.widgets import Footer, Static


class EmptyApp(App[None]):
    """A chart and a footer."""

    BINDINGS = [("q", "quit", "Quit")]  # noqa: RUF012

    def compose(self) -> ComposeResult:
        figure = plotext.figure
        figure.plot_size(118, 36)
        figure.draw(figure.signal([1, 2, 3, 4], [1000.0, 100.0, 10.0, 1.0]))
        yield Static(Text.from_ansi(str(figure.build().string())))
        yield Static("an empty app")
        yield Footer()


if __name__ == "__main__":
    EmptyApp().run()
