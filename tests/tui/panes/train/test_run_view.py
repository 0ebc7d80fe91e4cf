"""The run on screen: figures that agree with one another, and little to send for a change."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.widgets import Static

from core.events import SampleWritten, State, StateChanged, StepFinished
from core.settings.run_config import RunConfig
from core.units import perplexity_text
from tests.run_folders import made_run
from tests.tui.fake_engine import scripted_epoch
from tests.tui.parts import train_pane
from tests.tui.waiting import until
from tui.app import Playground
from tui.messages import JournalGrew, RunStateChanged
from tui.panes.train import run_view
from tui.panes.train.figures import Figures
from tui.shell.frame import FrameEdge

Make = Callable[[], Playground]
ROOT = Path(__file__).resolve().parents[4]


def title(app: Playground) -> str:
    return app.query_one("#run-status", FrameEdge).title


def figures(app: Playground) -> tuple[tuple[str, str], ...]:
    return app.query_one(Figures).lines


async def test_title_and_figures_are_of_one_epoch(playground: Make, saves: Path) -> None:
    run = made_run(saves, RunConfig(), "night")
    app = playground()
    seen: set[int] = set()
    async with app.run_test(size=(120, 40)) as pilot:
        await app.open_run(run.path)
        app.post_message(JournalGrew(run.path, (StateChanged(State.TRAINING, 0),)))
        for epoch in range(1, 250):
            app.post_message(JournalGrew(run.path, (scripted_epoch(epoch),)))
            await pilot.pause(0.05)
            painted = int(title(app).split("epoch")[1].split("/")[0])
            shown = " ".join(words for words, _ in figures(app))
            assert perplexity_text(scripted_epoch(painted).perplexity) in shown
            seen.add(painted)
            if len(seen) > 3:
                return
    pytest.fail(f"only epochs {seen} were painted")


async def test_title_and_figures_agree_in_the_first_epoch(playground: Make, saves: Path) -> None:
    run = made_run(saves, RunConfig(), "night")
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await app.open_run(run.path)
        app.post_message(JournalGrew(run.path, (StateChanged(State.PAUSED, 0),)))
        for batch, perplexity in ((1, 64.6), (2, 59.7)):
            step = StepFinished(1, batch, 8, batch, perplexity, math.log(perplexity), 0.5, 1.0)
            app.post_message(JournalGrew(run.path, (step,)))
            for shown in (title, lambda app: " ".join(words for words, _ in figures(app))):
                await until(pilot, lambda shown=shown, number=f"{perplexity:.1f}": number in shown(app))


async def test_the_curve_lets_typing_go_first_but_not_for_ever(
    playground: Make, saves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made_run(saves, RunConfig(), "night")
    app = playground()
    monkeypatch.setattr(run_view, "PAINT_SECONDS", 0.0)
    monkeypatch.setattr(run_view, "TYPING_SECONDS", 1000.0)
    monkeypatch.setattr(run_view, "LONGEST_WAIT", 0.0)
    async with app.run_test(size=(120, 40)) as pilot:
        await app.open_run(run.path)
        app.post_message(JournalGrew(run.path, (StateChanged(State.TRAINING, 0), scripted_epoch(1))))
        await until(pilot, lambda: "1/250" in title(app))
        await pilot.press("e", "1")  # into the first field, and a character
        app.post_message(JournalGrew(run.path, (scripted_epoch(2),)))
        await until(pilot, lambda: "2/250" in title(app))
        monkeypatch.setattr(run_view, "LONGEST_WAIT", 1000.0)
        app.post_message(JournalGrew(run.path, (scripted_epoch(3),)))
        for _ in range(5):
            await pilot.pause()
        assert "2/250" in title(app)


async def test_another_state_is_painted_at_once(playground: Make, saves: Path) -> None:
    run = made_run(saves, RunConfig(), "night")
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await app.open_run(run.path)
        app.post_message(JournalGrew(run.path, (StateChanged(State.TRAINING, 0), scripted_epoch(1))))
        await until(pilot, lambda: "training" in title(app))
        app.post_message(JournalGrew(run.path, (scripted_epoch(2), StateChanged(State.FINISHED, 2))))
        await pilot.pause()
        assert "finished" in title(app) and "2/250" in title(app)


async def test_what_a_training_waits_for_is_shown(playground: Make, saves: Path) -> None:
    """In place of the curve before the first epoch, in the title of a run that is continued."""
    run = made_run(saves, RunConfig(), "night")
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await app.open_run(run.path)
        waits, trains = StateChanged(State.TRAINING, 0, "starting 2 workers"), StateChanged(State.TRAINING, 0)
        app.post_message(RunStateChanged(run.path, waits.state, waits.epoch, waits.message))
        await until(pilot, lambda: "Starting 2 workers …" in str(app.query_one("#welcome", Static).content))
        app.post_message(JournalGrew(run.path, (waits, trains)))
        await until(pilot, lambda: "The first epoch is running" in str(app.query_one("#welcome", Static).content))
        app.post_message(JournalGrew(run.path, (scripted_epoch(1), waits)))
        await until(pilot, lambda: "training · starting 2 workers" in title(app).replace(" · epoch   1/250", ""))
        app.post_message(JournalGrew(run.path, (trains, scripted_epoch(2))))
        await until(pilot, lambda: "2/250" in title(app) and "starting" not in title(app))


async def test_the_last_epoch_is_painted_though_nothing_follows(playground: Make, saves: Path) -> None:
    run = made_run(saves, RunConfig(), "night")
    app = playground()
    async with app.run_test(size=(200, 60)) as pilot:
        await app.open_run(run.path)
        app.post_message(JournalGrew(run.path, (StateChanged(State.TRAINING, 0), scripted_epoch(1))))
        await pilot.pause()
        for epoch in (2, 3):
            app.post_message(JournalGrew(run.path, (scripted_epoch(epoch),)))
            await pilot.pause()
        await until(pilot, lambda: "3/250" in title(app) and app.query_one("#epochs").rows[0].epoch == 3)


async def test_samples_have_their_epochs_with_commas(playground: Make, saves: Path) -> None:
    run = made_run(saves, RunConfig(), "night")
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await app.open_run(run.path)
        samples = (SampleWritten(900, "a", "b"), SampleWritten(1200, "c", "d"))
        app.post_message(JournalGrew(run.path, (*samples, scripted_epoch(1200))))
        shown = app.query_one("#samples-text", Static)
        await until(pilot, lambda: str(shown.content).rstrip("\n") == "epoch 1,200  cd\nepoch   900  ab")


async def test_a_letter_typed_sends_the_lines_that_change_and_not_the_panel(
    playground: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    def display(app: App[None], screen: object, update: Any) -> None:
        if update is not None:
            written.append(len(update.render_segments(app.console)))

    monkeypatch.setattr(Playground, "_display", display)
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        train_pane(app).form.focus_setting("num_hiddens")
        await pilot.press("end")
        await pilot.pause(0.3)
        for name in ("0", "backspace", "0", "backspace"):
            written.clear()
            await pilot.press(name)
            await pilot.pause(0.2)
            assert 0 < max(written, default=0) < 6_000, "what the settings amount to may be painted meanwhile"
