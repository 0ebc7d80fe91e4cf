"""The Train pane: settings at the left, the run and its curve at the right."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from textual import events, on, work
from textual.widgets import Button

from core.events import BudgetFitted, Note, SettingChanged, State
from core.runs.store import check_name
from core.settings.run_config import setting
from core.units import counted
from tui.engines.watched_run import OPENING, WatchedRun
from tui.forms.schema import typed
from tui.messages import (
    CorpusChosen,
    DevicesFound,
    EngineLost,
    JournalGrew,
    RunChosen,
    RunClosed,
    RunFolderSeen,
    RunOpened,
    RunRead,
    RunShown,
    RunStateChanged,
    RunUnreadable,
    TextsChanged,
)
from tui.panes.train.comparison import preset_of, values_at
from tui.panes.train.failure import failure_words, lower_rates
from tui.panes.train.keys import KEYS
from tui.panes.train.parts import TrainParts
from tui.panes.train.plan import LIVE, differs, kept_texts
from tui.panes.train.run_view import CurvePanel
from tui.panes.train.settings_form import SettingsForm
from tui.services import host, is_alive, listen
from tui.text.keys import key
from tui.text.safe import shown_text

if TYPE_CHECKING:
    from tui.panes.train.training import Training

RATE_STEP = 1.25
NEWEST = 5  # of the events that arrive together, as when a journal is opened: older notes are not shown again


class TrainPane(TrainParts):
    """Trains the run on screen, or a new one."""

    BINDINGS = KEYS

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._wanted_rate: float | None = None
        self._bound_state: str | None = ""  # the run state for which the keys were last checked; None without a run

    @cached_property
    def _training(self) -> Training:
        """The work behind the actions. Imported here: the first screen needs nothing of it."""
        from tui.panes.train.training import Training

        return Training(self)

    def on_mount(self) -> None:
        listen(self, {
            RunShown: self._run_shown, RunRead: self._run_read, RunUnreadable: self._run_unreadable,
            RunClosed: self._run_closed, RunOpened: self._run_opened, RunChosen: self._run_chosen,
            JournalGrew: self._journal_grew, RunStateChanged: self._run_state_changed, EngineLost: self._engine_lost,
            RunFolderSeen: self._run_folder_seen,
            CorpusChosen: self._corpus_chosen, TextsChanged: self._texts_changed, DevicesFound: self._devices_found,
        })  # fmt: skip
        self.show_plan()
        self.call_after_refresh(self._read_paces)
        self.call_after_refresh(self._read_presets)

    @work
    async def _read_presets(self) -> None:
        from tui.panes.train.own_presets import show_own_presets

        await show_own_presets(self, say=True)

    def focus(self, scroll_visible: bool = True, from_app_focus: bool = False) -> TrainPane:
        """Put the focus where the keys of this pane work."""
        self.view.focus_curve()
        return self

    # ------------------------------------------------------------------ what the app publishes

    def _run_shown(self, event: RunShown) -> None:
        self._put_on_screen(WatchedRun(event.path, OPENING))

    def _run_closed(self, _event: RunClosed) -> None:
        self._put_on_screen(None)

    def _put_on_screen(self, run: WatchedRun | None) -> None:
        self.run = run
        self.fresh = False
        self._wanted_rate = None
        self.view.busy = ""
        self.view.show_failure("")
        self.view.watch_run(run)
        self.show_plan()

    def _run_read(self, event: RunRead) -> None:
        run, metadata = self.run, event.metadata
        if run is None or run.path != event.path:
            return
        run.set_metadata(metadata, event.summary)
        self.form.fill(metadata.config)
        self.panel.facts.set_text(metadata.config, metadata.corpus.tokens, metadata.corpus.vocabulary)
        self.form.change(kept_texts(run, self.form.texts))
        self.view.show_parts()
        self.show_plan()

    def _run_unreadable(self, event: RunUnreadable) -> None:
        self._set_state(event.path, State.FAILED, "")
        self._show_failure(event.path, event.reason)

    def _run_folder_seen(self, event: RunFolderSeen) -> None:
        run = self.run
        if run is None or run.path != event.path:
            return
        if event.exists:
            self.view.show_failure("")
            self._state_changed(run)
        else:
            words = f"{run.name} is no longer in {run.path.parent}: its folder was moved, renamed or removed."
            self._show_failure(run.path, f"{words} {key('app.runs')} shows the runs that are there.")

    def _run_opened(self, event: RunOpened) -> None:
        self._set_state(event.path, event.answer.state, "")
        if self.run is not None and self.run.path == event.path:
            self._training.want_baselines(self.run)

    def _run_chosen(self, event: RunChosen) -> None:
        if event.purpose == "resume":
            self.action_train()

    def _run_state_changed(self, event: RunStateChanged) -> None:
        self._set_state(event.path, event.state, event.text)

    def _engine_lost(self, event: EngineLost) -> None:
        self._show_failure(event.path, f"{event.reason} Its log is {event.log}.")

    def _journal_grew(self, event: JournalGrew) -> None:
        run, events = self.run, event.events
        if run is None or run.path != event.path:
            return
        before = run.state, run.message
        run.apply(events)
        changed = {event.name: typed(event.value) for event in events if isinstance(event, SettingChanged)}
        if run.num_epochs is not None and any(isinstance(event, BudgetFitted) for event in events):
            changed["num_epochs"] = typed(run.num_epochs)
        if changed and run.config is not None:
            self._wanted_rate = None
            if not self.fresh:  # otherwise the form has the settings of the next run
                self.form.change({name: text for name, text in changed.items() if name in LIVE})
            self.settings_changed()
        if (run.state, run.message) != before:
            self._state_changed(run)
        if run.state in (State.TRAINING, State.PAUSED):
            for note in (event for event in events[-NEWEST:] if isinstance(event, Note)):
                self.notify(shown_text(note.text), severity="warning", timeout=10, markup=False)
        self._training.want_baselines(run)
        self.view.changed()

    def _corpus_chosen(self, event: CorpusChosen) -> None:
        values = event.settings
        self.form.change({name: typed(value) for name, value in values.items()})
        self._training.forget_refusal()
        self.fresh = self.fresh or self.run is None
        self.show_plan()
        name = shown_text(Path(str(values.get("corpus", ""))).name)
        self.notify(f"{name} is now the text in the settings: {key('train.train')} trains on it", markup=False)

    def _devices_found(self, event: DevicesFound) -> None:
        self.panel.facts.set_devices(event.devices)

    def _texts_changed(self, _event: TextsChanged) -> None:
        self.form.clear_outside_errors()
        self._training.forget_refusal()
        self.panel.facts.forget_errors()

    # ------------------------------------------------------------------ the state of the run

    def _set_state(self, path: Path, state: str, message: str) -> None:
        run = self.run
        if run is not None and run.path == path and run.state != state:
            run.apply_state(state, message)
            self._state_changed(run)
            self.view.changed()

    def _show_failure(self, path: Path, words: str) -> None:
        if self.run is not None and self.run.path == path:
            self.view.busy = ""
            self.view.show_failure(shown_text(words))

    def _state_changed(self, run: WatchedRun) -> None:
        words = failure_words(run)
        if words:
            self.view.show_failure(words, lower_rates(run))
        elif run.state == State.TRAINING:
            self.view.show_failure("")
            if run.message:
                self.view.busy = ""  # the message is newer
        if run.state in (State.FINISHED, State.STOPPED, State.PAUSED):
            self._read_paces()
        self.show_plan()

    def _read_paces(self) -> None:
        self.panel.facts.read_paces(host(self).saves)

    def show_plan(self) -> None:
        """Show what Train does now; check the keys again if the state of the run has changed."""
        super().show_plan()
        state = self.run.state if self.run is not None else None
        if state != self._bound_state:  # the footer is rebuilt each time
            self._bound_state = state
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim keys in the footer that have no effect now."""
        state = self.run.state if self.run is not None else State.IDLE
        if action in ("pause", "stop"):
            return True if state in (State.TRAINING, State.PAUSED) else None
        if action == "step":
            return None if state in (State.TRAINING, OPENING) else True
        if action == "recover":
            return parameters[0] in lower_rates(self.run)
        if action == "save":
            return True if self.run is not None else None
        return True

    def on_key(self, event: events.Key) -> None:
        """Say why a key of the curve that is dimmed does nothing."""
        run, action = self.run, {"space": "pause", "x": "stop"}.get(event.key)
        if action and isinstance(self.screen.focused, CurvePanel) and self.check_action(action, ()) is None:
            name = "No run" if run is None else f"{shown_text(run.name)} is {run.state}: no run"
            self.notify(f"{name} is training here. {key('train.train')} trains.", severity="warning", markup=False)

    @on(SettingsForm.Edited)
    def _edited(self) -> None:
        self._training.forget_refusal()
        self.view.yield_to_typing()
        self.show_plan_later()

    @on(SettingsForm.Submitted)
    def _submitted(self, event: SettingsForm.Submitted) -> None:
        self.show_waiting_plan()
        plan = self.plan
        is_target = event.name == "num_epochs" and plan == "continue" and event.name in self.form.pending
        if is_target or (event.name in LIVE and plan == "apply"):
            self.action_train()
        else:
            self.screen.focus_next()

    # ------------------------------------------------------------------ actions

    @on(Button.Pressed, "#train-go")
    def action_train(self) -> None:
        plan, run = self.plan, self.run
        if self.form.value is None:
            self._show_errors()
        elif plan == "new":
            self._training.do(self._training.create_and_train())
        elif run is None:
            return
        elif plan == "resume":
            self._training.pause_or_resume(run)
        elif plan == "apply":
            self._training.do(self._training.apply(run))
        elif plan == "continue":
            self._training.do(self._training.continue_run(run))

    @on(Button.Pressed, "#train-pause")
    def action_pause(self) -> None:
        if self.run is not None:
            self._training.pause_or_resume(self.run)

    @on(Button.Pressed, "#train-stop")
    def action_stop(self) -> None:
        if self.run is not None:
            self._training.stop(self.run)

    @on(Button.Pressed, ".recover")
    def _recover_pressed(self, event: Button.Pressed) -> None:
        self.action_recover(str(event.button.id).removeprefix("recover-"))

    def action_recover(self, key: str) -> None:
        run, rate = self.run, lower_rates(self.run).get(key)
        if run is not None and rate is not None:
            self._training.do(self._training.recover(run, rate))

    def action_step(self) -> None:
        if self.form.value is None:
            self._show_errors()
        else:
            self._training.do(self._training.step())

    def action_scale_rate(self, direction: int) -> None:
        """Raise or lower the learning rate by a quarter: in the run that trains, otherwise in the form."""
        run, config = self.run, self.form.value
        moving = run is not None and run.state in (State.TRAINING, State.PAUSED) and self.plan != "new"
        rate = self._wanted_rate or (run.learning_rate if run is not None and moving else None)
        rate = rate or (config.learning_rate if config is not None else None)
        if rate is None:
            return
        rate = float(f"{rate * RATE_STEP**direction:.4g}")
        self.form.change({"learning_rate": typed(rate)})
        if moving and run is not None:
            self._wanted_rate = rate
            self._training.set_rate(run, rate)
        self.show_plan()

    def action_settings(self) -> None:
        """Open the drawer, if there is one, and focus the settings; if they have the focus, go back to the curve."""
        settings_box = self.query_one("#settings")
        if settings_box.has_focus_within and self.drawer:
            self.action_curve()
            return
        self.drawer = True
        self.call_after_refresh(self.form.focus_first)

    def action_curve(self) -> None:
        """Go back to the curve, and undo the edits that were not applied to a run that trains."""
        run = self.run
        if run is not None and run.state in (State.TRAINING, State.PAUSED) and not self._is_of_new_run(run):
            kept = kept_texts(run, self.form.texts)
            if kept:
                self.form.change(kept)
                words = " and ".join(f"{setting(name).label} {text}" for name, text in kept.items())
                self.notify(f"The edit is taken back: {words} again. Enter applies an edit.", markup=False)
                self.show_plan()
        self.show_curve()

    def show_curve(self) -> None:
        """Put the focus on the curve; a drawer closes, and so does the message of a refused training."""
        self._training.forget_refusal()
        super().show_curve()

    def _is_of_new_run(self, run: WatchedRun) -> bool:
        return run.config is None or self.fresh or differs(run.config, self.form.texts)

    def action_new_run(self) -> None:
        """Prepare a new run with the settings of the form. The open run is unchanged, and continues if it trains."""
        run, config = self.run, self.form.value
        self.fresh = True
        # A change while a run trains is for that run only: a new one begins with the values of its preset.
        preset = preset_of(config, but_for=(*LIVE, "corpus")) if not self.form.preset else None
        if preset is not None:
            self.form.change({name: typed(getattr(preset.config, name)) for name in LIVE})
        if run is not None and run.state == State.TRAINING:
            self.notify(f"{shown_text(run.name)} continues training", markup=False)
        self.show_plan()

    def action_about(self) -> None:
        from tui.panes.train.preset_dialog import PresetScreen

        run, name = self.run, self.form.preset
        of_run = preset_of(run.config) if run is not None else None
        preset = self.form.presets.get(name or "") or of_run
        if preset is None:
            self.notify("These settings are not those of a preset: choose one in the form.", markup=False)
            return
        if run is None or of_run is not preset:
            self.app.push_screen(PresetScreen(preset))
        else:
            measured = values_at(run.training, list(preset.published))
            self.app.push_screen(PresetScreen(preset, measured, run.name))

    @work
    async def action_save_preset(self) -> None:
        from tui.panes.train.own_presets import ask_about_preset

        if self.form.value is None:
            self._show_errors()
        else:
            await ask_about_preset(self, self.form.value)

    @work
    async def action_save(self) -> None:
        from tui.dialogs.name import NameDialog

        run = self.run
        if run is None:
            return
        body = "The same name saves now; another name saves a copy."
        name = await self.app.push_screen_wait(NameDialog("Save", run.name, "Save", check_name, body))
        if name is not None and is_alive(self):
            await self._training.guarded(self._training.save(run, name))

    def _show_errors(self) -> None:
        self.drawer = True
        self.call_after_refresh(self.form.focus_error)
        errors = self.form.reading.errors
        words = counted(len(errors), "setting needs", "settings need")
        self.notify(f"{words} another value first", severity="warning", markup=False)
