"""The app: panes by key and mouse, help, palette, themes, reattaching, leaving. And what it may import."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from textual import events
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Button, Input, Select, Static, Tooltip

from core.device import Device
from core.events import State, StateChanged
from core.runs.store import list_runs
from core.settings.run_config import RunConfig, setting
from tests.e2e.terminal import Terminal
from tests.run_folders import made_run, write_journal
from tests.tui.fake_engine import FakeEngines, scripted_epoch
from tests.tui.parts import focused_setting, row_region, train_pane
from tests.tui.waiting import until
from tui.app import Playground
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.help import HelpScreen
from tui.engines.clients import Engines
from tui.forms.choice import Choice
from tui.forms.rows import Rows
from tui.messages import CorpusChosen, RunChosen, RunDeleted, RunRenamed
from tui.panes import PANES
from tui.panes.data.text_list import TextList
from tui.panes.runs.run_table import RunTable
from tui.shell.frame import FrameEdge
from tui.shell.header import HeaderLine, PaneTab, device_words
from tui.shell.too_small import TooSmall

Make = Callable[[], Playground]
ROOT = Path(__file__).resolve().parents[2]


def shown(app: Playground) -> str:
    return app.query_one(HeaderLine).current


def status(app: Playground) -> str:
    return app.query_one("#run-status", FrameEdge).title


async def test_panes_by_key_and_mouse(playground: Make) -> None:
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        assert shown(app) == "train"
        for key, name in (("f6", "runs"), ("f5", "inspect"), ("f4", "generate"), ("f2", "data"), ("f3", "train")):
            await pilot.press(key)
            await until(pilot, lambda name=name: shown(app) == name)
            assert [pane.id for pane in app.query_one("#panes").children if pane.display] == [f"pane-{name}"]
            await until(pilot, lambda name=name: app.query_one(f"#pane-{name}").has_focus_within)
        await pilot.resize_terminal(120, 40)
        for number, pane in enumerate(PANES, 1):
            assert str(app.query_one(f"#tab-{pane.name}", PaneTab).content) == f"{number} {pane.title}"
            for first in ("f3", "f5"):  # in Generate one types
                await pilot.press(first, str(number))
                await until(pilot, lambda pane=pane: shown(app) == pane.name)
        await pilot.click("#tab-train")
        await until(pilot, lambda: shown(app) == "train")


async def test_left_in_its_first_moment(playground: Make) -> None:
    app = playground()
    app.call_later(app.exit)
    async with app.run_test(size=(80, 24)):
        pass
    assert app.return_code == 0


async def test_a_click_on_the_notice_of_a_deletion_brings_that_run_back(playground: Make, saves: Path) -> None:
    for name in ("one", "[bold]two"):
        made_run(saves, RunConfig(), name)
    app = playground()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: app.query("#runs-table") and len(app.query_one(RunTable).runs) == 2)
        first = app.query_one(RunTable).runs[0].name
        for left in (1, 0):
            await pilot.press("delete")
            await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
            await pilot.press("left", "enter")
            await until(pilot, lambda left=left: len(list_runs(saves)) == left and len(app.screen_stack) == 1)
        await until(pilot, lambda: len(app.screen.query("Toast")) == 2)
        notice = app.screen.query("Toast").first()
        assert f"{first} is in the trash" in str(notice.render())
        await pilot.click(notice, offset=(5, 1))
        await until(pilot, lambda: [run.name for run in list_runs(saves)] == [first])


async def test_the_pointer_is_told_what_everything_does(playground: Make) -> None:
    app = playground()
    async with app.run_test(size=(120, 40), tooltips=True) as pilot:
        for pane in PANES:
            await pilot.press(pane.key)
            await until(pilot, lambda pane=pane: shown(app) == pane.name)
        kinds = (Button, Input, Select, Choice, TextList)
        silent = [widget.id for widget in app.query("*") if isinstance(widget, kinds) and not said(widget)]
        assert silent == []
        await pilot.press("f3")
        await until(pilot, lambda: shown(app) == "train")
        rows = train_pane(app).query_one(Rows)
        row = row_region(rows, "num_hiddens")
        await pilot.hover(rows, offset=(2, row.y - rows.region.y))
        tooltip, words = app.screen.query_one(Tooltip), setting("num_hiddens").help
        await until(pilot, lambda: tooltip.display and str(tooltip.content) == words)


def said(widget: Widget) -> bool:
    """Whether the pointer over ``widget`` is told something."""
    return any(isinstance(node, Widget) and node.tooltip for node in widget.ancestors_with_self)


async def test_digits_are_typed_where_one_types_and_the_focus_returns_there(playground: Make) -> None:
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        train_pane(app).form.focus_setting("batch_size")
        await pilot.pause()
        await pilot.press("4")
        assert shown(app) == "train" and train_pane(app).form.texts["batch_size"] == "4"
        train_pane(app).form.focus_setting("seed")
        await pilot.pause()
        await pilot.press("f6", "f3")
        await until(pilot, lambda: focused_setting(app) == "seed")


async def test_keys_typed_right_behind_a_panes_key_reach_that_pane(playground: Make) -> None:
    for first in ("f4", "f6"):
        app = playground()
        async with app.run_test(size=(120, 40)) as pilot:
            asked: list[str] = []
            train_pane(app).action_stop = lambda asked=asked: asked.append("stop")  # type: ignore[method-assign]
            for name in (first, "f4", "x", "l", "backspace", "y"):  # at once, as a slow line brings them
                app.post_message(events.Key(name, name if len(name) == 1 else None))

            def has_text(app: Playground = app) -> bool:
                return shown(app) == "generate" and app.query_one("#generate-prefix", Input).value == "xy"

            await until(pilot, has_text)
            assert asked == [], first


async def test_help_tells_every_key_of_every_pane_and_the_palette_has_every_act(playground: Make) -> None:
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        text = app.screen.query_one("#help-text", Static)
        await until(pilot, lambda: "Keys in Train" in str(text.content))
        words = ""
        for _ in range(len(PANES) + 4):
            words += str(text.content)
            await pilot.press("right")
        assert "Keys in Train" in str(text.content), "the pages go round"
        for pane in PANES:
            assert f"Keys in {pane.title}" in words and f"Words in {pane.title}" in words
        for word in ("ctrl+t", "Pause, or resume", "perplexity", "f9", "First steps", "[keymap]", "--set num_steps"):
            assert word in words
        await pilot.press("f1")
        await until(pilot, lambda: not isinstance(app.screen, HelpScreen))
        commands = {command.title: command for command in app.get_system_commands(app.screen)}
        assert {"Show Runs", "Train: Pause, or resume", "Help", "Quit", "Theme"} <= set(commands)
        commands["Show Runs"].callback()
        await until(pilot, lambda: shown(app) == "runs")
        commands["Train: Edit the settings"].callback()
        await until(pilot, lambda: shown(app) == "train" and app.query_one("#settings").has_focus_within)


async def test_two_themes_and_a_chosen_text(playground: Make) -> None:
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        assert app.theme == "playground-dark"
        await pilot.press("f9")
        assert app.theme == "playground-light"
        await pilot.press("f9")
        assert app.theme == "playground-dark"
        app.post_message(CorpusChosen({"corpus": "/tmp/一本书.txt", "tokens": "word", "max_tokens": 0}))
        await until(pilot, lambda: train_pane(app).form.texts["corpus"] == "/tmp/一本书.txt")
        assert train_pane(app).form.texts["tokens"] == "word" and train_pane(app).form.texts["max_tokens"] == "0"


async def test_it_finds_the_training_it_left(playground: Make, saves: Path, fakes: FakeEngines, data_dir: Path) -> None:
    before = Engines(lambda message: None, saves, data_dir, fakes.standby, fakes.attach)
    fakes.halt_at = 42
    made_run(saves, RunConfig(), "an-old-one")
    run = await before.create(RunConfig(), "left-alone")
    await (await before.client(run)).request("train")
    await before.close()
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "left-alone · training" in status(app) and "42/250" in status(app))
        assert app.current_run == run
        assert len(train_pane(app).run.training.points()[0]) == 42  # type: ignore[union-attr]
        await pilot.press("q")
        await until(pilot, lambda: app.left_training == ["left-alone"])
    assert fakes.of(run) is not None


async def test_a_run_asked_for_is_opened(saves: Path, fakes: FakeEngines, data_dir: Path) -> None:
    """Also where another trains, which is connected to all the same."""

    def engines(post: Callable[[Message], object]) -> Engines:
        return Engines(post, saves, data_dir, fakes.standby, fakes.attach)

    asked = made_run(saves, RunConfig(), "asked")
    write_journal(asked, *map(scripted_epoch, range(1, 4)))
    fakes.halt_at = 42
    before = engines(lambda message: None)
    training = await before.create(RunConfig(), "left-alone")
    await (await before.client(training)).request("train")
    await before.close()
    app = Playground(saves, data_dir, engines=lambda app: engines(app.post_message), run=asked.path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "asked" in status(app) and "3/250" in status(app))
        await until(pilot, lambda: app.engines.has_client(training))
        assert app.current_run == asked.path and not app.engines.has_client(asked.path)


async def test_a_run_that_is_chosen_is_shown_with_its_whole_curve(playground: Make, saves: Path) -> None:
    run = made_run(saves, RunConfig(num_hiddens=64), "[bold]odd 名字")
    write_journal(run, *(scripted_epoch(epoch) for epoch in range(1, 31)), StateChanged(State.FINISHED, 30))
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f6")
        app.query_one("#pane-runs").post_message(RunChosen(run.path, "watch"))
        await until(pilot, lambda: "[bold]odd 名字 · finished" in status(app))
        assert shown(app) == "train" and train_pane(app).form.texts["num_hiddens"] == "64"
        app.query_one("#pane-runs").post_message(RunChosen(run.path, "resume"))
        await until(pilot, lambda: "training" in status(app))


async def test_a_damaged_run_is_told_and_one_renamed_or_deleted_on_the_way_followed(
    playground: Make, saves: Path
) -> None:
    run = made_run(saves, RunConfig(), "cut")
    write_journal(run, *(scripted_epoch(epoch) for epoch in range(1, 31)))
    run.metadata_path.write_text("{")
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await app.open_run(run.path)
        await until(pilot, lambda: "cut or damaged" in str(app.query_one("#trouble", Static).content))
        await until(pilot, lambda: app.query_one("#curve").display)
        run = made_run(saves, RunConfig(), "before")
        await app.open_run(run.path)
        run.path.rename(saves / "after")
        app.post_message(RunRenamed(run.path, saves / "after"))
        await until(pilot, lambda: app.current_run == saves / "after" and "after" in status(app))
        app.post_message(RunDeleted(saves / "after"))
        await until(pilot, lambda: app.current_run is None and status(app) == "no run")


def test_device_words() -> None:
    device = Device("cuda:0", "NVIDIA H100", 1_200_000_000, 79_000_000_000)
    assert device_words(device) == "cuda:0 H100 · 1.2/79 GB"
    assert device_words(Device("mps", "Apple GPU")) == "mps Apple GPU"


def test_the_screen_imports_no_torch_and_no_pane_anything_heavy_before_it_is_needed() -> None:
    panes = "[pane.widget_class for pane in tui.app.PANES]"
    heavy = "('torch', 'numpy', 'plotext', 'safetensors', 'msgspec')"
    code = f"import sys, tui.app; {panes}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "/nowhere"], "--data must be a folder of texts"),
        (
            ["--saves", "/dev/null/saves"],
            "no run can be made in /dev/null/saves (/dev/null: Not a directory): name another",
        ),
        ([], "needs a terminal"),
    ],
)
def test_wrong_arguments_are_told_in_a_sentence(arguments: list[str], words: str, tmp_path: Path) -> None:
    arguments = arguments if "--saves" in arguments else [*arguments, "--saves", str(tmp_path)]
    done = subprocess.run([sys.executable, "-m", "tui", *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert words in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_it_is_said_which_stream_is_not_a_terminal(tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    for streams, words in (
        ("", "standard error is not one"),
        ("< /dev/null", "standard input and standard error are not"),
    ):
        line = f"exec {sys.executable} -m tui --saves {tmp_path / 'saves'} 2> {errors} {streams}"
        terminal = Terminal(["sh", "-c", line], environment=os.environ, folder=ROOT)
        try:
            assert terminal.wait_exit(30) == 2
        finally:
            terminal.close()
        assert f"the playground needs a terminal, but {words};" in errors.read_text(), line


async def test_a_notice_on_a_narrow_screen_hides_nothing_that_is_typed(playground: Make) -> None:
    app = playground()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("e")
        settings = app.query_one("#settings")
        await until(pilot, lambda: settings.display)
        app.notify("of many words " * 9)
        await until(pilot, lambda: app.screen.query("Toast"))
        await pilot.pause()
        assert not app.screen.query_one("Toast").region.overlaps(settings.content_region)


async def test_a_screen_that_is_too_small_says_so_in_one_calm_line(playground: Make) -> None:
    app = playground()
    async with app.run_test(size=(1, 1)) as pilot:
        overlay = app.query_one(TooSmall)
        for width, height in ((1, 1), (59, 24), (80, 15), (40, 10), (10, 3)):
            await pilot.resize_terminal(width, height)
            words = f"at least 60x16, this terminal is {width}x{height}"
            await until(pilot, lambda words=words: overlay.display and overlay.render().endswith(words))
            assert overlay.region.size == app.size == (width, height), "nothing of the layout looks out from under it"
            await pilot.resize_terminal(60, 16)
            await until(pilot, lambda: not overlay.display)
        await pilot.press("ctrl+t")
        await until(pilot, lambda: train_pane(app).run is not None)
        await pilot.resize_terminal(59, 16)
        await until(pilot, lambda: overlay.display)
