"""The left side of the Train pane: the settings, what a training with them will be, and the buttons."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button

from core.events import State
from core.settings.run_config import RunConfig
from tui.engines.watched_run import WatchedRun
from tui.panes.train.form_facts import FormFacts
from tui.panes.train.keys import LABELS
from tui.panes.train.plan import Plan, pending_notes
from tui.panes.train.settings_form import SettingsForm
from tui.shell.lit_box import LitVertical
from tui.text.safe import shown_text


class SettingsPanel(LitVertical):
    """Form, facts and buttons; where the screen is narrow it is a drawer."""

    def __init__(self, config: RunConfig, corpora: Iterable[str] = (), *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._config = config
        self._corpora = tuple(corpora)
        self._title = ""

    def compose(self) -> ComposeResult:
        yield SettingsForm(self._config, self._corpora, id="form")
        yield FormFacts(id="form-facts")
        with Horizontal(id="train-buttons"):
            yield Button("Train new run", variant="primary", compact=True, id="train-go",
                         tooltip="Train with these settings")  # fmt: skip
            yield Button("Pause", compact=True, id="train-pause",
                         tooltip="Pause this training, or let it go on")  # fmt: skip
            yield Button("Stop", compact=True, id="train-stop",
                         tooltip="End this training; what is learned is saved, and it can go on later")  # fmt: skip

    @property
    def form(self) -> SettingsForm:
        """The settings."""
        return self.query_one(SettingsForm)

    @property
    def facts(self) -> FormFacts:
        """What a training with them will be."""
        return self.query_one(FormFacts)

    def show_plan(self, plan: Plan, run: WatchedRun | None, data_dir: Path | None) -> None:
        """Say what Train would do now, and to which run."""
        go, pause = self.query_one("#train-go", Button), self.query_one("#train-pause", Button)
        _label(go, LABELS[plan])
        go.disabled = plan in ("watch", "wait")
        name = shown_text(run.name) if run is not None else ""
        title = f"settings of {'a new run' if plan == 'new' else name}"
        if title != self._title:  # with its title all of the panel is painted again
            self._title = title
            self.border_title = Content(title)
        state = run.state if run is not None else State.IDLE
        is_working = state in (State.TRAINING, State.PAUSED)
        # Where the button beside it resumes, this one has nothing to do.
        pause.disabled = not is_working or plan == "resume"
        _label(pause, "Resume" if state == State.PAUSED and plan != "resume" else "Pause")
        self.query_one("#train-stop", Button).disabled = not is_working
        self.form.show_pending(pending_notes(plan, run, self.form.value))
        self.facts.show(self.form.value, data_dir)


def _label(button: Button, words: str) -> None:
    """Another label, which the button's width follows."""
    if str(button.label) != words:
        button.label = Content(words)
        button.refresh(layout=True)
