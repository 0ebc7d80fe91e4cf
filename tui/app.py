"""The app: opens and closes runs, switches panes, and publishes what panes and engines report."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.screen import Screen
from textual.signal import Signal
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from core.errors import EngineError, UserError
from core.events import State
from core.process import resume_collection
from core.runs.run import Run
from core.runs.trash import remove_outdated
from core.training.preflight import device_named
from tui.charts import preload
from tui.engines.loss import WORKING
from tui.engines.reading import read_run, training_runs
from tui.forms.screen import FormScreen
from tui.messages import (
    CorpusChosen,
    DevicesFound,
    EngineLost,
    JournalGrew,
    RunChosen,
    RunDeleted,
    RunFolderSeen,
    RunOpened,
    RunRead,
    RunRenamed,
    RunsChanged,
    RunStateChanged,
    RunUnreadable,
    SettingsRead,
    TextsChanged,
    TextWritten,
)
from tui.panes import PANES
from tui.shell.breakpoints import HORIZONTAL, VERTICAL
from tui.shell.focus import FocusKeepingApp
from tui.shell.footer import KeyLine
from tui.shell.header import HeaderLine, PaneTab, device_words
from tui.shell.terminal_exit import TerminalExit
from tui.shell.terminal_input import part_escape, steady
from tui.shell.too_small import TooSmall
from tui.text.safe import shown_text
from tui.themes import DARK, LIGHT, RUN_COLOURS

if TYPE_CHECKING:
    from tui.engines.clients import Engines

FIRST_PANE = "train"
HERE = Path(__file__).parent
DEVICE_SECONDS = 5.0
NOT_OFFERED = ("Quit", "Keys", "Maximize", "Minimize", "Screenshot")
DONE = (State.FINISHED, State.STOPPED, State.IDLE)


class Playground(FocusKeepingApp):
    """The app. ``engines`` are behind the runs; ``current_run`` is the one on screen."""

    TITLE = "Playground"
    CSS_PATH: ClassVar[list[str | PurePath]] = [HERE / "app.tcss", HERE / "dialogs/dialogs.tcss"]
    HORIZONTAL_BREAKPOINTS = HORIZONTAL
    VERTICAL_BREAKPOINTS = VERTICAL
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(pane.key, f"pane('{pane.name}')", pane.title, show=False, priority=True, id=f"app.{pane.name}",
                    tooltip=f"Show the {pane.title} pane; {number} too, except in a text field")
            for number, pane in enumerate(PANES, 1)
        ),
        *(
            Binding(str(number), f"pane('{pane.name}')", pane.title, show=False)
            for number, pane in enumerate(PANES, 1)
        ),
        Binding("f1,question_mark", "help", "Help", id="app.help",
                tooltip="Keys, terms and settings, a search; explains the focused field or the number pointed at"),
        Binding("f9", "toggle_theme", "Theme", tooltip="Switch between dark and light", show=False, id="app.theme"),
        Binding("q,ctrl+q", "quit", "Quit", show=False, tooltip="Quit; training continues in the background",
                id="app.quit"),
        Binding("ctrl+z", "suspend_process", "Suspend", show=False, system=True),
    ]  # fmt: skip

    read_only: ClassVar[bool] = False
    refused: ClassVar[frozenset[str]] = frozenset()
    """The ids of the bindings that only say that they do nothing here."""
    current_run: reactive[Path | None] = reactive(None)

    def __init__(
        self,
        saves: Path,
        data_dir: Path,
        device: str = "auto",
        engines: Callable[[Playground], Engines] | None = None,
        run: Path | None = None,
    ) -> None:
        super().__init__()
        self.driver_class = steady(self.driver_class)
        part_escape()
        self.saves = saves
        self.data_dir = data_dir
        self.device = device
        self._first_run = run
        self.left_training: list[str] = []
        self.written: tuple[Path, str] | None = None
        self.news: Signal[Message] = Signal(self, "news")
        self._make_engines = engines
        self.form_texts: Mapping[str, str] = {}
        self._last_focus: dict[str, Widget] = {}
        self._terminal_exit = TerminalExit()
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        # Like ``theme = ...``, but without parsing all styles a second time: nothing is on screen yet.
        self.set_reactive(App.theme, DARK.name)
        self.stylesheet.set_variables(self.get_css_variables())

    @cached_property
    def engines(self) -> Engines:
        """The engines behind the runs. Imported here: nothing on the first screen needs them."""
        from tui.engines.clients import Engines

        return self._make_engines(self) if self._make_engines else Engines(self.post_message, self.saves, self.data_dir)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The variables that Textual's own themes lack."""
        return RUN_COLOURS

    # ------------------------------------------------------------------ the screen

    def get_default_screen(self) -> FormScreen:
        return FormScreen(id="_default")

    def compose(self) -> ComposeResult:
        yield HeaderLine([(pane.name, pane.title, pane.key) for pane in PANES])
        yield ContentSwitcher(id="panes")
        yield KeyLine()
        yield TooSmall()

    async def on_mount(self) -> None:
        """Show the first pane, then do everything that takes time."""
        last = self.remembered.pane
        await self.action_pane(FIRST_PANE)
        if self._first_run is None and any(pane.name == last for pane in PANES):
            await self.action_pane(last)
        self.call_after_refresh(self._settle)

    def _settle(self) -> None:
        if not self.is_running:
            return  # it was left in its first moment
        if self.preferences is not None:
            self.preferences.follow(self)
        self._terminal_exit.on_signals(lambda: self.call_later(self.action_quit))
        # In the foreground again, the terminal's screen is blank: what has not changed would not be drawn.
        self.app_resume_signal.subscribe(self, lambda _: self.refresh(layout=True))
        self.engines.prepare()
        self._find_trainings()
        self._preload()
        self.set_interval(DEVICE_SECONDS, self._ask_devices)

    @work(thread=True)
    def _preload(self) -> None:
        try:
            for pane in PANES:  # each pane then opens without a delay the first time
                _ = pane.widget_class
        finally:
            resume_collection()

    async def on_unmount(self) -> None:
        """Disconnect from the engines: those that train continue."""
        await self.engines.close()
        if self.preferences is not None:
            await asyncio.to_thread(self.preferences.memory.finish)

    async def action_pane(self, name: str) -> None:
        """Show the pane called ``name``. It is created when first shown; the focus returns to where it was in it."""
        header, panes = self.query_one(HeaderLine), self.query_one(ContentSwitcher)
        if len(self.screen_stack) > 1 or header.current == name:
            return
        if header.current and self.focused is not None:
            self._last_focus[header.current] = self.focused
        kind = next(pane for pane in PANES if pane.name == name)
        if not panes.query(f"#{kind.id}"):
            self.stylesheet.read_all(kind.styles)  # Textual would parse those of all panes before the first paint
            self.stylesheet.parse()
            await panes.add_content(kind.widget_class(id=kind.id))
        panes.current = kind.id
        header.current = name
        self.remember(pane=name)
        last = self._last_focus.get(name)
        if last is not None and last.is_attached and last.focusable:
            last.focus(scroll_visible=False)
        else:
            self.shown_pane.focus()

    @property
    def shown_pane(self) -> Widget:
        return self.query_one(f"#pane-{self.query_one(HeaderLine).current}")

    @on(PaneTab.Clicked)
    async def _tab_clicked(self, event: PaneTab.Clicked) -> None:
        await self.action_pane(event.pane)

    # ------------------------------------------------------------------ runs

    async def open_run(self, path: Path) -> None:
        """Put a run on screen: its settings, its whole curve, and its engine if it has one."""
        if self.current_run == path:
            return
        await self._leave_run(self.current_run)
        self.current_run = path
        try:
            self.news.publish(RunRead(path, *await asyncio.to_thread(read_run, Run(path))))
            self.engines.follow(path)
            await self.engines.attached(path)
        except UserError as error:
            self.engines.follow(path)
            self.news.publish(RunUnreadable(path, str(error)))

    def watch_current_run(self, path: Path | None) -> None:
        """Import what draws its curve, before there is one to draw."""
        if path is not None:
            self.run_worker(preload, thread=True, exit_on_error=False)

    async def _leave_run(self, path: Path | None) -> None:
        if path is not None:
            await self.engines.unfollow(path)
            if self.engines.state(path) not in WORKING:
                self.run_worker(self.engines.release(path), exit_on_error=False)

    @work
    async def _find_trainings(self) -> None:
        """Open the run that was asked for, or the newest of the runs that are training now."""
        if self._first_run is not None:
            await self.open_run(self._first_run)
        runs = await asyncio.to_thread(training_runs, self.saves)
        if not runs and self.current_run is None and (ended := Path(self.remembered.training)).parent == self.saves:
            await self._show_ended(ended)
        if not self.read_only:
            await asyncio.to_thread(remove_outdated, self.saves)
        if runs and self.current_run is None:
            await self.open_run(runs[0].path)
            words = f"{shown_text(runs[0].name)} is still {runs[0].state}"
            self.notify(words + (f"; {len(runs) - 1} more in Runs" if len(runs) > 1 else ""), markup=False)
        for run in runs:
            with contextlib.suppress(UserError, EngineError):
                await self.engines.attached(run.path)

    async def _show_ended(self, path: Path) -> None:
        """Open the run that was training on screen in the last session, and say how it has ended."""
        self.remember(training="")
        with contextlib.suppress(UserError):  # it was deleted or damaged since
            _, summary = await asyncio.to_thread(read_run, Run(path))
            await self.open_run(path)
            self.notify(f"{shown_text(path.name)} is {summary.state}, epoch {summary.epoch:,}", markup=False)

    @on(RunChosen)
    async def _run_chosen(self, event: RunChosen) -> None:
        await self.open_run(event.path)
        await self.action_pane("generate" if event.purpose == "generate" else "train")
        self.news.publish(event)

    @on(CorpusChosen)
    async def _corpus_chosen(self, event: CorpusChosen) -> None:
        self.news.publish(event)
        await self.action_pane("train")

    @on(RunRenamed)
    async def _run_renamed(self, event: RunRenamed) -> None:
        if self.current_run == event.path:
            await self.open_run(event.new_path)
        self.news.publish(event)

    @on(RunDeleted)
    async def _run_deleted(self, event: RunDeleted) -> None:
        if self.current_run == event.path:
            self.current_run = None
            await self._leave_run(event.path)

    @on(JournalGrew)
    @on(RunFolderSeen)
    @on(RunOpened)
    @on(RunsChanged)
    @on(TextsChanged)
    def _publish(self, event: Message) -> None:
        self.news.publish(event)

    @on(SettingsRead)
    def _settings_read(self, event: SettingsRead) -> None:
        self.form_texts = event.texts
        self.news.publish(event)

    @on(TextWritten)
    def _text_written(self, event: TextWritten) -> None:
        self.written = (event.path, event.text)

    @on(RunStateChanged)
    def _run_state_changed(self, event: RunStateChanged) -> None:
        self.news.publish(event)
        if event.path == self.current_run:
            self.remember(training=str(event.path) if event.state in WORKING else "")
        if self.is_running and event.path != self.current_run and event.state not in WORKING:
            words = f"{shown_text(event.path.name)} is {event.state}, epoch {event.epoch:,}"
            self.notify(words, markup=False, severity="information" if event.state in DONE else "warning")
            self.run_worker(self.engines.release(event.path), exit_on_error=False)

    @on(EngineLost)
    def _engine_lost(self, event: EngineLost) -> None:
        self.news.publish(event)
        if self.is_running and event.path != self.current_run:
            self.notify(event.reason, title=shown_text(event.path.name), severity="error", markup=False)

    # ------------------------------------------------------------------ devices

    @work(exclusive=True, group="devices")
    async def _ask_devices(self) -> None:
        if self.app_focus:
            await self.engines.refresh_devices()

    @on(DevicesFound)
    def _devices_found(self, event: DevicesFound) -> None:
        self.news.publish(event)
        device = device_named(self.form_texts.get("device", self.device), event.devices)
        if self.is_running and device is not None:
            self.query_one(HeaderLine).show_device(shown_text(device_words(device)))

    # ------------------------------------------------------------------ actions

    def action_help(self) -> None:
        from tui.commands import app_keys, pane_keys
        from tui.dialogs.help import HelpScreen
        from tui.dialogs.help_pages import help_pages
        from tui.dialogs.pointed import pointed

        if not isinstance(self.screen, HelpScreen):
            panes = pane_keys(self.query_one(HeaderLine).current, self.keymap, self.refused)
            keys, number = app_keys(self.BINDINGS, self.keymap), pointed(self.screen, self.mouse_position)
            self.push_screen(HelpScreen(help_pages(self.focused, panes, keys, number, self.read_only)))

    async def action_restore_run(self, entry: str) -> None:
        """Restore a deleted run: the link in the notice of its deletion."""
        await self.run_action(f"restore({entry!r})", self.query_one("#pane-runs"))

    def action_command_palette(self) -> None:
        from tui.dialogs.dialog import Palette

        if not isinstance(self.screen, Palette):
            self.push_screen(Palette(id="--command-palette"))

    def action_toggle_theme(self) -> None:
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name

    async def action_quit(self) -> None:
        """Quit; training continues in the engines."""
        self.leave()

    def leave(self, return_code: int = 0) -> None:
        self.left_training = [run.name for run in self.engines.training()]
        self.exit(return_code=return_code)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Everything that a key can do, by name."""
        from tui.commands import commands

        own = commands(self, self.query_one(HeaderLine).current, self.keymap, self.refused)
        textuals = (item for item in super().get_system_commands(screen) if item.title not in NOT_OFFERED)
        for item in (*own, *textuals):  # after the palette has closed: see ``ClosesOnce``
            yield item._replace(callback=partial(self.call_after_refresh, self.call_later, item.callback))
