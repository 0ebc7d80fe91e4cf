"""The run on screen: its state in the frame, its curve, what it writes, its last epochs in numbers.

Whoever feeds it says ``changed``; it paints at its own pace, and not at all while it is hidden.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from core.events import State
from tui.charts import Curve, ReferenceLine
from tui.charts.widget import CurveChart, LiveSeries
from tui.engines.watched_run import OPENING, WatchedRun
from tui.panes.train.comparison import Comparison, preset_of
from tui.panes.train.epochs import EpochTable
from tui.panes.train.figures import Figures
from tui.panes.train.interpretation import nothing_written_words
from tui.panes.train.recovery import Recovery
from tui.panes.train.samples import Samples
from tui.panes.train.status_line import BETWEEN, model_words, status_words
from tui.scheduling import later
from tui.services import stands
from tui.shell.frame import FrameEdge
from tui.text.quantities import loss_text, perplexity_text
from tui.text.safe import cell_len, shown_text

# Seconds between two paints of what changed. Numbers and curve are painted together: each paint costs the training a
# few milliseconds of a processor, and a number that stands in two places shall not be two numbers.
PAINT_SECONDS = 0.5
WRITING_SECONDS = 1.5  # between two changes of the samples, which are there to be read
ROOM_FOR_BASELINES = 16  # lines of chart below which n-gram lines would only be in the way
WINDOWS = (0, 200, 50, 20)  # the last so many epochs; 0 shows all
WELCOME = Content.from_markup(
    "No run is open.\n\n"
    "[$accent]ctrl+t[/]  trains a new model with these settings\n"
    "[$accent]e[/]       changes the settings: hidden units, batch, learning rate, …\n"
    "[$accent]f2[/]      chooses another text, and shows its pairs, triples and Zipf plot\n"
    "[$accent]f4[/]      lets a model write: sampling, beam search, acrostics, surprise\n"
    "[$accent]f5[/]      opens a run that was saved\n"
    "[$accent]f6[/]      predicts a noisy wave: the textbook's first sequence experiment\n"
    "[$accent]f1[/]      tells what the words mean"
)


class CurvePanel(Vertical, can_focus=True):
    """What encloses the curve; it takes the focus so that the keys of the pane work."""


class RunView(Vertical):
    """Shows one ``WatchedRun``."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._run: WatchedRun | None = None
        self._busy = ""
        self._trouble = ""
        self._log = True
        self._window = 0
        self._visible = False
        self._drawn = -1
        self._written = (-1, -1)
        self._scheduled = False
        self._painted_at = self._written_at = -math.inf
        self._painted_state = ""
        self._has_curve = False

    def compose(self) -> ComposeResult:
        yield FrameEdge("top", "no run", id="run-status")
        with CurvePanel(id="curves"):
            yield Static("", id="trouble", markup=False)
            yield Recovery(id="recovery")
            yield Static(WELCOME, id="welcome")
            yield CurveChart(id="curve")
            yield Figures(id="figures")
            yield Comparison(id="comparison")
        yield FrameEdge("middle", "the model writes", id="writing-edge")
        with Horizontal(id="writing"):
            yield Samples(id="samples")
            yield EpochTable(id="epochs")

    def on_mount(self) -> None:
        self.query_one("#curve").display = False
        self._arrange()

    def on_show(self) -> None:
        self._visible = True
        self._paint(everything=True)

    def on_hide(self) -> None:
        self._visible = False

    def on_descendant_focus(self) -> None:
        self.add_class("-focused")

    def on_descendant_blur(self) -> None:
        self.remove_class("-focused")

    def on_resize(self) -> None:
        self.call_after_refresh(self._paint, True)

    # ------------------------------------------------------------------ being told

    def watch_run(self, run: WatchedRun | None) -> None:
        """Show another run, or none."""
        self._run = run
        self._drawn = -1
        self.query_one(Figures).show(None)
        self.query_one(Samples).show(())
        self.query_one(EpochTable).rows = ()
        self._arrange()

    def changed(self) -> None:
        """Something about the run is new. A first point or another state is painted at once, the rest in its time."""
        run = self._run
        if run is not None and not self._has_curve and len(run.training):
            self._arrange()
        elif run is not None and self._visible and run.state != self._painted_state:
            self._paint()
        else:
            self._schedule()

    def read(self) -> None:
        """What the files of the run say is known now."""
        self._arrange()

    def busy(self, words: str) -> None:
        """Say what is waited for; an empty text when nothing is."""
        self._busy = words
        self._arrange()

    def trouble(self, words: str, rates: Mapping[str, float] | None = None) -> None:
        """Say what went wrong and what to change; an empty text takes it away.

        ``rates``, by key, are the lower learning rates with which the run may go on.
        """
        self._trouble = words
        self.query_one(Recovery).show(rates or {})
        self._arrange()

    def focus_curve(self) -> None:
        """Put the focus where the keys of the pane work."""
        self.query_one(CurvePanel).focus()

    def toggle_log(self) -> None:
        """Logarithmic or linear."""
        self._log = not self._log
        self._paint(everything=True)

    def next_window(self) -> None:
        """All epochs or the last ones only."""
        self._window = WINDOWS[(WINDOWS.index(self._window) + 1) % len(WINDOWS)]
        self._paint(everything=True)

    # ------------------------------------------------------------------ painting

    def _arrange(self) -> None:
        """Which of the five faces to show: nothing yet, waiting, the curve, trouble beside it, or done."""
        trouble = self.query_one("#trouble", Static)
        trouble.display = bool(self._trouble)
        trouble.update(Content(self._trouble))
        welcome = self.query_one("#welcome", Static)
        has_curve = self._has_curve = self._run is not None and len(self._run.training) > 0
        if self._busy and not has_curve:
            welcome.update(Content(self._busy))
        elif self._run is None:
            welcome.update(WELCOME)
        else:
            welcome.update(Content(self._waiting_words(self._run)))
        welcome.display = not has_curve
        self.query_one("#curve").display = has_curve
        if not has_curve:
            self.query_one(Comparison).display = False
        self._paint(everything=True)

    def _waiting_words(self, run: WatchedRun) -> str:
        if run.state == OPENING or run.told_epoch:
            return f"Reading {shown_text(run.name)} …"
        if run.state == State.TRAINING:
            return "The first epoch is under way."
        return f"{shown_text(run.name)} has not learned anything yet: ctrl+t trains it."

    def _schedule(self) -> None:
        """Paint when ``PAINT_SECONDS`` have passed since the last time. No timer runs while nothing changes."""
        if self._visible and not self._scheduled:
            self._scheduled = True
            later(self, self._painted_at + PAINT_SECONDS - time.monotonic(), self._paint_changes)

    def _paint_changes(self) -> None:
        self._scheduled = False
        if self._visible:  # else on_show comes back to it
            self._paint()

    def _paint(self, everything: bool = False) -> None:
        if not stands(self):
            return
        status, run = self.query_one("#run-status", FrameEdge), self._run
        self._painted_at = time.monotonic()
        self._painted_state = run.state if run is not None else ""
        if run is None:
            status.title = self._busy or "no run"
            self.query_one("#writing-edge", FrameEdge).note = ""
            return
        title, left_out = status_words(run, status.room)
        status.title = f"{shown_text(run.name)} · {self._busy}" if self._busy else title
        status.set_class(run.state in (State.FAILED, State.DIVERGED, State.INTERRUPTED), "-wrong")
        edge = self.query_one("#writing-edge", FrameEdge)
        edge.note = self._note(run, left_out, edge.room - cell_len(edge.title) - 4)
        if len(run.training) and not self._has_curve:
            self._arrange()
            return
        if everything or run.curve_version != self._drawn:
            self._draw(run)
            self.query_one(Figures).show(run)
        self._drawn = run.curve_version
        written = (run.sample_version, run.epoch)
        if everything or self._painted_at - self._written_at >= WRITING_SECONDS:
            self._show_writing(run, written, everything)
        elif written != self._written:
            self._schedule()

    def _show_writing(self, run: WatchedRun, written: tuple[int, int], everything: bool) -> None:
        """Samples, and the last epochs in numbers where there is room for them."""
        self._written_at = self._painted_at
        if everything or written[0] != self._written[0]:
            self.query_one(Samples).show(run.samples, nothing_written_words(run.config))
        table = self.query_one(EpochTable)
        if table.display:
            table.show(tuple(run.epochs), run.best[0] if run.best is not None else None)
        self._written = written

    @staticmethod
    def _note(run: WatchedRun, left_out: str, room: int) -> str:
        """What found no room above, the learning rate, and what the model is, as far as there is room."""
        rate = f"lr {run.learning_rate:.4g}" if run.learning_rate is not None else ""
        words = [word for word in (left_out, rate, *model_words(run)) if word]
        while len(words) > 1 and cell_len(BETWEEN.join(words)) > room:
            words.pop()
        return BETWEEN.join(words)

    def _draw(self, run: WatchedRun) -> None:
        if not len(run.training):
            return
        chart, in_nats = self.query_one(CurveChart), run.losses is not None
        chart.log_y, chart.window = self._log, self._window or None
        chart.y_label = "loss in nats" if in_nats else "perplexity"
        chart.end = float(run.num_epochs) if run.num_epochs else None
        chart.references = self._references(run, chart.size.height)
        preset = preset_of(run.config)
        figures = preset.published if preset is not None else {}
        self.query_one(Comparison).show(figures, run.training)
        training, held_out = run.losses or (run.training, run.held_out)
        series = [LiveSeries("training", training, "$accent", "solid")]
        if len(run.held_out):
            best = Curve.of([run.best[0]], [_height(run.best[1], in_nats)]) if run.best is not None else Curve()
            series.append(LiveSeries("held out", held_out, "$secondary", "dashed"))
            series.append(LiveSeries("best", best, "$text-warning", "points"))
        if figures:
            published = Curve.of(list(figures), [_height(value, in_nats) for value in figures.values()])
            series.append(LiveSeries("published", published, "$success", "points"))
        chart.series = tuple(series)

    @staticmethod
    def _references(run: WatchedRun, height: int) -> tuple[ReferenceLine, ...]:
        """What guessing reaches, and what n-gram models reach, on the text that their labels name."""
        in_nats = run.losses is not None
        lines = []
        if run.vocabulary:
            value = _height(run.vocabulary, in_nats)
            lines.append(ReferenceLine(value, f"uniform {loss_text(value) if in_nats else f'{run.vocabulary:,}'}"))
        # A model that sees the answer is no rival of theirs.
        if height >= ROOM_FOR_BASELINES and not (run.config is not None and run.config.bidirectional):
            for name, perplexity in run.baselines:
                value = _height(perplexity, in_nats)
                shown = loss_text(value) if in_nats else perplexity_text(value)
                lines.append(ReferenceLine(value, f"{name}, {run.baselines_on} {shown}"))
        return tuple(lines)


def _height(perplexity: float, in_nats: bool) -> float:
    """The value of a perplexity on the chart: all are drawn as losses if one is beyond floating point."""
    return math.log(perplexity) if in_nats else float(perplexity)
