"""Pictures: curves as PNG or SVG for a page or a slide, drawn by matplotlib."""

from __future__ import annotations

import datetime
import io
import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.errors import UserError
from core.export.curves import WHOLE_COLUMNS, Curve
from core.export.extras import library
from core.export.fonts import families_for
from core.runs.comparison import Column, finite_in_order, smoothed
from core.runs.looks import looks
from core.runs.metrics import AXES, LOSSES, METRICS, Metric
from core.scales import LARGEST, LINEAR, LOG, Scale
from core.training.divergence import ceiling_of
from core.units import counted

INCHES = (6.4, 4.0)
DOTS_PER_INCH = 200
COLUMNS = 1600
"""Places along x at which a long curve keeps its lowest and its highest point: more than the dots of the picture."""
# Okabe & Ito 2008, "Color universal design": eight colours that colour-blind readers tell apart; black is left to text,
# and yellow, which white paper swallows, is darker.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8400", "#6A3D9A")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p")
_MARKERS_PER_CURVE = 8
_MOST_WITHIN, _LEGEND_ROWS, _LEGEND_POINTS = 8, 20, 7
_DASHES = ("-", "--", ":", "-.")
_RAW_OPACITY = 0.25
_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LATEST = 32_503_680_000.0  # the year 3000, in seconds since 1970: dates have an end


@dataclass(frozen=True)
class Chart:
    """What is drawn.

    Attributes:
        metrics: figures of the journal, or columns of a file that another program wrote; each has its own dashes. By
            default the training perplexity, and the held-out one where a curve has it.
        axis: see ``metrics.AXES``.
        y_scale: of y; None leaves it to the first metric.
        smoothing: the weight of ``comparison.smoothed``; the raw line is then dimmed.
        title: above the chart; empty for none.
    """

    metrics: tuple[str, ...] = ()
    axis: str = "epoch"
    y_scale: Scale | None = None
    smoothing: float = 0.0
    title: str = ""

    def __post_init__(self) -> None:
        if self.axis not in AXES:
            raise UserError(f"the axis must be one of {', '.join(AXES)}, got {self.axis!r}")
        if not 0 <= self.smoothing < 1:
            raise UserError(f"the smoothing must be at least 0 and below 1, got {self.smoothing}")
        if len(self.metrics) > len(_DASHES):
            raise UserError(f"a picture shows up to {len(_DASHES)} metrics, got {len(self.metrics)}")

    @property
    def scale(self) -> Scale:
        return self.y_scale or METRICS.get((*self.metrics, "perplexity")[0], Metric("")).scale


@dataclass(frozen=True)
class _Line:
    curve: Curve
    metric: str
    x: Column
    y: Column


def picture(curves: Sequence[Curve], chart: Chart, kind: str) -> tuple[bytes, list[str], int]:
    """The bytes of a picture, remarks: what could not be drawn as it is, and how many of the curves are drawn.

    Args:
        curves: with distinct names.
        kind: ``png`` or ``svg``.

    The same curves give the same bytes. Raises UserError where a curve lacks a metric or the axis, where no point can
    be drawn, and where matplotlib is missing.
    """
    matplotlib = library("matplotlib", "a picture")
    figures = library("matplotlib.figure", "a picture")
    chart = chart if chart.metrics else replace(chart, metrics=_perplexities(curves))
    lines, remarks = _lines(curves, chart)
    words = "".join((chart.title, *(line.curve.name for line in lines), *chart.metrics))
    families, problem = families_for(words)
    settings = {
        "font.family": families, "svg.hashsalt": "rnn-playground", "axes.unicode_minus": False, "font.size": 9,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25,
        "legend.frameon": False, "lines.linewidth": 1.4, "lines.markersize": 4.5,
    }  # fmt: skip
    data = io.BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # a matplotlibrc of the user's would change the picture
        matplotlib.rcParams.update(settings)
        warnings.filterwarnings("ignore", message="Glyph")  # the remark says it once for all
        size = (INCHES[0] + _legend_inches(_labels(lines, chart), families), INCHES[1])
        figure = figures.Figure(figsize=size, dpi=DOTS_PER_INCH, layout="constrained")
        _draw(figure, lines, chart)
        figure.savefig(data, format=kind, metadata={"Date": None} if kind == "svg" else {"Software": None})
    drawn = len({line.curve.name for line in lines})
    return data.getvalue(), [*remarks, *filter(None, (problem,))], drawn


def _perplexities(curves: Sequence[Curve]) -> tuple[str, ...]:
    names = ("perplexity", "validation_perplexity")
    return names if any(curve.has(names[1]) for curve in curves) else names[:1]


def _lines(curves: Sequence[Curve], chart: Chart) -> tuple[list[_Line], list[str]]:
    lines: list[_Line] = []
    remarks: list[str] = []
    ceilings = {metric: _ceiling(curves, metric) for metric in chart.metrics}
    for curve in curves:
        drawn = [metric for metric in chart.metrics if curve.has(metric)] or [chart.metrics[0]]
        for metric in drawn:
            name = metric if curve.has(metric) else curve.only_figure or metric
            x, y = finite_in_order(curve.required(chart.axis), curve.required(name))
            if chart.axis == "time":
                x, y = x[x < _LATEST], y[x < _LATEST]
            good, is_useful = chart.scale.allows(y), y <= ceilings[metric]
            if metric == drawn[0]:
                far = int((curve.required(name) > min(ceilings[metric], LARGEST)).sum())
                lost = _lost_words(curve, name, chart.scale, far, int((~good & is_useful).sum()))
                remarks += lost or ([] if len(y) else [f"{curve.name} has no {name}"])
            x, y = x[good & is_useful], y[good & is_useful]
            if len(y):
                lines.append(_Line(curve, metric, x, y))
    if not lines:
        where = f" {chart.scale.domain}, which a {chart.scale.label} axis needs" if chart.scale.domain else ""
        other = next((name for name in METRICS if name not in chart.metrics and _is_drawable(curves, name)), "")
        instead = f": choose another metric, such as {other}" if other else ""
        raise UserError(f"there is no finite {' or '.join(chart.metrics)}{where} to draw{instead}")
    return lines, remarks


def _is_drawable(curves: Sequence[Curve], metric: str) -> bool:
    """Whether any value of a metric has a place on its own axis."""
    columns = [column for curve in curves if (column := curve.column(metric)) is not None]
    return any((np.isfinite(column) & METRICS[metric].scale.allows(column)).any() for column in columns)


def _ceiling(curves: Sequence[Curve], metric: str) -> float:
    """What is above it would make the other curves flat; infinite where there are no others."""
    ceiling = ceiling_of(metric, max((curve.vocabulary for curve in curves), default=0))
    columns = [column for curve in curves if (column := curve.column(metric)) is not None]
    return ceiling if any((column <= ceiling).any() for column in columns) else math.inf


def _lost_words(curve: Curve, metric: str, scale: Scale, far: int, beyond: int) -> list[str]:
    """``wild: 3 of 3 values of perplexity are far worse than guessing: left out``."""
    lost = {"far worse than guessing" if metric in LOSSES else "too large": far, f"not {scale.domain}": beyond}
    return [
        f"{curve.name}: {count:,} of {counted(curve.rows, 'value')} of {metric} {'is' if count == 1 else 'are'} {why}: "
        "left out"
        for why, count in lost.items()
        if count
    ]


def _draw(figure: Any, lines: Sequence[_Line], chart: Chart) -> None:
    axes = figure.add_subplot()
    chosen = looks(line.curve.name for line in lines)
    handles = []
    for number, line in enumerate(lines):
        colour, marker = chosen[line.curve.name]
        style = {"color": COLOURS[colour], "linestyle": _DASHES[chart.metrics.index(line.metric)]}
        x, y = line.x, line.y
        if chart.smoothing:
            axes.plot(*_thinned(_shown(x, chart), y), **style, alpha=_RAW_OPACITY, linewidth=0.8)
            y = smoothed(x, y, chart.smoothing)
        x, y = _thinned(_shown(x, chart), y)
        every = (number / len(lines) / _MARKERS_PER_CURVE, 1 / _MARKERS_PER_CURVE) if len(x) > 1 else None
        handles += axes.plot(x, y, **style, marker=MARKERS[marker], markevery=every)
    if chart.scale is LOG:
        axes.set_yscale("log")
        _label_decades(axes, lines)
    elif chart.scale is not LINEAR:
        axes.set_yscale("function", functions=(chart.scale.forward, chart.scale.inverse))
    if chart.axis in WHOLE_COLUMNS:
        ticker = library("matplotlib.ticker", "a picture")
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    if chart.axis == "time":
        dates = library("matplotlib.dates", "a picture")
        axes.xaxis.axis_date()
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(axes.xaxis.get_major_locator()))
    named = [METRICS.get(metric, Metric(metric)).label for metric in chart.metrics]
    _text(axes.set_xlabel(""), AXES[chart.axis].label)
    _text(axes.set_ylabel(""), named[0] if len(named) == 1 else _shared(named))
    if chart.title:
        _text(axes.set_title(""), chart.title)
    # A label is set afterwards: matplotlib takes one that begins with _ for none, and $ for the begin of a formula.
    blank, columns = ["."] * len(handles), _legend_columns(len(handles))
    if columns:
        legend = figure.legend(
            handles, blank, loc="outside right upper", ncols=columns, handlelength=3.0, fontsize=_LEGEND_POINTS
        )
    else:
        legend = axes.legend(handles, blank, loc="best", handlelength=3.0)
    for text, label in zip(legend.get_texts(), _labels(lines, chart), strict=True):
        _text(text, label)


def _labels(lines: Sequence[_Line], chart: Chart) -> list[str]:
    """The lines as the legend names them."""
    named = {metric: f", {METRICS.get(metric, Metric(metric)).label}" for metric in chart.metrics}
    return [line.curve.name + (named[line.metric] if len(named) > 1 else "") for line in lines]


def _legend_columns(lines: int) -> int:
    """Columns of a legend beside the chart; 0 where it has room within."""
    return 0 if lines <= _MOST_WITHIN else math.ceil(lines / _LEGEND_ROWS)


def _legend_inches(labels: Sequence[str], families: Sequence[str]) -> float:
    """How much wider the picture is for its legend: the width of its letters, as they are drawn."""
    columns = _legend_columns(len(labels))
    if not columns:
        return 0.0
    font = library("matplotlib.font_manager", "a picture").FontProperties(family=families, size=_LEGEND_POINTS)
    measured = library("matplotlib.textpath", "a picture").text_to_path.get_text_width_height_descent
    points = max(measured(_drawable(label), font, ismath=False)[0] for label in labels)
    return columns * (0.7 + float(points) / 72)


def _text(artist: Any, text: str) -> None:
    """Show ``text`` as it is, not as a formula."""
    artist.set_parse_math(False)
    artist.set_text(_drawable(text))


def _drawable(text: str) -> str:
    """``text``, but as an escape what matplotlib cannot draw, or what makes an SVG unreadable."""
    return _NOT_IN_XML.sub(lambda found: ascii(found[0])[1:-1], text)


def _shared(labels: list[str]) -> str:
    """``training perplexity`` and ``held-out perplexity`` as ``perplexity``; others side by side."""
    ends = {label.split(" ", 1)[-1] for label in labels}
    return ends.pop() if len(ends) == 1 else " · ".join(labels)


def _label_decades(axes: Any, lines: Sequence[_Line]) -> None:
    """Plain numbers on a logarithmic axis; between the decades too where there are few of them."""
    ticker = library("matplotlib.ticker", "a picture")
    low, high = min(float(line.y.min()) for line in lines), max(float(line.y.max()) for line in lines)
    if high >= 1e6 or low <= 1e-6:
        return
    is_narrow = math.log10(high / low) < 1.5
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.12g}"))
    if is_narrow:
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())


def _shown(x: Column, chart: Chart) -> Any:
    """The places on the axis: dates for the time of day."""
    if chart.axis != "time":
        return x
    return np.array([datetime.datetime.fromtimestamp(moment) for moment in x.tolist()], dtype="datetime64[us]")


def _thinned(x: Any, y: Column) -> tuple[Any, Column]:
    """A long curve as the lowest and the highest point of each of ``COLUMNS`` stretches: the picture looks the same."""
    size = len(y)
    if size <= 4 * COLUMNS:
        return x, y
    starts = np.unique(np.linspace(0, size, COLUMNS, endpoint=False).astype(np.intp))
    groups = np.repeat(np.arange(len(starts)), np.diff(starts, append=size))
    order = np.lexsort((y, groups))
    ends = np.append(starts[1:], size) - 1
    kept = np.unique(np.concatenate(([0, size - 1], order[starts], order[ends])))
    return x[kept], y[kept]
