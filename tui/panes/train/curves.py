"""What the charts of the Train pane show: the figures of a run, and the lines that its perplexity is compared with."""

from __future__ import annotations

import math
from collections.abc import Callable

from core.runs.metrics import METRICS
from core.scales import LINEAR, Scale
from core.training.divergence import ceiling_of
from core.units import loss_text, perplexity_text
from tui.charts import GrowingCurve, ReferenceLine
from tui.charts.curve_chart import CurveChart, LiveSeries
from tui.engines.watched_run import WatchedRun
from tui.panes.train.comparison import preset_of

ROOM_FOR_BASELINES = 16  # lines of chart below which n-gram lines would only be in the way
PERPLEXITY, NATS, BITS = "perplexity", "nats", "bits"
ON_BOTH_TEXTS = {PERPLEXITY: "perplexity", NATS: "loss in nats", BITS: "loss in bits"}
"""Figures that a run has of the training text and of the held-out text, with the name of the axis."""
LABELS = {name: quantity.label for name, quantity in METRICS.items()} | ON_BOTH_TEXTS
SMALL = 4
"""Charts beside the large one, where there is room."""


def figures_of(run: WatchedRun) -> list[str]:
    """The figures that can be shown, in the order of the key; perplexity comes first."""
    return [*ON_BOTH_TEXTS, *(name for name, curve in run.figures.items() if len(curve))]


def scale_of(figure: str) -> Scale:
    """The scale of a figure at first."""
    return METRICS[figure].scale if figure in METRICS else LINEAR


def metrics_of(figure: str) -> list[str]:
    """The columns of the journal that a figure shows; none for the perplexities, which a picture shows by default."""
    return {PERPLEXITY: [], NATS: ["loss", "validation_loss"], BITS: ["bits", "validation_bits"]}.get(figure, [figure])


def show_figure(chart: CurveChart, run: WatchedRun, figure: str) -> None:
    """Have a chart show a figure of a run; perplexities with what they are compared with."""
    chart.end = float(run.num_epochs) if run.num_epochs and not run.is_fitting else None
    chart.ends = METRICS[figure].ends if figure in METRICS else None
    if figure not in ON_BOTH_TEXTS:
        chart.y_label, chart.references, chart.least_y, chart.ceiling = LABELS[figure], (), None, math.inf
        chart.value_text = "{:.4g}".format
        chart.series = (LiveSeries("", run.figures.get(figure, GrowingCurve()), "$accent", "solid"),)
        return
    in_nats = figure == PERPLEXITY and run.losses is not None  # a perplexity is beyond floating point
    height = _height_of(NATS if in_nats else figure)
    is_perplexity = figure == PERPLEXITY and not in_nats
    chart.y_label = ON_BOTH_TEXTS[NATS if in_nats else figure]
    chart.ceiling = ceiling_of("loss" if in_nats or figure == NATS else figure, run.vocabulary or 0)
    chart.value_text = perplexity_text if is_perplexity else loss_text
    chart.least_y = 1.0 if figure == PERPLEXITY else None
    chart.references = _references(run, height, is_perplexity, chart.size.height)
    chart.series = _perplexities(run, height, in_nats)


def _perplexities(run: WatchedRun, height: Callable[[float], float], in_nats: bool) -> tuple[LiveSeries, ...]:
    is_plain = height is float
    if run.losses is not None and in_nats:
        (training, held_out), change = run.losses, None
    else:
        (training, held_out), change = (run.training, run.held_out), None if is_plain else height
    series = [LiveSeries("training", training, "$accent", "solid", change)]
    if len(run.held_out):
        best = GrowingCurve.of([run.best[0]], [height(run.best[1])]) if run.best is not None else GrowingCurve()
        series.append(LiveSeries("held out", held_out, "$secondary", "dashed", change))
        series.append(LiveSeries("best", best, "$text-warning", "points"))
    preset = preset_of(run.config)
    if preset is not None and preset.published:
        published = GrowingCurve.of(list(preset.published), [height(value) for value in preset.published.values()])
        series.append(LiveSeries("published", published, "$success", "points"))
    return tuple(series)


def _references(
    run: WatchedRun, height: Callable[[float], float], is_perplexity: bool, lines_of_chart: int
) -> tuple[ReferenceLine, ...]:
    """The perplexities of guessing and of n-gram models, on the text that their labels name."""
    lines = []
    if run.vocabulary:
        value = height(run.vocabulary)
        lines.append(ReferenceLine(value, f"uniform {f'{run.vocabulary:,}' if is_perplexity else loss_text(value)}"))
    # A model that sees the answer cannot be compared with them.
    if lines_of_chart >= ROOM_FOR_BASELINES and not (run.config is not None and run.config.bidirectional):
        for name, perplexity in run.baselines:
            value = height(perplexity)
            shown = perplexity_text(value) if is_perplexity else loss_text(value)
            lines.append(ReferenceLine(value, f"{name}, {run.baselines_on} {shown}"))
    return tuple(lines)


def _height_of(figure: str) -> Callable[[float], float]:
    """From a perplexity to the height at which it is drawn."""
    return {NATS: math.log, BITS: math.log2}.get(figure, float)
