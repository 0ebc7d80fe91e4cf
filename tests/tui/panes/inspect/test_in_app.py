"""The Inspect pane inside the whole app: the run on screen, what Generate has written, a training, a lost engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.widgets import Input, Static

from core.events import State, StateChanged
from core.settings.run_config import RunConfig
from tests.run_folders import made_run, write_journal
from tests.tui.fake_engine import FakeEngines, scripted_epoch
from tests.tui.waiting import until
from tui.app import Playground

Make = Callable[[], Playground]


def finished(saves: Path, name: str) -> Path:
    """A run of three epochs."""
    run = made_run(saves, RunConfig(), name)
    write_journal(run, *(scripted_epoch(epoch) for epoch in range(1, 4)), StateChanged(State.FINISHED, 3))
    return run.path


def words(app: Playground) -> str:
    """The sentence above the view."""
    found = app.query("#inspect-view .inspect-words")
    return str(found.first(Static).content) if found else ""


def edges(app: Playground) -> str:
    """What the frames say."""
    boxes = [app.query_one("#inspect-source"), app.query_one("#inspect-view")]
    return "\n".join(f"{box.border_title} {box.border_subtitle}" for box in boxes)


async def test_what_generate_has_written_can_be_looked_at(playground: Make, saves: Path) -> None:
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await app.open_run(finished(saves, "first"))
        await pilot.press("f5")
        await until(pilot, lambda: "The model reads" in words(app))
        await pilot.press("w")  # nothing has been written yet
        assert "held out text" in edges(app)
        await pilot.press("f4")
        pane: Any = app.query_one("#pane-generate")
        await until(pilot, lambda: pane.run is not None)
        app.query_one("#generate-prefix", Input).value = "月"
        await pilot.press("enter")
        await until(pilot, lambda: app.written is not None)
        await pilot.press("f5", "w")
        await until(pilot, lambda: "given text, token 3 of 6" in edges(app) and "reads ‘开’" in words(app))
        await app.open_run(finished(saves, "second"))  # what another run has written is not its text
        await until(pilot, lambda: "second" in edges(app) and "held out text" in edges(app))
        await pilot.press("w")
        await pilot.pause(0.1)
        assert "held out text" in edges(app)


async def test_a_training_is_followed_and_a_lost_engine_is_said(
    playground: Make, saves: Path, fakes: FakeEngines
) -> None:
    fakes.pace = 0.05
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        run = finished(saves, "first")
        await app.open_run(run)
        await pilot.press("f5")
        await until(pilot, lambda: "epoch 3" in edges(app) and "The model reads" in words(app))
        await pilot.press("f3", "ctrl+t")
        await until(pilot, lambda: app.engines.state(run) == State.TRAINING)
        await pilot.press("f5")
        await until(pilot, lambda: "live weights, epoch" in edges(app))
        first = edges(app)
        await until(pilot, lambda: "live weights, epoch" in edges(app) and edges(app) != first)
        engine = fakes.of(run)
        assert engine is not None
        await engine.end()
        await until(pilot, lambda: "engine" in words(app) and app.query_one("#inspect-view .-wrong"))
        await pilot.press("r")  # another engine opens the run
        await until(pilot, lambda: "The model reads" in words(app))
