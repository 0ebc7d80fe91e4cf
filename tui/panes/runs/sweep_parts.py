"""The parts of a sweep on the screen: the table of its runs, and the chart of a setting against the result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from textual import events
from textual.containers import ScrollableContainer
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.widgets import Static

from core.events import State
from core.settings.run_config import RunConfig
from core.sweep.folder import PRUNED
from core.sweep.ranges import Varied, short_text
from core.sweep.results import WAITING, Result
from core.units import perplexity_text
from tui.charts import Bar, Drawing, Series, bar_chart, line_chart
from tui.panes.runs.compare_table import seconds_text
from tui.panes.runs.sweep_reading import SweepSeen
from tui.text.cells import cell_len, pad_cells
from tui.text.safe import shown_text
from tui.themes import QUIET

LONGEST = 30
SIGNS = {
    State.FINISHED: "●", State.TRAINING: "▶", State.PAUSED: "⏸", State.DIVERGED: "✖", State.FAILED: "✖", PRUNED: "✂",
    WAITING: "·",
}  # fmt: skip


class SweepTable(ScrollableContainer, can_focus=False):
    """A line for each run, the best first; a click on one chooses it."""

    @dataclass
    class Clicked(Message):
        """A run was clicked; ``again``: it was the chosen one already."""

        row: int

    def __init__(self, id: str | None = None) -> None:
        self._text = Static(id="sweep-table-text")
        super().__init__(self._text, id=id)

    def show(self, seen: SweepSeen, cursor: int) -> None:
        """Show the runs, the one at ``cursor`` marked and in view."""
        content = table(seen, cursor)
        if self._text.content != content:
            self._text.update(content)
        self.scroll_to_region(Region(0, cursor + 1, 1, 1), animate=False, force=True, x_axis=False)

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self._text)
        if place is not None and place.y >= 1:
            self.post_message(self.Clicked(place.y - 1))


def table(seen: SweepSeen, cursor: int = -1) -> Content:
    """A heading, then a line for each run."""
    varied = seen.sweep.varied if seen.sweep is not None else ()
    results = seen.results
    on = {result.on for result in results if result.on}
    best = f"best {' '.join(on)}" if len(on) == 1 else "best"
    columns = [("run", [shown_text(result.run) for result in results])]
    columns += [(item.setting.label, [_value(result, item) for result in results]) for item in varied]
    columns += [(best, [perplexity_text(result.best) for result in results])]
    if len(on) > 1:
        columns.append(("on", [result.on or "–" for result in results]))
    columns += [
        ("at", ["–" if result.best_epoch is None else f"{result.best_epoch:,}" for result in results]),
        ("epochs", [f"{result.epochs:,}" for result in results]),
        ("time", [seconds_text(result.seconds) for result in results]),
        ("state", [result.state for result in results]),
    ]
    widths = [min(LONGEST, max(map(cell_len, (label, *words)))) for label, words in columns]
    texts = {0, len(columns) - 1, *(place for place, item in enumerate(varied, 1) if item.setting.kind in (str, bool))}

    def line(words: Sequence[str]) -> str:
        sides = ["left" if place in texts else "right" for place in range(len(columns))]
        return "  ".join(
            pad_cells(word, width, "left" if side == "left" else "right")
            for word, width, side in zip(words, widths, sides, strict=True)
        )

    lines = [Content.styled(f"    {line([label for label, _ in columns])}", QUIET)]
    for row, result in enumerate(results):
        sign = SIGNS.get(result.state, "‖")
        style = "$text-error" if sign == "✖" else "$text-accent" if result.state == State.TRAINING else ""
        words = line([cells[row] for _, cells in columns])
        mark = "▸" if row == cursor else " "
        quiet = QUIET if result.state in (WAITING, PRUNED) else ""
        lines.append(Content.assemble(f"{mark} ", (sign, style), " ", (words, "bold" if row == cursor else quiet)))
    return Content("\n").join(lines)


def _value(result: Result, varied: Varied) -> str:
    name = varied.setting.name
    return shown_text(short_text(result.values[name])) if name in result.values else "–"


def setting_chart(seen: SweepSeen, place: int, width: int, height: int) -> Drawing:
    """The best perplexity of each run over the values of a setting: points, or for words a bar each of the best.

    Runs that diverged are left out.
    """
    sweep = seen.sweep
    if sweep is None or width < 1 or height < 1:
        return bar_chart([], width=width, height=height, placeholder="")
    item = sweep.varied[place % len(sweep.varied)]
    name, label = item.setting.name, item.setting.label
    known = [
        (result.values[name], result.best) for result in seen.results
        if name in result.values and result.best is not None and is_drawn(result)
    ]  # fmt: skip
    if not known:
        return bar_chart([], width=width, height=height, placeholder="no result yet")
    if item.setting.kind in (str, bool):
        by_value: dict[str, list[float]] = {short_text(value): [] for value in item.values}
        for value, best in known:
            by_value.setdefault(short_text(value), []).append(best)
        bars = [
            Bar(value, min(found), f"best of {len(found)}") for value, found in by_value.items() if found
        ]  # fmt: skip
        return bar_chart(bars, width=width, height=height, total=0, decimals=2)
    points = [(float(value), best) for value, best in known if isinstance(value, (int, float))]
    if not points:
        return bar_chart([], width=width, height=height, placeholder="no result yet")
    x, y = [value for value, _ in points], [best for _, best in points]
    is_log = item.log or (min(x) > 0 and max(x) >= 30 * min(x))
    return line_chart(
        [Series("", x, y, marker="points")], width=width, height=height, log_x=is_log,
        log_y=min(y) > 0 and max(y) > 3 * min(y), x_label=label, y_label="perplexity",
        integer_x=item.setting.kind is int,
    )  # fmt: skip


def is_drawn(result: Result) -> bool:
    """Whether a run is in the chart; beside one that diverged, the others would be a line."""
    return result.best is not None and math.isfinite(result.best) and result.state != State.DIVERGED


def importance_words(shares: Mapping[str, float]) -> str:
    """``importance: lr 96 %, cell 4 %``."""
    parts = [f"{RunConfig.setting(name).label} {share:.0%}" for name, share in shares.items()]
    return f"importance: {', '.join(parts)}" if parts else ""
