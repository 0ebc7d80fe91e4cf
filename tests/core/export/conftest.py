"""Runs with a journal and nothing else, and a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from core.corpus.vocabulary import Vocabulary
from core.events import Event
from core.runs.metadata import CorpusIdentity, RunMetadata
from core.runs.run import Run
from core.runs.store import now
from core.settings.run_config import RunConfig
from tests.core.export.journalled import EPOCHS, MakeRun
from tests.run_folders import create_run, journal_at

TOKENS = ("<unk>", "\n", "a", "b", "c", "月", "亮", "$", "d", "e", "f")


@pytest.fixture
def make_run(saves: Path) -> MakeRun:
    def made(name: str = "one", events: Sequence[Event] = EPOCHS, folder: Path = saves) -> Run:
        facts = RunMetadata(RunConfig(), CorpusIdentity("tale", "0" * 64, 100, 12, "/tale.txt"), 1234, now(), {})
        run = create_run(folder, name, facts, {"format": 1})
        with journal_at(run.journal_path) as journal:
            for event in events:
                journal.append(event)
        return run

    return made


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary("char", TOKENS, [0, *range(len(TOKENS) - 1, 0, -1)])
