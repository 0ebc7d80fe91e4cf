"""Pictures of every pane and dialog at three sizes, with fake engines, and of the light theme."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.command import CommandList
from textual.widgets import Input, Select, Static

from core.engine.answers import BackendChange
from core.events import SampleWritten, State, StateChanged
from core.runs.run import Run
from core.runs.store import check_name
from core.settings.presets import PRESETS
from core.sweep.folder import Outcome, SweepFolder
from core.sweep.sweep import Sweep
from tests.run_folders import made_run, write_journal
from tests.tui.fake_engine import TEXT, FakeEngines, described, scripted_epoch
from tests.tui.parts import focused_setting
from tests.tui.waiting import until
from tui.app import Playground
from tui.charts import widget as chart_widget
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.export import ExportDialog, exportable_runs
from tui.dialogs.name import NameDialog
from tui.engines.clients import Engines
from tui.panes.runs import columns
from tui.panes.runs.run_table import RunTable
from tui.panes.train import form_facts, run_view
from tui.panes.train.preset_dialog import PresetScreen
from tui.panes.train.sweep import SweepDialog
from tui.panes.train.training import backend_question
from tui.shell.footer import KeyLine

SIZES = {"80x24": (80, 24), "120x40": (120, 40), "200x60": (200, 60)}
PRESET = next(iter(PRESETS.values()))
CHANGE = BackendChange("it was trained by cuda, here it would be cpu", True, "")
DIVERGED = "the loss became non-finite at step 73; the log is engine.log"
INSPECT_WORDS = "#inspect-view .inspect-words"
Story = Callable[[Any], AsyncIterator[str]]


async def holds(pilot: Any, selector: str, words: str) -> None:
    """Wait until a Static contains ``words``."""
    await until(pilot, lambda: words in str(pilot.app.query_one(selector, Static).content))


async def closed(pilot: Any) -> None:
    """Close the dialog that is open."""
    await pilot.press("escape")
    await until(pilot, lambda: len(pilot.app.screen_stack) == 1)


async def open_inspect(pilot: Any) -> None:
    """Open Inspect, and wait until its first view, and the one beside it, have their words."""
    await pilot.press("f5")
    await until(pilot, lambda: pilot.app.query(INSPECT_WORDS))
    await holds(pilot, INSPECT_WORDS, "The model reads")
    if pilot.app.query_one("#inspect-beside").display:
        await holds(pilot, "#inspect-beside .inspect-words", "the gradient halves")


def run_path(app: Playground) -> Path:
    return app.saves / "lyrics-0007"


async def panes(pilot: Any) -> AsyncIterator[str]:
    """What is shown before a run is opened."""
    app = pilot.app
    await holds(pilot, "#form-facts", "parameters")
    await pilot.press("e")
    await until(pilot, lambda: focused_setting(app) == "corpus")
    yield "settings"
    await pilot.press("f2")
    await until(pilot, lambda: app.query("#data-tabs") and app.query_one("#data-tabs").display)
    yield "data"
    await pilot.press("f4")
    await until(pilot, lambda: app.query("#pane-generate") and app.query_one("#pane-generate").run)
    yield "generate"
    await pilot.press("f7")
    await until(pilot, lambda: "not computed" in str(app.query_one("#lab-view").border_title))
    yield "lab"


async def runs(pilot: Any) -> AsyncIterator[str]:
    """The list of runs, and what is opened from it."""
    app = pilot.app
    await pilot.press("f6")
    await until(pilot, lambda: app.query("#runs-table") and len(app.query_one(RunTable).runs) == 2)
    await holds(pilot, "#run-details-text", "sha256")
    yield "runs"
    await app.push_screen(ExportDialog(exportable_runs([run_path(app)]), str(app.saves.parent)))
    yield "export"
    await closed(pilot)
    await pilot.press("t")
    await until(pilot, lambda: "trash is empty" in str(app.query_one("#runs-notice", Static).content))
    yield "trash"
    await pilot.press("t", "asterisk", "c")
    chart = app.query_one("#compare-chart")
    await until(pilot, lambda: len(chart.shown.lines) == 2 and chart.x_span)
    chart.cross = 9.0
    yield "compare"


async def ended(pilot: Any) -> AsyncIterator[str]:
    """A run that diverged, and a grid of which one run trains, one has diverged and one has not begun."""
    saves = pilot.app.saves
    await pilot.app.open_run(saves / "lyrics-0008")
    await until(pilot, lambda: pilot.app.query_one("#recovery").display)
    await holds(pilot, "#form-facts", "parameters")
    yield "diverged"
    folder = SweepFolder(saves, "cells")
    grid = folder.begin(Sweep("cells", PRESET.config, ("cell=rnn,gru", "num_hiddens=128,256")))
    for planned, state, epochs in zip(grid.runs(), ("finished", "diverged", "training"), (40, 5, 9), strict=False):
        run = made_run(saves, planned.config, planned.name)
        write_journal(run, StateChanged(State.TRAINING, 0), *map(scripted_epoch, range(1, epochs + 1)))
        write_journal(run, StateChanged(state, epochs))
        folder.set_outcome(planned.name, Outcome(planned.values, state))
    await pilot.press("f6", "w")
    chart = pilot.app.query_one(".-place-0")
    await until(pilot, lambda: "gru" in "".join(chart.render_line(row).text for row in range(chart.size.height)))
    footer = pilot.app.screen.query_one(KeyLine)
    await until(pilot, lambda: any(key.key == "g" and key.enabled for key in footer.keys))
    yield "sweep"


async def open_curve(pilot: Any) -> None:
    await pilot.app.open_run(run_path(pilot.app))
    await until(pilot, lambda: "143/250" in pilot.app.query_one("#run-status").title)
    await holds(pilot, "#samples-text", "月亮")
    if not pilot.app.screen.has_class("-short"):
        await holds(pilot, "#form-facts", "as measured in")


async def curve(pilot: Any) -> AsyncIterator[str]:
    """A run on screen, what lies over it, and a look inside."""
    app = pilot.app
    await open_curve(pilot)
    yield "curve"
    for name, dialog in (
        ("confirm", ConfirmDialog("Delete song?", "It will be moved to the trash.", "Delete", danger=True)),
        ("name", NameDialog("Save", "song", "Save", check_name, "Another name saves a copy.")),
        ("other-backend", backend_question(CHANGE)),
        ("preset", PresetScreen(PRESET)),
    ):
        await app.push_screen(dialog)  # mounted, so that its cursor is found and does not blink
        yield name
        await closed(pilot)
    await pilot.press("f1")
    yield "help"
    await closed(pilot)
    await pilot.press("ctrl+p")
    await until(pilot, lambda: app.screen.query_one(CommandList).option_count > 5)
    yield "palette"
    await closed(pilot)
    await pilot.press("v")
    await until(pilot, lambda: isinstance(app.screen, SweepDialog))
    lists, count = app.screen.query(Select), app.screen.query_one("#sweep-count", Static)
    lists[0].value, lists[1].value = "cell", "learning_rate"
    await until(pilot, lambda: "9 runs" in str(count.content))
    yield "sweep-dialog"
    await closed(pilot)
    await open_inspect(pilot)
    yield "inspect"


async def light(pilot: Any) -> AsyncIterator[str]:
    """The light theme."""
    app = pilot.app
    await pilot.press("f9")
    await open_curve(pilot)
    yield "light"
    await open_inspect(pilot)
    await pilot.press("tab", "tab")
    await holds(pilot, INSPECT_WORDS, "Unit 3")
    view = app.query_one("#pane-inspect").subject.view
    await until(pilot, lambda: view.answer.activations)
    yield "inspect-units"


# In one app one after the other, at each size: most of what a picture takes is the start of the app.
STORIES: dict[Story, tuple[str, ...]] = {
    panes: ("settings", "data", "generate", "lab"),
    runs: ("runs", "export", "trash", "compare"),
    ended: ("diverged", "sweep"),
    curve: ("curve", "confirm", "name", "other-backend", "preset", "help", "palette", "sweep-dialog", "inspect"),
    light: ("light", "inspect-units"),
}


def scripted_runs(saves: Path) -> None:
    """One run that was stopped and one that diverged."""
    run: Run = made_run(saves, PRESET.config.replace(validation_fraction=0.1), "lyrics-0007")
    write_journal(run, StateChanged(State.TRAINING, 0))
    write_journal(run, *(scripted_epoch(epoch, 100.0, True) for epoch in range(1, 144)))
    write_journal(run, SampleWritten(130, "分开", "了很久 [bold]我\x1b[31m还在原地"))
    write_journal(run, SampleWritten(140, "分开", "月亮忘记了 你的名字"), StateChanged(State.STOPPED, 143))
    run = made_run(saves, PRESET.config, "lyrics-0008")
    write_journal(run, StateChanged(State.TRAINING, 0), *(scripted_epoch(epoch) for epoch in range(1, 10)))
    write_journal(run, StateChanged(State.DIVERGED, 9, DIVERGED))


@contextlib.contextmanager
def folder(name: str) -> Iterator[Path]:
    """A folder with the same path each time, since paths are shown, and for one process at a time."""
    path = Path("/tmp/rnn-snapshots") / name
    path.parent.mkdir(exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        yield path
        shutil.rmtree(path, ignore_errors=True)


async def take(story: Story, size: tuple[int, int], where: Path, pictures: dict[str, str]) -> None:
    """Add the pictures of all scenes of a story, from one app, as SVG."""
    saves, texts = where / "saves", where / "data"
    texts.mkdir()
    (texts / "lyrics-zh.txt").write_text(TEXT * 200, encoding="utf-8")
    scripted_runs(saves)
    with tempfile.TemporaryDirectory(prefix="rnn-") as sockets:
        fakes = FakeEngines(Path(sockets))
        app = Playground(
            saves, texts, engines=lambda app: Engines(app.post_message, saves, texts, fakes.standby, fakes.attach)
        )
        try:
            async with app.run_test(size=size) as pilot:
                await holds(pilot, "#header-device", "H100")
                async for scene in story(pilot):
                    for field in app.screen.query(Input):
                        field.cursor_blink = False
                    app.clear_notifications()
                    await pilot.wait_for_scheduled_animations()
                    await pilot.pause()
                    pictures[scene] = app.export_screenshot(title=app.title, simplify=True)
        finally:
            await fakes.end()


@functools.cache
def taken(story: Story, size: str) -> tuple[dict[str, str], Exception | None]:
    """The pictures of a story at a size, and what kept the others from being taken."""
    pictures: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch, folder(f"{story.__name__}-{size}") as where:
        patch.setattr(form_facts, "describe", described)
        patch.setattr(columns, "age_text", lambda created, now: "9 d")
        patch.setattr(chart_widget, "REDRAW_SECONDS", 0.0)  # an app that has nothing to do has drawn its charts
        patch.setattr(run_view, "PAINT_SECONDS", 0.0)
        patch.setenv("TZ", "UTC")
        time.tzset()
        try:
            asyncio.run(take(story, SIZES[size], where, pictures))
        except Exception as error:
            return pictures, error
    return pictures, None


class Picture(App[str]):
    """A picture that has been taken, in the place of the app that the comparison would start."""

    def __init__(self, svg: str) -> None:
        super().__init__()
        self.svg = svg

    def run(self, **_: Any) -> str:  # type: ignore[override]
        """The picture."""
        return self.svg


@pytest.mark.parametrize(
    ("story", "size", "scene"),
    [
        pytest.param(story, size, scene, id=f"{scene}-{size}")
        for story, scenes in STORIES.items()
        for size in SIZES
        for scene in scenes
    ],
)
def test_snapshot(snap_compare: Any, story: Story, size: str, scene: str) -> None:
    pictures, error = taken(story, size)
    if error is not None and scene not in pictures:
        raise error
    assert snap_compare(Picture(pictures[scene]))
