"""The Train pane as it follows the run on screen: what the app publishes of it, and what it shows of its state."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from textual import work
from textual.notifications import SeverityLevel

from core.events import BudgetFitted, Note, SettingChanged, State
from core.training.preflight import preflight
from tui.engines.watched_run import OPENING, WatchedRun
from tui.forms.schema import typed
from tui.messages import (
    CorpusChosen,
    DevicesFound,
    EngineLost,
    JournalGrew,
    RunFolderSeen,
    RunOpened,
    RunRead,
    RunStateChanged,
    RunUnreadable,
    TextsChanged,
)
from tui.panes.train.failure import failure_words, lower_rates
from tui.panes.train.parts import TrainParts
from tui.panes.train.plan import LIVE, kept_texts
from tui.services import host, listen
from tui.text.keys import key
from tui.text.safe import shown_text

if TYPE_CHECKING:
    from tui.panes.train.training import Training

NEWEST = 5  # of the events that arrive together, as when a journal is opened: older notes are not shown again


class RunOnScreen(TrainParts):
    """Puts runs on screen and keeps them up to date."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        # The run state for which the keys were last checked, whether Train made a new run, and whether lower rates were
        # offered; None at first.
        self._bound: tuple[str | None, bool, bool] | None = None

    @cached_property
    def training(self) -> Training:
        """The work behind the actions. Imported here: the first screen needs nothing of it."""
        from tui.panes.train.training import Training

        return Training(self)

    def on_mount(self) -> None:
        listen(self, {
            RunRead: self._run_read, RunUnreadable: self._run_unreadable, RunOpened: self._run_opened,
            JournalGrew: self._journal_grew, RunStateChanged: self._run_state_changed, EngineLost: self._engine_lost,
            RunFolderSeen: self._run_folder_seen,
            CorpusChosen: self._corpus_chosen, TextsChanged: self._texts_changed, DevicesFound: self._devices_found,
        })  # fmt: skip
        self.watch(self.app, "current_run", self._put_on_screen, init=False)
        self.show_plan()
        self.call_after_refresh(self._read_paces)
        self.call_after_refresh(self._read_presets)

    @work
    async def _read_presets(self) -> None:
        from tui.panes.train.own_presets import show_own_presets

        await show_own_presets(self, say=True)

    def _put_on_screen(self, path: Path | None) -> None:
        """Another run is on screen, whose files have not been read yet, or none is."""
        self.run = run = WatchedRun(path, OPENING) if path is not None else None
        self.fresh = False
        self.wanted_rates = []
        self.view.busy = ""
        self.view.show_failure("")
        self.view.watch_run(run)
        self.show_plan()

    def _run_read(self, event: RunRead) -> None:
        run, metadata = self.run, event.metadata
        if run is None or run.path != event.path:
            return
        run.set_metadata(metadata, event.summary)
        if event.summary.remark:
            self.notify(shown_text(event.summary.remark), severity="warning", timeout=10, markup=False)
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
            self.training.want_baselines(self.run)

    def _run_state_changed(self, event: RunStateChanged) -> None:
        self._set_state(event.path, event.state, event.text)

    def _engine_lost(self, event: EngineLost) -> None:
        self._show_failure(event.path, event.reason)

    def _journal_grew(self, event: JournalGrew) -> None:
        run, events = self.run, event.events
        if run is None or run.path != event.path:
            return
        before = run.state, run.message, lower_rates(run)
        run.apply(events)
        changed = {event.name: typed(event.value) for event in events if isinstance(event, SettingChanged)}
        if run.num_epochs is not None and any(isinstance(event, BudgetFitted) for event in events):
            changed["num_epochs"] = typed(run.num_epochs)
        if changed and run.config is not None:
            for change in events:
                if isinstance(change, SettingChanged) and change.value in self.wanted_rates:
                    del self.wanted_rates[: self.wanted_rates.index(change.value) + 1]
            if self.wanted_rates:
                changed.pop("learning_rate", None)  # the form has the rate asked for last
            if not self.fresh:  # otherwise the form has the settings of the next run
                self.form.change({name: text for name, text in changed.items() if name in LIVE})
            self.settings_changed()
        if (run.state, run.message, lower_rates(run)) != before:
            self._state_changed(run)
        if run.state in (State.TRAINING, State.PAUSED):
            for note in (event for event in events[-NEWEST:] if isinstance(event, Note)):
                self.notify(shown_text(note.text), severity="warning", timeout=10, markup=False)
        self.training.want_baselines(run)
        self.view.changed()

    def _corpus_chosen(self, event: CorpusChosen) -> None:
        texts = {name: typed(value) for name, value in event.settings.items()}
        self.form.change({"sample_prefix": self.form.prefix_for(texts["corpus"]), **texts})
        self.training.forget_refusal()
        self.fresh = self.fresh or self.run is None
        self.show_plan()
        config = self.form.value
        facts = preflight(config, event.text) if config is not None and event.text is not None else None
        then = "" if host(self).read_only else f"{key('train.train')} trains on it"
        remarks = facts.warnings if facts is not None else ()
        if config is None:
            then = "they have errors"
        elif facts is not None and facts.problem:
            then, remarks = "they do not fit it", (facts.problem,)
        words = f"{Path(texts['corpus']).name} is now the text in the settings{then and ': '}{then}"
        severity: SeverityLevel = "warning" if remarks else "information"
        self.notify("\n".join(map(shown_text, (words, *remarks))), severity=severity, markup=False)

    def _devices_found(self, event: DevicesFound) -> None:
        self.panel.facts.set_devices(event.devices)

    def _texts_changed(self, _event: TextsChanged) -> None:
        self.form.clear_outside_errors()
        self.training.forget_refusal()
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
        read_only = host(self).read_only
        words = failure_words(run, read_only)
        if words:
            self.view.show_failure(words, {} if read_only else lower_rates(run))
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
        """Show what Train does now; check the keys again if what they depend on has changed."""
        super().show_plan()
        state = self.run.state if self.run is not None else None
        bound = state, self.plan == "new", bool(lower_rates(self.run))
        if bound != self._bound:  # the footer is rebuilt each time
            self._bound = bound
            self.refresh_bindings()
