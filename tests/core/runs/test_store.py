"""The run folder: made whole, named, listed, renamed, copied, held, and damaged in every way."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import RunError
from core.events import EpochFinished, RunResumed, SampleWritten, State, StateChanged, StepFinished
from core.runs.metadata import CorpusIdentity, RunMetadata
from core.runs.run import Run
from core.runs.store import check_name, duplicate_run, find_run, free_name, list_runs, now, rename_run, run_in_making
from core.runs.summary import run_summary
from core.settings.run_config import RunConfig
from tests.run_folders import create_run, journal_at


def facts(**changes: Any) -> RunMetadata:
    values: dict[str, Any] = {
        "config": RunConfig(num_epochs=7), "corpus": CorpusIdentity("tale", "0" * 64, 100, 12, "/texts/tale.txt"),
        "parameters": 1234, "created": now(), "versions": {"torch": "2"},
    }  # fmt: skip
    return RunMetadata(**{**values, **changes})


@pytest.fixture
def make(saves: Path, text_path: Path) -> Any:
    def made(name: str = "one", **changes: Any) -> Run:
        return create_run(saves, name, facts(**changes), {"format": 1}, text_path.read_bytes())

    return made


def epoch(number: int, perplexity: float = 5.0) -> EpochFinished:
    return EpochFinished(number, number * 9, perplexity, perplexity + 1, 1.6, 0.4, 100.0, 69_000.0, 0.13)


def journal(run: Run, *events: Any) -> None:
    with journal_at(run.journal_path) as writer:
        for event in events:
            writer.append(event)


def test_a_new_run_is_whole(make: Any, saves: Path, text_path: Path) -> None:
    wanted = facts()
    run = create_run(saves, "one", wanted, {"format": 1}, text_path.read_bytes())
    assert run.metadata() == wanted
    assert run.vocabulary_json() == {"format": 1}
    assert run.corpus_path.read_bytes() == text_path.read_bytes()
    assert run.path.stat().st_mode & 0o022 == 0
    assert [entry.name for entry in saves.iterdir()] == ["one"]
    assert find_run(saves, "one").path == find_run(Path("/"), str(run.path)).path == run.path.resolve()


def test_a_run_is_made_whole_or_not_at_all(make: Any, saves: Path) -> None:
    with pytest.raises(RunError, match=r"the run cannot be made in .*: No space"), run_in_making(saves, "one"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(saves.iterdir()) == []
    make()
    with pytest.raises(RunError, match=r"there is already a run 'one' in .*: choose another name"):
        make()
    (saves / "file").write_text("x")
    with pytest.raises(RunError, match=r"the run cannot be made in .*file: File exists"):
        create_run(saves / "file", "two", facts(), {})


def test_a_path_that_is_no_unicode_is_kept(saves: Path, text_path: Path) -> None:
    path = os.fsdecode(b"/texts/\xff.txt")
    identity = CorpusIdentity(path, "0" * 64, 1, 1, path)
    run = create_run(saves, "one", facts(corpus=identity), {})
    assert run.metadata().corpus == identity


@pytest.mark.parametrize("name", ["a", "lyrics-0001", "分开 2", "a.b", "x" * 100, "é", "-"])
def test_good_names(make: Any, name: str) -> None:
    assert check_name(name) == name
    assert run_summary(make(name)).name == name


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", ".hidden", "a/b", "../a", "/a", "a\\b", "a\0b", "a\nb", "\x1b[31m", " a", "a ", "x" * 101,
        "分" * 70, "a\u202eb", "a\u200bb", "\ud800", "a\x7fb",
    ],
)  # fmt: skip
def test_names_that_are_refused(make: Any, saves: Path, name: str) -> None:
    with pytest.raises(RunError, match="cannot be the name of a run: "):
        make(name)
    run = make("one")
    for act in (rename_run, duplicate_run):
        with pytest.raises(RunError, match="cannot be the name of a run: "):
            act(run, name)
    assert [entry.name for entry in saves.iterdir()] == ["one"]


def test_free_names(make: Any, saves: Path) -> None:
    assert free_name(saves, "tale-en") == "tale-en-0001"
    make("tale-en-0001")
    assert free_name(saves, "tale-en") == "tale-en-0002"
    for stem in ("", "../..", "\x1b[31m", "x" * 500, ".hidden", os.fsdecode(b"\xff"), "分开"):
        assert check_name(free_name(saves, stem))


def test_renaming(make: Any, saves: Path) -> None:
    first, second = make("first"), make("second")
    renamed = rename_run(first, "third")
    assert renamed.metadata() and not first.exists()
    with pytest.raises(RunError, match="there is already a run 'second'"):
        rename_run(renamed, "second")
    with renamed.lock(), pytest.raises(RunError, match="run 'third' is open in another engine: attach to that one, or"):
        rename_run(renamed, "fourth")
    assert rename_run(renamed, "fourth").exists() and second.exists()
    with pytest.raises(RunError, match="there is no run 'first'"):
        rename_run(first, "fifth")


def test_copying(make: Any, saves: Path) -> None:
    run = make()
    journal(run, StateChanged(State.FINISHED, 1))
    run.log_path.write_text("log")
    copy = duplicate_run(run, "two")
    assert sorted(entry.name for entry in copy.path.iterdir()) == [
        "corpus.txt", "engine.lock", "metrics.jsonl", "run.json", "vocabulary.json",
    ]  # fmt: skip
    assert replace(copy.metadata(), created="") == replace(run.metadata(), created="")
    assert copy.metadata().created > run.metadata().created  # a copy is as new as the act of copying
    for name in ("corpus.txt", "metrics.jsonl"):
        assert (copy.path / name).read_bytes() == (run.path / name).read_bytes()
    with pytest.raises(RunError, match="there is already a run 'two'"):
        duplicate_run(run, "two")
    assert {entry.name for entry in saves.iterdir()} == {"one", "two"}


def test_what_a_crash_left_is_swept(make: Any, saves: Path) -> None:
    make("one")
    for name, age in ((".deleted-a", 0), (".making-b", 0), (".making-c", 10**5), (".mine", 10**5)):
        (saves / name).mkdir()
        (saves / name / "file").write_text("x")
        os.utime(saves / name, (time.time() - age,) * 2)
    make("two")
    assert {entry.name for entry in saves.iterdir()} == {"one", "two", ".making-b", ".mine"}


def test_the_list_has_the_newest_first(make: Any, saves: Path) -> None:
    assert list_runs(saves) == []
    make("old", created="2020-01-01T00:00:00+00:00")
    make("new", created="2030-01-01T00:00:00+00:00")
    (saves / "empty").mkdir()
    (saves / ".making-x").mkdir()
    (saves / "file.txt").write_text("x")
    (saves / "loop").symlink_to("loop")
    assert [summary.name for summary in list_runs(saves)] == ["new", "old"]
    assert json.dumps([summary.to_json() for summary in list_runs(saves)], allow_nan=False)


def test_a_summary_follows_the_journal(make: Any) -> None:
    run = make()
    assert run_summary(run).state == State.IDLE
    journal(
        run, StateChanged(State.IDLE, 0), RunResumed(0, 0), StateChanged(State.TRAINING, 0), epoch(1), epoch(2, 4.0)
    )
    summary = run_summary(run)
    assert (summary.epoch, summary.num_epochs, summary.perplexity, summary.validation_perplexity) == (2, 7, 4.0, 5.0)
    assert summary.state == State.INTERRUPTED, "nobody holds it"
    with run.lock():
        assert run_summary(run).state == State.TRAINING
    journal(run, RunResumed(1, 3))
    assert (run_summary(run).epoch, run_summary(run).perplexity) == (1, 5.0), "the second epoch is undone"
    journal(run, epoch(2, 3.0), StateChanged(State.FINISHED, 2))
    assert (run_summary(run).state, run_summary(run).perplexity) == (State.FINISHED, 3.0)


def test_a_long_training_is_still_known_as_one(make: Any) -> None:
    run = make()
    journal(run, StateChanged(State.TRAINING, 0), *(epoch(number) for number in range(1, 2000)))
    with run.lock():
        assert (run_summary(run).state, run_summary(run).epoch) == (State.TRAINING, 1999)
    assert run_summary(run).state == State.INTERRUPTED


def test_an_epoch_before_much_else_is_found(make: Any) -> None:
    run = make()
    news = StepFinished(2, 1, 9, 10, 5.0, 1.6, 0.1, 7e4)
    journal(run, StateChanged(State.TRAINING, 0), epoch(1), *[news] * 1500, SampleWritten(1, "", "x" * 100_000))
    with run.lock():
        assert (run_summary(run).state, run_summary(run).epoch) == (State.TRAINING, 1)


@pytest.mark.parametrize(
    "line",
    [
        '{"event":"epoch","epoch":1,"perplexity":1e999}', '{"event":"epoch","epoch":1,"perplexity":NaN}',
        '{"event":"epoch","epoch":"1"}', '{"event":"state","state":["idle"]}', '{"event":"state","state":"unheard of"}',
        '{"event":"resumed","epoch":null}', '{"event":"epoch","epoch":1,"perplexity":1' + "0" * 400 + "}", "[]", "\0",
    ],
    ids=range(9),
)  # fmt: skip
def test_a_damaged_journal_does_not_spoil_the_list(make: Any, line: str) -> None:
    run = make()
    run.journal_path.write_text(line + "\n")
    assert json.dumps(run_summary(run).to_json(), allow_nan=False)


def set_in(value: dict[str, Any], *path: str, to: Any) -> dict[str, Any]:
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return value


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda value: set_in(value, "format", to=2), "has format 2, this program knows format 1"),
        (lambda value: set_in(value, "format", to="\x1b[31m"), "has format"),
        (lambda value: set_in(value, "config", to=None), "is damaged or foreign"),
        (lambda value: set_in(value, "config", to=[]), "is damaged or foreign"),
        (lambda value: set_in(value, "config", to=[[1]]), "is damaged or foreign"),
        (lambda value: set_in(value, "config", to="text"), "has a wrong setting"),
        (lambda value: set_in(value, "config", "num_steps", to=0), "num_steps must be between 1 and 10,000, got 0"),
        (lambda value: set_in(value, "config", "new_setting", to=0), "there is no setting 'new_setting'"),
        (lambda value: set_in(value, "corpus", to="text"), "is damaged or foreign"),
        (lambda value: set_in(value, "corpus", "tokens", to=1e999), "is damaged or foreign"),
        (lambda value: set_in(value, "versions", to=5), "is damaged or foreign"),
        (lambda value: set_in(value, "parameters", to=None), "is damaged or foreign"),
        (lambda value: {}, "is damaged or foreign: KeyError 'format'"),
        (lambda value: [value], "is foreign: it is not a JSON object"),
    ],
    ids=range(14),
)
def test_a_foreign_run_file_gets_a_sentence(make: Any, saves: Path, damage: Any, sentence: str) -> None:
    run = make()
    run.metadata_path.write_text(json.dumps(damage(json.loads(run.metadata_path.read_text()))))
    (summary,) = list_runs(saves)
    assert sentence in summary.problem and str(run.metadata_path) in summary.problem
    assert "\n" not in summary.problem and len(summary.problem) < 600
    assert summary.state == State.FAILED
    with pytest.raises(RunError):
        run.metadata()


def test_every_cut_of_the_run_file_gets_a_sentence(make: Any) -> None:
    run = make()
    whole = run.metadata_path.read_bytes()
    for length in range(len(whole) - 2):
        run.metadata_path.write_bytes(whole[:length])
        assert run_summary(run).problem == f"{run.metadata_path} is cut or damaged: it is not valid JSON"
    for data in (b"\xff" * 100, b"[" * 10**6, b"\0" * 100):
        run.metadata_path.write_bytes(data)
        assert "is not valid JSON" in run_summary(run).problem


def test_missing_huge_and_odd_files_get_a_sentence(make: Any, saves: Path) -> None:
    run = make()
    journal(run, epoch(1))
    with run.metadata_path.open("r+b") as file:
        file.truncate(10**10)
    assert "has 10,000,000,000 bytes, more than a file of this kind can have" in run_summary(run).problem
    run.metadata_path.unlink()
    assert (
        f"{run.metadata_path} is missing: {run.path} is not a run folder, or not a whole one"
        in run_summary(run).problem
    )
    run.metadata_path.mkdir()
    assert "cannot be read: Is a directory" in run_summary(run).problem
    run.metadata_path.rmdir()
    shutil.rmtree(run.path)
    run.path.write_text("a file")
    assert list_runs(saves) == []


def test_a_run_that_is_not_there_gets_the_names_of_those_that_are(make: Any, saves: Path) -> None:
    with pytest.raises(RunError, match=r"there is no run 'one' in .*; there are no runs yet"):
        find_run(saves, "one")
    make("two")
    for name in ("one", "", "x" * 5000, "../../etc", "/dev/null", "two/run.json"):
        with pytest.raises(RunError, match=r"there is no run .*; there are two"):
            find_run(saves, name)


def test_the_lock_is_held_by_one(make: Any) -> None:
    run = make()
    assert not run.is_held()
    with run.lock():
        assert run.is_held() and Run(run.path).is_held()
        with pytest.raises(RunError, match="run 'one' is open in another engine: attach to that one, or stop it first"):
            run.lock()
    assert not run.is_held()
    run.lock().close()


def test_asking_is_never_in_the_way_of_taking(make: Any) -> None:
    run, stop = make(), threading.Event()

    def ask() -> None:
        while not stop.is_set():
            run.is_held()

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            run.lock().close()
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_lock_file_that_leads_elsewhere_is_refused(make: Any, tmp_path: Path) -> None:
    run = make()
    (tmp_path / "elsewhere").write_text("x")
    run.lock_path.unlink()
    run.lock_path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="cannot be written to"):
        run.lock()
