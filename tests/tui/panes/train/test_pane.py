"""The Train pane, in the whole app, with fake engines."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Button, Input, Static

from core.events import Note, State, StateChanged
from core.runs.summary import run_summary
from core.scales import LINEAR, LOG
from core.settings.run_config import RunConfig
from tests.run_folders import made_run, write_journal
from tests.tui.fake_engine import FakeEngines, scripted_epoch
from tests.tui.panes.train.harness import Make, label, status, trouble
from tests.tui.parts import notices, title, train_pane
from tests.tui.waiting import until
from tui.charts.curve_chart import CurveChart
from tui.dialogs.name import NameDialog
from tui.messages import JournalGrew, RunChosen, RunRead


async def test_train_from_nothing_to_a_curve(playground: Make, fakes: FakeEngines) -> None:
    fakes.halt_at = 30
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
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
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: any("bigram, training 12.5" in line.label for line in chart.references))


async def test_start_save_pause_resume_stop(playground: Make, fakes: FakeEngines) -> None:
    fakes.pace = 0.05
    fakes.may_start.clear()
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "starting an engine" in status(app))
        fakes.may_start.set()
        await until(pilot, lambda: "training" in status(app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        app.screen.query_one(Input).value = "好的-1"
        await pilot.press("enter")
        await until(pilot, lambda: (app.saves / "好的-1" / "run.json").exists() and len(app.screen_stack) == 1)
        await until(pilot, lambda: app.query_one("#curve").display)
        chart = app.query_one(CurveChart)
        assert chart.scale is LOG and chart.window is None
        await pilot.press("l", "w")
        assert chart.scale is LINEAR and chart.window == 200
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


async def test_a_step_of_a_new_run_leaves_the_one_that_trains(playground: Make, fakes: FakeEngines) -> None:
    fakes.halt_at = 5
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "training" in status(app))
        first = app.current_run
        assert train_pane(app).check_action("step", ()) is None, "this run trains its batches already"
        await pilot.press("ctrl+n", "s")
        await until(pilot, lambda: app.current_run != first and "batch 1/8" in status(app))


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
