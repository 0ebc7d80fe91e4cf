"""One point of a case of growth, in a process of its own, so that its time and its peak memory are its own.

``python -m tests.benchmarks.growth_point AXIS SIZE FOLDER`` prints one JSON object: ``seconds`` of the processor for
the work that grows with the size, ``rate`` (what a person counts a second, see ``growth.AXES``) and ``bytes``, the
resident memory at its most, less what there was before. The processor's seconds and not the clock's: other programs
then matter little. A model computes on one thread.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from core.benchmark.opening import peak_bytes
from core.process import keep_freed_memory
from core.settings.run_config import RunConfig

VOCABULARY = 1_027
CALM_SECONDS = 1.0
"""Of the processor, at least so long a model trains."""
TEXT = "text.txt"
POINTS = (*range(0x3400, 0xA000), *range(0xAC00, 0xD7A0), *range(0x20000, 0x2A000))
"""Characters, more than any vocabulary here."""


def trained(axis: str, size: int) -> tuple[RunConfig, int]:
    """The configuration of a point of an axis of the model, and its vocabulary."""
    sizes: dict[str, Any] = {"num_hiddens": 256, "batch_size": 32, "num_steps": 35, "vocabulary": VOCABULARY}
    sizes[axis] = size
    vocabulary = sizes.pop("vocabulary")
    return RunConfig(cell="rnn", threads=1, learning_rate=0.1, num_epochs=1_000_000, **sizes), vocabulary


def training(axis: str, size: int, folder: Path) -> dict[str, float]:
    """Batches of random tokens; the seconds are of one batch, the rate is tokens a second."""
    import numpy as np

    from core.corpus.reader import load_corpus
    from core.corpus.vocabulary import UNKNOWN, Vocabulary
    from core.training.trainer import Trainer

    config, vocabulary = trained(axis, size)
    tokens = max(10_000, 2 * vocabulary, 4 * config.batch_size * config.num_steps)
    ids = np.random.default_rng(1).integers(1, vocabulary, tokens).astype(np.int32)
    known = Vocabulary("char", [UNKNOWN, *(chr(point) for point in POINTS[: vocabulary - 1])], [1] * vocabulary)
    corpus = dataclasses.replace(load_corpus("lyrics-zh", max_tokens=1_000), ids=ids, vocabulary=known)
    before = psutil.Process().memory_info().rss
    trainer = Trainer(config, corpus)
    seconds, batches = _batches(trainer)
    return _point(before, seconds / batches, config.batch_size * config.num_steps * batches / seconds)


def _batches(trainer: Any) -> tuple[float, int]:
    """Seconds of the processor and how many batches, after two that are not counted."""
    for _ in range(2):
        trainer.advance()
    began, batches = time.process_time(), 0
    while batches < 2 or time.process_time() - began < CALM_SECONDS:
        trainer.advance()
        batches += 1
    return time.process_time() - began, batches


def text(axis: str, size: int, folder: Path) -> dict[str, float]:
    """The reading of a text that nobody read before, its ids written to the disk; the rate is bytes a second."""
    import core.corpus.reader  # noqa: F401  its import is not part of the opening
    from core.benchmark.opening import ours

    path = folder / TEXT
    return _timed(lambda: ours(path), path.stat().st_size)


def text_training(axis: str, size: int, folder: Path) -> dict[str, float]:
    """Training on a text whose ids are kept: the seconds of a batch, tokens a second, memory with the ids mapped."""
    from core.corpus.reader import load_corpus
    from core.corpus.token_store import TokenStore
    from core.training.trainer import Trainer

    before = psutil.Process().memory_info().rss
    corpus = load_corpus(str(folder / TEXT), normalise="spaces", store=TokenStore(folder, 1 << 40))
    config = RunConfig(cell="rnn", threads=1, learning_rate=0.1, num_hiddens=64, batch_size=8, num_epochs=1_000_000)
    seconds, batches = _batches(Trainer(config, corpus))
    return _point(before, seconds / batches, config.batch_size * config.num_steps * batches / seconds)


def runs(axis: str, size: int, folder: Path) -> dict[str, float]:
    """The list of a folder of runs that were never read; the rate is runs a second."""
    from core.runs.store import list_runs

    return _timed(lambda: list_runs(folder), size)


def epochs(axis: str, size: int, folder: Path) -> dict[str, float]:
    """What the screen does with the journal of a run that it opens, its chart drawn at the end; epochs a second."""
    from core.runs.journal import JournalReader
    from tui.charts.curve_chart import CurveChart, LiveSeries
    from tui.engines.journal_tail import CHUNK
    from tui.engines.watched_run import WatchedRun

    path = folder / "run" / "metrics.jsonl"
    run, reader = WatchedRun(path.parent), JournalReader(path)
    CurveChart().draw(76, 24)  # what drawing imports is not part of the opening

    def opened() -> None:
        while events := [event for event, _ in reader.poll(CHUNK)]:
            run.apply(events)
        chart = CurveChart()
        chart.set_reactive(CurveChart.series, (LiveSeries("training", run.training),))
        chart.draw(76, 24)

    return _timed(opened, size)


def _timed(work: Callable[[], object], count: int) -> dict[str, float]:
    before = psutil.Process().memory_info().rss
    began = time.process_time()
    kept = work()
    seconds = time.process_time() - began
    del kept
    return _point(before, seconds, count / seconds)


def _point(before: int, seconds: float, rate: float) -> dict[str, float]:
    return {"seconds": seconds, "rate": rate, "bytes": peak_bytes() - before}


WORK: dict[str, Callable[[str, int, Path], dict[str, float]]] = {
    "num_hiddens": training, "vocabulary": training, "batch_size": training, "num_steps": training, "text": text,
    "text-training": text_training, "runs": runs, "epochs": epochs,
}  # fmt: skip

if __name__ == "__main__":
    keep_freed_memory()  # as every process that trains
    name, number, place = sys.argv[1:]
    print(json.dumps(WORK[name](name, int(number), Path(place))))
