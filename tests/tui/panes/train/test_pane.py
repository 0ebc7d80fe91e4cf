"""The Train pane, in the whole app, with fake engines."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.widgets import Button, Input, Select, Static

from core.engine.answers import BackendChange, BaselinesAnswer
from core.errors import EngineError
from core.events import (
    BudgetFitted,
    EpochFinished,
    Note,
    RunResumed,
    SampleWritten,
    SettingChanged,
    State,
    StateChanged,
)
from core.runs.summary import run_summary
from core.settings.presets import PRESETS
from core.settings.run_config import RunConfig, settings
from tests.run_folders import made_run, write_journal
from tests.tui.fake_engine import FakeEngines, scripted_epoch
from tests.tui.parts import errors, focused_setting, notes, notices, row_region, shown_settings, title, train_pane
from tests.tui.waiting import until
from tui.app import Playground
from tui.charts.curve_chart import CurveChart
from tui.dialogs.name import NameDialog
from tui.dialogs.other_backend import OtherBackendDialog
from tui.engines.watched_run import WatchedRun
from tui.forms.rows import Rows
from tui.messages import CorpusChosen, JournalGrew, RunChosen, RunRead, TextsChanged
from tui.panes.train.comparison import other_precision, preset_of
from tui.panes.train.figures import Figures
from tui.panes.train.preset_dialog import PresetScreen, about
from tui.panes.train.run_view import RunView
from tui.shell.frame import FrameEdge

Make = Callable[[], Playground]
SIZES = [(80, 24), (120, 40)]


def status(app: Playground) -> str:
    return app.query_one("#run-status", FrameEdge).title


def label(app: Playground) -> str:
    return str(app.query_one("#train-go", Button).label)


def trouble(app: Playground) -> str:
    shown = app.query_one("#trouble", Static)
    return str(shown.content) if shown.display else ""


@pytest.mark.parametrize("size", SIZES)
async def test_train_from_nothing_to_a_curve(playground: Make, fakes: FakeEngines, size: tuple[int, int]) -> None:
    fakes.halt_at = 30
    app = playground()
    async with app.run_test(size=size) as pilot:
        assert status(app) == "no run"
        assert app.query_one("#welcome").display
        assert label(app) == "Train new run"
        await pilot.press("ctrl+t")
        await until(pilot, lambda: app.query_one("#curve").display and "30/250" in status(app))
        assert "lyrics-zh-0001 · training" in status(app)
        assert app.current_run == app.saves / "lyrics-zh-0001"
        assert label(app) == "Training …"
        chart = app.query_one(CurveChart)
        await until(pilot, lambda: [one.curve.latest for one in chart.series][:1] == [30])
        await until(pilot, lambda: "我还在原地 30" in str(app.query_one("#samples-text", Static).content))
        await until(
            pilot, lambda: train_pane(app).run is not None and ("bigram", 12.5) in train_pane(app).run.baselines
        )
        if size[1] >= 40:
            await until(pilot, lambda: any("bigram, training 12.5" in line.label for line in chart.references))


async def test_pause_resume_stop(playground: Make, fakes: FakeEngines) -> None:
    fakes.pace = 0.05
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "training" in status(app))
        await pilot.press("space")
        await until(pilot, lambda: "paused" in status(app))
        assert label(app) == "Resume"
        await pilot.press("space")
        await until(pilot, lambda: "training" in status(app))
        await pilot.press("x")
        await until(pilot, lambda: "stopped" in status(app))
        assert label(app) == "Continue"
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "training" in status(app))
        assert fakes.asked.count("create") == 1


async def test_a_run_is_named_before_it_is_trained(playground: Make, fakes: FakeEngines) -> None:
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        panel = app.query_one("#settings")
        for name in ("月亮", "second"):
            await pilot.press("n")
            await until(pilot, lambda: isinstance(app.screen, NameDialog))
            app.screen.query_one(Input).value = "../x"
            await until(
                pilot, lambda: "cannot be the name" in str(app.screen.query_one("#dialog-error", Static).content)
            )
            app.screen.query_one(Input).value = name
            await pilot.pause()
            await pilot.press("enter")
            await until(pilot, lambda name=name: train_pane(app).new_name == name)
            assert title(panel) == f"settings of the new run {name}"
            await pilot.press("ctrl+t")
            await until(pilot, lambda name=name: app.current_run == app.saves / name and "training" in status(app))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NameDialog))
        assert app.screen.query_one(Input).value == "", "a name is for one run"
        app.screen.query_one(Input).value = "second"
        await pilot.pause()
        await pilot.press("enter")
        fakes.refusals["create"] = "there is already a run 'second' in saves: choose another name"
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "choose another name" in train_pane(app).view.failure)
        assert train_pane(app).new_name == "second"


async def test_going_on_with_another_backend_is_asked_first(playground: Make, fakes: FakeEngines) -> None:
    words = "this run was computed with plain kernels; here it is computed with [b]compiled kernels"
    app = playground()

    def asked(name: str) -> list[dict[str, object]]:
        return [message for message in fakes.heard if message["request"] == name]

    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "training" in status(app))
        await pilot.press("x")
        await until(pilot, lambda: "stopped" in status(app))
        for number, (keys, way) in enumerate((
            (("escape",), None), (("enter",), None), (("left", "left", "enter"), True), (("left", "enter"), False)
        )):  # fmt: skip
            fakes.change = BackendChange(words, as_before=True)
            before = len(asked("train"))
            await pilot.press("ctrl+t")
            await until(pilot, lambda: isinstance(app.screen, OtherBackendDialog))
            assert words[1:] in str(app.screen.query(".dialog-body").first(Static).content)
            assert len(asked("train")) == before, number
            await pilot.press(*keys)
            await until(pilot, lambda: not isinstance(app.screen, OtherBackendDialog))
            if way is None:
                await pilot.pause()
                assert "stopped" in status(app) and len(asked("train")) == before, number
                continue
            await until(pilot, lambda before=before: len(asked("train")) > before)  # type: ignore[misc]
            assert asked("train")[-1].get("as_before", False) is way, number
            await until(pilot, lambda: "training" in status(app))
            await pilot.press("x")
            await until(pilot, lambda: "stopped" in status(app))
        fakes.change = BackendChange(words)
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, OtherBackendDialog))
        assert not app.screen.query("#before")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, OtherBackendDialog))
        assert not asked("step")


async def test_a_step_makes_a_run_and_holds_still(playground: Make, fakes: FakeEngines) -> None:
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        welcome = app.query_one("#welcome", Static)
        await pilot.press("s")
        await until(pilot, lambda: "batch 1/8" in status(app))
        assert "paused" in status(app) and "ppl 900" in status(app)
        await until(pilot, lambda: "Batch 1 of 8 of the first epoch is done" in str(welcome.content))
        await pilot.press("s")
        await until(pilot, lambda: "batch 2/8" in status(app))
        await until(pilot, lambda: "Batch 2 of 8" in str(welcome.content))
        assert "train" not in fakes.asked


async def test_learning_rate_in_mid_run(playground: Make, fakes: FakeEngines) -> None:
    fakes.halt_at = 5
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("+")
        assert train_pane(app).form.texts["learning_rate"] == "125"
        await pilot.press("-", "ctrl+t")
        await until(pilot, lambda: "5/250" in status(app))
        await pilot.press("+", "+")
        await until(pilot, lambda: "lr 156.2" in app.query_one("#writing-edge", FrameEdge).note)
        await until(pilot, lambda: train_pane(app).run is not None and train_pane(app).run.learning_rate == 156.2)
        assert train_pane(app).plan == "watch"


async def test_exact_values_in_mid_run(playground: Make, fakes: FakeEngines) -> None:
    fakes.halt_at = 5
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "5/250" in status(app))
        train_pane(app).form.focus_setting("num_epochs")
        await pilot.press(*"300")
        await until(pilot, lambda: label(app) == "Apply")
        await pilot.press("enter")
        await until(pilot, lambda: "5/300" in status(app))
        assert label(app) == "Training …"


def noted(app: Playground) -> str:
    return " ".join(notes(train_pane(app).form))


def wrong(app: Playground) -> str:
    return " ".join(errors(train_pane(app).form))


@pytest.mark.parametrize("size", SIZES)
async def test_an_edit_is_applied_or_pending_or_taken_back(
    playground: Make, fakes: FakeEngines, size: tuple[int, int]
) -> None:
    fakes.halt_at = 5
    app = playground()
    async with app.run_test(size=size) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "5/250" in status(app))
        run = train_pane(app).run
        assert run is not None

        async def edit(name: str, text: str) -> None:
            train_pane(app).drawer = True
            train_pane(app).form.focus_setting(name)
            await until(pilot, lambda: focused_setting(app) == name)
            train_pane(app).form.edit(name, text)
            await pilot.pause()

        for is_paused in (False, True):
            if is_paused:
                await pilot.press("space")
                await until(pilot, lambda: "paused" in status(app))
            await edit("num_epochs", "3000")
            await until(pilot, lambda: "not applied: enter applies it" in noted(app))
            rows, scroll = app.query_one("#form Rows", Rows), app.query_one("#form-scroll")
            await until(pilot, lambda: scroll.region.contains_region(row_region(rows, "num_epochs")))  # noqa: B023
            assert "the run has 250" in noted(app) and label(app) == "Apply"
            await pilot.press("escape")
            assert train_pane(app).form.texts["num_epochs"] == "250" and noted(app) == ""
            assert notices(app)[-1] == "The edit is taken back: epochs 250 again. Enter applies an edit."
            await edit("learning_rate", "abc")
            await pilot.press("escape")
            assert train_pane(app).form.texts["learning_rate"] == "100" and train_pane(app).form.value is not None
        await edit("num_epochs", "300")
        await pilot.press("enter")
        await until(pilot, lambda: "5/300" in status(app) and noted(app) == "")
        assert "paused" in status(app) and label(app) == "Resume", "an edit does not resume"
        assert not train_pane(app).drawer and run.num_epochs == 300


async def test_a_target_below_what_is_done_stands_at_its_setting(playground: Make, fakes: FakeEngines) -> None:
    fakes.halt_at = 5
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "5/250" in status(app))
        words = "num_epochs must be at least 5, the epochs that are done or begun, got 3"
        fakes.refusals["set"] = words
        train_pane(app).form.focus_setting("num_epochs")
        await pilot.press("3", "enter")
        await until(pilot, lambda: words in wrong(app))
        assert trouble(app) == words and noted(app) == "" and "5/250" in status(app)
        await pilot.press("escape")
        assert trouble(app) == "" and train_pane(app).form.texts["num_epochs"] == "250"
        await until(pilot, lambda: wrong(app) == "")


async def test_one_button_resumes(playground: Make, fakes: FakeEngines) -> None:
    fakes.halt_at = 5
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "5/250" in status(app))

        def buttons() -> list[str]:
            return [str(button.label) for button in app.query("#train-buttons Button").results(Button)]

        await pilot.press("space")
        await until(pilot, lambda: "paused" in status(app))
        assert buttons() == ["Resume", "Pause", "Stop"] and app.query_one("#train-pause", Button).disabled
        train_pane(app).form.change({"num_hiddens": "64"})
        train_pane(app).show_plan()
        assert buttons() == ["Train new run", "Resume", "Stop"]
        await pilot.click("#train-pause")
        await until(pilot, lambda: "training" in status(app))


async def test_a_refusal_is_forgotten_with_the_settings_it_was_for(playground: Make, fakes: FakeEngines) -> None:
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        words = "batch_size must leave one batch"
        for change in (
            lambda: app.post_message(CorpusChosen({"corpus": "verse-zh", "normalise": "none"})),
            lambda: train_pane(app).form.edit("num_steps", "7"),
            lambda: app.post_message(TextsChanged()),
        ):
            fakes.refusals["create"] = words
            await pilot.press("ctrl+t")
            await until(pilot, lambda: trouble(app) == words and wrong(app) == words)
            change()
            await until(pilot, lambda: wrong(app) == "" and trouble(app) == "")
        fakes.refusals["create"] = words
        await pilot.press("ctrl+t")
        await until(pilot, lambda: trouble(app) == words and wrong(app) == words)
        await pilot.press("ctrl+t")  # the same again, and this time it trains
        await until(pilot, lambda: "training" in status(app))
        assert trouble(app) == "" and wrong(app) == ""


async def test_a_run_that_is_opened_is_not_called_untrained(playground: Make, fakes: FakeEngines, saves: Path) -> None:
    run = made_run(saves, RunConfig(num_epochs=1))
    write_journal(run, StateChanged(State.IDLE, 0), StateChanged(State.TRAINING, 0), scripted_epoch(1))
    write_journal(run, StateChanged(State.FINISHED, 1))
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        app.current_run = run.path
        await pilot.pause()
        assert label(app) == "Opening …" and "opening" in status(app)
        await pilot.press("ctrl+t")
        assert "create" not in fakes.asked
        words = "Reading lyrics-zh-0001 …"
        assert str(app.query_one("#welcome", Static).content) == words
        app.news.publish(RunRead(run.path, run.metadata(), run_summary(run)))
        await pilot.pause()
        assert "finished" in status(app) and str(app.query_one("#welcome", Static).content) == words
        app.news.publish(JournalGrew(run.path, (scripted_epoch(1),)))
        await pilot.pause()
        assert not app.query_one("#welcome").display
        app.post_message(RunChosen(run.path, "resume"))
        await until(pilot, lambda: "the only epoch is done" in trouble(app))
        assert "train" not in fakes.asked


async def test_wrong_settings_are_told_all_at_once_and_nothing_starts(playground: Make, fakes: FakeEngines) -> None:
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        train_pane(app).form.change({"num_steps": "0", "dropout": "abc", "learning_rate": "-1"})
        await pilot.press("ctrl+t")
        await until(pilot, lambda: focused_setting(app) == "dropout")
        assert train_pane(app).drawer
        found = errors(train_pane(app).form)
        assert any(error.startswith("steps must be between 1 and 10,000, got 0") for error in found)
        assert any("dropout must be a number" in error for error in found)
        assert any(error.startswith("lr must be above 0") for error in found)
        assert "create" not in fakes.asked


async def test_what_the_engine_refuses_stands_at_its_setting(playground: Make, fakes: FakeEngines) -> None:
    fakes.refusals["create"] = "batch_size must leave one batch, [bold]got[/bold] 32"
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: trouble(app) != "")
        assert trouble(app) == "batch_size must leave one batch, [bold]got[/bold] 32"
        await until(pilot, lambda: focused_setting(app) == "batch_size")
        assert app.current_run is None
        await pilot.press("ctrl+t")  # the engine that refused is replaced by another
        await until(pilot, lambda: "training" in status(app))
        assert trouble(app) == ""


async def test_an_engine_that_does_not_start(playground: Make, fakes: FakeEngines) -> None:
    fakes.start_error = EngineError("the engine did not start: no module named torch")
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "no module named torch" in trouble(app))
        assert status(app) == "no run"


async def test_starting_says_so(playground: Make, fakes: FakeEngines) -> None:
    fakes.may_start.clear()
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "starting an engine" in status(app))
        fakes.may_start.set()
        await until(pilot, lambda: "training" in status(app))


async def test_a_lost_engine_is_told_in_words(playground: Make, fakes: FakeEngines) -> None:
    fakes.halt_at = 12
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "12/250" in status(app))
        run = app.current_run
        assert run is not None
        (run / "engine.log").write_text("torch.OutOfMemoryError: CUDA out of memory\n")
        engine = fakes.of(run)
        assert engine is not None
        await engine.end()
        await until(pilot, lambda: "out of memory" in trouble(app))
        assert "engine.log" in trouble(app)
        await until(pilot, lambda: "interrupted" in status(app))
        fakes.halt_at = 20
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "20/250" in status(app))
        assert trouble(app) == ""


async def test_remarks_of_the_engine_are_shown_while_they_are_new(playground: Make, saves: Path) -> None:
    run = made_run(saves, RunConfig())
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        app.current_run = run.path
        old = [Note("long ago"), *(scripted_epoch(epoch) for epoch in range(1, 9))]
        new = Note("[red]the disk is full[/red]")
        app.news.publish(JournalGrew(run.path, (StateChanged(State.TRAINING, 0), *old, new)))
        await pilot.pause()
        assert notices(app) == ["[red]the disk is full[/red]"]


async def test_diverged_says_what_helps(playground: Make, fakes: FakeEngines, saves: Path) -> None:
    run = made_run(saves, RunConfig())
    write_journal(run, StateChanged(State.TRAINING, 0), scripted_epoch(1))
    write_journal(run, StateChanged(State.DIVERGED, 1, "the loss is not a number at step 9"))
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await app.open_run(run.path)
        await until(pilot, lambda: "not a number at step 9" in trouble(app))
        assert "lower learning rate" in trouble(app)
        assert "diverged" in status(app)


@pytest.mark.parametrize("size", SIZES)
async def test_an_exploded_run_is_shown_as_what_it_is(playground: Make, saves: Path, size: tuple[int, int]) -> None:
    run = made_run(saves, RunConfig(learning_rate=1e6, clipping="none"))
    losses = [9_320_178.6, 15_821_945.4, 17_468_926.9]
    points = [EpochFinished(n, n * 8, math.inf, None, loss, 7.0, 1e6, 7e4, 0.1) for n, loss in enumerate(losses, 1)]
    write_journal(run, StateChanged(State.TRAINING, 0), *points, StateChanged(State.DIVERGED, 3, "the loss exploded"))
    app = playground()
    async with app.run_test(size=size) as pilot:
        await app.open_run(run.path)
        await until(pilot, lambda: "the loss exploded" in trouble(app))
        assert "diverged" in status(app) and "ppl >1e308" in status(app)
        assert "loss 17,468,927 nats, 25,202,334 bits/token" in figures(app)
        chart = app.query_one(CurveChart)
        assert chart.display and chart.y_label == "loss in nats"
        assert chart.series[0].curve.points()[1].tolist() == losses
        assert chart.references[0].label == "uniform 6.9"
        drawing = "\n".join(chart.draw(70, 14).lines)
        assert "loss in nats" in drawing and "no epoch yet" not in drawing
        assert app.query_one("#recovery").display and str(app.query_one("#recover-r", Button).label).endswith(
            "lr 100,000"
        )
        app.news.publish(JournalGrew(run.path, (RunResumed(0, 0), scripted_epoch(1))))
        await pilot.pause()
        train_pane(app).view.show_parts()
        assert chart.y_label == "perplexity" and chart.series[0].curve.points()[1][0] < 1027


async def test_a_run_that_ended_badly_goes_on_with_a_lower_learning_rate(
    playground: Make, fakes: FakeEngines, saves: Path
) -> None:
    fakes.halt_at = 3
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        assert not app.query_one("#recovery").display
        for state, key, rate in (
            (State.DIVERGED, "r", 10.0), (State.FAILED, "h", 50.0), (State.DIVERGED, "h", 50.0),
            (State.FAILED, "r", 10.0),
        ):  # fmt: skip
            run = made_run(saves, RunConfig(), f"{state}-{key}")
            ended = StateChanged(state, 1, f"[b]{state} by {key}[/b]")
            write_journal(run, StateChanged(State.TRAINING, 0), scripted_epoch(1), ended)
            await app.open_run(run.path)
            await until(pilot, lambda: ended.message in trouble(app))  # noqa: B023
            assert f"Log: {run.log_path}" in trouble(app)
            await until(pilot, lambda: app.query_one("#recovery").display)
            labels = [str(app.query_one(f"#recover-{name}", Button).label) for name in "rh"]
            assert labels == ["r: continue with lr 10", "h: continue with lr 50"], "what will be is shown before"
            await app.open_run(run.path)
            await until(pilot, lambda: ended.message in trouble(app))  # noqa: B023
            sets = fakes.asked.count("set")
            await pilot.press(key)
            await until(pilot, lambda: f"{run.name} · training" in status(app))  # noqa: B023
            await until(
                pilot,
                lambda: train_pane(app).run is not None and train_pane(app).run.learning_rate == rate,  # noqa: B023
            )
            assert trouble(app) == "" and not app.query_one("#recovery").display
            engine = fakes.of(run.path)
            assert engine is not None and engine.config.learning_rate == rate
            await pilot.press(key)  # there is nothing left to go on from
            assert fakes.asked.count("set") == sets + 1


async def test_a_changed_setting_makes_it_a_new_run(playground: Make, fakes: FakeEngines) -> None:
    fakes.halt_at = 5
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "5/250" in status(app))
        assert train_pane(app).plan == "watch"
        train_pane(app).form.change({"num_hiddens": "64"})
        train_pane(app).show_plan()
        assert label(app) == "Train new run"
        train_pane(app).form.change({"num_hiddens": "256"})
        train_pane(app).show_plan()
        assert label(app) == "Training …"
        await pilot.press("ctrl+n")
        assert label(app) == "Train new run"
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "lyrics-zh-0002 · training" in status(app))
        first = fakes.of(app.saves / "lyrics-zh-0001")
        assert first is not None and first.state == State.TRAINING


def pending(app: Playground) -> str:
    shown = app.query_one("#pending", Static)
    return str(shown.content) if shown.display else ""


async def test_settings_that_are_not_those_of_the_run_are_said_while_they_are_hidden(
    playground: Make, fakes: FakeEngines, saves: Path
) -> None:
    run = made_run(saves, RunConfig(), "done")
    write_journal(run, *(scripted_epoch(epoch) for epoch in range(1, 251)), StateChanged(State.FINISHED, 250))
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.open_run(run.path)
        await until(pilot, lambda: "done · finished" in status(app) and app.query_one("#curve").display)
        assert pending(app) == ""
        train_pane(app).form.focus_setting("num_epochs")
        train_pane(app).drawer = True
        train_pane(app).form.edit("num_epochs", "300")
        await until(pilot, lambda: pending(app) == "epochs 300 instead of 250: ctrl+t continues with it")
        await pilot.press("escape")
        assert train_pane(app).form.texts["num_epochs"] == "300" and pending(app), "what survives is said"
        train_pane(app).form.edit("num_epochs", "250")
        await until(pilot, lambda: pending(app) == "")
        app.post_message(CorpusChosen({"corpus": "/tmp/一本书.txt"}))
        words = "corpus changed: ctrl+t trains a new run, s its first batch"
        await until(pilot, lambda: pending(app) == words)
        assert app.query_one("#pending").region.height == 1 and not train_pane(app).drawer
        train_pane(app).form.change({"corpus": "lyrics-zh", "num_hiddens": "64", "num_steps": "7"})
        train_pane(app).show_plan()
        assert pending(app) == words.replace("corpus", "2 settings")
        await pilot.press("s")
        await until(pilot, lambda: "lyrics-zh-0001" in status(app) and pending(app) == "")
        await until(
            pilot, lambda: "One batch of a new run, lyrics-zh-0001, is trained; done is unchanged" in notices(app)
        )
        await pilot.resize_terminal(120, 40)
        await pilot.press("ctrl+n")
        await pilot.pause()
        assert pending(app) == "", "the settings beside it say it"


async def test_keys_that_have_no_effect_are_dimmed_and_say_why(playground: Make, saves: Path) -> None:
    run = made_run(saves, RunConfig(), "done")
    write_journal(run, *(scripted_epoch(epoch) for epoch in range(1, 251)), StateChanged(State.FINISHED, 250))
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        for name in ("No run", "done is finished: no run"):
            for key in ("space", "x"):
                assert not app.screen.active_bindings[key].enabled, key
                before = len(notices(app))
                await pilot.press(key)
                words = f"{name} is training here. ctrl+t trains."
                await until(pilot, lambda before=before, words=words: notices(app)[before:] == [words])
            await app.open_run(run.path)
            await until(pilot, lambda: "done · finished" in status(app))


async def test_a_folder_that_goes_away_is_said(playground: Make, saves: Path) -> None:
    run = made_run(saves, RunConfig(), "here")
    write_journal(run, *(scripted_epoch(epoch) for epoch in range(1, 251)), StateChanged(State.FINISHED, 250))
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.open_run(run.path)
        await until(pilot, lambda: "here · finished" in status(app))
        run.path.rename(saves / "there")
        await until(pilot, lambda: f"here is no longer in {saves}" in trouble(app))
        (saves / "there").rename(run.path)
        await until(pilot, lambda: trouble(app) == "")


async def test_save_under_another_name(playground: Make, fakes: FakeEngines) -> None:
    fakes.halt_at = 3
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "3/250" in status(app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        app.screen.query_one(Input).value = "好的-1"
        await pilot.press("enter")
        await until(pilot, lambda: (app.saves / "好的-1" / "run.json").exists())


async def test_done_offers_more_epochs(playground: Make, fakes: FakeEngines) -> None:
    app = playground()
    app_config = {"num_epochs": "12"}
    async with app.run_test(size=(120, 40)) as pilot:
        train_pane(app).form.change(app_config)
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "finished" in status(app) and "12/12" in status(app))
        assert label(app) == "Continue"
        await pilot.press("ctrl+t")
        await until(pilot, lambda: focused_setting(app) == "num_epochs")
        words = "all 12 epochs are done: to continue, type how many in all, such as 24, then enter"
        assert trouble(app) == words and wrong(app) == words
        await pilot.press(*"20")
        assert trouble(app) == ""
        await until(pilot, lambda: "ctrl+t continues with it; the run has 12" in noted(app))
        await pilot.press("enter")
        await until(pilot, lambda: "20/20" in status(app))


async def test_hidden_panes_are_not_drawn(playground: Make, fakes: FakeEngines) -> None:
    app = playground()
    fakes.pace = 0.02
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "training" in status(app))
        await pilot.press("f6")
        await pilot.pause(0.3)
        before = status(app)
        await pilot.pause(0.5)
        assert status(app) == before
        await pilot.press("f3")
        await until(pilot, lambda: status(app) != before)


async def test_keys_of_the_curve(playground: Make, fakes: FakeEngines) -> None:
    fakes.halt_at = 60
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "60/250" in status(app))
        chart = app.query_one(CurveChart)
        assert chart.log_y and chart.window is None
        await pilot.press("l", "w")
        assert not chart.log_y and chart.window == 200


async def test_the_drawer_opens_and_closes(playground: Make) -> None:
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        settings = app.query_one("#settings")
        assert not settings.display
        await pilot.press("e")
        await until(pilot, lambda: settings.display and settings.has_focus_within)
        await pilot.press("escape")
        assert not settings.display
        assert app.query_one(RunView).has_focus_within


def figures(app: Playground) -> str:
    return "\n".join(words for words, _ in app.query_one(Figures).lines)


@pytest.mark.parametrize("size", SIZES)
async def test_both_perplexities_in_words(playground: Make, saves: Path, size: tuple[int, int]) -> None:
    run = made_run(saves, RunConfig(validation_fraction=0.1))
    write_journal(run, scripted_epoch(1, held_out=True), EpochFinished(2, 16, 1.3, 812.4, 0.3, 0.4, 1.0, 7e4, 0.1))
    app = playground()
    async with app.run_test(size=size) as pilot:
        assert not app.query_one(Figures).display
        await app.open_run(run.path)
        await until(pilot, lambda: "memorised: it knows the training text by heart (1.3)" in figures(app))
        assert "training   1.300 perplexity   0.38 bits/token" in figures(app)
        assert "best 812.4 at epoch 2" in figures(app)
        chart = app.query_one(CurveChart)
        best = next(one.curve for one in chart.series if one.name == "best")
        assert best.points()[1].tolist() == [812.4]


async def test_a_bidirectional_run_says_what_it_is(playground: Make, saves: Path) -> None:
    run = made_run(saves, RunConfig(bidirectional=True))
    write_journal(run, scripted_epoch(1), StateChanged(State.FINISHED, 1))
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await app.open_run(run.path)
        await until(pilot, lambda: "training" in figures(app))
        assert "sees the token that it" in figures(app)
        assert "No samples: a bidirectional model" in str(app.query_one("#samples-text", Static).content)
        assert train_pane(app).run is not None
        train_pane(app).run.apply_baselines(BaselinesAnswer("training", 1027.0, math.nan, 12.5, math.nan))
        train_pane(app).view.show_parts()
        assert [line.label for line in app.query_one(CurveChart).references] == ["uniform 1,027"]


async def test_every_preset_can_be_chosen(playground: Make) -> None:
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        for name, preset in PRESETS.items():
            app.query_one("#preset", Select).value = name
            await until(pilot, lambda name=name: train_pane(app).form.preset == name)
            assert train_pane(app).form.value == preset.config


@pytest.mark.parametrize("name", ["time-machine-scratch", "shakespeare-fast"])
async def test_a_preset_whose_text_is_not_here_says_how_to_get_it(
    playground: Make, fakes: FakeEngines, data_dir: Path, name: str
) -> None:
    corpus = PRESETS[name].config.corpus
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        app.query_one("#preset", Select).value = name
        await until(pilot, lambda: train_pane(app).form.preset == name)
        facts = app.query_one("#form-facts", Static)
        await until(pilot, lambda: f"{corpus} is not downloaded: the Data pane (f2) downloads it" in str(facts.content))
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "is not downloaded" in trouble(app))
        assert focused_setting(app) == "corpus"
        assert "create" not in fakes.asked and not app.query("#curve").first().display
        (data_dir / "downloads").mkdir()
        (data_dir / "downloads" / f"{corpus}.txt").write_text("text " * 10_000)
        app.post_message(TextsChanged())
        await until(pilot, lambda: "parameters" in str(facts.content))
        assert trouble(app) == ""


async def test_about_the_preset(playground: Make, saves: Path) -> None:
    run = made_run(saves, PRESETS["lyrics-nn-gru"].config, "gru")
    write_journal(run, *(scripted_epoch(epoch) for epoch in range(1, 161)), StateChanged(State.FINISHED, 160))
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.open_run(run.path)
        await until(pilot, lambda: "160/160" in status(app))
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, PresetScreen) and app.screen.query("#preset-words"))
        words = str(app.screen.query_one("#preset-words", Static).content)
        assert "chapter 6" in words and "under copyright" in words and "measured in gru" in words
        assert ["160", "1.020", "2.495"] in [line.split() for line in words.splitlines()]
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, PresetScreen))


async def test_published_figures_are_shown_on_their_text_only(playground: Make, saves: Path) -> None:
    config = PRESETS["lyrics-nn-gru"].config
    own, other = made_run(saves, config, "own"), made_run(saves, config.replace(corpus="/tmp/another.txt"), "other")
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        for run, is_shown in ((own, True), (other, False)):
            write_journal(run, *(scripted_epoch(epoch) for epoch in range(1, 161)), StateChanged(State.FINISHED, 160))
            await app.open_run(run.path)
            await until(pilot, lambda run=run: f"{run.path.name} · finished · epoch 160/160" in status(app))
            comparison, chart = app.query_one("#comparison"), app.query_one(CurveChart)
            if is_shown:
                await until(pilot, lambda comparison=comparison: comparison.display)
            else:
                await until(pilot, lambda chart=chart: "published" not in [series.name for series in chart.series])
            await pilot.pause()
            names = [series.name for series in chart.series]
            assert ("published" in names) == is_shown == comparison.display, names


def test_published_figures_are_those_of_any_way_to_compute() -> None:
    preset = PRESETS["lyrics-nn-rnn"]
    for changed in ({"workers": 2}, {"cpu_path": "plain"}, {"gpu_path": "plain"}, {"threads": 1, "device": "cpu"}):
        config = preset.config.replace(**changed)
        assert preset_of(config) is preset and not other_precision(config, preset)
    config = preset.config.replace(precision="bf16")
    assert preset_of(config) is preset and other_precision(config, preset) == "bf16"
    assert preset_of(preset.config.replace(num_hiddens=255)) is None
    scratch = PRESETS["lyrics-scratch-random"]  # whose path is refused by presets of torch.nn
    assert preset_of(scratch.config.replace(cpu_path="textbook")) is scratch


async def test_another_precision_is_named_beside_the_published_figures(playground: Make, saves: Path) -> None:
    run = made_run(saves, PRESETS["lyrics-nn-gru"].config.replace(precision="bf16"), "own")
    write_journal(run, *(scripted_epoch(epoch) for epoch in range(1, 161)), StateChanged(State.FINISHED, 160))
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await app.open_run(run.path)
        comparison = app.query_one("#comparison", Static)
        await until(pilot, lambda: comparison.display and str(comparison.content).endswith("  bf16"))
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, PresetScreen) and app.screen.query("#preset-words"))
        assert "measured in own, bf16" in str(app.screen.query_one("#preset-words", Static).content)


def test_every_preset_can_be_told_of() -> None:
    for preset in PRESETS.values():
        words = about(preset, {}, "").plain
        assert all(part in words for part in (preset.title, preset.source, preset.note)), preset.name
        assert ("No perplexity by epoch was published." in words) == (not preset.published), preset.name


@pytest.mark.parametrize("size", SIZES)
async def test_every_setting_can_be_reached_by_key(playground: Make, size: tuple[int, int]) -> None:
    app = playground()
    async with app.run_test(size=size) as pilot:
        await pilot.press("e")
        await until(pilot, lambda: focused_setting(app) == "corpus")
        form, rows, scroll = train_pane(app).form, app.query_one("#form Rows", Rows), app.query_one("#form-scroll")
        for setting in settings():
            form.open_fold(setting.group)
        await until(pilot, lambda: shown_settings(form) == {setting.name for setting in settings()})
        for setting in (*settings()[::5], settings()[-1]):
            form.focus_setting(setting.name)

            def is_seen(name: str = setting.name) -> bool:
                return focused_setting(app) == name and scroll.region.contains_region(row_region(rows, name))

            await until(pilot, is_seen)


async def test_memory_and_devices_are_told_before_the_start(playground: Make) -> None:
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        facts = app.query_one("#form-facts", Static)
        await until(pilot, lambda: "memory about" in str(facts.content))
        assert "8 batches an epoch" in str(facts.content) and "s an epoch," not in str(facts.content)
        train_pane(app).form.change({"num_hiddens": "16000", "num_layers": "8", "cell": "lstm"})
        train_pane(app).show_plan()
        await until(pilot, lambda: "cuda:0" in str(facts.content))


def test_undone_epochs_come_again() -> None:
    run = WatchedRun(Path("/saves/one"))
    run.apply([scripted_epoch(epoch) for epoch in range(1, 31)])
    run.apply([SampleWritten(30, "分开", "了")])
    run.apply([RunResumed(20, 0)])
    assert run.epoch == 20 and not run.samples and run.training.latest == 20
    run.apply([scripted_epoch(epoch) for epoch in range(21, 26)])
    x, _ = run.training.points()
    assert x.tolist() == [float(epoch) for epoch in range(1, 26)]


def test_figures_of_a_watched_run() -> None:
    run = WatchedRun(Path("/saves/one"), State.TRAINING)
    run.num_epochs = 100
    run.apply([scripted_epoch(epoch) for epoch in range(1, 11)])
    assert run.tokens_per_second == pytest.approx(71_000)
    assert run.seconds_left == pytest.approx(90 * 0.125)
    run.apply([EpochFinished(11, 88, float("nan"), None, float("nan"), 1.0, 1.0, 1.0, 1.0)])
    assert run.epoch == 11


async def test_a_new_run_does_not_inherit_what_another_was_changed_to(playground: Make, fakes: FakeEngines) -> None:
    fakes.halt_at = 5
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "5/250" in status(app))
        await pilot.press("plus")
        await until(pilot, lambda: train_pane(app).form.texts["learning_rate"] == "125")
        await pilot.press("ctrl+n")
        await until(pilot, lambda: train_pane(app).form.texts["learning_rate"] == "100")
        assert train_pane(app).form.preset == "lyrics-scratch-sequential"
        run = train_pane(app).run
        assert run is not None
        change = SettingChanged(5, "learning_rate", 125.0)  # the journal comes later
        app.news.publish(JournalGrew(run.path, (change,)))
        await pilot.pause()
        assert train_pane(app).form.texts["learning_rate"] == "100"


async def test_the_fit_of_a_budget_is_no_edit(playground: Make, fakes: FakeEngines) -> None:
    fakes.halt_at = 5
    app = playground()
    async with app.run_test(size=(200, 60)) as pilot:
        train_pane(app).form.change({"minutes": "3"})
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "epoch 5 " in status(app) and "fitting the epochs to 3 min" in status(app))
        run = train_pane(app).run
        assert run is not None
        fit = BudgetFitted(30, 4, 8, 0.0, 1.2, 5, 40, 3.0, 20.0, 0.1)
        app.news.publish(JournalGrew(run.path, (fit,)))
        await until(pilot, lambda: "5/30" in status(app) and "2:40 left of 3 min" in status(app))
        assert train_pane(app).form.texts["num_epochs"] == "30" and train_pane(app).plan == "watch"


async def test_an_error_that_comes_back_at_once_is_shown(playground: Make) -> None:
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        form, rows = train_pane(app).form, app.query_one("#form Rows", Rows)
        form.show_outside_error("num_steps", "first")
        await until(pilot, lambda: row_region(rows, "num_steps").height == 2)
        form.clear_outside_errors()
        form.show_outside_error("num_steps", "second")
        await pilot.pause()
        line = row_region(rows, "num_steps").bottom - 1 - rows.region.y
        assert "".join(segment.text for segment in rows.render_line(line)).strip() == "second"


async def test_a_text_longer_than_its_field_is_not_hidden_by_a_scrollbar(playground: Make) -> None:
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("e")
        await until(pilot, lambda: focused_setting(app) == "corpus")
        corpus = app.query_one("#form RowEditor", Input)
        corpus.value = "/a/path/that/is/much/longer/than/the/field/in/which/it/stands/text.txt"
        await pilot.pause()
        assert (corpus.styles.scrollbar_size_horizontal, corpus.styles.scrollbar_size_vertical) == (0, 0)
