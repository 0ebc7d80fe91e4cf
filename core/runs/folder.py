"""The folder of one run: where its files are, what they say, and who holds it.

No torch in this module: the screen reads runs with it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.runs import lock
from core.runs.facts import RunFacts, read_facts, read_object
from core.runs.summary import RunSummary, summary_of

LARGEST_VOCABULARY = 1 << 28


class Run:
    """The folder of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.facts_path = path / "run.json"
        self.vocabulary_path = path / "vocabulary.json"
        self.corpus_path = path / "corpus.txt"
        self.journal_path = path / "metrics.jsonl"
        self.latest_path = path / "latest.safetensors"
        self.best_path = path / "best.safetensors"
        self.waiting_best_path = path / "best-waiting.safetensors"
        self.log_path = path / "engine.log"
        self.lock_path = path / "engine.lock"

    def exists(self) -> bool:
        """Whether there is anything of a run in the folder, be it damaged."""
        # os.path: unlike Path.exists, no error for a name too long or a folder that may not be entered.
        return any(os.path.exists(path) for path in (self.facts_path, self.journal_path, self.latest_path))

    def facts(self) -> RunFacts:
        """Read ``run.json``. Raises RunError with a sentence that names what is missing or damaged."""
        return read_facts(self.facts_path)

    def vocabulary_json(self) -> dict[str, Any]:
        """Read ``vocabulary.json``. Raises RunError."""
        return read_object(self.vocabulary_path, LARGEST_VOCABULARY)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for oneself. Raises RunError where another engine holds it."""
        descriptor = self.acquire()
        try:
            yield
        finally:
            os.close(descriptor)

    def acquire(self) -> int:
        """Take the lock; it lasts as long as the returned descriptor is open, however the process ends."""
        return lock.acquire(self.lock_path)

    def is_held(self) -> bool:
        """Whether an engine has this run open at this moment."""
        return lock.is_held(self.lock_path)

    def summary(self) -> RunSummary:
        """What a list of runs shows; a damaged folder gives one that says what is wrong. Never raises RunError."""
        return summary_of(self)
