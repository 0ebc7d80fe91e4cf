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


class Run:
    """The folder of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    @property
    def metadata_path(self) -> Path:
        return self.path / METADATA

    @property
    def vocabulary_path(self) -> Path:
        return self.path / VOCABULARY

    @property
    def corpus_path(self) -> Path:
        return self.path / CORPUS

    @property
    def journal_path(self) -> Path:
        return self.path / JOURNAL

    @property
    def latest_path(self) -> Path:
        return self.path / LATEST

    @property
    def best_path(self) -> Path:
        return self.path / BEST

    @property
    def waiting_best_path(self) -> Path:
        return self.path / WAITING_BEST

    @property
    def log_path(self) -> Path:
        return self.path / LOG

    @property
    def lock_path(self) -> Path:
        return self.path / LOCK

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
