"""A sweep over the list of runs: its table, the best first, a chart of each setting, and what can be done with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from core.errors import EngineError, UserError
from core.sweep.folder import SweepFolder
from core.sweep.launch import launch
from core.sweep.results import WAITING
from tui.charts import Drawing
from tui.charts.widget import Chart
from tui.forms.lines import next_choice
from tui.messages import RunChosen
from tui.panes.runs.line_table import SCROLLING, LineTable
from tui.panes.runs.sweep_parts import importance_words, is_drawn, setting_chart, table
from tui.panes.runs.sweep_reading import SweepReader, SweepSeen, importances
from tui.scheduling import ShownTimers
from tui.services import host, is_alive
from tui.text.keys import keyed
from tui.text.safe import shown_text

LOOK_SECONDS = 1.0
# Seconds between two questions to Optuna, and the results from which on it is asked.
ASK_SECONDS, FEWEST_RESULTS = 30.0, 4
MOST_COMPARED = 50
CHARTS = 3  # side by side, where there is room for them
EMPTY = "There is no sweep yet: {train.vary} in Train begins one, or python -m core sweep."


class SweepView(Vertical, ShownTimers, can_focus=True):
    """Shows one sweep; its keys work while it has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Run before", show=False, tooltip="Sweep: the run before", id="sweep.up"),
        Binding("down", "move(1)", "Next run", show=False, tooltip="Sweep: the next run", id="sweep.down"),
        Binding("enter", "open", "Open", tooltip="Sweep: show the run's curve in Train; b shows the best one's",
                id="sweep.open"),
        Binding("b", "best", "Best", tooltip="Sweep: show the curve of the best run", id="sweep.best"),
        Binding("c", "compare", "Compare", tooltip="Sweep: lay the curves of its runs over one another",
                id="sweep.compare"),
        Binding("m", "setting", "Setting", tooltip="Sweep: the chart of the next setting", id="sweep.setting"),
        Binding("x", "stop", "Stop", tooltip="Sweep: save what trains and stop", id="sweep.stop"),
        Binding("g", "go", "Go on", tooltip="Sweep: train on what is left, in a process of its own", id="sweep.go"),
        Binding("n,right", "next(1)", "Next", tooltip="Sweep: the next sweep; ← the previous one", id="sweep.next"),
        Binding("left", "next(-1)", "Before", show=False, tooltip="Sweep: the sweep before", id="sweep.before"),
        Binding("less_than_sign", "scroll_columns(-1)", "Table left", key_display="<", group=SCROLLING,
                tooltip="Sweep: scroll the table to the left", id="sweep.left"),
        Binding("greater_than_sign", "scroll_columns(1)", "Table right", key_display=">", group=SCROLLING,
                tooltip="Sweep: scroll the table to the right", id="sweep.right"),
        Binding("escape", "leave", "Back", key_display="esc", tooltip="Sweep: back to the list", id="sweep.leave"),
    ]  # fmt: skip

    class Left(Message):
        """Back to the list."""

    @dataclass
    class CompareAsked(Message):
        """The curves of these runs are to be laid over one another."""

        paths: tuple[Path, ...]

    cursor: reactive[int] = reactive(0, init=False)
    setting: reactive[int] = reactive(0, init=False)

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, classes="box")
        self.seen = SweepSeen()
        self.name_wanted = ""
        self._reader: SweepReader
        self._shares: Mapping[str, float] = {}
        self._asked: tuple[str, int] = ("", 0)
        self._asked_at = 0.0

    def compose(self) -> ComposeResult:
        yield Static("", id="sweep-notice", classes="notice", markup=False)
        yield LineTable("sweep-table")
        yield Static("", id="sweep-words", markup=False)
        with Horizontal(id="sweep-charts"):
            for place in range(CHARTS):
                yield Chart(partial(self._drawing, place), classes=f"sweep-chart -place-{place}")

    def on_mount(self) -> None:
        self._reader = SweepReader(host(self).saves)
        self.every(LOOK_SECONDS, self._look)

    def _drawing(self, place: int, width: int, height: int) -> Drawing:
        return setting_chart(self.seen, self.setting + place, width, height)

    # ------------------------------------------------------------------ what is shown

    def show_sweep(self, name: str = "") -> None:
        """Show the sweep of that name, or the one before, or the newest."""
        self.name_wanted = name or self.name_wanted
        self._look()

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_titles)

    def _look(self) -> None:
        if is_alive(self) and self.display:
            self._read()

    @work(exclusive=True, group="sweep")
    async def _read(self) -> None:
        seen = await asyncio.to_thread(self._reader.read, self.name_wanted)
        if is_alive(self):
            self._show(seen)

    def _show(self, seen: SweepSeen) -> None:
        if seen.name != self.seen.name:
            self._shares, self.cursor, self.setting = {}, 0, 0
        before, self.seen = self.seen, seen
        self.name_wanted = seen.name or self.name_wanted
        notice = self.query_one("#sweep-notice", Static)
        notice.display = seen.sweep is None
        notice.update(Content(shown_text(seen.problem) or keyed(EMPTY)))
        for part in ("#sweep-table", "#sweep-words", "#sweep-charts"):
            self.query_one(part).display = seen.sweep is not None
        for place, chart in enumerate(self.query(Chart)):
            chart.set_class(seen.sweep is None or place >= len(seen.sweep.varied), "-without")
        self._show_titles()
        if before != seen:
            self._show_table()
        if before.results != seen.results or before.name != seen.name:
            for chart in self.query(Chart):
                chart.invalidate()
        if _key_facts(before) != _key_facts(seen):
            self.refresh_bindings()
        self._ask_importances()

    def _show_titles(self) -> None:
        seen = self.seen
        if seen.sweep is None:
            self.border_title = "Sweeps"
            return
        state = "training" if seen.is_working else "done" if seen.is_done else "stopped"
        others = f" · {seen.names.index(seen.name) + 1} of {len(seen.names)} sweeps" if len(seen.names) > 1 else ""
        kind = "grid" if seen.sweep.is_grid else "search"
        title = f"{kind} {shown_text(seen.name)} · {seen.ended} of {seen.wanted} runs · {state}{others}"
        self.border_title = Content(title)
        varied = seen.sweep.varied
        shown = sum(chart.display for chart in self.query(Chart)) or 1
        label = " · ".join(varied[(self.setting + place) % len(varied)].setting.label for place in range(shown))
        left_out = sum(result.best is not None and not is_drawn(result) for result in seen.results)
        diverged = f"{left_out} diverged, not drawn" if left_out else ""
        chosen = seen.results[self.cursor] if self.cursor < len(seen.results) else None
        failure = f"{chosen.run}: {chosen.message}" if chosen is not None and chosen.message else ""
        words = [diverged, importance_words(self._shares), shown_text(seen.error)]
        text = " · ".join(filter(None, (shown_text(failure), f"perplexity over {label}", *words)))
        self.query_one("#sweep-words", Static).update(Content(text))

    def _show_table(self) -> None:
        cursor, lines = min(self.cursor, max(0, len(self.seen.results) - 1)), self.query_one(LineTable)
        lines.show(table(self.seen, cursor))
        lines.scroll_to_region(Region(0, cursor + 1, 1, 1), animate=False, force=True, x_axis=False)

    def _ask_importances(self) -> None:
        """Ask Optuna which settings matter, when there are new results; a database needs its address."""
        seen = self.seen
        if seen.sweep is None or seen.sweep.is_grid or seen.sweep.is_shared or host(self).read_only:
            return
        is_due = time.monotonic() >= self._asked_at + ASK_SECONDS or self._asked[0] != seen.name
        if seen.ended >= FEWEST_RESULTS and self._asked != (seen.name, seen.ended) and is_due:
            self._asked, self._asked_at = (seen.name, seen.ended), time.monotonic()
            self._find_importances(seen.name)

    @work(exclusive=True, group="importances")
    async def _find_importances(self, name: str) -> None:
        shares = await importances(host(self).saves.absolute(), name)
        if is_alive(self) and name == self.seen.name:
            self._shares = shares
            self._show_titles()

    def watch_cursor(self) -> None:
        self._show_table()
        self._show_titles()

    def watch_setting(self) -> None:
        self._show_titles()
        for chart in self.query(Chart):
            chart.invalidate(at_once=True)

    # ------------------------------------------------------------------ actions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave out what has no effect now; without results, dim what shows them."""
        facts = _key_facts(self.seen)
        if action == "stop":
            return facts.can_stop
        if action == "go":
            return facts.can_go
        if action == "next":
            return facts.has_others
        if action == "setting" and not facts.varies_several:
            return False
        if action in ("open", "best", "compare", "setting"):
            return True if facts.has_results else None
        if action == "scroll_columns":
            return any(lines.is_cut for lines in self.query(LineTable))
        return True

    def action_move(self, by: int) -> None:
        self.cursor = max(0, min(len(self.seen.results) - 1, self.cursor + by))

    @on(LineTable.Clicked)
    def _clicked(self, event: LineTable.Clicked) -> None:
        event.stop()
        if event.row == self.cursor:
            self.action_open()
        elif event.row < len(self.seen.results):
            self.cursor = event.row

    def action_open(self) -> None:
        self._open(self.cursor)

    def action_best(self) -> None:
        self._open(0)

    def _open(self, row: int) -> None:
        if row < len(self.seen.results):
            result = self.seen.results[row]
            if result.state == WAITING:
                self.notify(f"{shown_text(result.run)} has not begun yet", severity="warning", markup=False)
            elif result.place:
                words = f"{shown_text(result.run)} is in the runs of {shown_text(result.place)}"
                self.notify(words, severity="warning", markup=False)
            else:
                self.post_message(RunChosen(host(self).saves / result.run, "watch"))

    def action_compare(self) -> None:
        runs = [result.run for result in self.seen.results if result.epochs][:MOST_COMPARED]
        if runs:
            self.post_message(self.CompareAsked(tuple(host(self).saves / run for run in runs)))
        else:
            self.notify("No run has finished an epoch yet", severity="warning", markup=False)

    def action_scroll_columns(self, by: int) -> None:
        self.query_one(LineTable).scroll_columns(by)

    def action_setting(self) -> None:
        if self.seen.sweep is not None:
            self.setting = (self.setting + 1) % len(self.seen.sweep.varied)

    def action_next(self, by: int) -> None:
        if self.seen.names:
            self.show_sweep(next_choice(self.seen.names, self.seen.name, by))

    def action_leave(self) -> None:
        self.post_message(self.Left())

    def action_stop(self) -> None:
        self._change(SweepFolder.ask_to_stop, "stops: what trains is saved first")

    def action_go(self) -> None:
        if self.seen.sweep is not None and self.seen.sweep.is_shared:
            words = f"its trials are in a database: python -m core sweep {self.seen.name} --storage URL continues it"
            self.notify(shown_text(words), severity="warning", markup=False)
        else:
            self._change(launch, "goes on in a process of its own")

    @work(group="sweep-change")
    async def _change(self, change: Callable[[SweepFolder], None], words: str) -> None:
        name = self.seen.name
        folder = SweepFolder(host(self).saves.absolute(), name)
        try:
            await asyncio.to_thread(change, folder)
        except (UserError, EngineError) as error:
            if is_alive(self):
                self.notify(shown_text(str(error)), severity="error", markup=False)
            return
        if is_alive(self):
            self.notify(f"{shown_text(name)} {words}", markup=False)
            self._look()


@dataclass(frozen=True)
class _KeyFacts:
    """What the keys depend on: whether the sweep can stop or go on, what it has, whether there are other sweeps."""

    can_stop: bool
    can_go: bool
    has_results: bool
    varies_several: bool
    has_others: bool


def _key_facts(seen: SweepSeen) -> _KeyFacts:
    sweep = seen.sweep
    can_go = sweep is not None and not seen.is_working and not seen.is_done
    varies_several = sweep is not None and len(sweep.varied) > 1
    return _KeyFacts(seen.is_working, can_go, bool(seen.results), varies_several, len(seen.names) > 1)
