"""Several runs compared: one chart with all curves, a table of figures and settings, and the same samples of each."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from core.errors import UserError
from core.runs.metrics import AXES, METRICS, SMOOTHINGS
from core.scales import SCALE_LABELS, SCALES
from core.units import counted
from tui.charts.explorer import Explorer, explorer_keys
from tui.dialogs.export import ask_to_export, exportable_runs
from tui.dialogs.name import NameDialog
from tui.dialogs.path_dialog import PathDialog
from tui.forms.lines import next_choice
from tui.panes.runs.compare_chart import RunsChart
from tui.panes.runs.compare_runs import Compared, ComparedRuns, What, comparable
from tui.panes.runs.compare_samples import RunsSamples
from tui.panes.runs.compare_table import above_words, table
from tui.panes.runs.line_table import SCROLLING, LineTable
from tui.scheduling import ShownTimers
from tui.services import is_alive
from tui.text.keys import key
from tui.text.safe import shown_text

LOOK_SECONDS = 1.0
COMPARE_KEYS: list[BindingType] = [
    Binding("m", "metric(1)", "Figure", tooltip="Compare: the next figure: perplexity, loss, gradient norm, …",
            id="compare.metric"),
    Binding("M", "metric(-1)", "Figure back", show=False, tooltip="Compare: the figure before",
            id="compare.metric_back"),
    Binding("x", "axis", "Axis", tooltip="Compare: over epochs, steps, tokens seen, seconds of training, time of day",
            id="compare.axis"),
    Binding("l", "scale", "Log", tooltip=f"Compare: {SCALE_LABELS}", id="compare.log"),
    Binding("o", "smooth", "Smooth", tooltip="Compare: smooth the curves, or smooth them more", id="compare.smooth"),
    Binding("a", "add_file", "Add", id="compare.add",
            tooltip="Compare: add the curves of other programs: a CSV or TensorBoard's event files"),
    Binding("delete", "take_out", "Take out", show=False, key_display="del", id="compare.take_out",
            tooltip="Compare: remove the pinned curve, or the file added last, from the chart; no file is deleted"),
    Binding("p", "pin", "Pin", show=False, id="compare.pin",
            tooltip="Compare: draw the next run over the others; a click on its line does so, too"),
    Binding("t", "target", "Time", tooltip="Compare: set the perplexity whose time of arrival is in the table",
            id="compare.target"),
    Binding("s", "samples", "Samples", tooltip="Compare: all runs write, with one prefix and one seed",
            id="compare.samples"),
    Binding("pageup", "scroll_figures(-1)", "Table up", show=False, tooltip="Compare: scroll the table up",
            id="compare.up"),
    Binding("pagedown", "scroll_figures(1)", "Table down", show=False, tooltip="Compare: scroll the table down",
            id="compare.down"),
    Binding("less_than_sign", "scroll_columns(-1)", "Table left", key_display="<", group=SCROLLING,
            tooltip="Compare: scroll the table to the left", id="compare.left"),
    Binding("greater_than_sign", "scroll_columns(1)", "Table right", key_display=">", group=SCROLLING,
            tooltip="Compare: scroll the table to the right", id="compare.right"),
    *explorer_keys("compare"),
    Binding("escape", "hide_cross", "Hide", key_display="esc", tooltip="Compare: hide the crosshair",
            id="compare.hide_cross"),
    Binding("escape", "leave", "Back", key_display="esc", tooltip="Compare: back to the list", id="compare.leave"),
    Binding("E", "export", "Export", tooltip="Compare: export this chart as a picture, or the runs in other formats",
            id="compare.export"),
]  # fmt: skip

OF_THE_CHART = frozenset((
    "metric", "axis", "scale", "smooth", "add_file", "take_out", "pin", "target", "scroll_columns", "explore",
))  # fmt: skip
"""What acts on the chart and its table."""


class Compare(Vertical, ShownTimers, can_focus=True):
    """Shows the runs at ``paths``, which live ones let grow; its keys work while it has the focus."""

    BINDINGS = COMPARE_KEYS

    class Left(Message):
        """Back to the list."""

    paths: reactive[tuple[Path, ...]] = reactive((), init=False)
    files: reactive[tuple[Path, ...]] = reactive((), init=False)
    """Of other programs, whose curves are beside those of the runs."""
    what: reactive[What] = reactive(What, init=False)
    pinned: reactive[Path | None] = reactive(None, init=False)
    target: reactive[float | None] = reactive(None, init=False)
    """The perplexity that the table has the time to; None for one that all runs better than guessing have reached."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, classes="box")
        self._runs = ComparedRuns()
        self._prefix = ""

    def compose(self) -> ComposeResult:
        with Vertical(id="compare-both"):
            yield RunsChart(id="compare-chart")
            yield Static(id="compare-above", markup=False)
            yield LineTable("compare-figures")
        yield RunsSamples(id="compare-samples")

    def on_mount(self) -> None:
        self.query_one(RunsSamples).display = False
        self.watch(self.chart, "cross", self._cross_changed, init=False)
        self.every(LOOK_SECONDS, self._look)

    @property
    def chart(self) -> RunsChart:
        return self.query_one(RunsChart)

    # ------------------------------------------------------------------ what is shown

    def watch_paths(self) -> None:
        if self.pinned not in (*self.paths, *self.files):
            self.pinned = None
        self.chart.view = self.chart.cross = None
        self._show_samples(False)
        self._look()

    def watch_what(self, before: What, after: What) -> None:
        if before.metric != after.metric:
            self.chart.scale = METRICS[after.metric].scale
        self._look()

    def watch_pinned(self) -> None:
        self.chart.pinned = self.pinned
        self._show_figures()

    def _look(self) -> None:
        if is_alive(self) and self.display and (self.paths or self.files):
            self._read()

    watch_files = watch_target = _look

    @work(exclusive=True, group="compare")
    async def _read(self) -> None:
        """Read what is new until all journals are read, and show each piece."""
        is_complete = False
        while not is_complete:
            view = await asyncio.to_thread(self._runs.view, self.paths, self.what, self.target, files=self.files)
            if not is_alive(self):
                return
            is_complete = view.is_complete
            self._show(view)
            await asyncio.sleep(0.02)  # the screen has its turn

    def _show(self, view: Compared) -> None:
        before = self.chart.shown
        if [line.raw for line in before.lines] != [line.raw for line in view.lines] or before.what != view.what:
            self.chart.shown = view
        elif before != view:
            self.chart.set_reactive(RunsChart.shown, view)
        runs = sum(line.is_run for line in view.lines)
        others = f" and {counted(len(view.lines) - runs, 'other curve')}" if runs < len(view.lines) else ""
        reading = "" if view.is_complete else " · reading …"
        self.border_title = Content(f"{counted(runs, 'run')}{others} compared{reading}")
        self._show_figures()

    def _show_figures(self) -> None:
        self.query_one(LineTable).show(table(self.chart.shown, self.pinned, self.chart.cross))
        above, words = self.query_one("#compare-above", Static), above_words(self.chart.shown)
        if above.content != words:
            above.update(words)
            above.display = bool(words)

    @on(Explorer.Explored)
    def _explored(self, event: Explorer.Explored) -> None:
        event.stop()
        self._show_figures()

    @on(LineTable.Clicked)
    def _clicked(self, event: LineTable.Clicked) -> None:
        event.stop()
        lines = self.chart.shown.lines
        if event.row < len(lines):
            self.pinned = None if lines[event.row].path == self.pinned else lines[event.row].path

    # ------------------------------------------------------------------ actions

    def action_metric(self, by: int) -> None:
        self.what = replace(self.what, metric=next_choice(self.chart.shown.metrics, self.what.metric, by))

    def action_axis(self) -> None:
        self.what = replace(self.what, axis=next_choice([*AXES], self.what.axis))

    def action_scale(self) -> None:
        self.chart.scale = next_choice([*SCALES.values()], self.chart.scale)

    def action_smooth(self) -> None:
        self.what = replace(self.what, smoothing=next_choice(SMOOTHINGS, self.what.smoothing))

    def action_pin(self) -> None:
        self.pinned = next_choice([None, *(line.path for line in self.chart.shown.lines)], self.pinned)

    @work
    async def action_add_file(self) -> None:
        """Ask for a file, and turn to an axis and a figure that it has."""
        body = "A CSV with a row of names, an event file of TensorBoard, or a folder of logs, beside these runs."
        path = await self.app.push_screen_wait(PathDialog("Add a curve", body, "Add", comparable))
        if path is None or not is_alive(self):
            return
        try:
            axes, figures = await asyncio.to_thread(comparable, path)
        except UserError as error:  # it has changed since
            self.notify(shown_text(str(error)), severity="error", markup=False)
            return
        if self.what.axis not in axes:
            self.what = replace(self.what, axis=axes[0])
        if figures and self.what.metric not in figures:
            self.what = replace(self.what, metric=figures[0])
        self.files = (*(file for file in self.files if file != path), path)

    def action_take_out(self) -> None:
        """Take a curve out of the comparison: the pinned one, or else the file that was added last."""
        pinned, self.pinned = self.pinned, None
        if pinned in self.paths and len(self.chart.shown.lines) > 1:
            self.paths = tuple(path for path in self.paths if path != pinned)
        elif pinned not in self.paths and self.files:
            chosen = [file for file in self.files if pinned is not None and file in (pinned, pinned.parent)]
            self.files = tuple(file for file in self.files if file != (*self.files, *chosen)[-1])
        else:
            self.notify(f"{key('compare.pin')} pins the curve that {key('compare.take_out')} takes out.", markup=False)

    def action_explore(self, move: str) -> None:
        self.chart.explore(move)

    def action_scroll_figures(self, by: int) -> None:
        where = self.query_one(RunsSamples if self.query_one(RunsSamples).display else LineTable)
        where.scroll_relative(y=by * max(1, where.size.height - 1), animate=False)

    def action_scroll_columns(self, by: int) -> None:
        self.query_one(LineTable).scroll_columns(by)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Escape hides the crosshair first; while samples are shown, no key changes the chart that they hide."""
        are_samples = any(samples.display for samples in self.query(RunsSamples))
        if are_samples and action in OF_THE_CHART:
            return False
        if action == "scroll_columns":
            return any(lines.is_cut for lines in self.query(LineTable))
        if action in ("hide_cross", "leave"):
            return (action == "hide_cross") == (self.chart.cross is not None and not are_samples)
        return super().check_action(action, parameters)

    def _cross_changed(self, before: float | None, after: float | None) -> None:
        if (before is None) != (after is None):
            self.refresh_bindings()

    def action_hide_cross(self) -> None:
        self.chart.cross = None

    def action_leave(self) -> None:
        if self.query_one(RunsSamples).display:
            self._show_samples(False)
        else:
            self.post_message(self.Left())

    @work
    async def action_target(self) -> None:
        shown = self.chart.shown.target
        body = "The table shows how long each run trained until it first had this perplexity or a lower one."
        words = "" if shown is None else f"{shown:.4g}"
        dialog = NameDialog("Time to a perplexity", words, "Show", perplexity_of, body, "perplexity")
        chosen = await self.app.push_screen_wait(dialog)
        if chosen is not None and is_alive(self):
            self.target = perplexity_of(chosen)

    @work
    async def action_samples(self) -> None:
        body = "Each run continues this text, in turn, with the same seed."
        dialog = NameDialog("The same samples", self._prefix, "Write", _any, body, "beginning of the text")
        prefix = await self.app.push_screen_wait(dialog)
        if prefix is None or not is_alive(self):
            return
        self._prefix = prefix
        self._show_samples(True)
        runs = [line for line in self.chart.shown.lines if line.is_run]
        self.query_one(RunsSamples).write(runs, prefix, random.randrange(10**6))

    @work
    async def action_export(self) -> None:
        what = self.what
        chart = [f"--metric={what.metric}", f"--axis={what.axis}", f"--smoothing={what.smoothing}"]
        chart.append(f"--scale={self.chart.scale.name}")
        await ask_to_export(self, exportable_runs(self.paths, chart, self.files))

    def _show_samples(self, shown: bool) -> None:
        samples = self.query_one(RunsSamples)
        if not shown:
            samples.stop()
        samples.display = shown
        self.query_one("#compare-both").display = not shown
        self.refresh_bindings()


def perplexity_of(text: str) -> float:
    """A perplexity as typed. Raises UserError."""
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        value = 0.0
    if not 1 <= value < 1e300:
        raise UserError(f"a perplexity is a number of at least 1, got {shown_text(text[:40])!r}")
    return value


def _any(_text: str) -> None:
    """Every prefix will do, none too."""
