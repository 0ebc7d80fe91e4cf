"""The one maker of run folders without an engine. No torch in this module: the tests of the screen use it.

``create_run`` takes all that describes a run, ``made_run`` its configuration, and ``make_run`` writes a whole curve.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from core.events import EpochFinished, Event, State, StateChanged
from core.runs import journal
from core.runs.held_folder import HeldFolder
from core.runs.journal import JournalWriter
from core.runs.metadata import CorpusIdentity, RunMetadata
from core.runs.run import CORPUS, Run
from core.runs.store import free_name, run_in_making, write_description
from core.settings.run_config import RunConfig

TEXT = "分开了很久 我还在原地\n月亮忘记了 你的名字\n"
TOKENS, VOCABULARY = 10_000, 1027
CREATED = "2026-01-02T03:04:05+00:00"


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


def made_run(
    saves: Path, config: RunConfig, name: str | None = None, *, created: str = CREATED, corpus: str = "",
    text: str = TEXT,
) -> Run:  # fmt: skip
    """A run that has not begun, as an engine makes it; ``corpus`` is what its text is called, if not as configured."""
    corpus = corpus or config.corpus
    identity = CorpusIdentity(corpus, "ab" * 32, TOKENS, VOCABULARY, corpus)
    facts = RunMetadata(config, identity, 592_387, created, {"torch": "2"})
    saves.mkdir(parents=True, exist_ok=True)
    return create_run(saves, name or free_name(saves, corpus), facts, {"tokens": ["<unk>"]}, text.encode())


def read_journal(path: Path) -> list[Event]:
    """All events of a journal, without those that a resume has undone."""
    return [event for event, _ in journal.read_journal(path)]


def epochs(events: Iterable[Event]) -> list[EpochFinished]:
    """The epochs among the events, in order."""
    return [event for event in events if isinstance(event, EpochFinished)]


def write_journal(run: Run, *events: Event) -> None:
    """Append events to a run's journal."""
    with run.journal_path.open("a", encoding="utf-8") as file:
        for event in events:
            file.write(json.dumps({**event.to_json(), "time": 1.0}, ensure_ascii=False) + "\n")


def make_run(
    saves: Path, name: str, state: str = "finished", epochs: int = 10, created: str = CREATED,
    corpus: str = "lyrics-zh", held_out: bool = False, **settings: Any,
) -> Run:  # fmt: skip
    """A run that was trained for so many epochs and is now ``state``, as an engine leaves it, without weights."""
    run = made_run(saves, RunConfig(**{"num_epochs": 250, **settings}), name, created=created, corpus=corpus)
    write_journal(run, StateChanged(State.TRAINING, 0), *_curve(epochs, held_out))
    if state != State.TRAINING:
        write_journal(run, StateChanged(state, epochs))
    return run


def damage_checkpoints(run: Run, best: int | None = None) -> None:
    """Leave a latest checkpoint that was cut, and a best one of epoch ``best``, or one that was cut too."""
    for path in (run.latest_path, run.best_path):
        path.write_bytes(b"cut")
    if best is not None:
        facts = {"format": "1", "facts": json.dumps({"epoch": best}), "sha256": ""}
        header = json.dumps({"__metadata__": facts}).encode()
        run.best_path.write_bytes(len(header).to_bytes(8, "little") + header)


def _curve(epochs: int, held_out: bool) -> Iterable[EpochFinished]:
    for epoch in range(1, epochs + 1):
        perplexity = 1 + (VOCABULARY - 1) * 0.97**epoch
        validation = perplexity * 1.5 if held_out else None
        yield EpochFinished(epoch, epoch * 9, perplexity, validation, 1.0, 0.1, 100.0, 70_000.0, 0.1)


@contextlib.contextmanager
def journal_at(path: Path) -> Iterator[JournalWriter]:
    """Writes the journal of a run that nobody holds; ``path`` is the journal's."""
    with HeldFolder(path.parent) as folder, JournalWriter(folder) as journal:
        yield journal
