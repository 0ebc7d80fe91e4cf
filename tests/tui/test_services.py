"""What widgets share: whether one is still there."""

from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from tui.services import is_alive


class Nested(App[None]):
    """A widget in a widget, one of them hidden."""

    def compose(self) -> ComposeResult:
        with Vertical(id="outer"):
            yield Static("shown", id="shown")
            hidden = Static("hidden", id="hidden")
            hidden.display = False
            yield hidden


async def test_a_widget_is_not_alive_from_the_moment_that_its_removal_begins() -> None:
    """Its children go first: a worker that looked for one of them between would end the app."""
    app = Nested()
    async with app.run_test():
        outer, shown, hidden = (app.query_one(f"#{name}") for name in ("outer", "shown", "hidden"))
        assert is_alive(outer) and is_alive(shown) and is_alive(hidden)
        removal = outer.remove()
        assert outer.is_attached
        assert not is_alive(outer) and not is_alive(shown) and not is_alive(hidden)
        await removal
        assert not is_alive(outer)
