"""What the app reads of runs without an engine, in a thread."""

from __future__ import annotations

from pathlib import Path

from core.runs.metadata import RunMetadata
from core.runs.run import Run
from core.runs.store import list_runs
from core.runs.summary import RunSummary, run_summary
from tui.engines.loss import WORKING


def read_run(run: Run) -> tuple[RunMetadata, RunSummary]:
    """What the files of a run contain. Raises RunError."""
    return run.metadata(), run_summary(run)


def training_runs(saves: Path) -> list[RunSummary]:
    """The runs that are training or paused in engines that are alive, newest first. Reads files."""
    return [run for run in list_runs(saves) if run.state in WORKING and not run.problem]
