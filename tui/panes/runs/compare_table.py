"""The table beside the chart of several runs: their figures, and the settings in which they differ."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from pathlib import Path

from core.scales import LARGEST
from core.units import clock_text, count_text, counted, perplexity_text
from tui.panes.runs.compare_chart import value_text
from tui.panes.runs.compare_runs import Compared, Summary
from tui.panes.runs.line_table import Column, Lines
from tui.text.cells import distinct_labels
from tui.text.safe import shown_text

LONGEST_NAME = 24
MOST_ABOVE = 4
"""Runs above the chart that are named."""


def table(view: Compared, pinned: Path | None = None, cross: float | None = None) -> Lines:
    """A line for each run: its figures, and the settings in which the runs differ."""
    lines = view.lines
    names = distinct_labels([shown_text(line.name) for line in lines], LONGEST_NAME)
    columns = [Column("run", names, LONGEST_NAME, is_text=True)]
    if cross is not None:
        columns.append(Column(f"at {axis_text(view.what.axis, cross)}", _readings(view, cross)))
    columns += [Column(label, words) for label, words in _figures(view.summaries, view.target)]
    for place, label in enumerate(view.labels):
        columns.append(Column(label, [shown_text(summary.settings[place]) for summary in view.summaries]))
    chosen = next((row for row, line in enumerate(lines) if line.path == pinned), None)
    return Lines(columns, [(line.sign, line.style) for line in lines], chosen)


def above_words(view: Compared) -> str:
    """``Above the chart, far worse than guessing: wild (3 of 3 epochs)``; empty if all is on it."""
    found = [one for one in view.summaries if one.above]
    names = distinct_labels([shown_text(one.line.name) for one in found], LONGEST_NAME)
    runs = [f"{name} ({one.above:,} of {counted(max(one.above, one.figures.epochs), 'epoch')})"
            for name, one in zip(names[:MOST_ABOVE], found, strict=False)]  # fmt: skip
    more = [f"{len(found) - MOST_ABOVE:,} more"] if len(found) > MOST_ABOVE else []
    return f"Above the chart, far worse than guessing: {', '.join(runs + more)}" if found else ""


def _figures(summaries: Sequence[Summary], target: float | None) -> list[tuple[str, list[str]]]:
    found = [summary.figures for summary in summaries]
    on = {figures.on for figures in found}  # a perplexity says on which text
    columns = [("ppl on", [figures.on for figures in found])] if len(on) > 1 else []
    columns += [
        ("best" if len(on) > 1 else f"best {' '.join(on)}", [perplexity_text(figures.best) for figures in found]),
        ("at", ["–" if figures.best_epoch is None else f"{figures.best_epoch:,}" for figures in found]),
        ("last", [perplexity_text(figures.last) for figures in found]),
        ("of", [f"{figures.epochs:,}" if figures.epochs else "–" for figures in found]),
    ]
    if target is not None:
        columns.append((f"to {perplexity_text(target)}", [seconds_text(summary.seconds_to) for summary in summaries]))
    columns.append(("weights", ["–" if summary.parameters is None else count_text(summary.parameters)
                                for summary in summaries]))  # fmt: skip
    return columns


def _readings(view: Compared, cross: float) -> list[str]:
    """The values at the crosshair: those of the journal, also where a smoothed line is drawn."""
    words, found = value_text(view.what.metric), []
    for line in view.lines:
        point = line.raw.nearest(cross)
        found.append("–" if point is None else words(point[1] if point[1] < LARGEST else math.inf))
    return found


def axis_text(axis: str, value: float) -> str:
    """``epoch 57``, ``1.2 M``, ``83 s``, ``14:05:10``: a place on an axis, in few cells."""
    if axis == "time":
        return datetime.datetime.fromtimestamp(value).strftime("%H:%M:%S")
    if axis == "training":
        return seconds_text(value)
    return f"epoch {round(value):,}" if axis == "epoch" else count_text(round(value))


def seconds_text(seconds: float | None) -> str:
    """``0.4 s``, ``83 s``, ``12:05``, ``3:02:10``; a dash for None."""
    if seconds is None:
        return "–"
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return clock_text(seconds)
