"""The Train pane: settings at the left, the run and its curve at the right."""

from __future__ import annotations

import math

from textual import events, on, work
from textual.widgets import Button

from core.events import State
from core.runs.store import check_name
from core.settings.run_config import setting
from tui.engines.watched_run import OPENING
from tui.forms.schema import typed
from tui.messages import RunChosen
from tui.panes.train.comparison import other_precision, preset_of, values_at
from tui.panes.train.failure import lower_rates
from tui.panes.train.keys import KEYS
from tui.panes.train.plan import LIVE, kept_texts
from tui.panes.train.run_on_screen import RunOnScreen
from tui.panes.train.run_view import CurvePanel
from tui.panes.train.settings_form import SettingsForm
from tui.services import host, is_alive, listen
from tui.text.keys import key
from tui.text.safe import shown_text

RATE_STEP = 1.25


class TrainPane(RunOnScreen):
    """Trains the run on screen, or a new one."""

    BINDINGS = KEYS

    def on_mount(self) -> None:
        listen(self, {RunChosen: self._run_chosen})

    def focus(self, scroll_visible: bool = True, from_app_focus: bool = False) -> TrainPane:
        """Put the focus where the keys of this pane work."""
        self.view.focus_curve()
        return self

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim keys in the footer that have no effect now."""
        state = self.run.state if self.run is not None else State.IDLE
        if action in ("pause", "stop"):
            return True if state in (State.TRAINING, State.PAUSED) else None
        if action == "step":
            is_busy = state == OPENING or (state == State.TRAINING and self.plan != "new")
            return None if is_busy else True
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
            how = "" if host(self).read_only else f" {key('train.train')} trains."
            self.notify(f"{name} is training here.{how}", severity="warning", markup=False)

    @on(SettingsForm.Edited)
    def _edited(self) -> None:
        self.training.forget_refusal()
        self.view.yield_to_typing()

    @on(SettingsForm.Read)
    def _form_read(self) -> None:
        self.show_plan()

    @on(SettingsForm.Submitted)
    def _submitted(self, event: SettingsForm.Submitted) -> None:
        self.show_plan()  # which says what is pending
        plan = self.plan
        is_target = event.name == "num_epochs" and plan == "continue" and event.name in self.form.pending
        if is_target or (event.name in LIVE and plan == "apply"):
            self.action_train()
        else:
            self.screen.focus_next()

    # ------------------------------------------------------------------ actions

    def _run_chosen(self, event: RunChosen) -> None:
        if event.purpose == "resume":
            self.action_train()

    @on(Button.Pressed, "#train-go")
    def action_train(self) -> None:
        plan, run = self.plan, self.run
        if self.form.value is None:
            self.show_errors()
        elif plan == "new":
            self.training.do(self.training.create_and_train())
        elif run is None:
            return
        elif plan == "resume":
            self.training.pause_or_resume(run)
        elif plan == "apply":
            self.training.do(self.training.apply(run))
        elif plan == "continue":
            self.training.do(self.training.continue_run(run))

    @on(Button.Pressed, "#train-pause")
    def action_pause(self) -> None:
        if self.run is not None:
            self.training.pause_or_resume(self.run)

    @on(Button.Pressed, "#train-stop")
    def action_stop(self) -> None:
        if self.run is not None:
            self.training.stop(self.run)

    @on(Button.Pressed, ".recover")
    def _recover_pressed(self, event: Button.Pressed) -> None:
        self.action_recover(str(event.button.id).removeprefix("recover-"))

    def action_recover(self, key: str) -> None:
        run, rate = self.run, lower_rates(self.run).get(key)
        if run is not None and rate is not None:
            self.training.do(self.training.recover(run, rate))

    def action_step(self) -> None:
        if self.form.value is None:
            self.show_errors()
        else:
            self.training.do(self.training.step())

    def action_scale_rate(self, direction: int) -> None:
        """Raise or lower the learning rate by a quarter: in the run that trains, otherwise in the form."""
        run, config = self.run, self.form.value
        moving = run is not None and run.state in (State.TRAINING, State.PAUSED) and self.plan != "new"
        rate = config.learning_rate if config is not None else None
        if moving and run is not None:
            rate = self.wanted_rates[-1] if self.wanted_rates else run.learning_rate or rate
        if rate is None:
            return
        rate = min(float(f"{rate * RATE_STEP**direction:.4g}"), setting("learning_rate").maximum or math.inf)
        self.form.change({"learning_rate": typed(rate)})
        if moving and run is not None:
            self.training.set_rate(run, rate)
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
        if run is not None and run.state in (State.TRAINING, State.PAUSED) and self.plan != "new":
            kept = kept_texts(run, self.form.texts)
            if kept:
                self.form.change(kept)
                words = " and ".join(f"{setting(name).label} {text}" for name, text in kept.items())
                self.notify(f"The edit is taken back: {words} again. Enter applies an edit.", markup=False)
                self.show_plan()
        self.show_curve()

    def show_curve(self) -> None:
        """Put the focus on the curve; a drawer closes, and so does the message of a refused training."""
        self.training.forget_refusal()
        super().show_curve()

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

        run = self.run
        of_run = preset_of(run.config) if run is not None else None
        preset = self.form.presets.get(self.form.preset or "") or of_run
        if preset is None:
            self.notify("These settings are not those of a preset: choose one in the form.", markup=False)
            return
        measured, name = {}, ""
        if run is not None and of_run is preset:
            measured = values_at(run.training, list(preset.published))
            name = ", ".join(filter(None, (run.name, other_precision(run.config, preset))))
        self.app.push_screen(PresetScreen(preset, measured, name, host(self).read_only))

    @work
    async def action_save_preset(self) -> None:
        from tui.panes.train.own_presets import ask_about_preset

        if self.form.value is None:
            self.show_errors()
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
            await self.training.guarded(self.training.save(run, name))
