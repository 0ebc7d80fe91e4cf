"""The Train pane: settings at the left, the run and its curve at the right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.reactive import reactive
from textual.widgets import Button

from core.device import Device
from core.engine.requests import Pause, Request, Resume, Set, Stop
from core.events import Event, Note, SettingChanged, State
from core.runs.metadata import RunMetadata
from core.runs.store import check_name
from core.runs.summary import RunSummary
from core.settings.presets import PRESETS
from core.settings.run_config import RunConfig, setting
from core.units import counted
from tui.dialogs.name import NameDialog
from tui.engines.watched_run import OPENING, WatchedRun
from tui.forms.reading import typed
from tui.panes.train.comparison import preset_of, values_at
from tui.panes.train.failure import lower_rates, trouble_words
from tui.panes.train.keys import KEYS
from tui.panes.train.plan import LIVE, Plan, differs, kept_texts, plan_of
from tui.panes.train.preset_dialog import PresetScreen
from tui.panes.train.run_view import RunView
from tui.panes.train.settings_form import SettingsForm
from tui.panes.train.settings_panel import SettingsPanel
from tui.panes.train.training import Training
from tui.services import stands
from tui.text.safe import shown_text

if TYPE_CHECKING:
    from tui.app import Playground

RATE_STEP = 1.25
NEWEST = 5  # of the events that come at once, as a journal that is opened does: what is before is long ago


class TrainPane(Horizontal):
    """Trains the run on screen, or a new one."""

    BINDINGS = KEYS

    drawer: reactive[bool] = reactive(False, toggle_class="-drawer")
    """Whether the settings are open where they are a drawer."""

    def __init__(self, config: RunConfig, corpora: Iterable[str] = (), id: str | None = None) -> None:
        super().__init__(id=id)
        self._config = config
        self._corpora = tuple(corpora)
        self._run: WatchedRun | None = None
        self._fresh = False  # a new run was asked for although the settings are those of the open one
        self._wanted_rate: float | None = None
        self._ready = False
        self._bound_state: str | None = ""  # for which the keys were last looked at; None without a run
        self._training = Training(self)

    def compose(self) -> ComposeResult:
        yield SettingsPanel(self._config, self._corpora, id="settings")
        yield RunView(id="run-view")

    def on_mount(self) -> None:
        self._ready = True
        self._tell_plan()
        self.call_after_refresh(self._learn_paces)

    def focus(self, scroll_visible: bool = True, from_app_focus: bool = False) -> TrainPane:
        """Put the focus where the keys of this pane work."""
        self.view.focus_curve()
        return self

    # ------------------------------------------------------------------ parts

    @property
    def playground(self) -> Playground:
        """The app."""
        return cast("Playground", self.app)

    @property
    def panel(self) -> SettingsPanel:
        """The left side."""
        return self.query_one(SettingsPanel)

    @property
    def form(self) -> SettingsForm:
        """The settings."""
        return self.panel.form

    @property
    def view(self) -> RunView:
        """The run on screen."""
        return self.query_one(RunView)

    @property
    def run(self) -> WatchedRun | None:
        """The run on screen, as far as it is known."""
        return self._run

    # ------------------------------------------------------------------ being told

    def watch_run(self, run: WatchedRun | None) -> None:
        """Put another run on screen, or none."""
        self._run = run
        self._fresh = False
        self._wanted_rate = None
        self.view.busy("")
        self.view.trouble("")
        self.view.watch_run(run)
        self._tell_plan()

    def know(self, facts: RunMetadata, summary: RunSummary) -> None:
        """What the files of the run on screen say."""
        if self._run is None:
            return
        self._run.know(facts, summary)
        self.form.fill(facts.config)
        self.panel.facts.know(facts.config, facts.corpus.tokens, facts.corpus.vocabulary)
        self._live_into_form()
        self.view.read()
        self._tell_plan()

    def take_events(self, path: Path, events: Iterable[Event]) -> None:
        """New lines of a journal."""
        run = self._run
        if run is None or run.path != path:
            return
        before = run.state, run.message
        events = tuple(events)
        run.apply(events)
        changed = {event.name: typed(event.value) for event in events if isinstance(event, SettingChanged)}
        if changed and run.config is not None:
            self._wanted_rate = None
            if not self._fresh:  # else the settings are those of the run to come
                self.form.change({name: text for name, text in changed.items() if name in LIVE})
            self.settings_changed()
        if (run.state, run.message) != before:
            self._state_changed(run)
        self._tell_notes(run, events)
        self._training.want_baselines(run)
        self.view.changed()

    def _tell_notes(self, run: WatchedRun, events: tuple[Event, ...]) -> None:
        """Remarks of the engine on a run that goes on: a full disk, a loss that explodes. Not those of long ago."""
        if run.state in (State.TRAINING, State.PAUSED):
            for event in events[-NEWEST:]:
                if isinstance(event, Note):
                    self.notify(shown_text(event.text), severity="warning", timeout=10, markup=False)

    def take_state(self, path: Path, state: str, message: str) -> None:
        """The engine of a run says that it is in another state."""
        run = self._run
        if run is not None and run.path == path and run.state != state:
            run.apply_state(state, message)
            self._state_changed(run)
            self.view.changed()

    def take_engine(self, path: Path, state: str) -> None:
        """There is an engine behind a run now."""
        self.take_state(path, state, "")
        if self._run is not None and self._run.path == path:
            self._training.want_baselines(self._run)

    def take_trouble(self, path: Path | None, words: str) -> None:
        """Something went wrong with a run; ``words`` say what, and what to change."""
        if path is None or (self._run is not None and self._run.path == path):
            self.view.busy("")
            self.view.trouble(shown_text(words))

    def take_corpus(self, values: dict[str, Any]) -> None:
        """A text was chosen: a new run is begun with it."""
        self.form.change({name: typed(value) for name, value in values.items()})
        self._training.forget_refusal()
        self._fresh = self._fresh or self._run is None
        self._tell_plan()
        name = shown_text(Path(str(values.get("corpus", ""))).name)
        self.notify(f"{name} is in the settings: ctrl+t trains on it", markup=False)

    def know_devices(self, devices: Sequence[Device]) -> None:
        """Which devices there are."""
        self.panel.facts.know_devices(devices)

    def texts_changed(self) -> None:
        """A text has come."""
        self.form.clear_outside_errors()
        self._training.forget_refusal()
        self.panel.facts.forget_errors()

    def _learn_paces(self) -> None:
        self.panel.facts.learn_paces(self.playground.saves)

    def _state_changed(self, run: WatchedRun) -> None:
        words = trouble_words(run)
        if words:
            self.view.trouble(words, lower_rates(run))
        elif run.state == State.TRAINING:
            self.view.trouble("")
        if run.state in (State.FINISHED, State.STOPPED, State.PAUSED):
            self._learn_paces()
        self._tell_plan()

    def _live_into_form(self) -> None:
        if self._run is not None:
            self.form.change(kept_texts(self._run, self.form.texts))

    def settings_changed(self) -> None:
        """The run has another live setting now."""
        self._tell_plan()
        self.view.changed()

    # ------------------------------------------------------------------ what Train would do

    @property
    def plan(self) -> Plan:
        """What pressing Train does now."""
        return plan_of(self._run, self.form.texts, self.form.reading.config, self._fresh)

    def _tell_plan(self) -> None:
        if not self._ready:
            return
        self.panel.show_plan(self.plan, self._run, self.playground.data_dir)
        state = self._run.state if self._run is not None else None
        if state != self._bound_state:  # the footer is built anew each time
            self._bound_state = state
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing now are dimmed in the footer."""
        state = self._run.state if self._run is not None else State.IDLE
        if action in ("pause", "stop"):
            return True if state in (State.TRAINING, State.PAUSED) else None
        if action == "step":
            return None if state in (State.TRAINING, OPENING) else True
        if action == "recover":
            return parameters[0] in lower_rates(self._run)
        if action == "save":
            return True if self._run is not None else None
        return True

    @on(SettingsForm.Edited)
    def _edited(self) -> None:
        self._training.forget_refusal()
        self._tell_plan()

    @on(SettingsForm.Submitted)
    def _submitted(self, event: SettingsForm.Submitted) -> None:
        plan = self.plan
        is_target = event.name == "num_epochs" and plan == "go on" and event.name in self.form.pending
        if is_target or (event.name in LIVE and plan == "apply"):
            self.action_train()
        else:
            self.screen.focus_next()

    # ------------------------------------------------------------------ acts

    @on(Button.Pressed, "#train-go")
    def action_train(self) -> None:
        """Train: a new run, or on with the open one."""
        plan, run = self.plan, self._run
        if self.form.reading.config is None:
            self._show_errors()
        elif plan == "new":
            self._training.do(self._training.create_and_train())
        elif run is None:
            return
        elif plan == "resume":
            self._ask(Resume())
        elif plan == "apply":
            self._training.do(self._training.apply(run))
        elif plan == "go on":
            self._training.do(self._training.go_on(run))

    @on(Button.Pressed, "#train-pause")
    def action_pause(self) -> None:
        """Pause, or go on."""
        if self._run is not None:
            self._ask(Resume() if self._run.state == State.PAUSED else Pause())

    @on(Button.Pressed, "#train-stop")
    def action_stop(self) -> None:
        """Stop training; the engine saves."""
        self._ask(Stop())

    @on(Button.Pressed, ".recover")
    def _recover_pressed(self, event: Button.Pressed) -> None:
        self.action_recover(str(event.button.id).removeprefix("recover-"))

    def action_recover(self, key: str) -> None:
        """Go on from the last good checkpoint with a lower learning rate."""
        run, rate = self._run, lower_rates(self._run).get(key)
        if run is not None and rate is not None:
            self._training.do(self._training.recover(run, rate))

    def action_step(self) -> None:
        """One batch."""
        if self.form.reading.config is None:
            self._show_errors()
        else:
            self._training.do(self._training.step())

    def action_scale_rate(self, direction: int) -> None:
        """Learning rate up or down by a quarter: in the run that trains, or else in the form."""
        run, config = self._run, self.form.reading.config
        moving = run is not None and run.state in (State.TRAINING, State.PAUSED) and self.plan != "new"
        rate = self._wanted_rate or (run.learning_rate if run is not None and moving else None)
        rate = rate or (config.learning_rate if config is not None else None)
        if rate is None:
            return
        rate = float(f"{rate * RATE_STEP**direction:.4g}")
        self.form.change({"learning_rate": typed(rate)})
        if moving:
            self._wanted_rate = rate
            self._ask(Set("learning_rate", rate))
        self._tell_plan()

    def action_settings(self) -> None:
        """Open the drawer where there is one, and go to the settings; once there, leave them again."""
        settings_box = self.query_one("#settings")
        if settings_box.has_focus_within and self.drawer:
            self.action_curve()
            return
        self.drawer = True
        self.call_after_refresh(self.form.focus_first)

    def action_curve(self) -> None:
        """Back to the curve: edits that were not applied to a run that trains are taken back."""
        run = self._run
        if run is not None and run.state in (State.TRAINING, State.PAUSED) and not self._is_of_new_run(run):
            kept = kept_texts(run, self.form.texts)
            if kept:
                self.form.change(kept)
                words = " and ".join(f"{setting(name).label} {text}" for name, text in kept.items())
                self.notify(f"The edit is taken back: {words} again. Enter applies one.", markup=False)
                self._tell_plan()
        self.show_curve()

    def show_curve(self) -> None:
        """Put the focus on the curve; a drawer closes, and so does what was said of a refused training."""
        self.drawer = False
        self._training.forget_refusal()
        self.form.clear_outside_errors()
        self.view.focus_curve()

    def _is_of_new_run(self, run: WatchedRun) -> bool:
        return run.config is None or self._fresh or differs(run.config, self.form.texts)

    def action_log(self) -> None:
        """Logarithmic or linear."""
        self.view.toggle_log()

    def action_window(self) -> None:
        """All epochs or the last ones only."""
        self.view.next_window()

    def action_new_run(self) -> None:
        """A new run with the settings that stand here; the open one stays as it is, and goes on if it trains."""
        run, config = self._run, self.form.reading.config
        self._fresh = True
        # What a run was changed to in mid-run is its own: a new one begins as the preset does.
        preset = preset_of(config, but_for=LIVE) if not self.form.preset else None
        if preset is not None:
            self.form.change({name: typed(getattr(preset.config, name)) for name in LIVE})
        if run is not None and run.state == State.TRAINING:
            self.notify(f"{shown_text(run.name)} goes on training meanwhile", markup=False)
        self._tell_plan()

    def action_about(self) -> None:
        """All about the preset: source, published figures, traps."""
        run, name = self._run, self.form.preset
        of_run = preset_of(run.config) if run is not None else None
        preset = PRESETS.get(name or "") or of_run
        if preset is None:
            self.notify("These settings are those of no preset: choose one in the form.", markup=False)
            return
        if run is None or of_run is not preset:
            self.app.push_screen(PresetScreen(preset))
        else:
            measured = values_at(run.training, list(preset.published))
            self.app.push_screen(PresetScreen(preset, measured, run.name))

    @work
    async def action_save(self) -> None:
        """Save now, or a copy under another name."""
        run = self._run
        if run is None:
            return
        body = "The same name saves now; another name saves a copy."
        name = await self.app.push_screen_wait(NameDialog("Save", run.name, "Save", check_name, body))
        if name is not None and stands(self):
            await self._training.guarded(self._training.save(run, name))

    # ------------------------------------------------------------------ the work behind the acts

    def _ask(self, request: Request[Any]) -> None:
        """Send one request to the engine of the run on screen."""
        run = self._run
        if run is not None:
            self._training.do(self._training.ask(run.path, request))

    def _show_errors(self) -> None:
        self.drawer = True
        self.call_after_refresh(self.form.focus_error)
        errors = self.form.reading.errors
        words = counted(len(errors), "setting needs", "settings need")
        self.notify(f"{words} another value first", severity="warning", markup=False)
