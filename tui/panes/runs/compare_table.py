"""The table beside the chart of several runs: their figures, and the settings in which they differ."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from textual import events
from textual.containers import ScrollableContainer
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from core.units import count_text, perplexity_text
from tui.panes.runs.compare_chart import value_text
from tui.panes.runs.compare_runs import Summary, View
from tui.text.cells import cell_len, distinct_labels, pad_cells
from tui.text.safe import shown_text
from tui.themes import QUIET

LONGEST_NAME, LONGEST_VALUE = 24, 14
PIN = "▸"


class RunsFigures(ScrollableContainer, can_focus=False):
    """A line for each run; a click on one pins it."""

    @dataclass
    class Pinned(Message):
        """A run was chosen to be drawn over the others."""

        path: Path

    def __init__(self, id: str | None = None) -> None:
        super().__init__(Static(id="compare-figures-text"), id=id)
        self._view = View()

    def show(self, view: View, pinned: Path | None, cross: float | None) -> None:
        """Show the figures, and what the runs have at the crosshair."""
        self._view = view
        text, content = self.query_one(Static), table(view, pinned, cross)
        if text.content != content:
            text.update(content)

    def on_click(self, event: events.Click) -> None:
        row = event.get_content_offset(self.query_one(Static))
        place = row.y - 1 if row is not None else -1
        if 0 <= place < len(self._view.summaries):
            self.post_message(self.Pinned(self._view.summaries[place].line.path))


def table(view: View, pinned: Path | None = None, cross: float | None = None) -> Content:
    """A heading, then a line for each run."""
    names = distinct_labels([shown_text(line.name) for line in view.lines], LONGEST_NAME)
    columns = [("run", names)]
    if cross is not None:
        columns.append((f"at {axis_text(view.what.axis, cross)}", _readings(view, cross)))
    columns += _figures(view.summaries, view.target)
    for place, label in enumerate(view.labels):
        columns.append((label, [shown_text(summary.settings[place]) for summary in view.summaries]))
    widths = [max(cell_len(label), min(max(map(cell_len, words), default=0), LONGEST_VALUE if number else LONGEST_NAME))
              for number, (label, words) in enumerate(columns)]  # fmt: skip
    heading = "    " + "  ".join(_cell(label, width, place) for place, ((label, _), width) in
                                 enumerate(zip(columns, widths, strict=True)))  # fmt: skip
    lines = [Content.styled(heading, QUIET)]
    for row, summary in enumerate(view.summaries):
        is_pinned = summary.line.path == pinned
        cells = [_cell(words[row], width, place) for place, ((_, words), width) in
                 enumerate(zip(columns, widths, strict=True))]  # fmt: skip
        lines.append(Content.assemble(
            f"{PIN if is_pinned else ' '} ", (summary.line.sign, summary.line.style), " ",
            ("  ".join(cells), "bold" if is_pinned else ""),
        ))  # fmt: skip
    return Content("\n").join(lines)


def _cell(words: str, width: int, place: int) -> str:
    return pad_cells(words, width, "left" if place == 0 else "right")


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


def _readings(view: View, cross: float) -> list[str]:
    """The values at the crosshair: those of the journal, also where a smoothed line is drawn."""
    words, found = value_text(view.what.metric), []
    for line in view.lines:
        point = line.raw.nearest(cross)
        found.append(words(point[1]) if point is not None else "–")
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
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
