"""What a pane may ask of the app that it is mounted in: nothing else, so that a test can be that app."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, cast

from textual.widget import Widget

from core.engine.client import EngineClient


class Engines(Protocol):
    """The engines behind the runs, one each."""

    async def client(self, path: Path) -> EngineClient:
        """The client of the engine of the run at ``path``, started if there is none. Raises RunError, EngineError."""

    async def laboratory(self) -> EngineClient:
        """The client of an engine for what needs no run. Raises EngineError."""

    async def release(self, path: Path) -> None:
        """Leave the run's engine, so that an idle one exits and its folder may be moved."""


class Host(Protocol):
    """The app, as panes see it."""

    current_run: Path | None
    saves: Path
    data_dir: Path | None

    @property
    def engines(self) -> Engines:
        """Where clients of engines come from."""


def host(widget: Widget) -> Host:
    """The app of ``widget``."""
    return cast(Host, widget.app)


def stands(widget: Widget) -> bool:
    """Whether the app still runs around ``widget``.

    To be asked after every ``await`` of a worker and at every tick: while an app closes, a widget outlives its parts.
    """
    return widget.is_attached and widget.app.is_running
