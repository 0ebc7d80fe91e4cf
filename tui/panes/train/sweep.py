"""A sweep from the settings of the form: some of them vary, and every combination, or a search, is a run."""

from __future__ import annotations

import asyncio
from pathlib import Path

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.notifications import SeverityLevel
from textual.widget import Widget
from textual.widgets import Button, Label, Select, Static

from core.errors import EngineError, UserError
from core.settings.run_config import RunConfig, settings
from core.settings.setting import Setting, Value
from core.sweep.launch import begin_and_launch, free_sweep_name
from core.sweep.questions import QUESTIONS
from core.sweep.ranges import value_text
from core.sweep.sweep import MOST_JOBS, MOST_TRIALS, Sweep, checked_sweep, new_sweep
from core.units import counted
from tui.dialogs.checked import CheckedDialog
from tui.forms.choice import Choice
from tui.forms.drop_down import DropDown
from tui.forms.plain_input import PlainInput
from tui.messages import RunsChanged
from tui.services import host, is_alive
from tui.text.keys import key
from tui.text.safe import shown_text

ROWS = 3
OWN = "my own"


class SweepDialog(CheckedDialog[Sweep]):
    """Asks which settings vary; says while one types how many runs there are, or what is wrong."""

    AUTO_FOCUS = "#sweep-setting-0"

    def __init__(self, config: RunConfig, name: str) -> None:
        super().__init__("Start")
        self._config = config
        self._question = Choice((OWN, *QUESTIONS), id="sweep-question")
        self._name_line = PlainInput(name, placeholder="name", max_length=40, compact=True, id="sweep-name")
        labels = [(item.label, item.name) for item in settings()]
        self._setting_lists = [
            DropDown[str](labels, prompt="a setting", compact=True, id=f"sweep-setting-{row}") for row in range(ROWS)
        ]
        self._value_lines = [PlainInput(compact=True, max_length=300, id=f"sweep-values-{row}") for row in range(ROWS)]
        self._filled = [("", "")] * ROWS  # the setting and the values that the dialog itself has put into each row
        self._trials_line = PlainInput(
            placeholder="none: every combination", compact=True, max_length=6, id="sweep-trials"
        )
        self._jobs_line = PlainInput("1", compact=True, max_length=3, id="sweep-jobs")
        self._count = Static("", id="sweep-count", markup=False)

    def compose(self) -> ComposeResult:
        with self.box("Sweep: many runs from these settings", "sweep"):
            with Horizontal(classes="sweep-row"):
                yield Label("question")
                yield self._question
            with Horizontal(classes="sweep-row"):
                yield Label("name")
                yield self._name_line
            for setting, values in zip(self._setting_lists, self._value_lines, strict=True):
                with Horizontal(classes="sweep-row"):
                    yield setting
                    yield values
            with Horizontal(classes="sweep-row"):
                yield Label("runs of a search")
                yield self._trials_line
                yield Label("side by side")
                yield self._jobs_line
            yield self._count
            yield from self.foot()

    def on_mount(self) -> None:
        self.check()

    @property
    def _vary(self) -> tuple[str, ...]:
        pairs = zip(self._setting_lists, self._value_lines, strict=True)
        return tuple(f"{setting.value}={values.value}" for setting, values in pairs if setting.value != Select.NULL)

    def answer(self) -> Sweep:
        question = QUESTIONS.get(self._question.value)
        config = self._config.replace(**question.changes) if question is not None else self._config
        trials = _whole(self._trials_line.value, "runs of a search", 0, MOST_TRIALS)
        jobs = _whole(self._jobs_line.value, "runs side by side", 1, MOST_JOBS)
        sweep = checked_sweep(Sweep(self._name_line.value.strip(), config, self._vary, trials, jobs=jobs))
        self._count.update(Content(_words(sweep)))
        return sweep

    def check(self) -> Sweep | None:
        """Say how many runs there are, or what is wrong."""
        answer = super().check()
        is_empty = not any(values.value for values in self._value_lines)
        if answer is None:
            self._count.update(Content("Choose a setting and its values: 64,128,256 or 1..8." if is_empty else ""))
        if is_empty:
            self.show_problem("")
        self._yes.disabled = answer is None
        return answer

    @on(events.DescendantFocus)
    def _focus_moved(self, event: events.DescendantFocus) -> None:
        """Say what the keys do where the focus is."""
        words = "enter start"
        match event.widget:
            case Select():
                words = "enter list"
            case Choice():
                words = "← → question"
            case Button() as button:
                words = f"enter {str(button.label).lower()}"
        self.show_keys(f"tab next   {words}   esc cancel")

    @on(Select.Changed)
    def _setting_chosen(self, event: Select.Changed) -> None:
        event.stop()
        for row, setting in enumerate(self._setting_lists):
            if setting is event.select and setting.value != Select.NULL:
                chosen, line = RunConfig.setting(str(setting.value)), self._value_lines[row]
                line.placeholder = f"{chosen.range_text()}, such as {suggested(chosen, self._config)}"
                name, values = self._filled[row]
                if line.value == values and name != chosen.name:  # nothing of the person's own
                    line.value = suggested(chosen, self._config)
                    self._filled[row] = chosen.name, line.value
                if setting.has_focus:  # chosen by the person, who types its values next
                    line.focus()
        self.check()

    @on(Choice.Changed)
    def _question_chosen(self, event: Choice.Changed) -> None:
        event.stop()
        question = QUESTIONS.get(event.value)
        vary = question.vary if question is not None else ()
        if question is not None:
            self._name_line.value = question.name
            self._trials_line.value = ""
        for row in range(ROWS):
            name, _, values = vary[row].partition("=") if row < len(vary) else ("", "", "")
            self._filled[row], self._value_lines[row].value = (name, values), values
            self._setting_lists[row].value = name or Select.NULL
        self.check()


def suggested(setting: Setting, config: RunConfig) -> str:
    """Values to begin with: all choices, or those around the present one."""
    if setting.choices:
        return ",".join(setting.choices)
    if setting.kind is bool:
        return "yes,no"
    present: Value = getattr(config, setting.name)
    if setting.kind is str or isinstance(present, str):
        return ""
    if setting.name == "seed":
        return "1..3"
    factors = (0.1, 1, 10) if setting.name == "learning_rate" else (0.5, 1, 2)
    values = {setting.kind(present * factor) for factor in factors} if present else {setting.kind(0), setting.kind(1)}
    if not present and setting.kind is float:
        values = {0.0, 0.1, 0.2}
    found = []
    for value in sorted(values):
        try:
            found.append(value_text(setting.parse(f"{value:.6g}" if setting.kind is float else str(value))))
        except UserError:
            continue
    return ",".join(found) if len(found) > 1 else ""


def _whole(text: str, what: str, least: int, most: int) -> int:
    """A whole number as typed, ``least`` for nothing. Raises UserError."""
    try:
        value = int(text.strip().replace(",", "") or least)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise UserError(f"{what} must be a whole number between {least} and {most:,}, got {text.strip()!r}")
    return value


def _words(sweep: Sweep) -> str:
    side = f", {sweep.jobs} at a time" if sweep.jobs > 1 else ", one after the other"
    if sweep.is_grid:
        runs = sweep.runs()
        return f"{counted(len(runs), 'run')}{side}: {runs[0].name} to {runs[-1].name}"
    return f"{counted(sweep.trials, 'run')}{side}: Optuna chooses their values and ends poor ones early"


async def ask_for_sweep(pane: Widget, config: RunConfig) -> None:
    """Ask which settings vary, and start the sweep in a process of its own."""
    saves, data = host(pane).saves, host(pane).data_dir
    name = await asyncio.to_thread(free_sweep_name, saves)
    if not is_alive(pane):
        return
    answer = await pane.app.push_screen_wait(SweepDialog(config, name))
    if answer is None:
        return
    severity: SeverityLevel = "information"
    words = (
        f"{answer.name} trains in a process of its own: {key('app.runs')}, then {key('runs.sweeps')} shows the sweep"
    )
    try:
        await asyncio.to_thread(_start, answer, saves, data)
    except (UserError, EngineError) as error:
        words, severity = str(error), "error"
    if is_alive(pane):
        pane.post_message(RunsChanged())
        pane.notify(shown_text(words), severity=severity, markup=False)


def _start(wanted: Sweep, saves: Path, data: Path | None) -> None:
    trials, jobs = wanted.trials, wanted.jobs
    begin_and_launch(new_sweep(wanted.name, wanted.config, wanted.vary, trials=trials, data=data, jobs=jobs), saves)
