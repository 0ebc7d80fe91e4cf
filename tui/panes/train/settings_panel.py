"""The left side of the Train pane: the settings, the preflight figures of them, and the buttons."""

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
from tui.panes.train.plan import Plan
from tui.panes.train.settings_form import SettingsForm
from tui.shell.lit_box import LitVertical
from tui.text.safe import shown_text


class SettingsPanel(LitVertical):
    """Form, facts and buttons; a drawer on a narrow screen."""

    def __init__(self, config: RunConfig, corpora: Iterable[str] = (), *, id: str | None = None) -> None:
        super().__init__(id=id, classes="box")
        self._config = config
        self._corpora = tuple(corpora)
        self._title = ""

    def compose(self) -> ComposeResult:
        yield SettingsForm(self._config, self._corpora, id="form")
        yield FormFacts(id="form-facts")
        with Horizontal(id="train-buttons", classes="buttons changes"):
            yield Button("Train new run", variant="primary", compact=True, id="train-go",
                         tooltip="Train with these settings")  # fmt: skip
            yield Button("Pause", compact=True, id="train-pause",
                         tooltip="Pause or resume this training")  # fmt: skip
            yield Button("Stop", compact=True, id="train-stop",
                         tooltip="Stop this training; the run is saved and can be continued later")  # fmt: skip

    @property
    def form(self) -> SettingsForm:
        return self.query_one(SettingsForm)

    @property
    def facts(self) -> FormFacts:
        return self.query_one(FormFacts)

    def show_plan(self, plan: Plan, run: WatchedRun | None, data_dir: Path | None, new_name: str = "") -> None:
        """Show what Train would do now, and with which run; ``new_name`` is that of a new one, if it has one."""
        go, pause = self.query_one("#train-go", Button), self.query_one("#train-pause", Button)
        _label(go, LABELS[plan])
        go.disabled = plan in ("watch", "wait")
        name = shown_text(run.name) if run is not None else ""
        new = f"the new run {shown_text(new_name)}" if new_name else "a new run"
        title = f"settings of {new if plan == 'new' else name}"
        if title != self._title:  # a new title repaints the whole panel
            self._title = title
            self.border_title = Content(title)
        state = run.state if run is not None else State.IDLE
        is_working = state in (State.TRAINING, State.PAUSED)
        # This button has no use while the one beside it resumes.
        pause.disabled = not is_working or plan == "resume"
        _label(pause, "Resume" if state == State.PAUSED and plan != "resume" else "Pause")
        self.query_one("#train-stop", Button).disabled = not is_working
        self.facts.show(self.form.value, data_dir)


def _label(button: Button, words: str) -> None:
    """Set the label; the width of the button follows."""
    if str(button.label) != words:
        button.label = Content(words)
        button.refresh(layout=True)
