"""The folder of one run: the paths of its files, its metadata and its lock. No torch in this module."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from core.runs.held_folder import HeldFolder
from core.runs.journal import NAME as JOURNAL
from core.runs.lock import NAME as LOCK
from core.runs.lock import is_held
from core.runs.metadata import RunMetadata, read_metadata, read_object

METADATA = "run.json"
VOCABULARY = "vocabulary.json"
CORPUS = "corpus.txt"
LATEST = "latest.safetensors"
BEST = "best.safetensors"
WAITING_BEST = "best-waiting.safetensors"
LOG = "engine.log"
LARGEST_VOCABULARY = 1 << 28


class _File:
    """The path of a file in a run's folder."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, run: Run, kind: type[Run]) -> Path:
        return run.path / self._name


class Run:
    """The folder of one run."""

    metadata_path = _File(METADATA)
    vocabulary_path = _File(VOCABULARY)
    corpus_path = _File(CORPUS)
    journal_path = _File(JOURNAL)
    latest_path = _File(LATEST)
    best_path = _File(BEST)
    waiting_best_path = _File(WAITING_BEST)
    log_path = _File(LOG)
    lock_path = _File(LOCK)

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    def exists(self) -> bool:
        """Whether the folder contains a file of a run, damaged or not."""
        # os.path: unlike Path.exists, no error for a name too long or a folder that may not be entered.
        return any(os.path.exists(f"{self.path}/{name}") for name in (METADATA, JOURNAL, LATEST))

    def metadata(self) -> RunMetadata:
        """Read ``run.json``. Raises RunError, which says what is missing or damaged."""
        return read_metadata(self.metadata_path)

    def vocabulary_json(self) -> dict[str, Any]:
        """Read ``vocabulary.json``. Raises RunError."""
        return read_object(self.vocabulary_path, LARGEST_VOCABULARY)

    def lock(self) -> HeldFolder:
        """Lock the run until the returned folder is closed. Raises RunError if another engine has it open."""
        return HeldFolder(self.path)

    def is_held(self) -> bool:
        """Whether an engine has this run open now."""
        return is_held(self.lock_path)
