"""The case of many long runs in one chart: reading their journals, and drawing again after each move."""

from __future__ import annotations

import json
import random
import tempfile
import time
from pathlib import Path

from core.events import EpochFinished
from tests.benchmarks.outcome import Effort, Goal, Outcome, Row

RUNS = 50
SIZE = (112, 20)
"""The cells of the chart on a screen of 120 x 40."""
MOVES = ("zoom_in", "zoom_in", "pan_left", "cross_right", "zoom_in", "pan_right", "zoom_out", "whole")


def compare(effort: Effort) -> Outcome:
    """Fifty runs: their journals read, then the chart drawn after each zoom, pan and move of the crosshair."""
    from tui.panes.runs.compare_chart import RunsChart
    from tui.panes.runs.compare_runs import ComparedRuns, What

    with tempfile.TemporaryDirectory() as folder:
        paths = [make_journal(Path(folder) / f"run-{number:02}", effort.epochs, number) for number in range(RUNS)]
        runs = ComparedRuns()
        began = time.perf_counter()
        while not runs.view(paths, What(), None).is_complete:
            pass
        read = 1e3 * (time.perf_counter() - began)
        drawn: dict[str, list[float]] = {"plain": [], "smoothed": []}
        smoothing = []
        for name, what in (("plain", What()), ("smoothed", What(smoothing=0.9))):
            piece = time.perf_counter()
            view = runs.view(paths, what, None)
            smoothing.append(1e3 * (time.perf_counter() - piece))
            chart = RunsChart()
            chart.set_reactive(RunsChart.shown, view)
            for _ in range(effort.rounds):
                for move in MOVES:
                    chart.explore(move)
                    began = time.perf_counter()
                    chart.draw(*SIZE)
                    drawn[name].append(1e3 * (time.perf_counter() - began))
        piece = time.perf_counter()
        runs.view(paths, What(smoothing=0.9), None)
        unchanged = 1e3 * (time.perf_counter() - piece)
    rows = (
        Row("a redraw", tuple(drawn["plain"])),
        Row("a redraw, smoothed", tuple(drawn["smoothed"])),
        Row("in a thread: reading all journals", (read,)),
        Row("in a thread: smoothing all curves", (smoothing[1],)),
        Row("in a thread: looking again", (unchanged,)),
    )
    goals = tuple(Goal(row.name, "median", 50, "ms") for row in rows[:2])
    return Outcome("compare", f"{RUNS} runs of {effort.epochs:,} epochs in one chart", "ms", goals, rows)


def make_journal(folder: Path, epochs: int, seed: int) -> Path:
    """The folder of a run that has only a journal, of so many noisy epochs."""
    folder.mkdir()
    noise = random.Random(seed)
    with (folder / "metrics.jsonl").open("w", encoding="utf-8") as file:
        for epoch in range(1, epochs + 1):
            perplexity = 1.05 + (900 + 10 * seed) / (1 + 0.05 * epoch) * noise.uniform(0.9, 1.1)
            event = EpochFinished(epoch, 8 * epoch, perplexity, None, 1.0, 0.4, 100.0, 9e4, 0.1)
            file.write(json.dumps({**event.to_json(), "time": 1.7e9 + epoch}) + "\n")
    return folder
