"""How fast models of the same shape have trained before, from the journals of earlier runs."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from core.errors import RunError
from core.runs.journal import last_lines
from core.runs.run import Run
from core.settings.run_config import RunConfig, Value

MOST_RUNS = 100
LAST_EPOCHS = 8
# The settings that the speed depends on.
SHAPE = (
    "documents", "implementation", "cell", "activation", "num_hiddens", "num_layers", "bidirectional",
    "embedding_size", "tied", "batch_size", "num_steps", "optimiser", "precision", "device", "threads",
)  # fmt: skip

Shape: TypeAlias = tuple[Value, ...]


@dataclass(frozen=True)
class Pace:
    """Tokens a second, and the name of the run in which they were measured."""

    tokens_per_second: float
    run: str


def shape_of(config: RunConfig, vocabulary: int) -> Shape:
    """The shape of a training: trainings of one shape take the same time for a token on one machine."""
    return (*(getattr(config, name) for name in SHAPE), config.dropout > 0, vocabulary)


def paces(saves: Path) -> Mapping[Shape, Pace]:
    """The pace of each shape among the newest runs, of several runs of one shape that of the newest. Reads files."""
    found: dict[Shape, Pace] = {}
    for run in _newest(saves):
        try:
            facts = run.metadata()
        except RunError:
            continue
        shape = shape_of(facts.config, facts.corpus.vocabulary)
        rate = _rate(run) if shape not in found else None
        if rate is not None:
            found[shape] = Pace(rate, run.name)
    return found


def _newest(saves: Path) -> list[Run]:
    folders: list[tuple[float, str]] = []
    with contextlib.suppress(OSError), os.scandir(saves) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                with contextlib.suppress(OSError):
                    folders.append((os.stat(Run(Path(entry.path)).journal_path).st_mtime, entry.path))
    return [Run(Path(path)) for _, path in sorted(folders, reverse=True)[:MOST_RUNS]]


def _rate(run: Run) -> float | None:
    """The median of tokens a second over the last epochs of a run, or None if it has finished none."""
    try:
        lines, _ = last_lines(run.journal_path)
    except OSError:
        return None
    rates = [line.get("tokens_per_second") for line in lines if line.get("event") == "epoch"]
    known = [rate for rate in rates if isinstance(rate, (int, float)) and rate > 0 and math.isfinite(rate)]
    last = sorted(known[-LAST_EPOCHS:])
    return float(last[len(last) // 2]) if last else None
