"""Parts of the app that many tests look at."""

from __future__ import annotations

from textual.app import App

from tui.panes.train.pane import TrainPane


def train_pane(app: App[None]) -> TrainPane:
    """The Train pane, which is always mounted."""
    return app.query_one(TrainPane)
