"""The Lab pane: it asks an engine whenever a number changes, and shows what came of it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Static

from core.engine.client import EngineClient
from core.errors import EngineError
from core.laboratory.outcome import Experiment, Outcome, Predictions
from core.settings.laboratory_config import SequenceConfig
from core.settings.run_config import RunConfig
from tests.tui.pane_harness import PaneApp
from tests.tui.parts import errors, focused_setting, form_of, setting_row, shown_settings, title
from tests.tui.waiting import until
from tui.charts.widget import Chart
from tui.engines.clients import Engines
from tui.forms.choice import Choice
from tui.panes.laboratory import pane as lab_module
from tui.panes.laboratory.charts import VIEWS
from tui.panes.laboratory.figures import LabFigures
from tui.panes.laboratory.pane import SCHEMA, LabPane, LabView

SIZE = (120, 40)
SIZES = [(80, 24), (120, 40), (200, 60)]


def experiment_of(config: SequenceConfig) -> Experiment:
    """Numbers like those of an engine, without one."""
    data = tuple(math.sin(config.frequency * time) + 0.1 * math.cos(7 * time) for time in range(1, config.points + 1))

    def outcome(name: str, size: int, settle: float) -> Outcome:
        def ahead(steps: int) -> Predictions:
            start = config.tau + steps
            return Predictions(start, tuple(value * 0.99**steps for value in data[start - 1 :]))

        losses = tuple(0.07 - 0.004 * epoch for epoch in range(config.num_epochs))
        multi = Predictions(config.known_points + 1, (settle,) * (config.points - config.known_points))
        errors = tuple(0.2 + 0.01 * k for k in range(max(config.steps_ahead)))
        curves = {k: ahead(k) for k in config.steps_ahead}
        return Outcome(name, f"{size}-10-1", 61, losses, ahead(1), multi, curves, errors)

    return Experiment(config, data, (outcome("MLP", config.tau, -0.5), outcome("RNN", 1, 0.5)), 0.31)


class LabClient:
    """An engine that answers ``lab`` at once, or when it is let."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.answer: dict[str, Any] | None = None
        self.closed = False
        self.dropped = 0
        self.hold = asyncio.Event()
        self.hold.set()

    async def stream(self, request: str, /, **fields: Any) -> AsyncGenerator[dict[str, Any], None]:
        """Two epochs, then the whole."""
        assert request == "lab"
        self.asked.append(fields["settings"])
        if self.error is not None:
            raise self.error
        config = SequenceConfig.from_dict(fields["settings"])
        for epoch in (1, 2):
            yield {"event": "epoch", "model": "MLP", "epoch": epoch, "num_epochs": config.num_epochs, "loss": 0.0711}
        try:
            await self.hold.wait()
        except asyncio.CancelledError:
            self.dropped += 1
            raise
        yield {"event": "done", **(self.answer or experiment_of(config).to_json())}

    job = EngineClient.job  # reads the events as the real one does


class LabEngines:
    """Hands out one client after the other; the last one again and again."""

    def __init__(self, *clients: LabClient) -> None:
        self.clients = list(clients)

    async def laboratory(self) -> LabClient:
        """The next client."""
        return self.clients.pop(0) if len(self.clients) > 1 else self.clients[0]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> LabClient:
    """An engine at hand."""
    monkeypatch.setattr(lab_module, "DEBOUNCE", 0.05)
    return LabClient()


def app_of(tmp_path: Path, *clients: LabClient) -> PaneApp:
    app = PaneApp(LabPane(), tmp_path)
    app.engines = LabEngines(*clients)  # type: ignore[assignment]
    return app


def view_title(app: PaneApp) -> str:
    return title(app.query_one(LabView))


def words(app: PaneApp, name: str) -> str:
    return str(app.query_one(name, Static).content)


def figures(app: PaneApp) -> str:
    return app.query_one(LabFigures).render().plain


async def done(pilot: Any, app: PaneApp, times: int = 1, client: LabClient | None = None) -> None:
    await until(pilot, lambda: view_title(app).endswith("0.31 s") and (client is None or len(client.asked) == times))


@pytest.mark.parametrize("size", SIZES)
async def test_it_begins_with_the_books_experiment(tmp_path: Path, client: LabClient, size: tuple[int, int]) -> None:
    app = app_of(tmp_path, client)
    async with app.run_test(size=size) as pilot:
        await done(pilot, app)
        assert client.asked == [SequenceConfig().to_dict()]
        assert view_title(app) == "MLP 4-10-1 and RNN 1-10-1 · 0.31 s"
        lines = figures(app).splitlines()
        assert lines[1].split() == ["the", "book", "0.0696", "0.0558", "0.0533", "0.0514", "0.0508"]
        assert lines[2].split() == ["MLP", "0.0700", "0.0660", "0.0620", "0.0580", "0.0540"]
        if size[1] > 24:  # on a low screen the views that look ahead show it, in place of the losses
            assert lines[4].split() == ["error", "(RMSE)", "multi", "k=1", "k=4", "k=16", "k=64"]
        assert "the 4 real points before it" in words(app, "#lab-lesson")
        current = app.query_one("#lab-chart-one", Chart)
        assert current.size.height >= 5 and current.size.width >= 60
        assert "training ends 604" in current.draw(76, 15).plain
        app.pane.action_view()
        await pilot.pause()
        lines = figures(app).splitlines()[-3:]
        assert lines[0].split() == ["error", "(RMSE)", "multi", "k=1", "k=4", "k=16", "k=64"]


async def test_views_by_key_and_by_mouse(tmp_path: Path, client: LabClient) -> None:
    app = app_of(tmp_path, client)
    async with app.run_test(size=SIZE) as pilot:
        await done(pilot, app)
        app.pane.focus()
        for view in (*VIEWS[1:], VIEWS[0]):
            await pilot.press("v")
            await until(pilot, lambda view=view: app.query_one(f"#lab-chart-{view.id}").has_class("-current"))
            assert [chart.id for chart in app.query(".lab-chart.-current")] == [f"lab-chart-{view.id}"]
            assert words(app, "#lab-lesson") == view.words(app.pane.experiment)  # type: ignore[attr-defined]
        await pilot.press("left")
        assert app.query_one("#lab-views", Choice).value == "errors"
        await pilot.click("#lab-views", offset=(14, 0))
        assert app.query_one("#lab-views", Choice).value == "multi-step"
        assert len(client.asked) == 1


async def test_what_is_typed_is_computed_once_and_enter_computes_at_once(
    tmp_path: Path, client: LabClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab_module, "DEBOUNCE", 1.0)
    app = app_of(tmp_path, client)
    async with app.run_test(size=SIZE) as pilot:
        await done(pilot, app)
        form_of(app).focus_setting("tau")
        await pilot.press("1", "2")
        assert len(client.asked) == 1
        await pilot.press("enter")
        await done(pilot, app, 2, client)
        assert client.asked[1]["tau"] == 12
        assert "the book" not in figures(app)
        await asyncio.sleep(1.2)
        assert len(client.asked) == 2


async def test_a_change_drops_what_is_still_computed(tmp_path: Path, client: LabClient) -> None:
    client.hold.clear()
    app = app_of(tmp_path, client)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: view_title(app) == "training the MLP, epoch 2/5")
        assert "0.0711" in figures(app)
        form_of(app).edit("noise", "0.5")
        await until(pilot, lambda: client.dropped == 1 and len(client.asked) == 2)
        client.hold.set()
        await done(pilot, app)
        assert app.pane.experiment.config.noise == 0.5  # type: ignore[attr-defined]


async def test_wrong_numbers_are_told_at_their_place(tmp_path: Path, client: LabClient) -> None:
    app = app_of(tmp_path, client)
    async with app.run_test(size=SIZE) as pilot:
        await done(pilot, app)
        form = form_of(app)
        form.focus_setting("points")
        await pilot.press(*"300")
        await until(pilot, lambda: view_title(app) == "a setting needs another value")
        assert "at most points - tau, 296, got 600" in setting_row(form, "train_examples").error
        await pilot.press("n")
        form.edit("horizons", "1, [bold]x")
        form.edit("learning_rate", "fast")
        wrong = {"points", "horizons", "learning_rate"}  # "n" was typed into the first one
        await until(pilot, lambda: {name for name in shown_settings(form) if setting_row(form, name).error} == wrong)
        assert len(client.asked) == 1
        app.pane.focus()
        await pilot.press("b")
        await done(pilot, app, 2, client)
        assert not errors(form) and client.asked[1] == SequenceConfig().to_dict()


async def test_other_noise(tmp_path: Path, client: LabClient) -> None:
    app = app_of(tmp_path, client)
    async with app.run_test(size=SIZE) as pilot:
        await done(pilot, app)
        app.pane.focus()
        await pilot.press("n")
        await done(pilot, app, 2, client)
        await pilot.click("#lab-noise")
        await done(pilot, app, 3, client)
        assert [asked["seed"] for asked in client.asked] == [10, 11, 12]
        assert setting_row(form_of(app), "seed").text == "12"


async def test_errors_of_the_engine_are_told_and_enter_tries_again(tmp_path: Path, client: LabClient) -> None:
    client.error = EngineError("it ran [bold]out of memory")
    app = app_of(tmp_path, client)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: view_title(app) == "not computed")
        trouble = app.query_one("#lab-trouble")
        assert trouble.display and "it ran [bold]out of memory" in words(app, "#lab-trouble")
        client.error = None
        client.answer = {"data": 3}
        app.pane.focus()
        await pilot.press("enter")
        await until(pilot, lambda: "unknown form" in words(app, "#lab-trouble"))
        client.answer = None
        await pilot.press("enter")
        await done(pilot, app)
        assert not trouble.display


async def test_an_engine_that_went_away_is_replaced_once(tmp_path: Path, client: LabClient) -> None:
    gone = LabClient()
    gone.error, gone.closed = EngineError("the engine has gone"), True
    app = app_of(tmp_path, gone, client)
    async with app.run_test(size=SIZE) as pilot:
        await done(pilot, app)
        assert len(gone.asked) == len(client.asked) == 1


async def test_the_drawer_of_a_narrow_screen(tmp_path: Path, client: LabClient) -> None:
    app = app_of(tmp_path, client)
    async with app.run_test(size=(80, 24)) as pilot:
        await done(pilot, app)
        app.pane.focus()
        assert not app.query_one("#lab-settings").display
        await pilot.press("e")
        await until(pilot, lambda: focused_setting(app) == "points")
        assert app.query_one("#lab-settings").display
        assert "length of the sequence" in words(app, "#lab-help")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.focused, LabView))
        assert not app.query_one("#lab-settings").display


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.id)
def test_every_view_draws_in_any_size_whatever_the_numbers(view: Any) -> None:
    plain = experiment_of(SequenceConfig())
    nothing_unseen = experiment_of(SequenceConfig(points=100, train_examples=96, horizons="1"))
    broken = experiment_of(SequenceConfig())
    for one in broken.outcomes:
        bad = (math.nan, 1e30, -1e30, math.inf)
        object.__setattr__(one, "one_step", Predictions(5, bad * 200))
        object.__setattr__(one, "multi_step", Predictions(605, bad * 99))
        object.__setattr__(one, "ahead", {1: Predictions(5, bad * 200)})
        object.__setattr__(one, "errors", bad * 16)
    for experiment in (plain, nothing_unseen, broken):
        assert view.words(experiment)
        for width, height in ((0, 0), (10, 3), (46, 12), (110, 40)):
            drawing = view.draw(experiment)(width, height)
            assert (drawing.width, drawing.height) == (width, height)


async def test_the_laboratory_is_the_standby_engine_and_leaves_it_standing_by(
    tmp_path: Path, fakes: Any, saves: Path
) -> None:
    engines = Engines(lambda message: None, saves, None, fakes.standby, fakes.attach)
    first = await engines.laboratory()
    assert await engines.laboratory() is first and len(fakes.engines) == 1
    await fakes.end()
    await until(None, lambda: first.closed)
    second = await engines.laboratory()
    assert second is not first and not second.closed
    run = await engines.create(RunConfig())
    assert await engines.client(run) is second
    await engines.close()

    fakes.start_error = EngineError("no memory for an engine")
    broken = Engines(lambda message: None, saves, None, fakes.standby, fakes.attach)
    for _ in range(2):
        with pytest.raises(EngineError, match="no memory for an engine"):
            await broken.laboratory()
    fakes.start_error = None
    assert not (await broken.laboratory()).closed
    await broken.close()


def test_reading_finds_every_error() -> None:
    texts = {name: str(value) for name, value in SequenceConfig().to_dict().items()}
    reading = SCHEMA.read(texts)
    assert (reading.value, reading.errors) == (SequenceConfig(), {})
    reading = SCHEMA.read({**texts, "tau": "0", "seed": ""})
    assert reading.value is None and set(reading.errors) == {"tau", "seed"}
    reading = SCHEMA.read({**texts, "horizons": "none"})
    assert reading.value is None and "as in 1, 4, 16, 64" in reading.errors["horizons"]
