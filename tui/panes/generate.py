"""The Generate pane: a prefix goes in, the model goes on writing."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, ClassVar, cast

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Button, Input, Select, Static
from textual.worker import Worker

from core.config import Value
from core.errors import ConfigError, EngineError, UserError
from core.events import State
from core.runs.run import Run, RunSummary, list_runs
from tui.beginnings import beginning
from tui.form_state import typed
from tui.host import host, stands
from tui.messages import RunsChanged
from tui.strategies import LENGTH, OPTIONAL, SETTINGS, STRATEGIES, settings_words, strategy_named
from tui.text import clip_cells, shown_text
from tui.widgets.choice import Choice
from tui.widgets.field import SettingField
from tui.widgets.generation import Generation
from tui.widgets.plain_input import PlainInput

REFRESH_SECONDS = 1.0  # between two looks at the run that is asked
LIST_EVERY = 5  # looks between two readings of the whole list
PAINTS_PER_SECOND = 15
KEPT = 40
NO_RUNS = (
    "There is no model yet that could write.\n\n"
    "Choose a text in Data and press Train: from its first epoch on the model can be asked here,\n"
    "while it goes on learning."
)
HINT = (
    "Type how the text begins and press enter: the model goes on from there.\n\n"
    "A model that is being trained writes with the weights of this very moment. "
    "Texts stay here, one below the other, to be compared."
)


class PrefixInput(PlainInput):
    """Where the prefix is typed; enter lets the model go on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Write", tooltip="Let the model go on from the prefix", id="generate.write"),
    ]


class GeneratePane(Horizontal):
    """Asks a run to write, and keeps what it wrote."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop", tooltip="Stop writing", id="generate.stop"),
        Binding("ctrl+y", "copy", "Copy", tooltip="Copy the newest text, or the one in focus", id="generate.copy"),
        Binding("ctrl+l", "clear", "Clear", tooltip="Forget the texts written so far", id="generate.clear"),
    ]

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._runs: tuple[RunSummary, ...] = ()
        self._timer: Timer | None = None
        self._looks = 0
        self._reading: Worker[None] | None = None
        self._writing: Worker[None] | None = None
        self._suggested = ""

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="generate-form", can_focus=False) as form:
            form.border_title = "Generate"
            with Vertical(classes="field"):
                yield Static("run", classes="field-label", markup=False)
                yield Select[str]((), prompt="no runs yet", compact=True, id="generate-run")
            with Vertical(classes="field", id="prefix-field"):
                yield Static("prefix", classes="field-label", markup=False)
                yield PrefixInput(placeholder="how the text begins", compact=True, id="generate-prefix")
            yield SettingField(LENGTH, typed(LENGTH.default))
            with Vertical(classes="field"), Horizontal(classes="field-line"):
                yield Static("strategy", classes="field-label", markup=False)
                yield Choice(tuple(strategy.name for strategy in STRATEGIES), id="generate-strategy")
            for setting in SETTINGS:
                yield SettingField(setting, "" if setting.name in OPTIONAL else typed(setting.default))
            with Horizontal(classes="buttons"):
                yield Button("Write", variant="primary", compact=True, id="generate-write")
                yield Button("Stop", compact=True, disabled=True, id="generate-stop")
            yield Static(STRATEGIES[0].help, id="generate-help", markup=False)
        with VerticalScroll(id="generate-history", can_focus=False):
            yield Static("Reading the runs …", id="generate-notice", markup=False)

    def on_mount(self) -> None:
        self.query_one("#generate-history").border_title = "Texts"
        self.query_one("#edit-seed", Input).placeholder = "new each time"
        self._timer = self.set_interval(REFRESH_SECONDS, self._look_again, pause=True)
        self.watch(self.app, "current_run", self._current_run_changed, init=False)
        self.reload()

    def on_show(self) -> None:
        if self._timer:
            self._timer.resume()
        self.reload()

    def on_hide(self) -> None:
        if self._timer:
            self._timer.pause()

    def focus(self, scroll_visible: bool = True, from_app_focus: bool = False) -> GeneratePane:
        """Put the focus on the prefix."""
        self.query_one("#generate-prefix").focus(scroll_visible)
        return self

    # ------------------------------------------------------------------ which run

    @property
    def run(self) -> RunSummary | None:
        """The run that is asked."""
        value = self.query_one("#generate-run", Select).value
        return next((run for run in self._runs if str(run.path) == value), None)

    def choose(self, path: Path) -> None:
        """Ask the run at ``path`` from now on."""
        self._reading = self._reload(path)

    @on(RunsChanged)
    def reload(self) -> None:
        """Read the list of runs again."""
        self._reading = self._reload()

    def _look_again(self) -> None:
        # A disk slower than the clock is let finish: begun anew at every tick, it never would.
        if not stands(self) or (self._reading is not None and not self._reading.is_finished):
            return
        self._looks += 1
        if self._looks % LIST_EVERY and self.run is not None:
            self._reading = self._look_at(self.run.path)
        else:
            self.reload()

    def _current_run_changed(self, path: Path | None) -> None:
        if path is not None:
            self.choose(path)

    @work(exclusive=True, group="runs")
    async def _reload(self, choose: Path | None = None) -> None:
        runs = tuple(run for run in await asyncio.to_thread(list_runs, host(self).saves) if not run.problem)
        if not stands(self):
            return
        select = self.query_one("#generate-run", Select)
        wanted = str(choose) if choose else None if select.value is Select.NULL else str(select.value)
        if wanted is None:
            wanted = str(host(self).current_run)
        if [run.path for run in runs] != [run.path for run in self._runs] or not self._runs:
            with self.prevent(Select.Changed):
                select.prompt = "choose a run" if runs else "no runs yet"
                select.set_options((Content(shown_text(clip_cells(run.name, 60))), str(run.path)) for run in runs)
        before = self.run
        self._runs = runs
        paths = [str(run.path) for run in runs]
        value = wanted if wanted in paths else paths[0] if paths else Select.NULL
        with self.prevent(Select.Changed):
            select.value = value
        if self.run is not None and (before is None or before.path != self.run.path):
            self._suggest_prefix(self.run.path)
        self._show_run()

    @work(exclusive=True, group="runs")
    async def _look_at(self, path: Path) -> None:
        """What is new of one run: its state and its epoch."""
        summary = await asyncio.to_thread(Run(path).summary)
        if not summary.problem and stands(self):
            self._runs = tuple(summary if run.path == path else run for run in self._runs)
            self._show_run()

    @on(Select.Changed, "#generate-run")
    def _run_chosen(self) -> None:
        if self.run is not None:
            self._suggest_prefix(self.run.path)
        self._show_run()

    @work(exclusive=True, group="prefix")
    async def _suggest_prefix(self, path: Path) -> None:
        """The beginning of the text that the run was trained on, unless the person has typed something."""
        words = await asyncio.to_thread(beginning, path)
        if not stands(self):
            return
        prefix = self.query_one("#generate-prefix", Input)
        if words and prefix.value in ("", self._suggested):
            self._suggested = prefix.value = words

    def _show_run(self) -> None:
        run = self.run
        history = self.query_one("#generate-history")
        history.border_title = Content(shown_text(clip_cells(run.name, 40))) if run else "Texts"
        history.border_subtitle = Content(weights_words(run)) if run else None
        self.query_one("#generate-write", Button).disabled = run is None or self.writing
        notice = self.query_one("#generate-notice", Static)
        notice.update(HINT if run else NO_RUNS)
        notice.display = not self.query(Generation)

    # ------------------------------------------------------------------ the form

    @on(Choice.Changed, "#generate-strategy")
    def _strategy_changed(self) -> None:
        strategy = strategy_named(self.query_one("#generate-strategy", Choice).value)
        self.query_one("#generate-help", Static).update(strategy.help)
        for setting in SETTINGS:
            self.query_one(f"#field-{setting.name}").display = setting.name in strategy.settings

    @on(SettingField.Edited)
    def _edited(self) -> None:
        self._values()

    @on(SettingField.Submitted)
    @on(Input.Submitted, "#generate-prefix")
    @on(Button.Pressed, "#generate-write")
    def _asked(self) -> None:
        self.action_write()

    @on(Button.Pressed, "#generate-stop")
    def _stop_pressed(self) -> None:
        self.action_stop()

    def _values(self) -> dict[str, Value] | None:
        """The settings of the chosen strategy, or None where one is wrong; what is wrong stands beside it."""
        strategy = strategy_named(self.query_one("#generate-strategy", Choice).value)
        values: dict[str, Value] = {}
        right = True
        for setting in (LENGTH, *SETTINGS):
            if setting is not LENGTH and setting.name not in strategy.settings:
                continue
            field = self.query_one(f"#field-{setting.name}", SettingField)
            error = ""
            try:
                if field.text.strip() or setting.name not in OPTIONAL:
                    values[setting.name] = setting.parse(field.text)
            except ConfigError as problem:
                error, right = str(problem), False
            field.show_error(error)
        return values if right else None

    # ------------------------------------------------------------------ writing

    @property
    def writing(self) -> bool:
        """Whether a text is being written now."""
        return self._writing is not None and not self._writing.is_finished

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Stop only while there is something to stop; copy and clear only with a text there."""
        if action == "stop":
            return self.writing
        if action in ("copy", "clear"):
            return bool(self.query(Generation)) and not (action == "clear" and self.writing)
        return True

    def action_write(self) -> None:
        """Let the run write."""
        run, values = self.run, self._values()
        if run is None or values is None or self.writing:
            return
        strategy = self.query_one("#generate-strategy", Choice).value
        if "seed" in strategy_named(strategy).settings:
            values.setdefault("seed", random.randrange(10**6))
        prefix = self.query_one("#generate-prefix", Input).value
        words = f"{weights_words(run)} · {settings_words(strategy, values)}"
        self._writing = self._write(run, Generation(run.name, words, prefix), prefix, strategy, values)
        self._show_activity()

    @work(exclusive=True, group="write")
    async def _write(
        self, run: RunSummary, generation: Generation, prefix: str, strategy: str, values: dict[str, Value]
    ) -> None:
        history = self.query_one("#generate-history", VerticalScroll)
        self.query_one("#generate-notice").display = False
        await history.mount(generation)
        for old in list(self.query(Generation))[:-KEPT]:
            old.remove()
        history.scroll_end(animate=False)
        painter = self.set_interval(1 / PAINTS_PER_SECOND, lambda: self._paint(generation))
        try:
            client = await host(self).engines.client(run.path)
            events = client.stream("generate", prefix=prefix, strategy=strategy, **values)
            # Closed at once where we are stopped, so that the engine hears of it at once.
            async with contextlib.aclosing(cast("AsyncGenerator[dict[str, Any], None]", events)):
                async for event in events:
                    self._take(event, generation)
                    # Many pieces may lie ready at once: between them the screen has its turn.
                    await asyncio.sleep(0)
        except asyncio.CancelledError:
            if stands(self):
                generation.stop()
            raise
        except (UserError, EngineError) as error:
            if stands(self):
                generation.fail(str(error))
        finally:
            painter.stop()
            self._writing = None
            if stands(self):
                self._show_activity()

    def _take(self, event: dict[str, Any], generation: Generation) -> None:
        if event.get("event") == "text":
            generation.add(str(event.get("text", "")))
        elif event.get("event") == "done" and stands(self):
            text, unknown = event.get("text"), event.get("unknown")
            self._paint(generation)
            words = [str(token) for token in unknown] if isinstance(unknown, list) else []
            generation.finish(text if isinstance(text, str) else None, words)

    def _paint(self, generation: Generation) -> None:
        """Show what has come; the view stays at the end, unless the person has scrolled away from it."""
        if not stands(self):
            return
        history = self.query_one("#generate-history", VerticalScroll)
        at_end = history.scroll_y >= history.max_scroll_y - 1
        generation.flush()
        if at_end:
            history.scroll_end(animate=False)

    def _show_activity(self) -> None:
        self.query_one("#generate-write", Button).disabled = self.writing or self.run is None
        self.query_one("#generate-stop", Button).disabled = not self.writing
        self.refresh_bindings()

    def action_stop(self) -> None:
        """Stop writing; what is there stays."""
        if self._writing is not None:
            self._writing.cancel()

    def action_copy(self) -> None:
        """Copy the text in focus, or else the newest one."""
        texts = list(self.query(Generation))
        if texts:
            focused = next((text for text in texts if text.has_focus), texts[-1])
            self.app.copy_to_clipboard(focused.text)
            self.notify(f"{len(focused.text):,} characters copied", markup=False)

    def action_clear(self) -> None:
        """Forget the texts."""
        self.query(Generation).remove()
        self.query_one("#generate-notice").display = True
        self.call_after_refresh(self.refresh_bindings)


def weights_words(run: RunSummary) -> str:
    """Which weights write: ``live weights, epoch 143``, ``untrained weights``, ``epoch 250``."""
    if run.state in (State.TRAINING, State.PAUSED):
        return f"live weights, epoch {run.epoch:,}"
    return f"epoch {run.epoch:,}" if run.epoch else "untrained weights"
