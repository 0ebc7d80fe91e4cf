"""The dialog of a sweep: which settings vary, how many runs that makes, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Button, Input, Select, Static

from core.errors import RunError
from core.settings.run_config import RunConfig, settings
from core.sweep.ranges import parse_varied
from core.sweep.sweep import Sweep
from tests.tui.parts import focused_setting, notices
from tests.tui.waiting import until
from tui.app import Playground
from tui.forms.choice import Choice
from tui.panes.train import sweep as sweep_module
from tui.panes.train.pane import TrainPane
from tui.panes.train.sweep import SweepDialog, suggested


async def opened(pilot: Any) -> SweepDialog:
    await pilot.press("v")
    await until(pilot, lambda: isinstance(pilot.app.screen, SweepDialog) and pilot.app.focused)
    dialog = pilot.app.screen
    assert isinstance(dialog, SweepDialog)
    return dialog


def text(dialog: SweepDialog, name: str) -> str:
    return str(dialog.query_one(name, Static).content)


async def test_settings_are_chosen_and_the_runs_counted(
    playground: Callable[[], Playground], saves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[Sweep, Path]] = []
    monkeypatch.setattr(sweep_module, "begin_and_launch", lambda sweep, saves: begun.append((sweep, saves)))
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        app.query_one(TrainPane).form.edit("num_epochs", "7")
        dialog = await opened(pilot)
        start = dialog.query_one("#yes", Button)
        assert start.disabled and "Choose a setting" in text(dialog, "#sweep-count")
        for size in ((200, 60), (120, 40), (80, 24)):
            await pilot.resize_terminal(*size)
            assert dialog.size == size
            screen = [strip.text for strip in dialog._compositor.render_strips()]
            assert any("runs of a search  none: every combination " in line for line in screen), screen
            for part in dialog.query("#sweep, #yes, #dialog-error"):
                assert dialog.region.contains_region(part.region), (part.id, size)
        dialog.query_one("#sweep-setting-0", Select).value = "cell"
        await until(
            pilot, lambda: "3 runs, one after the other: sweep-1-rnn to sweep-1-lstm" in text(dialog, "#sweep-count")
        )
        dialog.query_one("#sweep-setting-1", Select).value = "learning_rate"
        await until(pilot, lambda: dialog.query_one("#sweep-values-1", Input).value == "10,100,1000")
        lists, line = dialog.query_one("#sweep-setting-2", Select), dialog.query_one("#sweep-values-2", Input)
        lists.focus()
        await pilot.press("enter")
        await until(pilot, lambda: lists.expanded)
        await pilot.press("down", "enter")
        await until(pilot, lambda: line.has_focus and not lists.expanded)
        lists.clear()  # what follows is about two settings
        line.value = ""
        dialog.query_one("#sweep-values-1", Input).value = "10,-1"
        await until(pilot, lambda: "lr must be above 0" in text(dialog, "#dialog-error") and start.disabled)
        dialog.query_one("#sweep-values-1", Input).value = "1..100:log"
        await until(pilot, lambda: "a grid needs single values" in text(dialog, "#dialog-error"))
        dialog.query_one("#sweep-trials", Input).value = "20"
        dialog.query_one("#sweep-jobs", Input).value = "2"
        await until(pilot, lambda: "20 runs, 2 at a time: Optuna chooses" in text(dialog, "#sweep-count"))
        dialog.query_one("#sweep-name", Input).value = "二"
        await pilot.click("#yes")
        await until(pilot, lambda: begun)
        sweep, place = begun[0]
        assert (sweep.name, sweep.trials, sweep.jobs, sweep.config.num_epochs) == ("二", 20, 2, 7) and place == saves
        assert sweep.vary == ("cell=rnn,gru,lstm", "learning_rate=1..100:log")


async def test_a_question_fills_the_lines_and_a_refusal_is_said(
    playground: Callable[[], Playground], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RunError("there is already a run 'backend-scratch'")

    monkeypatch.setattr(sweep_module, "begin_and_launch", refuse)
    said: list[str] = []
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        monkeypatch.setattr(TrainPane, "notify", lambda _, words, **__: said.append(words))
        dialog = await opened(pilot)
        dialog.query_one(Choice).focus()
        await pilot.press("right")
        await until(pilot, lambda: "4 runs" in text(dialog, "#sweep-count"))
        assert dialog.query_one("#sweep-setting-1", Select).value == "state"
        await pilot.press("right")
        await until(pilot, lambda: "2 runs" in text(dialog, "#sweep-count"))
        assert dialog.query_one("#sweep-setting-1", Select).value is Select.NULL
        assert dialog.answer().config.initialisation == "uniform"
        await pilot.click("#yes")
        await until(pilot, lambda: said == ["there is already a run 'backend-scratch'"])
        dialog = await opened(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is not dialog)


async def test_wrong_settings_are_named_in_place_of_the_dialog(playground: Callable[[], Playground]) -> None:
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        form, words = app.query_one(TrainPane).form, "hidden must be a whole number between 1 and 16,384, got '[b]'"
        for changes, told in (({"num_hiddens": "[b]"}, words),
                              ({"clip": "x"}, f"{words}; 1 other setting needs another value too")):  # fmt: skip
            form.change(changes)
            await pilot.press("v")
            await until(pilot, lambda told=told: notices(app)[-1:] == [told])
            await until(pilot, lambda: focused_setting(app) == "num_hiddens")
            assert not isinstance(app.screen, SweepDialog)
            await pilot.press("escape")


def test_the_first_values_of_every_setting_can_be_varied() -> None:
    free = {"corpus", "sample_prefix", "device"}
    for config in (RunConfig(), RunConfig(cell="lstm", dropout=0.3, num_layers=8, minutes=2.0)):
        for setting in settings():
            words = suggested(setting, config)
            assert bool(words) == (setting.name not in free), setting.name
            if words:
                parse_varied(f"{setting.name}={words}")


async def test_the_last_line_says_what_enter_does_where_the_focus_is(playground: Callable[[], Playground]) -> None:
    async with playground().run_test(size=(120, 40)) as pilot:
        dialog = await opened(pilot)
        dialog.query_one("#sweep-setting-0", Select).value = "cell"
        await until(pilot, lambda: not dialog.query_one("#yes", Button).disabled)
        for part, words in (
            ("#sweep-setting-0", "enter list"), ("#sweep-values-0", "enter start"), ("#sweep-question", "← → question"),
            ("#yes", "enter start"), ("#no", "enter cancel"),
        ):  # fmt: skip
            dialog.query_one(part).focus()
            await until(pilot, lambda words=words: words in text(dialog, ".dialog-keys"))
