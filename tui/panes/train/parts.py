"""The parts of the Train pane, and what Train would do with them now.

Dialogs are imported where they are opened: the first paint does not wait for them.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.reactive import reactive

from core.corpus.catalogue import DOWNLOADS, texts
from core.errors import UserError
from core.runs.store import check_name
from core.settings.presets import offered_presets
from core.settings.run_config import RunConfig
from core.units import counted
from tui.engines.watched_run import WatchedRun
from tui.messages import SettingsRead
from tui.panes.train.curves import PERPLEXITY, metrics_of
from tui.panes.train.plan import Plan, pending_notes, pending_words, plan_of
from tui.panes.train.run_view import RunView
from tui.panes.train.settings_form import SettingsForm
from tui.panes.train.settings_panel import SettingsPanel
from tui.services import host, is_alive
from tui.text.keys import key
from tui.text.safe import shown_text


class TrainParts(Horizontal):
    """Settings at the left, the run at the right. ``run`` is the run on screen.

    ``fresh``: a new run was asked for, although the settings are those of the run on screen. ``new_name``: the name of
    the next new run; empty for one made from the name of the text. ``wanted_rates``: the learning rates that the keys
    asked ``run`` for and that it has not confirmed, oldest first.
    """

    drawer: reactive[bool] = reactive(False, toggle_class="-drawer")
    """Whether the settings are open where they are a drawer."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.run: WatchedRun | None = None
        self.fresh = False
        self.new_name = ""
        self.wanted_rates: list[float] = []
        self._told: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        yield SettingsPanel(self._first_config(), self._corpora(), id="settings")
        yield RunView(id="run-view")

    def _first_config(self) -> RunConfig:
        config = host(self).first_settings or next(iter(offered_presets().values())).config
        try:
            return config.replace(device=host(self).device)
        except UserError:
            return config

    def _corpora(self) -> Sequence[str]:
        names = [*(text.name for text in texts(host(self).data_dir)), *(entry.name for entry in DOWNLOADS)]
        return list(dict.fromkeys(names))

    @property
    def panel(self) -> SettingsPanel:
        return self.query_one(SettingsPanel)

    @property
    def form(self) -> SettingsForm:
        return self.panel.form

    @property
    def view(self) -> RunView:
        return self.query_one(RunView)

    @property
    def plan(self) -> Plan:
        return plan_of(self.run, self.form.texts, self.form.value, self.fresh)

    def show_plan(self) -> None:
        plan = self.plan
        self.panel.show_plan(plan, self.run, host(self).data_dir, self.new_name)
        if not host(self).read_only:  # where no edit is applied, and no run trained
            self.form.show_pending(pending_notes(plan, self.run, self.form.value))
            self.view.show_pending(pending_words(plan, self.run, self.form.texts, self.form.value))
        errors = self.form.reading.errors
        texts = {name: text for name, text in self.form.texts.items() if name not in errors}
        if texts != self._told:
            self._told = texts
            self.post_message(SettingsRead(texts))

    @work
    async def action_name(self) -> None:
        from tui.dialogs.name import NameDialog

        body = "The new run gets this name when it is trained; without one, the name is made from that of the text."
        dialog = NameDialog("Name of the new run", self.new_name, "Name", lambda name: name and check_name(name), body)
        name = await self.app.push_screen_wait(dialog)
        if name is not None and is_alive(self):
            self.new_name, self.fresh = name, self.fresh or bool(name)
            self.show_plan()

    @work
    async def action_vary(self) -> None:
        from tui.panes.train.sweep import ask_for_sweep

        if self.form.value is None:
            self.show_errors()
        else:
            await ask_for_sweep(self, self.form.value)

    def show_errors(self) -> None:
        """Show the settings that are wrong, and say what is right for the first of them."""
        self.drawer = True
        self.call_after_refresh(self.form.focus_error)
        errors = self.form.reading.errors
        words = next(errors[setting.name] for setting in self.form.schema.settings if setting.name in errors)
        if len(errors) > 1:
            words += f"; {counted(len(errors) - 1, 'other setting needs', 'other settings need')} another value too"
        self.notify(shown_text(words), severity="warning", markup=False)

    def settings_changed(self) -> None:
        self.show_plan()
        self.view.changed()

    def show_curve(self) -> None:
        """Put the focus on the curve; a drawer closes, and so does the message of a refused training."""
        self.drawer = False
        self.form.clear_outside_errors()
        self.view.focus_curve()

    # ------------------------------------------------------------------ the chart

    def action_scale(self) -> None:
        self.view.next_scale()
        if self.view.figure == PERPLEXITY:
            host(self).remember(scale=self.view.scale.name)

    def action_window(self) -> None:
        self.view.next_window()
        host(self).remember(window=self.view.window)

    def action_explore(self, move: str) -> None:
        self.view.chart.explore(move)

    def action_figure(self) -> None:
        self.view.next_figure()

    def action_smooth(self) -> None:
        self.view.next_smoothing()

    @work
    async def action_export(self) -> None:
        from tui.dialogs.export import ask_to_export, exportable_runs

        if self.run is None:
            self.notify(
                f"There is no run to export: {key('train.train')} trains one.", severity="warning", markup=False
            )
            return
        view = self.view
        chart = [f"--metric={name}" for name in metrics_of(view.figure)]
        chart += [f"--scale={view.scale.name}", f"--smoothing={view.smoothing}"]
        await ask_to_export(self, exportable_runs([self.run.path], chart))
