"""What the tests of the Train pane share: what it says, in its status, its button, its form and its figures."""

from __future__ import annotations

from collections.abc import Callable

from textual.widgets import Button, Static

from tests.tui.parts import errors, notes, train_pane
from tui.app import Playground
from tui.panes.train.figures import Figures
from tui.shell.frame import FrameEdge

Make = Callable[[], Playground]
SIZES = [(80, 24), (120, 40)]


def status(app: Playground) -> str:
    """What the title of the run says."""
    return app.query_one("#run-status", FrameEdge).title


def label(app: Playground) -> str:
    """What the first button does."""
    return str(app.query_one("#train-go", Button).label)


def trouble(app: Playground) -> str:
    """What went wrong, as far as it is shown."""
    shown = app.query_one("#trouble", Static)
    return str(shown.content) if shown.display else ""


def noted(app: Playground) -> str:
    """All notes of the form."""
    return " ".join(notes(train_pane(app).form))


def wrong(app: Playground) -> str:
    """All errors of the form."""
    return " ".join(errors(train_pane(app).form))


def pending(app: Playground) -> str:
    """Which edits are not applied, as far as it is shown."""
    shown = app.query_one("#pending", Static)
    return str(shown.content) if shown.display else ""


def figures(app: Playground) -> str:
    """The figures below the chart."""
    return "\n".join(words for words, _ in app.query_one(Figures).lines)
