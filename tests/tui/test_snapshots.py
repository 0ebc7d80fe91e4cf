"""Pictures of every pane and dialog at three sizes, with fake engines, and of the light theme."""

from __future__ import annotations

import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
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
from tests.tui.fake_engine import TEXT, FakeEngines, scripted_epoch
from tests.tui.parts import focused_setting
from tests.tui.waiting import until
from tui.app import Playground
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.export import ExportDialog, exportable_runs
from tui.dialogs.name import NameDialog
from tui.dialogs.other_backend import OtherBackendDialog
from tui.engines.clients import Engines
from tui.panes.runs import columns
from tui.panes.runs.run_table import RunTable
from tui.panes.train.preset_dialog import PresetScreen
from tui.panes.train.sweep import SweepDialog

SIZES = {"80x24": (80, 24), "120x40": (120, 40), "200x60": (200, 60)}
PRESET = next(iter(PRESETS.values()))
CHANGE = BackendChange("it was trained by cuda, here it would be cpu", True, "")
DIVERGED = "the loss became non-finite at step 73; the log is engine.log"
Prepare = Callable[[Any], Awaitable[None]]


async def holds(pilot: Any, selector: str, words: str) -> None:
    """Wait until a Static contains ``words``."""
    await until(pilot, lambda: words in str(pilot.app.query_one(selector, Static).content))


def run_path(app: Playground) -> Path:
    return app.saves / "lyrics-0007"


async def settings(pilot: Any) -> None:
    await holds(pilot, "#form-facts", "parameters")
    await pilot.press("e")
    await until(pilot, lambda: focused_setting(pilot.app) == "corpus")


async def curve(pilot: Any) -> None:
    await pilot.app.open_run(run_path(pilot.app))
    await until(pilot, lambda: "143/250" in pilot.app.query_one("#run-status").title)
    await holds(pilot, "#samples-text", "月亮")
    if not pilot.app.screen.has_class("-short"):
        await holds(pilot, "#form-facts", "as measured in")


async def diverged(pilot: Any) -> None:
    await pilot.app.open_run(pilot.app.saves / "lyrics-0008")
    await until(pilot, lambda: pilot.app.query_one("#recovery").display)
    await holds(pilot, "#form-facts", "parameters")


async def data(pilot: Any) -> None:
    await pilot.press("f2")
    await until(pilot, lambda: pilot.app.query("#data-tabs") and pilot.app.query_one("#data-tabs").display)


async def generate(pilot: Any) -> None:
    await pilot.press("f4")
    await until(pilot, lambda: pilot.app.query("#pane-generate") and pilot.app.query_one("#pane-generate").run)


async def inspect(pilot: Any) -> None:
    await curve(pilot)
    await pilot.press("f5")
    words = "#inspect-view .inspect-words"
    await until(pilot, lambda: pilot.app.query(words))
    await holds(pilot, words, "The model reads")
    if pilot.app.query_one("#inspect-beside").display:
        await holds(pilot, "#inspect-beside .inspect-words", "the gradient halves")


async def inspect_units(pilot: Any) -> None:
    await pilot.press("f9")
    await inspect(pilot)
    await pilot.press("tab", "tab")
    await holds(pilot, "#inspect-view .inspect-words", "Unit 3")
    view = pilot.app.query_one("#pane-inspect").subject.view
    await until(pilot, lambda: view.answer.activations)


async def runs(pilot: Any) -> None:
    await pilot.press("f6")
    await until(pilot, lambda: pilot.app.query("#runs-table") and len(pilot.app.query_one(RunTable).runs) == 2)


async def compare(pilot: Any) -> None:
    await runs(pilot)
    await pilot.press("asterisk", "c")
    chart = pilot.app.query_one("#compare-chart")
    await until(pilot, lambda: len(chart.shown.lines) == 2 and chart.x_span)
    chart.cross = 9.0


async def sweep(pilot: Any) -> None:
    """A grid of which one run trains, one has diverged and one has not begun."""
    saves = pilot.app.saves
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


async def sweep_dialog(pilot: Any) -> None:
    await curve(pilot)
    await pilot.press("v")
    await until(pilot, lambda: isinstance(pilot.app.screen, SweepDialog))
    lists, count = pilot.app.screen.query(Select), pilot.app.screen.query_one("#sweep-count", Static)
    lists[0].value, lists[1].value = "cell", "learning_rate"
    await until(pilot, lambda: "9 runs" in str(count.content))


async def trash(pilot: Any) -> None:
    await runs(pilot)
    await pilot.press("t")
    await until(pilot, lambda: "trash is empty" in str(pilot.app.query_one("#runs-notice", Static).content))


async def export(pilot: Any) -> None:
    await runs(pilot)
    await pilot.app.push_screen(ExportDialog(exportable_runs([run_path(pilot.app)]), str(pilot.app.saves.parent)))


async def lab(pilot: Any) -> None:
    await pilot.press("f7")
    await until(pilot, lambda: "not computed" in str(pilot.app.query_one("#lab-view").border_title))


async def light(pilot: Any) -> None:
    await pilot.press("f9")
    await curve(pilot)


async def help_screen(pilot: Any) -> None:
    await curve(pilot)
    await pilot.press("f1")


async def palette(pilot: Any) -> None:
    await curve(pilot)
    await pilot.press("ctrl+p")
    await until(pilot, lambda: pilot.app.screen.query_one(CommandList).option_count > 5)


def dialog(make: Callable[[], Any]) -> Prepare:
    """Open a dialog over a curve."""

    async def opened(pilot: Any) -> None:
        await curve(pilot)
        await pilot.app.push_screen(make())  # mounted, so that its cursor is found and does not blink
        await pilot.pause()

    return opened


SCENES: dict[str, Prepare] = {
    "settings": settings,
    "curve": curve,
    "diverged": diverged,
    "data": data,
    "generate": generate,
    "inspect": inspect,
    "inspect-units": inspect_units,
    "runs": runs,
    "compare": compare,
    "sweep": sweep,
    "sweep-dialog": sweep_dialog,
    "trash": trash,
    "export": export,
    "lab": lab,
    "light": light,
    "help": help_screen,
    "palette": palette,
    "confirm": dialog(lambda: ConfirmDialog("Delete song?", "It will be moved to the trash.", "Delete", danger=True)),
    "name": dialog(lambda: NameDialog("Save", "song", "Save", check_name, "Another name saves a copy.")),
    "other-backend": dialog(lambda: OtherBackendDialog(CHANGE)),
    "preset": dialog(lambda: PresetScreen(PRESET)),
}


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder with the same path each time, since paths are shown, and another for each picture."""
    path = Path("/tmp/rnn-snapshots") / request.node.callspec.id
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    yield path
    shutil.rmtree(path, ignore_errors=True)


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


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scene", SCENES)
def test_snapshot(
    snap_compare: Any, playground: object, folder: Path, fakes: FakeEngines, monkeypatch: pytest.MonkeyPatch,
    scene: str, size: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(columns, "age_text", lambda created, now: "9 d")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    saves, texts = folder / "saves", folder / "data"
    texts.mkdir()
    (texts / "lyrics-zh.txt").write_text(TEXT * 200, encoding="utf-8")
    scripted_runs(saves)
    app = Playground(
        saves, texts, engines=lambda app: Engines(app.post_message, saves, texts, fakes.standby, fakes.attach)
    )

    async def prepare(pilot: Any) -> None:
        await holds(pilot, "#header-device", "H100")
        await SCENES[scene](pilot)
        for field in pilot.app.screen.query(Input):
            field.cursor_blink = False
        app.clear_notifications()
        await pilot.pause(0.7)

    assert snap_compare(app, terminal_size=SIZES[size], run_before=prepare)
