"""The trash: what is deleted is whole, comes back as it was, and goes for good only when it is old or asked for."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.errors import RunError
from core.runs import trash
from core.runs.metadata import CorpusIdentity, RunMetadata
from core.runs.run import Run
from core.runs.store import find_run, list_runs, now
from core.runs.trash import (
    DAYS_KEPT,
    delete_run,
    deleted_runs,
    empty_trash,
    find_deleted,
    kept_words,
    remove_deleted,
    remove_outdated,
    restore_run,
    restored_words,
)
from core.settings.run_config import RunConfig
from tests.run_folders import create_run


@pytest.fixture
def make(saves: Path, text_path: Path) -> Any:
    def made(name: str = "one", weights: bytes = b"weights") -> Run:
        facts = RunMetadata(RunConfig(), CorpusIdentity("tale", "0" * 64, 100, 12, "/tale.txt"), 1234, now(), {})
        run = create_run(saves, name, facts, {"format": 1}, text_path.read_bytes())
        run.latest_path.write_bytes(weights)
        return run

    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "engine.lock"}


def test_a_deleted_run_comes_back_as_it_was(make: Any, saves: Path) -> None:
    for name in ("one", "月亮代表我的心", "[bold]x"):
        run = make(name)
        before = contents(run.path)
        with run.lock(), pytest.raises(RunError, match="is open in another engine"):
            delete_run(run)
        assert contents(run.path) == before and deleted_runs(saves) == []
        path = delete_run(run)
        assert [entry.name for entry in saves.iterdir()] == [".trash"] and list_runs(saves) == []
        (deleted,) = deleted_runs(saves)
        assert (deleted.name, deleted.path, deleted.summary.parameters) == (name, path, 1234)
        assert contents(path) == before and kept_words(deleted.deleted) == "30 days left"
        with pytest.raises(RunError, match="it is in the trash"):
            find_run(saves, name)
        with pytest.raises(RunError, match="there is no run"):
            delete_run(run)
        back = restore_run(find_deleted(saves, name))
        assert back.path == saves / name and contents(back.path) == before
        assert deleted_runs(saves) == [] and list((saves / ".trash").iterdir()) == []
        remove_deleted(delete_run(back))
        assert list((saves / ".trash").iterdir()) == []


def test_a_name_taken_meanwhile_is_kept_by_its_run(make: Any, saves: Path) -> None:
    longest = "夜" * 66
    for name in ("one", longest):
        kept = []
        for weights in (b"first", b"second", b"third"):
            kept.append(delete_run(make(name, weights)))
        make(name, b"fourth")
        assert find_deleted(saves, name) == kept[-1], "the one deleted last"
        found = {restore_run(path).name: path.parent.name for path in kept}
        assert len(found) == 3 and name not in found
        assert Run(saves / name).latest_path.read_bytes() == b"fourth"
        assert sorted(Run(saves / each).latest_path.read_bytes() for each in found) == [b"first", b"second", b"third"]
        assert all(len(each.encode()) <= 200 for each in found)
    assert restored_words("one", "one-2") == "one is back as one-2: there is another run one now"


def test_it_is_emptied_after_its_days_or_on_request(make: Any, saves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = datetime.datetime.now(datetime.UTC)
    for name, days in (("old", DAYS_KEPT), ("young", DAYS_KEPT - 1), ("new", 0), ("later", -400)):
        run = make(name)
        monkeypatch.setattr(trash, "_now", lambda days=days: moment - datetime.timedelta(days=days))
        delete_run(run)
        monkeypatch.setattr(trash, "_now", lambda: moment - datetime.timedelta(days=1))
    monkeypatch.setattr(trash, "_now", lambda: moment)
    (saves / ".trash" / "foreign").mkdir()
    (saves / ".trash" / "20200101T000000.000000Z-01234567").mkdir()  # of a killed process
    (saves / ".trash" / "note.txt").write_text("mine")
    assert [run.name for run in deleted_runs(saves)] == ["later", "new", "young", "old"]
    words = {run.name: kept_words(run.deleted) for run in deleted_runs(saves)}
    assert (words["old"], words["young"], words["new"]) == ("0 days left", "1 day left", "30 days left")
    make("another")  # looks after the trash by itself
    assert [run.name for run in deleted_runs(saves)] == ["later", "new", "young"]
    assert remove_outdated(saves) == []
    with Run(find_deleted(saves, "new")).lock():  # somebody has it open
        assert empty_trash(saves) == ["young", "later"]
    assert empty_trash(saves) == ["new"]
    assert {entry.name for entry in (saves / ".trash").iterdir()} == {"foreign", "note.txt"}
    assert (saves / "another").exists() and not list(saves.glob(".deleted-*"))


def test_what_stands_in_the_way_is_said_and_nothing_is_lost(make: Any, saves: Path, tmp_path: Path) -> None:
    run = make()
    before = contents(run.path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for put in (lambda: (saves / ".trash").symlink_to(elsewhere), lambda: os.mkfifo(saves / ".trash")):
        put()
        with pytest.raises(RunError, match="is in the way: it is no folder"):
            delete_run(run)
        (saves / ".trash").unlink()
    assert contents(run.path) == before and not list(elsewhere.iterdir())
    with pytest.raises(RunError, match=r"there is no run 'two' in the trash of .*; it is empty"):
        find_deleted(saves, "two")
    path = delete_run(run)
    with pytest.raises(RunError, match="there are one"):
        find_deleted(saves, "two")
    restore_run(path)
    for act in (restore_run, remove_deleted):
        with pytest.raises(RunError, match="there is no run 'one'"):
            act(path)
    assert contents(run.path) == before


DELETE_AND_RESTORE = """
import sys
from pathlib import Path
from core.runs.store import Run
from core.runs.trash import delete_run, restore_run
print("ready", flush=True)
while True:
    restore_run(delete_run(Run(Path(sys.argv[1]))))
"""


def test_killed_at_any_moment_the_run_is_whole_in_one_of_its_places(make: Any, saves: Path, trials: int) -> None:
    run = make()
    before = contents(run.path)
    for trial in range(4 * trials):
        child = subprocess.Popen([sys.executable, "-c", DELETE_AND_RESTORE, run.path], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.002 * (trial % 40))
        child.send_signal(signal.SIGKILL)
        child.communicate()
        there = [path for path in (run.path, *(deleted.path for deleted in deleted_runs(saves))) if path.exists()]
        assert [contents(path) for path in there] == [before], f"trial {trial}: {there}"
        if there != [run.path]:
            assert restore_run(there[0]).path == run.path
