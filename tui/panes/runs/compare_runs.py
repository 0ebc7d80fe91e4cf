"""The runs that are compared: their journals as they grow, and the lines and figures that the screen shows of them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from core.errors import RunError, UserError
from core.runs.looks import Look, looks
from core.runs.metadata import RunMetadata
from core.runs.metrics import AXES, LOSSES, METRICS
from core.runs.run import Run
from core.scales import LARGEST

if TYPE_CHECKING:
    from core.export.curves import Curve
    from core.export.following import FollowedFile
    from core.runs.comparison import Curves, Figures
    from core.settings.run_config import RunConfig
    from core.settings.setting import Setting
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
    """A run as the chart shows it, or the curve of a file. ``smooth`` is None where nothing is smoothed."""

    path: Path
    """Of the run's folder; what identifies the curve where it is of a file."""
    name: str
    look: Look
    raw: Levels
    smooth: Levels | None
    is_run: bool = True

    @property
    def style(self) -> str:
        return f"$run-{self.look[0] + 1}"

    @property
    def sign(self) -> str:
        return SIGNS[self.look[1]]


@dataclass(frozen=True)
class Summary:
    """A run in the table; ``seconds_to`` is the time to the target perplexity, ``settings`` are those that differ.

    ``above``: how many of its epochs are above the ceiling of the chart.
    """

    line: Line
    figures: Figures
    seconds_to: float | None
    parameters: int | None
    settings: tuple[str, ...]
    above: int = 0


@dataclass(frozen=True)
class Compared:
    """All that is on screen, made at one moment."""

    what: What = field(default_factory=What)
    summaries: tuple[Summary, ...] = ()
    labels: tuple[str, ...] = ()
    target: float | None = None
    metrics: tuple[str, ...] = ("perplexity",)
    is_complete: bool = True
    ceiling: float = math.inf
    """Above it a figure is far worse than guessing: the axis does not extend to it."""

    @property
    def lines(self) -> list[Line]:
        return [summary.line for summary in self.summaries]


@dataclass
class _Followed:
    curve: Curves
    name: str = ""
    is_run: bool = True
    metadata: RunMetadata | None = None
    made: tuple[int, What] | None = None
    _above: tuple[int, What, float, int] | None = None
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

    @property
    def vocabulary(self) -> int:
        return self.metadata.corpus.vocabulary if self.metadata is not None else 0

    def above(self, what: What, ceiling: float) -> int:
        """How many epochs have a figure above ``ceiling``, counted again after the curve has changed."""
        key = (self.curve.version, what, ceiling)
        if self._above is None or self._above[:3] != key:
            values = self.curve.column(what.metric)
            self._above = (*key, int((values > min(ceiling, LARGEST)).sum()) if values is not None else 0)
        return self._above[3]

    def seconds_to(self, target: float) -> float | None:
        """The seconds to a perplexity, computed again after the curve has changed."""
        from core.runs.comparison import seconds_to

        if self._reached is None or self._reached[:2] != (self.curve.version, target):
            self._reached = self.curve.version, target, seconds_to(self.curve, target)
        return self._reached[2]


class ComparedRuns:
    """Reads files and computes: called in threads, one call at a time."""

    def __init__(self) -> None:
        self._runs: dict[Path, _Followed] = {}
        self._files: dict[Path, FollowedFile] = {}
        self._looks: dict[str, Look] = {}
        self._configs: list[RunConfig | None] = []
        self._differing: list[tuple[Setting, list[str]]] = []
        self._lock = Lock()

    def view(
        self,
        paths: Sequence[Path],
        what: What,
        target: float | None,
        seconds: float = 0.15,
        files: Sequence[Path] = (),
    ) -> Compared:
        """Read for at most about ``seconds`` what is new in the journals, and make all that the screen shows of it.

        ``files``: of other programs, see ``core.export.reading``; they are read whole.
        """
        with self._lock:
            self._choose(paths, files)
            is_complete = self._read(time.monotonic() + seconds)
            return self._made(what, target, is_complete)

    def _choose(self, paths: Sequence[Path], files: Sequence[Path]) -> None:
        from core.export.curves import Curve, distinct_names, with_distinct_names
        from core.runs.comparison import RunCurve

        before, self._runs = self._runs, {}
        for path in paths:
            self._runs[path] = before.get(path) or _Followed(RunCurve(path), metadata=_metadata(path))
        named = distinct_names([Run(path) for path in paths])
        curves = [Curve(name, {}, path) for path, name in zip(paths, named, strict=True)]
        for path, curve in self._of_files(files):
            compared = self._runs[path] = before.get(path) or _Followed(curve, is_run=False)
            compared.curve = curve
            curves.append(curve)
        for run, curve_named in zip(self._runs.values(), with_distinct_names(curves), strict=True):
            run.name = curve_named.name
        self._looks = looks((run.name for run in self._runs.values()), self._looks)
        for run in self._runs.values():
            run.look = self._looks[run.name]

    def _of_files(self, files: Sequence[Path]) -> Iterator[tuple[Path, Curve]]:
        """The curves of the files, each with what identifies it."""
        if not files and not self._files:
            return
        from core.export.following import FollowedFile

        self._files = {path: self._files.get(path) or FollowedFile(path) for path in files}
        for path, file in self._files.items():
            file.read()
            for curve in file.curves:
                yield (path if len(file.curves) == 1 else path / curve.name), curve

    def _read(self, end: float) -> bool:
        """Read one journal after another, so that a whole curve is there soon. Returns whether all are read."""
        for run in self._runs.values():
            while run.curve.read(CHUNK):
                if time.monotonic() > end:
                    return False
        return True

    def _made(self, what: What, target: float | None, is_complete: bool) -> Compared:
        from core.runs.comparison import differing_settings
        from core.training.divergence import ceiling_of

        runs = list(self._runs.values())
        metrics = tuple(name for name in METRICS if any(run.curve.has(name) for run in runs)) or ("perplexity",)
        known = [run.figures() for run in runs]
        best = [(found.best, run.vocabulary or math.inf) for found, run in zip(known, runs, strict=True) if found.best]
        # A goal that says something: of the runs that predict better than guessing.
        target = target if target is not None else max((ppl for ppl, guess in best if ppl < guess), default=None)
        vocabulary = max((run.vocabulary for run in runs), default=0)
        highest = ceiling_of("perplexity", vocabulary)
        is_useful = any(found.best is not None and found.best <= highest for found in known)
        ceiling = ceiling_of(what.metric, vocabulary) if is_useful else math.inf
        configs = [run.metadata.config if run.metadata else None for run in runs]
        if configs != self._configs:
            self._configs, self._differing = configs, differing_settings(configs)
        changed = self._differing
        summaries = tuple(
            Summary(
                self._line(path, run, what),
                found,
                run.seconds_to(target) if target is not None else None,
                run.metadata.parameters if run.metadata else None,
                tuple(words[place] for _, words in changed),
                run.above(what, ceiling) if what.metric in LOSSES else 0,
            )
            for place, ((path, run), found) in enumerate(zip(self._runs.items(), known, strict=True))
        )
        labels = tuple(setting.label for setting, _ in changed)
        return Compared(what, summaries, labels, target, metrics, is_complete, ceiling)

    @staticmethod
    def _line(path: Path, run: _Followed, what: What) -> Line:
        from core.runs.comparison import smoothed
        from tui.charts.levels import Levels

        made = (run.curve.version, what)
        if run.line is None or run.made != made or (run.line.name, run.line.look) != (run.name, run.look):
            x, y = run.curve.points(what.metric, what.axis)
            smooth = Levels(x, smoothed(x, y, what.smoothing)) if what.smoothing else None
            run.line, run.made = Line(path, run.name, run.look, Levels(x, y), smooth, run.is_run), made
        return run.line


def _metadata(path: Path) -> RunMetadata | None:
    try:
        return Run(path).metadata()
    except RunError:
        return None


def comparable(path: Path) -> tuple[list[str], list[str]]:
    """The axes and figures that the curves of a file share with those of runs. Reads the file.

    A file with one figure of another name has no figure, and can be drawn all the same. Raises UserError where nothing
    can be drawn.
    """
    from core.export.reading import read_curves

    curves = read_curves(path)
    axes = [axis for axis in AXES if any(curve.has(axis) for curve in curves)]
    known = [name for name in METRICS if any(curve.has(name) for curve in curves)]
    if not axes or not (known or any(curve.only_figure for curve in curves)):
        names = ", ".join([*curves[0].columns][:8])
        what = "figure" if axes else "axis"
        wanted = ", ".join(("perplexity", "loss", "validation_loss", "learning_rate") if axes else AXES)
        raise UserError(f"{path.name} has no {what} that runs have, such as {wanted}; it has {names}")
    return axes, known
