"""The playground: wires panes, engines and keys together. A pane shows, a message tells, the app connects them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePath
from typing import ClassVar

from textual import events, on, work
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.reactive import reactive
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

from core.corpus.catalogue import DOWNLOADS, texts
from core.errors import EngineError, UserError
from core.events import State
from core.process import resume_collection
from core.runs.metadata import RunMetadata
from core.runs.run import Run
from core.runs.store import list_runs
from core.runs.summary import RunSummary, run_summary
from core.runs.trash import remove_outdated
from core.settings.presets import PRESETS
from core.settings.run_config import RunConfig
from tui.engines.clients import WORKING, Engines
from tui.engines.watched_run import OPENING, WatchedRun
from tui.messages import (
    CorpusChosen,
    DevicesFound,
    EngineLost,
    JournalGrew,
    RunChosen,
    RunDeleted,
    RunOpened,
    RunRenamed,
    RunsChanged,
    RunStateChanged,
    TextsChanged,
)
from tui.panes.train.pane import TrainPane
from tui.panes.train.preflight import device_named
from tui.preferences import Preferences
from tui.shell.footer import KeyLine
from tui.shell.header import HeaderLine, PaneTab, device_words
from tui.shell.terminal_exit import Leaving
from tui.shell.terminal_input import part_escape, steady
from tui.shell.too_small import TooSmall
from tui.shell.turns import Turns
from tui.text.safe import shown_text
from tui.themes import DARK, LIGHT

FIRST_PANE = "train"
DEVICE_SECONDS = 5.0


@dataclass(frozen=True)
class PaneKind:
    """One pane: its name, title and key, and where its class is, which is imported when it is first wanted."""

    name: str
    title: str
    key: str
    module: str
    class_name: str

    def make(self) -> Widget:
        """A new pane."""
        kind: Callable[..., Widget] = getattr(import_module(self.module), self.class_name)
        return kind(id=f"pane-{self.name}")


PANES = (
    PaneKind("data", "Data", "f2", "tui.panes.data.pane", "DataPane"),
    PaneKind("train", "Train", "f3", "tui.panes.train.pane", "TrainPane"),
    PaneKind("generate", "Generate", "f4", "tui.panes.generate.pane", "GeneratePane"),
    PaneKind("runs", "Runs", "f5", "tui.panes.runs.pane", "RunsPane"),
    PaneKind("lab", "Lab", "f6", "tui.panes.laboratory.pane", "LabPane"),
)
HERE = Path(__file__).parent
FIRST_STYLES = ("app.tcss", "panes/train/train.tcss")
LATER_STYLES = (
    "panes/data/data.tcss",
    "panes/generate/generate.tcss",
    "panes/runs/runs.tcss",
    "panes/laboratory/laboratory.tcss",
)
"""Not needed for the first paint: their rules would be read, and be tried on every widget, before it."""


class Playground(App[None]):
    """The app. ``engines`` are behind the runs; ``current_run`` is the one on screen."""

    TITLE = "Playground"
    CSS_PATH: ClassVar[list[str | PurePath]] = list(FIRST_STYLES)
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (160, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall"), (50, "-very-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(pane.key, f"pane('{pane.name}')", pane.title, show=False, priority=True, id=f"app.{pane.name}",
                    tooltip=f"To the {pane.title} pane; so does {number}, where no text is being typed")
            for number, pane in enumerate(PANES, 1)
        ),
        *(
            Binding(str(number), f"pane('{pane.name}')", pane.title, show=False)
            for number, pane in enumerate(PANES, 1)
        ),
        Binding("f1,question_mark", "help", "Help", tooltip="Keys, first steps, what the words mean", id="app.help"),
        Binding("f9", "toggle_theme", "Theme", tooltip="Dark or light", show=False, id="app.theme"),
        Binding("q,ctrl+q", "quit", "Quit", show=False, tooltip="Leave; trainings go on", id="app.quit"),
        Binding("ctrl+z", "suspend_process", "Suspend", show=False, system=True),
    ]  # fmt: skip

    current_run: reactive[Path | None] = reactive(None)

    def __init__(
        self, saves: Path, data_dir: Path, device: str = "auto", engines: Callable[[Playground], Engines] | None = None
    ) -> None:
        super().__init__()
        self.driver_class = steady(self.driver_class)
        part_escape()
        self.saves = saves
        self.data_dir = data_dir
        self.device = device
        self.left_training: list[str] = []
        self.preferences: Preferences | None = None  # what is remembered from one time to the next
        self.engines = engines(self) if engines else Engines(self.post_message, saves, data_dir)
        self._last_focus: dict[str, Widget] = {}
        self._leaving = Leaving()
        self._turns = Turns(self, super().on_event)
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        # As ``theme = ...`` does, but for reading all styles a second time: nothing is on screen yet.
        self.set_reactive(App.theme, DARK.name)
        self.stylesheet.set_variables(self.get_css_variables())

    # ------------------------------------------------------------------ the screen

    def compose(self) -> ComposeResult:
        yield HeaderLine([(pane.name, pane.title, pane.key) for pane in PANES])
        yield Container(id="panes")
        yield KeyLine(compact=True)
        yield TooSmall()

    async def on_mount(self) -> None:
        """Show the first pane, then do everything that takes time."""
        await self.action_pane(FIRST_PANE)
        self.call_after_refresh(self._settle)

    def _settle(self) -> None:
        self._read_later_styles()
        if self.preferences is not None:
            self.preferences.follow(self)
        self._leaving.on_signals(lambda: self.call_later(self.action_quit))
        # Back in the foreground the terminal's screen is blank, and what has not changed would not be drawn.
        self.app_resume_signal.subscribe(self, lambda _: self.refresh(layout=True))
        self.engines.prepare()
        self._find_trainings()
        self._preload()
        self.set_interval(DEVICE_SECONDS, self._ask_devices)

    @work(thread=True)
    def _preload(self) -> None:
        from tui.charts import preload

        try:
            preload()
            for pane in PANES:  # so that a pane that is opened for the first time is there at once, with its keys
                import_module(pane.module)
        finally:
            resume_collection()

    async def on_unmount(self) -> None:
        """Leave the engines: those that train go on."""
        await self.engines.close()

    @property
    def train(self) -> TrainPane:
        """The Train pane, which is always there."""
        return self.query_one(TrainPane)

    def _first_config(self) -> RunConfig:
        config = next(iter(PRESETS.values())).config
        try:
            return config.replace(device=self.device)
        except UserError:
            return config

    async def action_pane(self, name: str) -> None:
        """Show the pane called ``name``; it is made when it is first wanted, and the focus returns to where it was."""
        header, panes = self.query_one(HeaderLine), self.query_one("#panes")
        if len(self.screen_stack) > 1 or header.current == name:
            return
        if header.current and self.focused is not None:
            self._last_focus[header.current] = self.focused
        if not panes.query(f"#pane-{name}"):
            await panes.mount(self._made(next(pane for pane in PANES if pane.name == name)))
        for child in panes.children:
            child.display = child.id == f"pane-{name}"
        header.current = name
        last = self._last_focus.get(name)
        if last is not None and last.is_attached and last.focusable:
            last.focus(scroll_visible=False)
        else:
            panes.query_one(f"#pane-{name}").focus()

    async def on_event(self, event: events.Event) -> None:
        """A key is for what the user sees when it has been typed: see ``Turns``."""
        if isinstance(event, (events.InputEvent, events.Paste)) and not event.is_forwarded:
            await self._turns.take(event)
        else:
            await super().on_event(event)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """A focus, which Textual puts off, may arrive at what is not shown any more: a list that has just closed."""
        hidden = [node for node in event.widget.ancestors_with_self if not node.display]
        if hidden and self.focused is event.widget and not isinstance(self.screen, ModalScreen):
            outside = (node for node in hidden[-1].ancestors if isinstance(node, Widget) and not node.is_dom_root)
            shown = next((node for node in outside if node.focusable), None)
            (shown or self._pane).focus()

    def on_descendant_blur(self) -> None:
        """Where nothing has the focus, since what had it was hidden or removed, the pane shown gets it."""
        self.call_later(self._focus_something)

    def _focus_something(self) -> None:
        if self.app_focus and self.is_running and not isinstance(self.screen, ModalScreen) and self.focused is None:
            self._pane.focus()

    @property
    def _pane(self) -> Widget:
        """The one that is shown."""
        return self.query_one(f"#pane-{self.query_one(HeaderLine).current}")

    def _read_later_styles(self) -> None:
        """Know the styles of all panes and dialogs; 8 ms, the first time."""
        missing = [HERE / name for name in LATER_STYLES if not self.stylesheet.has_source(str(HERE / name))]
        if missing:
            self.stylesheet.read_all(missing)
            self.stylesheet.parse()

    def _made(self, kind: PaneKind) -> Widget:
        if kind.name == "train":
            names = [*(text.name for text in texts(self.data_dir)), *(entry.name for entry in DOWNLOADS)]
            return TrainPane(self._first_config(), dict.fromkeys(names), id="pane-train")
        self._read_later_styles()
        return kind.make()

    @on(PaneTab.Clicked)
    async def _tab_clicked(self, event: PaneTab.Clicked) -> None:
        await self.action_pane(event.pane)

    # ------------------------------------------------------------------ runs

    async def open_run(self, path: Path) -> None:
        """Put a run on screen: its facts, its whole curve, and its engine if it has one at this moment."""
        before = self.current_run
        if before != path:
            await self._leave_run(before)
            self.current_run = path
        self.train.watch_run(WatchedRun(path, OPENING))
        await self.engines.unfollow(path)
        try:
            self.train.know(*await asyncio.to_thread(known, Run(path)))
            self.engines.follow(path)
            await self.engines.attached(path)
        except UserError as error:
            self.engines.follow(path)
            self.train.take_state(path, State.FAILED, "")
            self.train.take_trouble(path, str(error))

    async def close_run(self) -> None:
        """Take the run off the screen."""
        await self._leave_run(self.current_run)
        self.current_run = None
        self.train.watch_run(None)

    async def _leave_run(self, path: Path | None) -> None:
        if path is not None:
            await self.engines.unfollow(path)
            if self.engines.state(path) not in WORKING:
                self.run_worker(self.engines.release(path), exit_on_error=False)

    @work
    async def _find_trainings(self) -> None:
        """Open the newest of the runs that train at this moment."""
        runs = await asyncio.to_thread(training_runs, self.saves)
        await asyncio.to_thread(remove_outdated, self.saves)
        if not runs or self.current_run is not None:
            return
        await self.open_run(runs[0].path)
        for run in runs[1:]:
            try:
                await self.engines.attached(run.path)
            except (UserError, EngineError):
                continue
        more = f"; {len(runs) - 1} more under Runs" if len(runs) > 1 else ""
        self.notify(f"{shown_text(runs[0].name)} has gone on {runs[0].state}{more}", markup=False)

    @on(RunChosen)
    async def _run_chosen(self, event: RunChosen) -> None:
        if self.current_run != event.path:
            await self.open_run(event.path)
        await self.action_pane("generate" if event.purpose == "generate" else "train")
        if event.purpose == "generate":  # it may have been asking another one while this one was on screen
            self.query_one("#pane-generate").choose(event.path)  # type: ignore[attr-defined]
        if event.purpose == "resume":
            self.train.action_train()

    @on(CorpusChosen)
    async def _corpus_chosen(self, event: CorpusChosen) -> None:
        self.train.take_corpus(event.settings)
        await self.action_pane("train")

    @on(TextsChanged)
    def _texts_changed(self) -> None:
        self.train.texts_changed()

    @on(RunRenamed)
    async def _run_renamed(self, event: RunRenamed) -> None:
        if self.current_run == event.path:
            await self.open_run(event.new_path)

    @on(RunDeleted)
    async def _run_deleted(self, event: RunDeleted) -> None:
        if self.current_run == event.path:
            await self.close_run()

    @on(RunsChanged)
    def _runs_changed(self) -> None:
        """Panes that list runs look again by themselves when they are shown."""

    @on(RunOpened)
    def _run_opened(self, event: RunOpened) -> None:
        if not self.is_running:
            return  # on the way out: what it would be shown in is being taken down
        self.train.take_engine(event.path, event.answer.state)

    @on(JournalGrew)
    def _journal_grew(self, event: JournalGrew) -> None:
        if not self.is_running:
            return
        self.train.take_events(event.path, event.events)

    @on(RunStateChanged)
    def _run_state_changed(self, event: RunStateChanged) -> None:
        if not self.is_running:
            return
        self.train.take_state(event.path, event.state, event.text)
        if event.path != self.current_run and event.state not in WORKING:
            words = f"{shown_text(event.path.name)} is {event.state}, epoch {event.epoch:,}"
            self.notify(words, markup=False, severity="information" if event.state in DONE else "warning")
            self.run_worker(self.engines.release(event.path), exit_on_error=False)

    @on(EngineLost)
    def _engine_lost(self, event: EngineLost) -> None:
        if not self.is_running:
            return
        words = f"{event.reason} Its log is {event.log}."
        if event.path == self.current_run:
            self.train.take_trouble(event.path, words)
        else:
            self.notify(shown_text(words), title=shown_text(event.path.name), severity="error", markup=False)

    # ------------------------------------------------------------------ devices

    @work(exclusive=True, group="devices")
    async def _ask_devices(self) -> None:
        if self.app_focus:
            await self.engines.refresh_devices()

    @on(DevicesFound)
    def _devices_found(self, event: DevicesFound) -> None:
        if not self.is_running:
            return
        self.train.know_devices(event.devices)
        device = device_named(self.train.form.texts["device"] or self.device, event.devices)
        if device is not None:
            self.query_one(HeaderLine).show_device(shown_text(device_words(device)))

    # ------------------------------------------------------------------ acts

    def action_help(self) -> None:
        """Keys, first steps, words."""
        from tui.dialogs.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.query_one(HeaderLine).current))

    def action_restore_run(self, entry: str) -> None:
        """Bring a deleted run back: what the notice of its deletion offers."""
        self.query_one("#pane-runs").restore(entry)  # type: ignore[attr-defined]

    def action_command_palette(self) -> None:
        """Every command by its name."""
        from tui.dialogs.dialog import Palette

        if not isinstance(self.screen, Palette):
            self.push_screen(Palette(id="--command-palette"))

    def action_toggle_theme(self) -> None:
        """Dark or light."""
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name

    async def action_quit(self) -> None:
        """Leave the screen; trainings go on in their engines."""
        self.leave()

    def leave(self, return_code: int = 0) -> None:
        """The same; ``return_code`` is for the shell."""
        self.left_training = [run.name for run in self.engines.training()]
        self.exit(return_code=return_code)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Everything that a key can do, by name."""
        from tui.commands import commands

        yield from commands(self)
        yield from (item for item in super().get_system_commands(screen) if item.title not in NOT_OFFERED)


NOT_OFFERED = ("Quit", "Keys", "Maximize", "Minimize", "Screenshot")
DONE = (State.FINISHED, State.STOPPED, State.IDLE)


def known(run: Run) -> tuple[RunMetadata, RunSummary]:
    """What the files of a run say of it. Raises RunError."""
    return run.metadata(), run_summary(run)


def training_runs(saves: Path) -> list[RunSummary]:
    """The runs that train, or are paused in the midst of it, in engines that live; the newest first. Reads files."""
    return [run for run in list_runs(saves) if run.state in WORKING and not run.problem]
