"""The parts of a sweep on the screen: the table of its runs, and the chart of a setting against the result."""

from __future__ import annotations

import math
from collections.abc import Mapping

from core.events import State
from core.scales import LINEAR, LOG
from core.settings.run_config import RunConfig
from core.sweep.folder import GIVEN_UP, PRUNED
from core.sweep.ranges import Varied, short_text
from core.sweep.results import WAITING, Result
from core.units import perplexity_text
from tui.charts import Bar, Drawing, Series, XAxis, YAxis, bar_chart, line_chart
from tui.panes.runs.compare_table import seconds_text
from tui.panes.runs.line_table import Column, Lines
from tui.panes.runs.sweep_reading import SweepSeen
from tui.text.safe import shown_text

SIGNS = {
    State.FINISHED: "●", State.TRAINING: "▶", State.PAUSED: "⏸", State.DIVERGED: "✖", State.FAILED: "✖", PRUNED: "✂",
    GIVEN_UP: "✖", WAITING: "·",
}  # fmt: skip


def table(seen: SweepSeen, cursor: int = -1) -> Lines:
    """A line for each run, the best first."""
    varied = seen.sweep.varied if seen.sweep is not None else ()
    results = seen.results
    on = {result.on for result in results if result.on}
    columns = [Column("run", [shown_text(result.run) for result in results], is_text=True)]
    for item in varied:
        words = [_value(result, item) for result in results]
        columns.append(Column(item.setting.label, words, is_text=item.setting.kind in (str, bool)))
    best = f"best {' '.join(on)}" if len(on) == 1 else "best"
    columns.append(Column(best, [perplexity_text(result.best) for result in results]))
    if len(on) > 1:
        columns.append(Column("on", [result.on or "–" for result in results]))
    columns += [
        Column("at", ["–" if result.best_epoch is None else f"{result.best_epoch:,}" for result in results]),
        Column("epochs", ["–" if result.place else f"{result.epochs:,}" for result in results]),
        Column("state", [shown_text(result.words) for result in results], is_text=True),
        Column("time", ["–" if result.place else seconds_text(result.seconds) for result in results]),
    ]
    quiet = [row for row, result in enumerate(results) if result.state in (WAITING, PRUNED)]
    return Lines(columns, [_sign(result) for result in results], cursor, quiet)


def _sign(result: Result) -> tuple[str, str]:
    sign = SIGNS.get(result.state, "‖")
    return sign, "$text-error" if sign == "✖" else "$text-accent" if result.state == State.TRAINING else ""


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
    x_scale = LOG if item.log or (min(x) > 0 and max(x) >= 30 * min(x)) else LINEAR
    y_scale = LOG if min(y) > 0 and max(y) > 3 * min(y) else LINEAR
    return line_chart(
        [Series("", x, y, marker="points")],
        width,
        height,
        XAxis(label, x_scale, ticks="whole" if item.setting.kind is int else "numbers"),
        YAxis("perplexity", y_scale),
    )


def is_drawn(result: Result) -> bool:
    """Whether a run is in the chart; beside one that diverged, the others would be a line."""
    return result.best is not None and math.isfinite(result.best) and result.state != State.DIVERGED


def importance_words(shares: Mapping[str, float]) -> str:
    """``importance: lr 96 %, cell 4 %``."""
    parts = [f"{RunConfig.setting(name).label} {share:.0%}" for name, share in shares.items()]
    return f"importance: {', '.join(parts)}" if parts else ""
