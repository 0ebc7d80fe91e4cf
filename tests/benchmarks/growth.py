"""The cases of growth: what a size costs as it grows, and by what power of it, beside the power that it should be.

A power is that between the two largest sizes of a case: what does not grow hides it at the small ones. One measured
power may be ``LEEWAY`` above what it should be.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from core.benchmark.opening import write_text
from core.training.preflight import memory_of
from tests.benchmarks.comparison import make_journal
from tests.benchmarks.growth_point import TEXT, trained
from tests.benchmarks.outcome import Effort, Goal, Outcome, Row
from tests.benchmarks.recorder import PROJECT
from tests.benchmarks.run_list import make_runs

LEEWAY = 0.15


@dataclass(frozen=True)
class Axis:
    """What grows: its sizes, what is counted a second, and the powers of time and memory that are to be expected."""

    title: str
    sizes: tuple[int, ...]
    unit: str
    time: Callable[[int, int], float]
    memory: Callable[[int, int], float]
    prepare: Callable[[Path, int], object] = lambda folder, size: None


def power(small: float, large: float, of_small: float, of_large: float) -> float:
    """By what power of the size a quantity grows between two sizes; 0 where it does not grow."""
    return math.log(max(of_large, 1e-12) / max(of_small, 1e-12)) / math.log(large / small)


def _of_model(axis: str, title: str, *sizes: int) -> Axis:
    """An axis of the model: the time of a batch is that of its products, the memory that of the form's estimate."""

    def operations(size: int) -> float:
        config, vocabulary = trained(axis, size)
        return config.batch_size * config.num_steps * config.num_hiddens * (config.num_hiddens + vocabulary)

    def memory(size: int) -> float:
        config, vocabulary = trained(axis, size)
        return memory_of(config, vocabulary, "cpu").total

    time, space = (
        lambda a, b: power(a, b, operations(a), operations(b)),
        lambda a, b: power(a, b, memory(a), memory(b)),
    )
    return Axis(title, sizes, "tokens/s", time, space)


def _is(value: float) -> Callable[[int, int], float]:
    return lambda small, large: value


def _write_text(folder: Path, size: int) -> None:
    write_text(folder / TEXT, size)


AXES: dict[str, Axis] = {
    "num_hiddens": _of_model("num_hiddens", "hidden units", 64, 256, 1024, 4096),
    "vocabulary": _of_model("vocabulary", "tokens in the vocabulary", 100, 1000, 10_000, 50_000),
    "batch_size": _of_model("batch_size", "sequences in a batch", 1, 8, 64, 256, 1024),
    "num_steps": _of_model("num_steps", "steps of a sequence", 8, 32, 128, 512),
    "text": Axis("bytes of text, read", (10**6, 10**7, 10**8, 10**9), "bytes/s", _is(1), _is(0), _write_text),
    "text-training": Axis(
        "bytes of text, trained on", (10**6, 10**7, 10**8, 10**9), "tokens/s", _is(0), _is(0), _write_text
    ),
    "runs": Axis(
        "runs in the folder, listed", (1, 100, 1000, 10_000), "runs/s", _is(1), _is(1),
        partial(make_runs, epochs=20),
    ),
    "epochs": Axis(
        "epochs in the journal, opened", (10, 1000, 100_000, 1_000_000), "epochs/s", _is(1), _is(0),
        lambda folder, size: make_journal(folder / "run", size, 1),
    ),
}  # fmt: skip


def growth(name: str, effort: Effort) -> Outcome:
    """One axis, each size in a process of its own."""
    axis = AXES[name]
    sizes = tuple(size for size in axis.sizes if size <= effort.largest) or axis.sizes[:1]
    points = [_measured(name, axis, size) for size in sizes]
    rows = [
        row
        for size, point in zip(sizes, points, strict=True)
        for row in (Row(f"{size:,}: {axis.unit}", (point["rate"],)), Row(f"{size:,}: MB", (point["bytes"] / 1e6,)))
    ]
    goals = []
    for what, key, wanted in (("time", "seconds", axis.time), ("memory", "bytes", axis.memory)):
        if len(sizes) > 1:
            pair, ends = sizes[-2:], points[-2:]
            row = Row(f"power of the {what}", (power(*pair, ends[0][key], ends[1][key]),))
            rows.append(row)
            goals.append(Goal(row.name, "median", round(wanted(*pair) + LEEWAY, 2), ""))
    return Outcome(f"growth-{name}", axis.title, "", tuple(goals), tuple(rows))


def _measured(name: str, axis: Axis, size: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        axis.prepare(folder, size)
        command = [sys.executable, "-m", "tests.benchmarks.growth_point", name, str(size), str(folder)]
        done = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
    point: dict[str, float] = json.loads(done.stdout)
    return point


GROWTH_CASES: dict[str, Callable[[Effort], Outcome]] = {f"growth-{name}": partial(growth, name) for name in AXES}
