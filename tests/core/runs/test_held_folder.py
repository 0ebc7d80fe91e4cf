"""The held folder: written to by its descriptor, wherever its path leads, and never once it is lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from core.events import Note
from core.runs.atomic_write import write_whole
from core.runs.held_folder import FolderLostError, HeldFolder
from core.runs.journal import JournalWriter


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "A"
    path.mkdir()
    return path


def acts(folder: HeldFolder) -> list[Callable[[], object]]:
    """All the ways of writing."""
    return [
        lambda: write_whole(folder, "latest", b"new"),
        lambda: folder.open_new("fresh").close(),
        lambda: os.close(folder.open_to_append(Path("log"))),
        lambda: folder.rename("old", "older"),
        lambda: folder.remove("other"),
    ]


def contents(path: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in path.iterdir() if entry.name != "engine.lock"}


def test_what_is_written_follows_the_folder(place: Path) -> None:
    with HeldFolder(place) as folder, JournalWriter(folder) as journal:
        for name in ("old", "other"):
            (place / name).write_bytes(b"mine")
        moved = place.rename(place.with_name("B"))
        place.mkdir()
        theirs = {"old": b"theirs", "other": b"theirs", "latest": b"theirs", "metrics.jsonl": b"theirs\n"}
        for name, data in theirs.items():
            (place / name).write_bytes(data)
        journal.append(Note("x"))
        for act in acts(folder):
            act()
        with folder.open_to_read(place / "latest") as file:
            assert file.read() == b"new"
        assert folder.path == moved and not folder.lost
        assert contents(place) == theirs, "another folder that has the name is not touched"
        assert (moved / "latest").read_bytes() == b"new" and b"Note" not in (moved / "metrics.jsonl").read_bytes()
        assert b'"x"' in (moved / "metrics.jsonl").read_bytes()
        assert sorted(contents(moved)) == ["fresh", "latest", "log", "metrics.jsonl", "older"]


@pytest.mark.parametrize("loss", ["folder", "moved", "replaced", "lock", "other lock"])
def test_a_folder_that_is_lost_is_not_written_to(place: Path, loss: str) -> None:
    folder = HeldFolder(place)
    journal = JournalWriter(folder)
    what = place / "engine.lock"
    if loss == "moved":
        place = place.rename(place.with_name("B"))
    if loss in ("lock", "other lock"):
        (place / "engine.lock").unlink()
    else:
        shutil.rmtree(place)
        what = place
    if loss == "replaced":
        place.mkdir()
    other = HeldFolder(place) if loss in ("replaced", "other lock") else None
    before = contents(place) if place.exists() else None
    for act in acts(folder):
        with pytest.raises(FolderLostError, match=r"while an engine had the run open: training has stopped"):
            act()
    journal.append(Note("x"))
    journal.close()
    assert (contents(place) if place.exists() else None) == before
    if loss != "moved":  # the system no longer tells the name that a deleted folder had
        assert str(what) in folder.lost
    folder.close()
    if other is not None:
        assert not other.lost
        other.close()


def test_the_lock_goes_with_the_folder(place: Path) -> None:
    folder = HeldFolder(place)
    moved = place.rename(place.with_name("B"))
    place.mkdir()
    HeldFolder(place).close()
    with pytest.raises(Exception, match="run 'B' is open in another engine"):
        HeldFolder(moved)
    folder.close()
    folder.close()
    HeldFolder(moved).close()


def test_where_the_system_tells_no_paths(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.runs.held_folder.path_of", lambda folder: None)
    with HeldFolder(place) as folder:
        moved = place.rename(place.with_name("B"))
        write_whole(folder, "latest", b"new")
        assert folder.path == place and contents(moved) == {"latest": b"new"}
