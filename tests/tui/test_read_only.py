"""``--read-only``: what would change something says so, and neither a file nor an engine notices anything."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button, Static

import tui
from core.engine.client import EngineClient
from core.events import State, StateChanged
from core.runs.trash import delete_run
from core.settings.run_config import RunConfig
from tests.run_folders import made_run, write_journal
from tests.tui.fake_engine import scripted_epoch
from tests.tui.parts import notices, train_pane
from tests.tui.waiting import until
from tui.app import Playground
from tui.commands import described
from tui.dialogs.help import HelpScreen
from tui.panes import PANES
from tui.panes.data.text_list import TextList
from tui.panes.runs.compare_chart import RunsChart
from tui.panes.runs.run_table import RunTable
from tui.panes.train.preset_dialog import PresetScreen
from tui.panes.train.run_view import RunView
from tui.read_only import CHANGES, ReadOnlyPlayground
from tui.services import NO_ENGINE, NO_EXPERIMENT, READ_ONLY
from tui.shell.footer import KeyLine
from tui.shell.frame import FrameEdge

ROOT = Path(__file__).resolve().parents[2]


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """All that is below a folder: mode, time of the last change, content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        found[str(path)] = status.st_mode, status.st_mtime_ns, path.read_bytes() if path.is_file() else b""
    return found


@pytest.fixture
def app(tmp_path: Path, saves: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Playground:
    """A read-only playground on three runs, and one in the trash; it must ask no engine."""
    for name in ("first", "second", "third", "gone"):
        run = made_run(saves, RunConfig(num_hiddens=8), name)
        write_journal(run, StateChanged(State.TRAINING, 0), *map(scripted_epoch, range(1, 9)))
        write_journal(run, StateChanged(State.FINISHED, 8))
    delete_run(run)

    async def started(*_: object) -> EngineClient:
        raise AssertionError("an engine was started or called")

    for way in ("standby", "attach", "connect"):
        monkeypatch.setattr(EngineClient, way, started)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return ReadOnlyPlayground(saves, data_dir, run=saves / "first")


def all_bindings() -> dict[str, tuple[type[Widget], Binding]]:
    """Every binding of the project that has an id, and its class."""
    found = {}
    for module in pkgutil.walk_packages(tui.__path__, "tui."):
        if module.name != "tui.__main__":
            for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if kind.__module__.startswith("tui.") and "BINDINGS" in vars(kind):
                    found |= {item.id: (kind, item) for item in described(kind.BINDINGS) if item.id}
    return found


async def test_every_key_and_command_that_changes_something_says_so(
    app: Playground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = all_bindings()
    assert not CHANGES - set(known), "each is the id of a binding"
    said: list[str] = []
    monkeypatch.setattr(app, "notify", lambda words, **_: said.append(words))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "8/250" in app.query_one("#run-status", FrameEdge).title)
        before = snapshot(tmp_path)
        for pane in PANES:
            await pilot.press(pane.key)
            await until(pilot, lambda pane=pane: bool(app.query(f"#{pane.id}")))
        for name in sorted(CHANGES):
            kind, binding = known[name]
            said.clear()
            await app.run_action(binding.action, app.query(kind).first())
            assert said == [READ_ONLY], name
            assert not isinstance(app.screen, ModalScreen), name
        assert snapshot(tmp_path) == before


@pytest.mark.timeout(300)
async def test_no_command_and_no_button_changes_anything(app: Playground, tmp_path: Path) -> None:
    """Nothing is in the way here but what the person is told: the last barrier is tested below."""
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "8/250" in app.query_one("#run-status", FrameEdge).title)
        before = snapshot(tmp_path)
        for pane in PANES:
            await pilot.press(pane.key)
            await until(pilot, lambda pane=pane: bool(app.query(f"#{pane.id}")))
        await pilot.pause(1.0)
        for command in list(app.get_system_commands(app.screen)):
            if command.title.startswith(("Show ", "Dark or light", "Quit")):
                continue
            command.callback()
            await pilot.pause(0.02)
            while isinstance(app.screen, ModalScreen):
                await pilot.press("escape")
        for pane in PANES:
            await pilot.press("escape", pane.key)
            for button in app.query_one(f"#{pane.id}").query(Button):
                button.press()
                await pilot.pause(0.02)
                for key in ("left", "enter"):
                    if isinstance(app.screen, ModalScreen):
                        await pilot.press(key)
        await pilot.pause(0.5)
        assert snapshot(tmp_path) == before and app.engines.training() == []


async def test_it_shows_that_it_is_read_only_and_opens_runs(app: Playground) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "read-only" in str(app.query_one("#header-device").render()))
        await until(pilot, lambda: "first · finished" in app.query_one("#run-status", FrameEdge).title)
        shown = {key.action for key in app.query_one(KeyLine).keys}
        assert {"settings", "help"} <= shown and not {"train", "scale_rate(1)", "save"} & shown
        await pilot.press(next(pane.key for pane in PANES if pane.name == "inspect"))

        def words() -> str:
            return "".join(str(line.content) for line in app.query(".inspect-words").results(Static))

        await until(pilot, lambda: NO_ENGINE in words())
        await until(pilot, lambda: not {"edit", "written"} & {key.action for key in app.query_one(KeyLine).keys})
        await pilot.press(next(pane.key for pane in PANES if pane.name == "generate"))
        await until(pilot, lambda: [str(one.content) for one in app.query("#generate-notice").results(Static)]
                    == [f"{NO_ENGINE}."])  # fmt: skip
        await pilot.press(next(pane.key for pane in PANES if pane.name == "runs"))
        await until(pilot, lambda: app.query("#runs-table") and len(app.query_one(RunTable).runs) == 3)
        while app.query_one(RunTable).selected.name != "third":  # type: ignore[union-attr]
            await pilot.press("down")
        await pilot.press("enter")
        await until(pilot, lambda: "third · finished" in app.query_one("#run-status", FrameEdge).title)


async def test_no_sentence_offers_a_key_that_is_refused(app: Playground) -> None:
    ends = {"diverged": State.DIVERGED, "failed": State.FAILED, "cut": State.TRAINING, "new": State.IDLE}
    for name, state in ends.items():
        epochs = [] if name == "new" else [scripted_epoch(1)]
        write_journal(made_run(app.saves, RunConfig(), name), *epochs, StateChanged(state, len(epochs), "why"))
    app = ReadOnlyPlayground(app.saves, app.data_dir)
    async with app.run_test(size=(120, 40)) as pilot:
        view = app.query_one(RunView)

        def words() -> str:
            shown = [str(line.content) for line in view.query(Static).results(Static) if line.display]
            buttons = app.query("#recovery Button").results(Button)
            return " ".join([*shown, *(str(button.label) for button in buttons if button.region)])

        await until(pilot, lambda: "opens a run that was saved" in words())
        assert "ctrl+t" not in words() and "lets a model write" not in words()
        for name, said in {
            "diverged": "diverged: why.", "failed": "failed: why. Log",
            "cut": "was interrupted.", "new": "has not been trained yet.",
        }.items():  # fmt: skip
            await app.open_run(app.saves / name)
            await until(pilot, lambda said=said: said in words())
            assert "ctrl+t" not in words() and "continue" not in words(), name
        train_pane(app).form.edit("num_hiddens", "3")
        await pilot.press("space")
        await until(pilot, lambda: "new is idle: no run is training here." in notices(app))
        assert "ctrl+t" not in words()
        await pilot.press("f2")
        await until(pilot, lambda: app.query("#data-use") and not app.query_one("#data-use", Button).disabled)
        await pilot.press("u")
        await until(pilot, lambda: any(line.startswith("lyrics-zh is now the text") for line in notices(app)))
        assert not any("ctrl+t" in line for line in notices(app))
        await pilot.press("f2")
        app.query_one("#data-texts").focus()
        await pilot.press("end")
        await until(pilot, lambda: app.query_one("#data-download").display)
        assert str(app.query_one("#download-state", Static).content) == "This text is not downloaded."
        await until(pilot, lambda: not app.query_one("#data-use", Button).region)
        assert not [each for each in app.query("#pane-data Button").results(Button) if each.region]
        assert "use" not in {key.action for key in app.query_one(KeyLine).keys}
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "not here" in str(app.query_one(TextList).get_option_at_index(3).prompt))
        await pilot.press("enter")
        await until(pilot, lambda: READ_ONLY in notices(app))
        assert not isinstance(app.screen, ModalScreen)


async def test_dialogs_help_and_buttons_offer_nothing_that_is_refused(app: Playground) -> None:
    known = all_bindings()
    permitted = {binding.tooltip for name, (_, binding) in known.items() if name not in CHANGES}
    refused = {known[name][1].tooltip for name in CHANGES} - permitted
    app = ReadOnlyPlayground(app.saves, app.data_dir)
    async with app.run_test(size=(120, 60)) as pilot:
        offered = {"data": {"Use this text"}, "runs": {"Open", "Trash", "Filter"}}
        for pane in PANES:
            await pilot.press(pane.key)
            await until(pilot, lambda pane=pane: app.query(f"#{pane.id}") and app.query_one(f"#{pane.id}").region)
            buttons = app.query(f"#{pane.id} Button").results(Button)
            shown = {str(button.label).removesuffix(" 1") for button in buttons if button.region}
            assert shown == offered.get(pane.name, set()), pane.name
        await until(pilot, lambda: NO_EXPERIMENT in str(app.query_one("#lab-trouble", Static).content))
        assert "computed at once" not in str(app.query_one("#lab-help", Static).content)
        assert "settings" not in {key.action for key in app.query_one(KeyLine).keys}
        await pilot.press("f3")
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, PresetScreen) and app.screen.query("#preset-words"))
        assert "ctrl+t" not in str(app.screen.query_one("#preset-words", Static).content)
        await pilot.press("escape", "f5")
        await until(pilot, lambda: [str(one.content) for one in app.query(".inspect-words").results(Static)][:1]
                    == [f"{NO_ENGINE}."])  # fmt: skip
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen) and app.screen.query("#help-text"))
        pages = set()
        while (words := " ".join(str(app.screen.query_one("#help-text", Static).content).split())) not in pages:
            pages.add(words)
            assert "ctrl+t" not in words and "tags, compare" not in words and "stop and go on" not in words, words
            assert not [each for each in refused if each in words], words
            await pilot.press("right")
        assert len(pages) > len(PANES) and any("Ten rows of the view" in words for words in pages)
        commands = [command.title for command in app.get_system_commands(app.screen)]
        assert "Screenshot" not in commands and "Train: Edit the settings" in commands
        assert not [each for each in commands if each.partition(": ")[2] in refused]


PROGRAM = """
import os, pathlib, shutil, socket, subprocess, sys, tempfile
from tui.read_only import forbid_changes
os.chdir(sys.argv[1])
listening = socket.socket(socket.AF_UNIX)
listening.bind("socket")
listening.listen()
opened = open("old", "rb")
forbid_changes()
def tried(work):
    try:
        work()
    except OSError as error:
        return "read-only" in str(error)
    return False
old = pathlib.Path("old")
ways = {
    "write": lambda: open("new", "wb"), "append": lambda: open("old", "ab"), "update": lambda: open("old", "r+b"),
    "create": lambda: open("old", "xb"), "os.open": lambda: os.open("old", os.O_RDWR),
    "bytes": lambda: os.open(b"new", os.O_CREAT), "cut": lambda: os.open("old", os.O_TRUNC),
    "rename": lambda: os.rename("old", "new"), "replace": lambda: old.replace("new"), "unlink": old.unlink,
    "rmdir": lambda: os.rmdir("folder"), "rmtree": lambda: shutil.rmtree("folder"), "mkdir": lambda: os.mkdir("new"),
    "symlink": lambda: os.symlink("old", "new"), "link": lambda: os.link("old", "new"),
    "chmod": lambda: old.chmod(0o600), "utime": lambda: os.utime("old"), "truncate": lambda: os.truncate("old", 0),
    "touch": lambda: pathlib.Path("new").touch(), "text": lambda: old.write_text("x"),
    "copy": lambda: shutil.copy("old", "new"), "move": lambda: shutil.move("old", "new"),
    "temporary": lambda: tempfile.mkdtemp(dir="."), "true": lambda: subprocess.run(["true"]), "fork": os.fork,
    "engine": lambda: subprocess.run([sys.executable, "-m", "core", "engine"]),
    "download": lambda: subprocess.run([sys.executable, "-m", "core", "download", "x"]),
    "call": lambda: socket.socket(socket.AF_UNIX).connect("socket"),
    "at": lambda: os.rename("old", "new", src_dir_fd=os.open(".", os.O_RDONLY)),
}
changed = [name for name, work in ways.items() if not tried(work)]
assert not changed, changed
assert opened.read() == open("old", "rb").read() == b"old"
open(os.devnull, "w").write("x")
told = subprocess.run([sys.executable, "-m", "core", "stats", "--corpus", sys.argv[2]], capture_output=True, text=True)
assert told.returncode == 0, told.stderr
print("held")
"""


def test_the_process_refuses_itself_every_change(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "song.txt").write_text("分开了很久" * 100, "utf-8")
    before = snapshot(tmp_path)
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(tmp_path / "song.txt")], cwd=ROOT, capture_output=True,
        text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert told.stdout == "held\n", told.stderr
    (tmp_path / "socket").unlink()
    after = snapshot(tmp_path)
    assert after == before


async def test_runs_are_compared_but_none_writes(app: Playground) -> None:
    before = snapshot(app.saves)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f6")
        await until(pilot, lambda: app.query(RunTable) and len(app.query_one("#runs-table", RunTable).runs) == 3)
        await pilot.press("asterisk", "c")
        chart = app.query_one(RunsChart)
        await until(
            pilot, lambda: len(chart.shown.lines) == 3 and all(len(line.raw) == 8 for line in chart.shown.lines)
        )
        await pilot.press("s")
        await until(pilot, lambda: READ_ONLY in notices(app))
        assert len(app.screen_stack) == 1, "no dialog"
    assert snapshot(app.saves) == before
