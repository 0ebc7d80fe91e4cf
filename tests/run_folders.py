"""Run folders and parts of them, made without an engine. No torch in this module: the tests of the screen use it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core.runs.held_folder import HeldFolder
from core.runs.journal import JournalWriter
from core.runs.metadata import RunMetadata
from core.runs.run import CORPUS, Run
from core.runs.store import run_in_making, write_description


def create_run(
    saves: Path, name: str, metadata: RunMetadata, vocabulary: Mapping[str, Any], text: bytes = b"text"
) -> Run:
    """A run that has not begun: it has no journal and no checkpoint yet."""
    with run_in_making(saves, name) as folder:
        write_description(folder, metadata, vocabulary)
        with folder.open_new(CORPUS) as file:
            file.write(text)
    folder.close()
    return Run(saves / name)


@contextlib.contextmanager
def journal_at(path: Path) -> Iterator[JournalWriter]:
    """Writes the journal of a run that nobody holds; ``path`` is the journal's."""
    with HeldFolder(path.parent) as folder, JournalWriter(folder) as journal:
        yield journal
