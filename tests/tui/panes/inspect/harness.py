"""What the tests of the Inspect pane share: an engine's client that answers every view, and what the screen says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from textual.widgets import Static

from core.events import EpochFinished
from core.inspection.answers import InspectionAnswer
from tests.run_folders import make_run
from tests.tui.inspections import TEXT, inspection
from tests.tui.pane_harness import PaneApp, ScriptedClient
from tests.tui.waiting import until
from tui.panes.inspect.pane import InspectPane
from tui.panes.inspect.parts import Canvas


class InspectClient(ScriptedClient):
    """Answers ``inspect``. ``held`` are views that answer only after ``hold``, with a progress of 40 % meanwhile."""

    def __init__(self, text: str = TEXT) -> None:
        super().__init__()
        self.text = text
        self.held: set[str] = set()
        self.errors: dict[str, Exception] = {}
        self.cancels = 0

    async def stream(self, request: str, /, **fields: Any) -> AsyncGenerator[dict[str, Any], None]:
        """A progress where the view is held, then the answer."""
        assert request == "inspect"
        self.asked.append(fields)
        view = fields["view"]
        if view in self.errors:
            raise self.errors[view]
        answer: InspectionAnswer | None = None
        try:
            if view in self.held:
                yield {"event": "progress", "share": 0.4}
                await self.hold.wait()
            await asyncio.sleep(0)
            answer = inspection(fields, self.text)
            yield {"event": "done", "answer": answer.to_json()}
        finally:
            self.cancels += answer is None

    def views(self) -> list[str]:
        """The views that were asked for."""
        return [fields["view"] for fields in self.asked]


def inspect_app(saves: Path, client: InspectClient) -> PaneApp:
    """The pane over one run."""
    make_run(saves, "lyrics", epochs=3)
    return PaneApp(InspectPane(), saves, client)


async def opened(pilot: Any, app: PaneApp, words: str = "The model reads") -> Any:
    """Open the run and wait until the view says something; returns the pane."""
    app.current_run = app.saves / "lyrics"
    app.pane.focus()
    await until(pilot, lambda: words in sentence(app))
    return app.pane


def sentence(app: PaneApp) -> str:
    """What is said above the view."""
    return str(app.query_one("#inspect-view .inspect-words", Static).content)


def picture(app: PaneApp) -> str:
    """What is drawn, as text."""
    canvas = app.query_one(Canvas)
    return canvas.draw(*canvas.size).plain


def edges(app: PaneApp) -> str:
    """What the frames say."""
    boxes = [app.query_one("#inspect-source"), app.query_one("#inspect-view")]
    return "\n".join(f"{box.border_title} {box.border_subtitle}" for box in boxes)


def epoch(number: int) -> EpochFinished:
    """A line of the journal."""
    return EpochFinished(number, 9 * number, 900.0, None, 6.8, 0.1, 100.0, 70_000.0, 0.1)
