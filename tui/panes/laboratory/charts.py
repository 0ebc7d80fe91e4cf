"""Five charts of an experiment of the sequence laboratory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.laboratory.outcome import (
    Experiment,
    Predictions,
    ahead_words,
    errors_words,
    multi_step_words,
    one_step_words,
)
from tui.charts import Drawing, ReferenceLine, Series, XAxis, YAxis, line_chart
from tui.charts.widget import Draw

# Each model has the same colour and marker in every view; the data is behind them.
DATA = "$foreground 35%"
LOOKS = (("$primary", "solid"), ("$text-secondary", "dashed"))
NO_CHART = "no experiment yet"


@dataclass(frozen=True)
class LabChart:
    """One view: its id, its name, its chart and its explanation."""

    id: str
    name: str
    draw: Callable[[Experiment], Draw]
    words: Callable[[Experiment], str]
    is_ahead: bool = True
    """Whether it shows predictions of more than one step ahead."""


def nothing(width: int, height: int) -> Drawing:
    return line_chart((), width, height, placeholder=NO_CHART)


def one_step(experiment: Experiment) -> Draw:
    curves = [(one.name, one.one_step) for one in experiment.outcomes]
    return _over_time(experiment, "one step ahead", curves, experiment.config.train_end, "training ends")


def multi_step(experiment: Experiment) -> Draw:
    curves = [(one.name, one.multi_step) for one in experiment.outcomes]
    start = experiment.config.known_points
    words = "training ends" if start == experiment.config.train_end else "real points end"
    return _over_time(experiment, "multi-step", curves, start, words)


def ahead(position: int) -> Callable[[Experiment], Draw]:
    """Predictions of one model several steps ahead, without the data: four curves are enough."""

    def draw(experiment: Experiment) -> Draw:
        one = experiment.outcomes[position]
        curves = [(f"k={steps}", curve) for steps, curve in one.ahead.items()]
        title = f"{one.name}, k steps ahead"
        return _over_time(experiment, title, curves, experiment.config.train_end, "training ends", with_data=False)

    return draw


def errors(experiment: Experiment) -> Draw:
    series = []
    for one, (color, marker) in zip(experiment.outcomes, LOOKS, strict=True):
        values = [_within(value, experiment.limit) for value in one.errors]
        series.append(Series(one.name, range(1, len(values) + 1), values, color, marker))  # type: ignore[arg-type]
    lines = []
    if experiment.unseen:
        lines.append(ReferenceLine(experiment.guess_error, "always the mean"))
        if experiment.config.noise:
            lines.append(ReferenceLine(experiment.config.noise, "the noise"))
    none = "all points are training points: none is left to measure errors on"

    def draw(width: int, height: int) -> Drawing:
        x = XAxis("k", range=(1, None), ticks="whole")
        y = YAxis("error (RMSE), k steps ahead", range=(0.0, None), lines=lines)
        return line_chart(series, width, height, x, y, placeholder=none)

    return draw


def _ahead_words(position: int) -> Callable[[Experiment], str]:
    return lambda experiment: ahead_words(experiment, experiment.outcomes[position])


VIEWS = (
    LabChart("one", "1 step", one_step, one_step_words, is_ahead=False),
    LabChart("multi", "multi-step", multi_step, multi_step_words),
    LabChart("mlp", "k steps, MLP", ahead(0), _ahead_words(0)),
    LabChart("rnn", "k steps, RNN", ahead(1), _ahead_words(1)),
    LabChart("errors", "errors", errors, errors_words),
)


def _over_time(
    experiment: Experiment, title: str, curves: Sequence[tuple[str, Predictions]], mark: int, mark_name: str,
    with_data: bool = True,
) -> Draw:  # fmt: skip
    """Curves over time, the data behind them, and a vertical line at ``mark``."""
    data, limit = experiment.data, experiment.limit
    series = []
    if with_data:
        series.append(Series("data", range(1, len(data) + 1), data, DATA, "solid"))
    shown = [(name, curve.times, [_within(value, limit) for value in curve.values]) for name, curve in curves]
    values = [value for _, _, drawn in shown for value in drawn if math.isfinite(value)]
    values += data if with_data else ()
    for position, (name, times, drawn) in enumerate(shown):
        color, marker = LOOKS[position] if with_data else (position, None)
        series.append(Series(name, times, drawn, color, marker))  # type: ignore[arg-type]
    if mark < len(data) and values:
        line = Series(f"{mark_name} {mark:,}", [mark, mark], [min(values), max(values)], "$foreground 70%", "dotted")
        series.append(line)  # last in the legend, which leaves out what has no room

    def draw(width: int, height: int) -> Drawing:
        x = XAxis("time", range=(1, len(data)), ticks="whole")
        none = "nothing finite to draw: the training diverged"
        return line_chart(series, width, height, x, YAxis(title), placeholder=none)

    return draw


def _within(value: float, limit: float) -> float:
    """Values beyond the limit are drawn at the edge; NaN is not drawn."""
    return max(-limit, min(limit, value))
