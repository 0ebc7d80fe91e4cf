"""Runs that ended badly, engines that are lost, and how training continues."""

from __future__ import annotations

import math
from pathlib import Path

from textual.widgets import Button, Static

from core.engine.answers import BackendChange
from core.errors import EngineError
from core.events import NO_CHECKPOINT, EpochFinished, RunResumed, SettingChanged, State, StateChanged
from core.settings.run_config import RunConfig
from tests.run_folders import made_run, write_journal
from tests.tui.fake_engine import FakeEngines, scripted_epoch
from tests.tui.panes.train.harness import SIZES, Make, figures, status, trouble
from tests.tui.parts import train_pane
from tests.tui.waiting import until
from tui.charts.curve_chart import CurveChart
from tui.dialogs.confirm import ConfirmDialog
from tui.messages import JournalGrew, RunStateChanged


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
            await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
            assert words[1:] in str(app.screen.query(".dialog-body").first(Static).content)
            assert len(asked("train")) == before, number
            await pilot.press(*keys)
            await until(pilot, lambda: not isinstance(app.screen, ConfirmDialog))
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
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        assert not app.screen.query("#before")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, ConfirmDialog))
        assert not asked("step")


async def test_an_engine_that_does_not_start(playground: Make, fakes: FakeEngines) -> None:
    fakes.start_error = EngineError("the engine did not start: no module named torch")
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "no module named torch" in trouble(app))
        assert status(app) == "no run"


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


async def test_an_exploded_run_is_shown_as_what_it_is(playground: Make, saves: Path) -> None:
    run = made_run(saves, RunConfig(learning_rate=1e6, clipping="none"))
    losses = [9_320_178.6, 15_821_945.4, 17_468_926.9]
    points = [EpochFinished(n, n * 8, math.inf, None, loss, 7.0, 1e6, 7e4, 0.1) for n, loss in enumerate(losses, 1)]
    write_journal(run, StateChanged(State.TRAINING, 0), *points, StateChanged(State.DIVERGED, 3, "the loss exploded"))
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.open_run(run.path)
        for size in SIZES:
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: "the loss exploded" in trouble(app))
            assert "diverged" in status(app) and "ppl >1e308" in status(app), size
            assert "loss 17,468,927 nats, 25,202,334 bits/token" in figures(app), size
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


async def test_the_rates_offered_are_those_of_the_last_divergence(playground: Make, saves: Path) -> None:
    """The engine says that it diverged before the journal says at which rate."""
    run = made_run(saves, RunConfig())
    begun = StateChanged(State.TRAINING, 1)
    write_journal(run, begun, scripted_epoch(1), StateChanged(State.DIVERGED, 1, "once"))
    app = playground()

    def offered() -> str:
        return str(app.query_one("#recover-r", Button).label)

    async with app.run_test(size=(80, 24)) as pilot:
        await app.open_run(run.path)
        await until(pilot, lambda: offered() == "r: continue with lr 10")
        for state, text in ((State.TRAINING, ""), (State.DIVERGED, "twice")):
            app.news.publish(RunStateChanged(run.path, state, 1, text))
        await until(pilot, lambda: "twice" in trouble(app))
        events = (SettingChanged(1, "learning_rate", 10.0), begun, StateChanged(State.DIVERGED, 1, "twice"))
        app.news.publish(JournalGrew(run.path, events))
        await until(pilot, lambda: offered() == "r: continue with lr 1")


async def test_without_a_checkpoint_nothing_continues(playground: Make, saves: Path) -> None:
    run = made_run(saves, RunConfig())
    write_journal(run, scripted_epoch(1), StateChanged(State.FAILED, 1, f"it exploded; damaged; {NO_CHECKPOINT}"))
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await app.open_run(run.path)
        await until(pilot, lambda: trouble(app) == f"The training failed: it exploded; damaged; {NO_CHECKPOINT}.")
        assert not app.query_one("#recovery").display


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
            assert (f"Log: {run.log_path}" in trouble(app)) == (state == State.FAILED)
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
