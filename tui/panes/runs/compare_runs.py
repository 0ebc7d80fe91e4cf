"""The runs that are compared: their journals as they grow, and the lines and figures that the screen shows of them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from core.errors import RunError
from core.runs.looks import Look, looks
from core.runs.metadata import RunMetadata
from core.runs.quantities import METRICS, RARE_METRICS
from core.runs.run import Run

if TYPE_CHECKING:
    from core.runs.comparison import Figures, RunCurve
    from tui.charts.levels import Levels

CHUNK = 1 << 18
"""Bytes of a journal that are read at a time: a reading that is longer would keep the screen from its turn."""
SIGNS = "●■▲◆▼✚✖◀▶★◉"
"""In the order of the markers of a picture."""


@dataclass(frozen=True)
class What:
    """What a chart of runs shows."""

    metric: str = "perplexity"
    axis: str = "epoch"
    smoothing: float = 0.0


@dataclass(frozen=True, eq=False)
class Line:
    """A run as the chart shows it. ``smooth`` is None where nothing is smoothed."""

    path: Path
    name: str
    look: Look
    raw: Levels
    smooth: Levels | None

    @property
    def style(self) -> str:
        return f"$run-{self.look[0] + 1}"

    @property
    def sign(self) -> str:
        return SIGNS[self.look[1]]


@dataclass(frozen=True)
class Summary:
    """A run in the table; ``seconds_to`` is the time to the target perplexity, ``settings`` are those that differ."""

    line: Line
    figures: Figures
    seconds_to: float | None
    parameters: int | None
    settings: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """All that is on screen, made at one moment."""

    what: What = field(default_factory=What)
    summaries: tuple[Summary, ...] = ()
    labels: tuple[str, ...] = ()
    target: float | None = None
    metrics: tuple[str, ...] = ("perplexity",)
    is_complete: bool = True

    @property
    def lines(self) -> list[Line]:
        return [summary.line for summary in self.summaries]


@dataclass
class _Compared:
    curve: RunCurve
    name: str = ""
    metadata: RunMetadata | None = None
    made: tuple[int, What] | None = None
    line: Line | None = None
    look: Look = (0, 0)
    _figures: tuple[int, Figures] | None = None
    _reached: tuple[int, float, float | None] | None = None

    def figures(self) -> Figures:
        """The figures of the run, computed again after the curve has changed."""
        from core.runs.comparison import figures

        if self._figures is None or self._figures[0] != self.curve.version:
            self._figures = self.curve.version, figures(self.curve)
        return self._figures[1]

    def seconds_to(self, target: float) -> float | None:
        """The seconds to a perplexity, computed again after the curve has changed."""
        from core.runs.comparison import seconds_to

        if self._reached is None or self._reached[:2] != (self.curve.version, target):
            self._reached = self.curve.version, target, seconds_to(self.curve, target)
        return self._reached[2]


class ComparedRuns:
    """Reads files and computes: called in threads, one call at a time."""

    def __init__(self) -> None:
        self._runs: dict[Path, _Compared] = {}
        self._looks: dict[str, Look] = {}
        self._lock = Lock()

    def view(self, paths: Sequence[Path], what: What, target: float | None, seconds: float = 0.15) -> View:
        """Read for at most about ``seconds`` what is new in the journals, and make all that the screen shows of it."""
        with self._lock:
            self._choose(paths)
            is_complete = self._read(time.monotonic() + seconds)
            return self._made(what, target, is_complete)

    def _choose(self, paths: Sequence[Path]) -> None:
        from core.export.curves import distinct_names
        from core.runs.comparison import RunCurve

        before, self._runs = self._runs, {}
        for path in paths:
            self._runs[path] = before.get(path) or _Compared(RunCurve(path), metadata=_metadata(path))
        for run, name in zip(self._runs.values(), distinct_names([Run(path) for path in paths]), strict=True):
            run.name = name
        self._looks = looks((run.name for run in self._runs.values()), self._looks)
        for run in self._runs.values():
            run.look = self._looks[run.name]

    def _read(self, end: float) -> bool:
        """Read a piece of each journal in turn. Returns whether all are read."""
        waiting = [run.curve for run in self._runs.values()]
        while waiting:
            waiting = [curve for curve in waiting if curve.read(CHUNK)]
            if time.monotonic() > end:
                break
        return not waiting

    def _made(self, what: What, target: float | None, is_complete: bool) -> View:
        from core.runs.comparison import differing_settings

        runs = list(self._runs.values())
        metrics = tuple(name for name in (*METRICS, *RARE_METRICS) if any(run.curve.has(name) for run in runs)) or (
            "perplexity",
        )
        known = [run.figures() for run in runs]
        reached = [found.best for found in known if found.best is not None and math.isfinite(found.best)]
        target = target if target is not None else max(reached, default=None)
        changed = differing_settings([run.metadata.config if run.metadata else None for run in runs])
        summaries = tuple(
            Summary(
                self._line(path, run, what),
                found,
                run.seconds_to(target) if target is not None else None,
                run.metadata.parameters if run.metadata else None,
                tuple(words[place] for _, words in changed),
            )
            for place, ((path, run), found) in enumerate(zip(self._runs.items(), known, strict=True))
        )
        return View(what, summaries, tuple(setting.label for setting, _ in changed), target, metrics, is_complete)

    @staticmethod
    def _line(path: Path, run: _Compared, what: What) -> Line:
        from core.runs.comparison import smoothed
        from tui.charts.levels import Levels

        made = (run.curve.version, what)
        if run.line is None or run.made != made or (run.line.name, run.line.look) != (run.name, run.look):
            x, y = run.curve.points(what.metric, what.axis)
            smooth = Levels(x, smoothed(x, y, what.smoothing)) if what.smoothing else None
            run.line, run.made = Line(path, run.name, run.look, Levels(x, y), smooth), made
        return run.line


def _metadata(path: Path) -> RunMetadata | None:
    try:
        return Run(path).metadata()
    except RunError:
        return None
