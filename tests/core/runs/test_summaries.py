"""The kept summaries: they say what the files say, and only what has changed is read again."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.events import EpochFinished, StateChanged
from core.runs import summaries
from core.runs.metadata import CorpusIdentity, RunMetadata
from core.runs.run import Run
from core.runs.store import rename_run
from core.runs.summaries import FEWEST_KEPT, NAME, Summaries
from core.runs.summary import RunSummary, run_summary
from core.settings.run_config import RunConfig
from tests.run_folders import create_run, journal_at


@pytest.fixture
def count() -> int:
    return FEWEST_KEPT + 5


@pytest.fixture
def saves(tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of runs that are taken for settled at once, as if they had been written a while ago."""
    monkeypatch.setattr(summaries, "SETTLED_NANOSECONDS", -(10**9))
    folder = tmp_path / "saves"
    for number in range(count):
        make(folder, f"run-{number:02d}", number)
    return folder


def make(saves: Path, name: str, number: int = 0) -> Run:
    corpus = CorpusIdentity("tale", "0" * 64, 100, 12, "/tale.txt")
    created = f"2026-01-01T00:{number % 60:02d}:00+00:00"
    return create_run(saves, name, RunMetadata(RunConfig(), corpus, number, created, {}), {"format": 1})


def from_files(saves: Path) -> list[RunSummary]:
    """The summaries, read without keeping anything."""
    runs = [Run(path) for path in saves.iterdir() if not path.name.startswith(".")]
    found = [run_summary(run) for run in runs if run.exists()]
    return sorted(found, key=lambda summary: (summary.created_at, summary.name), reverse=True)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the runs whose files are read."""
    names: list[str] = []
    original = summaries.read_summary

    def counted(run: Run) -> summaries.Reading:
        names.append(run.name)
        return original(run)

    monkeypatch.setattr(summaries, "read_summary", counted)
    yield names


def test_what_has_not_changed_is_not_read_again(saves: Path, read: list[str], count: int) -> None:
    kept = Summaries(saves)
    first = kept.look()
    assert list(first) == from_files(saves) and len(read) == count
    assert kept.look() is first and len(read) == count, "the same tuple, and no file was read"
    later = Summaries(saves)
    assert later.look() == first and len(read) == count, "another process takes them from the file"
    with journal_at(saves / "run-03" / "metrics.jsonl") as journal:
        journal.append(EpochFinished(7, 70, 5.0, None, 1.6, 0.1, 1.0, 1.0, 1.0))
    for looking in (kept, later):
        del read[:]
        assert list(looking.look()) == from_files(saves) and read == ["run-03"]


def test_a_reading_is_trusted_only_once_its_files_are_older(
    saves: Path, read: list[str], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(summaries, "SETTLED_NANOSECONDS", 10**12)
    kept = Summaries(saves)
    for times in (1, 2):
        kept.look()
        assert len(read) == times * count, "a second change within the resolution of the clock would not be seen"
    assert not (saves / NAME).exists() or json.loads((saves / NAME).read_bytes().split(b"\n")[1]) == []


def test_whatever_happens_to_the_runs_the_list_says_what_the_files_say(saves: Path, trials: int) -> None:
    chance = random.Random(5)
    kept = Summaries(saves)
    locks = {}
    for number in range(60 * trials):
        names = [path.name for path in saves.iterdir() if not path.name.startswith(".")]
        name = chance.choice(names)
        path = saves / name
        match chance.randrange(9):
            case 0 if name not in locks:
                with journal_at(path / "metrics.jsonl") as journal:
                    journal.append(StateChanged(chance.choice(["training", "paused", "finished", "failed"]), number))
            case 1:
                locks.pop(name).close() if name in locks else locks.setdefault(name, Run(path).lock())
            case 2 if name not in locks:
                rename_run(Run(path), f"renamed-{number}")
            case 3 if name not in locks:
                shutil.rmtree(path)
            case 4:
                make(saves, f"new-{number}", number)
            case 5:
                (path / "run.json").write_text("{")
            case 6:
                (path / "metrics.jsonl").write_bytes(b'{"event": "epoch", "epoch": 3}\n' * chance.randrange(3))
            case 7:
                (path / "latest.safetensors").write_bytes(bytes(chance.randrange(100)))
            case 8:
                for file in ("run.json", "metrics.jsonl", "latest.safetensors"):
                    (path / file).unlink(missing_ok=True)
        assert list(kept.look()) == from_files(saves), number
        if not number % 10:
            assert list(Summaries(saves).look()) == from_files(saves), number
    for lock in locks.values():
        lock.close()


def test_a_lost_damaged_foreign_or_stale_file_harms_nothing(saves: Path, read: list[str], count: int) -> None:
    expected = list(Summaries(saves).look())
    whole = (saves / NAME).read_bytes()
    head, _, body = whole.partition(b"\n")
    chance = random.Random(3)
    damaged = [b"", b"\n", b"{}\n[]", head, body, whole[: len(whole) // 2], whole + b" ", head + b"\n" + b"[" * 100_000]
    for _ in range(20):
        flipped = bytearray(whole)
        flipped[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        damaged.append(bytes(flipped))
    for data in damaged:
        (saves / NAME).write_bytes(data)
        assert list(Summaries(saves).look()) == expected, data[:100]
        rows = (saves / NAME).read_bytes().split(b"\n")[1]
        assert sorted(json.loads(rows)) == sorted(json.loads(body)), "written again"
    (saves / NAME).unlink()
    os.mkfifo(saves / NAME)
    assert list(Summaries(saves).look()) == expected, "a pipe does not block"
    shutil.copytree(saves, saves.with_name("copy"), ignore=lambda *_: [NAME])
    (saves.with_name("copy") / NAME).write_bytes(whole)
    del read[:]
    copied = Summaries(saves.with_name("copy")).look()
    assert len(read) == count and [run.name for run in copied] == [run.name for run in expected]
    assert all(run.path.parent.name == "copy" for run in copied)


def test_a_folder_that_cannot_be_written_and_two_writers(saves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = from_files(saves)
    (saves / f"{NAME}.new").write_bytes(b"another process is writing this")
    assert list(Summaries(saves).look()) == expected
    assert not (saves / NAME).exists() and (saves / f"{NAME}.new").exists()
    os.utime(saves / f"{NAME}.new", (1, 1))
    assert list(Summaries(saves).look()) == expected
    assert (saves / NAME).exists() and not (saves / f"{NAME}.new").exists(), "that process was killed long ago"
    (saves / NAME).unlink()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(summaries.os, "replace", full)
    assert list(Summaries(saves).look()) == expected
    assert not (saves / NAME).exists() and not (saves / f"{NAME}.new").exists()


def test_names_that_lead_nowhere_count_as_read(saves: Path, count: int) -> None:
    (saves / "broken").symlink_to("nowhere")
    (saves / "file").write_text("no folder")
    (saves / "empty").mkdir()
    kept = Summaries(saves)
    looks = 0
    while len(kept.look(0.0)) < count or kept.unread:
        looks += 1
        assert looks <= count + 3, "a caller that looks until nothing is unread must come to an end"
    assert list(kept.look()) == from_files(saves)
    again = Summaries(saves)
    assert len(again.look(0.0)) == count and again.unchecked, "the file is shown before the runs are looked at"
    while again.unchecked:
        again.look(0.0)
    assert list(again.look()) == from_files(saves)


def test_few_runs_need_no_file(tmp_path: Path) -> None:
    make(tmp_path / "saves", "only")
    assert [run.name for run in Summaries(tmp_path / "saves").look()] == ["only"]
    assert not (tmp_path / "saves" / NAME).exists()
    assert Summaries(tmp_path / "missing").look() == () and not (tmp_path / "missing").exists()


def test_a_short_look_reads_the_rest_in_the_next_ones(saves: Path, count: int) -> None:
    kept = Summaries(saves)
    lengths = [len(kept.look(0.0))]
    while kept.unread:
        assert kept.unread == count - lengths[-1]
        lengths.append(len(kept.look(0.0)))
    assert len(lengths) == count and list(kept.look(0.0)) == from_files(saves)
    with journal_at(saves / "run-07" / "metrics.jsonl") as journal:
        journal.append(EpochFinished(9, 70, 5.0, None, 1.6, 0.1, 1.0, 1.0, 1.0))
    assert next(run.epoch for run in kept.look(0.0, first=["run-07"]) if run.name == "run-07") == 9
    with journal_at(saves / "run-08" / "metrics.jsonl") as journal:
        journal.append(StateChanged("training", 3))
    with Run(saves / "run-08").lock():
        looks = 0
        while not any(run.state == "training" for run in kept.look(0.0)):
            looks += 1
            assert looks <= count, "every run has its turn"
    assert not any(run.state == "training" for run in kept.look(0.0)), "a run in training is looked at every time"
