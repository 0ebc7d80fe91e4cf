"""The folder of one run: where its files are, what they say, and who holds it.

No torch in this module: the screen reads runs with it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from core.runs.held_folder import HeldFolder
from core.runs.journal import NAME as JOURNAL
from core.runs.lock import NAME as LOCK
from core.runs.lock import is_held
from core.runs.metadata import RunFacts, read_facts, read_object
from core.runs.summary import RunSummary, summary_of

FACTS = "run.json"
VOCABULARY = "vocabulary.json"
CORPUS = "corpus.txt"
LATEST = "latest.safetensors"
BEST = "best.safetensors"
WAITING_BEST = "best-waiting.safetensors"
LOG = "engine.log"
LARGEST_VOCABULARY = 1 << 28


class Run:
    """The folder of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.facts_path = path / FACTS
        self.vocabulary_path = path / VOCABULARY
        self.corpus_path = path / CORPUS
        self.journal_path = path / JOURNAL
        self.latest_path = path / LATEST
        self.best_path = path / BEST
        self.waiting_best_path = path / WAITING_BEST
        self.log_path = path / LOG
        self.lock_path = path / LOCK

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

    def lock(self) -> HeldFolder:
        """Hold the run for oneself until what is returned is closed. Raises RunError where another engine holds it."""
        return HeldFolder(self.path)

    def is_held(self) -> bool:
        """Whether an engine has this run open at this moment."""
        return is_held(self.lock_path)

    def summary(self) -> RunSummary:
        """What a list of runs shows; a damaged folder gives one that says what is wrong. Never raises RunError."""
        return summary_of(self)
