"""The run on screen: its state in the frame, its curve, its samples, its last epochs in numbers.

``RunView.changed`` schedules a paint, at most one in ``PAINT_SECONDS`` and none while the view is hidden.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from core.events import State
from core.runs.metrics import SMOOTHINGS
from core.scales import LOG, SCALES, Scale
from core.units import rate_text
from tui.charts.curve_chart import CurveChart
from tui.charts.explorer import Explorer
from tui.engines.watched_run import OPENING, WatchedRun
from tui.forms.lines import next_choice
from tui.panes.train.comparison import Comparison, other_precision, preset_of
from tui.panes.train.curves import ON_BOTH_TEXTS, PERPLEXITY, SMALL, figures_of, scale_of, show_figure
from tui.panes.train.epochs import EpochTable
from tui.panes.train.failure import Recovery
from tui.panes.train.figures import Figures
from tui.panes.train.samples import Samples
from tui.panes.train.status_line import BETWEEN, model_words, status_words
from tui.scheduling import schedule
from tui.services import host, is_alive
from tui.shell.frame import FrameEdge
from tui.shell.lit_box import LitVertical
from tui.text.cells import cell_len
from tui.text.keys import key, keyed
from tui.text.safe import shown_text

# Seconds between two paints. Numbers and curve are painted together: each paint takes ten milliseconds of a processor
# from the training, and a number that appears twice must be the same in both places.
PAINT_SECONDS = 1.0
TYPING_SECONDS = 0.4  # after a character, in which the next one would wait for a paint that began
LONGEST_WAIT = 3.0  # seconds between two paints while a person types
WRITING_SECONDS = 1.5  # between two changes of the samples, which must stay long enough to be read
WINDOWS = (0, 200, 50, 20)  # number of latest epochs in the chart; 0 shows all
WELCOME = (
    "No run is open.\n\n"
    "[$accent]{train.train}[/]\ttrains a new model with these settings\n"
    "[$accent]{train.settings}[/]\tchanges the settings: hidden units, batch, learning rate, …\n"
    "[$accent]{app.data}[/]\tchooses another text, and shows its pairs, triples and Zipf plot\n"
    "[$accent]{app.generate}[/]\tlets a model write: sampling, beam search, acrostics, surprise\n"
    "[$accent]{app.inspect}[/]\tlooks inside a model: its steps, gradients, units\n"
    "[$accent]{app.runs}[/]\topens a run that was saved\n"
    "[$accent]{app.lab}[/]\tpredicts a noisy sine wave: the textbook's first experiment\n"
    "[$accent]{app.help}[/]\texplains the keys and the terms"
)


NEED_ENGINES = ("train.train", "app.generate", "app.inspect", "app.lab")


def welcome_words(read_only: bool) -> Content:
    """What can be done without a run, each with its key."""
    shown = [line for line in WELCOME.split("\n")
             if not (read_only and any(f"{{{name}}}" in line for name in NEED_ENGINES))]  # fmt: skip
    lines = [line.split("\t") for line in keyed("\n".join(shown)).split("\n")]
    width = max(len(Content.from_markup(line[0]).plain) for line in lines if len(line) > 1) + 2
    return Content.from_markup("\n".join(
        line[0] if len(line) == 1 else line[0] + " " * (width - len(Content.from_markup(line[0]).plain)) + line[1]
        for line in lines
    ))  # fmt: skip


@dataclass(frozen=True)
class _Painted:
    """What is on the screen: the state and the versions of a run, and when the samples were painted."""

    state: str
    curve: int
    samples: int
    epoch: int
    samples_at: float


NOTHING_PAINTED = _Painted("", -1, -1, -1, -math.inf)


class CurvePanel(Vertical, can_focus=True):
    """Contains the curve; it takes the focus so that the keys of the pane work."""


class RunView(LitVertical):
    """Shows one ``WatchedRun``."""

    busy: reactive[str] = reactive("", init=False)
    """What the view is waiting for; empty if nothing."""
    failure: reactive[str] = reactive("", init=False)
    """What went wrong and what to change; empty if nothing. Set by ``show_failure``."""
    window: reactive[int] = reactive(0, init=False)
    """Number of latest epochs in the chart; 0 shows all."""
    figure: reactive[str] = reactive(PERPLEXITY, init=False)
    """What the large chart shows; see ``figures_of``."""
    smoothing: reactive[float] = reactive(0.0, init=False)
    """The weight of the moving average that is drawn; 0 for none."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._run: WatchedRun | None = None
        self._visible = False
        self._scheduled = False
        self._painted_at = self._typed_at = -math.inf
        self._scales: dict[str, Scale] = {}
        self._painted: _Painted = NOTHING_PAINTED

    def compose(self) -> ComposeResult:
        yield FrameEdge("top", "no run", id="run-status")
        with CurvePanel(id="curves"):
            yield Static("", id="trouble", classes="failure", markup=False)
            yield Recovery(id="recovery", classes="buttons")
            yield Static("", id="pending", markup=False)
            yield Static(welcome_words(host(self).read_only), id="welcome", classes="notice")
            yield CurveChart(id="curve")
            with Horizontal(id="small-charts"):
                for _ in range(SMALL):
                    yield CurveChart(classes="small")
            yield Figures(id="figures")
            yield Comparison(id="comparison")
        yield FrameEdge("middle", "the model writes", id="writing-edge")
        with Horizontal(id="writing"):
            yield Samples(id="samples")
            yield EpochTable(id="epochs")

    def on_mount(self) -> None:
        self.query_one("#curve").display = False
        remembered = host(self).remembered
        self._scales[PERPLEXITY] = SCALES.get(remembered.scale, LOG)
        self.set_reactive(RunView.window, remembered.window if remembered.window in WINDOWS else 0)
        for name in ("busy", "failure"):
            self.watch(self, name, self.show_parts, init=False)
        for name in ("figure", "window", "smoothing"):
            self.watch(self, name, partial(self._paint, everything=True), init=False)
        self.show_parts()

    def on_show(self) -> None:
        self._visible = True
        self._paint(everything=True)

    def on_hide(self) -> None:
        self._visible = False

    def on_resize(self) -> None:
        self.call_after_refresh(self._paint, True)

    # ------------------------------------------------------------------ changes

    def watch_run(self, run: WatchedRun | None) -> None:
        self._run = run
        self._painted = NOTHING_PAINTED
        self.chart.view = self.chart.cross = None
        self.query_one(Figures).show(None)
        self.query_one(Samples).show(())
        self.query_one(EpochTable).rows = ()
        self.show_parts()

    def changed(self) -> None:
        """Something about the run changed. A first point or another state is painted at once, the rest in its time."""
        run = self._run
        if run is not None and not self._has_curve and len(run.training):
            self.show_parts()
        elif run is not None and self._visible and run.state != self._painted.state:
            self._paint()
        else:
            self._schedule()

    def show_failure(self, words: str, rates: Mapping[str, float] | None = None) -> None:
        """Show what went wrong and what to change, or nothing.

        ``rates``, by key, are the lower learning rates with which the run may continue.
        """
        self.query_one(Recovery).show(rates or {})
        self.failure = words

    def show_pending(self, words: str) -> None:
        """Say, where the settings are hidden, that they are no longer those of the run; see ``pending_words``."""
        pending = self.query_one("#pending", Static)
        if str(pending.content) != words:
            pending.update(Content(shown_text(words)))
            pending.set_class(bool(words), "-said")

    def next_scale(self) -> None:
        """Change the scale of the figure on screen to the next one; each figure keeps its own."""
        self._scales[self.figure] = next_choice([*SCALES.values()], self.scale)
        self._paint(everything=True)

    @property
    def scale(self) -> Scale:
        """Of the y axis of ``figure``."""
        return self._scale_of(self.figure)

    def _scale_of(self, figure: str) -> Scale:
        return self._scales.get(figure, scale_of(figure))

    def next_figure(self) -> None:
        if self._run is not None:
            self.figure = next_choice(figures_of(self._run), self.figure)

    def next_smoothing(self) -> None:
        self.smoothing = next_choice(SMOOTHINGS, self.smoothing)

    @property
    def chart(self) -> CurveChart:
        return self.query_one("#curve", CurveChart)

    @on(Explorer.Explored)
    def _explored(self, event: Explorer.Explored) -> None:
        """All charts show the same epochs."""
        event.stop()
        for chart in self.query(CurveChart):
            chart.view, chart.cross = event.chart.view, event.chart.cross

    def focus_curve(self) -> None:
        self.chart.cross = None
        self.query_one(CurvePanel).focus()

    def next_window(self) -> None:
        self.window = next_choice(WINDOWS, self.window)

    # ------------------------------------------------------------------ painting

    @property
    def _has_curve(self) -> bool:
        return self.query_one("#curve").display

    def show_parts(self) -> None:
        """Show the curve, or a sentence in its place, with the failure above it."""
        failure = self.query_one("#trouble", Static)
        failure.display = bool(self.failure)
        failure.update(Content(self.failure))
        run, welcome = self._run, self.query_one("#welcome", Static)
        has_curve = run is not None and len(run.training) > 0
        if self.busy and not has_curve:
            welcome.update(Content(self.busy))
        elif run is None:
            welcome.update(welcome_words(host(self).read_only))
        else:
            self._show_waiting(run)
        welcome.display = not has_curve
        self.query_one("#curve").display = has_curve
        small = self.query_one("#small-charts")
        if has_curve != small.has_class("-there"):
            small.set_class(has_curve, "-there")
            self.call_after_refresh(self._paint, True)  # whether there is room for them is known then
        if not has_curve:
            self.query_one(Comparison).display = False
        self._paint(everything=True)

    def _show_waiting(self, run: WatchedRun) -> None:
        welcome, words = self.query_one("#welcome", Static), Content(self._waiting_words(run))
        if welcome.content != words:
            welcome.update(words)

    def _waiting_words(self, run: WatchedRun) -> str:
        if run.state == OPENING or run.summary_epoch:
            return f"Reading {shown_text(run.name)} …"
        if run.state == State.TRAINING and run.message:
            return f"{shown_text(run.message).capitalize()} …"
        if run.state == State.TRAINING:
            return "The first epoch is running."
        if run.step is not None:
            done = f"Batch {run.step.batch:,} of {run.step.num_batches:,} of the first epoch is done."
            how = f"{key('train.step')} trains the next one, {key('train.train')} all of them. "
            return f"{done}\n{'' if host(self).read_only else how}The curve begins after the first epoch."
        how = "" if host(self).read_only else f": {key('train.train')} trains it"
        return f"{shown_text(run.name)} has not been trained yet{how}."

    def yield_to_typing(self) -> None:
        """Paint a little later: a person has typed a character, and goes on before the curve does."""
        self._typed_at = time.monotonic()

    def _schedule(self) -> None:
        """Paint ``PAINT_SECONDS`` after the last paint. No timer runs while nothing changes."""
        if self._visible and not self._scheduled:
            self._scheduled = True
            due = max(self._painted_at + PAINT_SECONDS, self._calm_at())
            schedule(self, due - time.monotonic(), self._paint_changes)

    def _calm_at(self) -> float:
        """The time from which a paint may begin: a pause in typing, or ``LONGEST_WAIT`` after the last paint."""
        return min(self._typed_at + TYPING_SECONDS, self._painted_at + LONGEST_WAIT)

    def _paint_changes(self) -> None:
        self._scheduled = False
        if time.monotonic() < self._calm_at():
            self._schedule()
        elif self._visible:  # otherwise on_show paints everything
            self._paint()

    def _paint(self, everything: bool = False) -> None:
        if not is_alive(self):
            return
        self._painted_at = time.monotonic()
        run, before = self._run, self._painted
        if run is None:
            self.query_one("#run-status", FrameEdge).title = self.busy or "no run"
            self.query_one("#writing-edge", FrameEdge).note = ""
            self._painted = NOTHING_PAINTED
            return
        self._paint_frame(run)
        if not self._has_curve and not self.busy:
            self._show_waiting(run)
        if len(run.training) and not self._has_curve:
            self.show_parts()
            return
        is_new = everything or run.curve_version != before.curve
        if is_new:
            self._draw(run)
        if is_new or not run.epochs:  # in the first epoch they are those of its batches
            self.query_one(Figures).show(run)
        self._painted = replace(before, state=run.state, curve=run.curve_version)
        if everything or self._painted_at - before.samples_at >= WRITING_SECONDS:
            self._show_writing(run, everything or run.sample_version != before.samples)
            self._painted = replace(
                self._painted, samples=run.sample_version, epoch=run.epoch, samples_at=self._painted_at
            )
        elif (run.sample_version, run.epoch) != (before.samples, before.epoch):
            self._schedule()

    def _paint_frame(self, run: WatchedRun) -> None:
        status, edge = self.query_one("#run-status", FrameEdge), self.query_one("#writing-edge", FrameEdge)
        title, left_out = status_words(run, status.room)
        status.title = f"{shown_text(run.name)} · {self.busy}" if self.busy else title
        status.set_class(run.state in (State.FAILED, State.DIVERGED, State.INTERRUPTED), "-wrong")
        edge.note = self._note(run, left_out, edge.room - cell_len(edge.title) - 4)

    def _show_writing(self, run: WatchedRun, has_samples: bool) -> None:
        """Show the samples, and the last epochs in numbers where there is room for them."""
        if has_samples:
            self.query_one(Samples).show(run.samples, run.config)
        table = self.query_one(EpochTable)
        if table.display:
            table.show(tuple(run.epochs), run.best[0] if run.best is not None else None)

    @staticmethod
    def _note(run: WatchedRun, left_out: str, room: int) -> str:
        """What did not fit above, the learning rate, and the model, as far as there is room."""
        rate = f"lr {rate_text(run.learning_rate)}" if run.learning_rate is not None else ""
        words = [word for word in (left_out, rate, *model_words(run)) if word]
        while len(words) > 1 and cell_len(BETWEEN.join(words)) > room:
            words.pop()
        return BETWEEN.join(words)

    def _draw(self, run: WatchedRun) -> None:
        if not len(run.training):
            return
        chart, figures = self.query_one("#curve", CurveChart), figures_of(run)
        if self.figure not in figures:
            self.set_reactive(RunView.figure, figures[0])
        chart.scale, chart.window, chart.smoothing = self.scale, self.window or None, self.smoothing
        show_figure(chart, run, self.figure)
        preset = preset_of(run.config)
        published = preset.published if preset is not None else {}
        self.query_one(Comparison).show(published, run.training, other_precision(run.config, preset))
        if not self.query_one("#small-charts").display:
            return
        others = [name for name in figures if name not in ON_BOTH_TEXTS and name != self.figure]
        for small, name in zip_longest(self.query(".small").results(CurveChart), others[:SMALL]):
            small.display = name is not None
            if name is not None:
                small.scale, small.window, small.smoothing = self._scale_of(name), self.window or None, self.smoothing
                show_figure(small, run, name)
