"""The Lab pane: the textbook's first sequence experiment, recomputed at every change of a setting."""

from __future__ import annotations

import contextlib
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Button, Static

from core.engine.requests import Lab
from core.errors import EngineError, UserError
from core.laboratory.outcome import EpochDone, Experiment, loss_words
from core.settings.laboratory_config import SequenceConfig, settings
from tui.charts.widget import Chart
from tui.forms.choice import Choice
from tui.forms.form import Fields, Form
from tui.forms.schema import Schema
from tui.panes.laboratory.charts import VIEWS, nothing
from tui.panes.laboratory.figures import LabFigures
from tui.services import host
from tui.shell.lit_box import LitVertical
from tui.text.safe import shown_text

DEBOUNCE = 0.4
NAMES = tuple(view.name for view in VIEWS)
SCHEMA = Schema(settings(), SequenceConfig.from_dict)
MEANING = "A model reads tau points of a noisy wave and predicts the next one."


class LabForm(Form[SequenceConfig]):
    """All settings of an experiment."""

    def compose(self) -> ComposeResult:
        with Fields(id="lab-fields"):
            groups = dict.fromkeys(setting.group for setting in settings())
            yield self.rows(*(place for group in groups for place in self.group_places(group)))
        yield Static(self._hint, id="lab-help", classes="form-help", markup=False)
        with Horizontal(id="lab-buttons", classes="buttons changes"):
            yield Button("The book's", compact=True, id="lab-book",
                         tooltip="The settings of the textbook's experiment")  # fmt: skip
            yield Button("Other noise", compact=True, id="lab-noise",
                         tooltip="The same wave with other noise on it")  # fmt: skip

    def show_other_help(self, widget: Widget) -> None:
        self.show_help(self._hint)

    @property
    def _hint(self) -> Content:
        return Content(MEANING + ("" if host(self).read_only else " Each change of a number is computed at once."))


class LabView(LitVertical, can_focus=True):
    """Contains the charts; it takes the focus so that the keys of the pane work."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "move_view(1)", "Next view", show=False),
        Binding("left", "move_view(-1)", "View before", show=False),
    ]

    def action_move_view(self, by: int) -> None:
        self.query_one(Choice).action_move(by)


class LabPane(Horizontal):
    """Runs an experiment in an engine and shows its result."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "view", "View", tooltip="1 step, multi-step, k steps, errors", id="lab.view"),
        Binding("n", "noise", "Noise", tooltip="The next seed: other noise and other initial weights",
                id="lab.noise"),
        Binding("b", "book", "Book", tooltip="Use the settings of the book", id="lab.book"),
        Binding("e,ctrl+o", "settings", "Edit", tooltip="Edit the settings", id="lab.settings"),
        Binding("enter", "compute", "Compute", tooltip="Compute now", show=False, id="lab.compute"),
        Binding("escape", "charts", "Charts", tooltip="Back to the charts", show=False, id="lab.charts"),
    ]  # fmt: skip

    drawer: reactive[bool] = reactive(False, toggle_class="-drawer")
    """Whether the settings are open on a narrow screen."""

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.experiment: Experiment | None = None
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        with LitVertical(id="lab-settings", classes="box") as box:
            box.border_title = "Experiment"
            yield LabForm(SCHEMA, id="lab-form")
        with LabView(id="lab-view", classes="box"):
            views = Choice(NAMES, id="lab-views")
            views.tooltip = "How far ahead is predicted, and by which model"
            yield views
            yield Static("", id="lab-trouble", classes="failure", markup=False)
            with Container(id="lab-charts"):
                for view in VIEWS:
                    yield Chart(nothing, id=f"lab-chart-{view.id}", classes="lab-chart")
                with Vertical(id="lab-words"):
                    yield Static("", id="lab-lesson", markup=False)
                    yield LabFigures(id="lab-figures")

    def on_mount(self) -> None:
        self._show_view()
        self.action_compute()

    def focus(self, scroll_visible: bool = True, from_app_focus: bool = False) -> LabPane:
        self.query_one(LabView).focus(scroll_visible)
        return self

    @property
    def form(self) -> LabForm:
        return self.query_one(LabForm)

    # ------------------------------------------------------------------ computing

    @on(LabForm.Edited)
    @on(LabForm.Submitted)
    def _edited(self, event: LabForm.Edited | LabForm.Submitted) -> None:
        if self._timer is not None:
            self._timer.stop()
        if self.form.value is None:
            self._title("a setting needs another value")
        elif isinstance(event, LabForm.Submitted):
            self.action_compute()
        else:
            self._timer = self.set_timer(DEBOUNCE, self.action_compute)

    def action_compute(self) -> None:
        """Compute with the current settings; a running experiment is cancelled."""
        config = self.form.value
        if config is not None:
            self._compute(config)

    @work(exclusive=True, group="lab", exit_on_error=False)
    async def _compute(self, config: SequenceConfig) -> None:
        figures = self.query_one(LabFigures)
        figures.begin(config)
        self._title("waiting for an engine, which loads its libraries once …" if not self.experiment else "computing …")
        try:
            experiment = await self._experiment(config)
        except (UserError, EngineError) as error:
            self._trouble(str(error))
            self._title("not computed")
            return
        self._trouble(loss_words(experiment))
        self.experiment = experiment
        figures.show(experiment)
        self._title(f"{experiment.outcomes[0].title} and {experiment.outcomes[1].title} · {experiment.seconds:.2f} s")
        for view in VIEWS:
            self.query_one(f"#lab-chart-{view.id}", Chart).show(view.draw(experiment))
        self._show_view()

    async def _experiment(self, config: SequenceConfig) -> Experiment:
        """Ask an engine for the experiment; one that has ended meanwhile is replaced once."""
        for attempt in (1, 2):
            client = await host(self).engines.laboratory()
            try:
                losses: dict[str, list[float]] = {}
                async with contextlib.aclosing(client.job(Lab(config))) as events:
                    async for event in events:
                        if isinstance(event, Experiment):
                            return event
                        self._progress(event, losses)
            except EngineError:
                if attempt == 2 or not client.closed:
                    raise
        raise EngineError("the engine gave no answer: enter asks again")

    def _progress(self, done: EpochDone, losses: dict[str, list[float]]) -> None:
        losses.setdefault(done.model, []).append(done.loss)
        self._title(f"training the {done.model}, epoch {done.epoch}/{done.num_epochs}")
        self.query_one(LabFigures).progress(losses)

    def _title(self, words: str) -> None:
        self.query_one(LabView).border_title = Content(shown_text(words))

    def _trouble(self, words: str) -> None:
        trouble = self.query_one("#lab-trouble", Static)
        trouble.update(Content(shown_text(words)))
        trouble.display = bool(words)

    # ------------------------------------------------------------------ views

    @on(Choice.Changed, "#lab-views")
    def _view_chosen(self) -> None:
        self._show_view()

    def _show_view(self) -> None:
        """Show the chosen view and its explanation."""
        chosen = VIEWS[NAMES.index(self.query_one("#lab-views", Choice).value)]
        for view in VIEWS:
            self.query_one(f"#lab-chart-{view.id}").set_class(view is chosen, "-current")
        self.query_one(LabFigures).ahead = chosen.is_ahead
        if self.experiment is not None:
            self.query_one("#lab-lesson", Static).update(Content(chosen.words(self.experiment)))

    def action_view(self) -> None:
        self.query_one("#lab-views", Choice).action_move(1)

    # ------------------------------------------------------------------ settings

    @on(Button.Pressed, "#lab-noise")
    def action_noise(self) -> None:
        config = self.form.value
        if config is not None:
            self.form.change({"seed": str((config.seed + 1) % 2**32)})
            self.action_compute()

    @on(Button.Pressed, "#lab-book")
    def action_book(self) -> None:
        self.form.fill(SequenceConfig())
        self.action_compute()

    def action_settings(self) -> None:
        if self.form.has_focus_within:
            self.action_charts()
            return
        self.drawer = True
        self.call_after_refresh(self.form.focus_error)

    def action_charts(self) -> None:
        self.drawer = False
        self.focus()
