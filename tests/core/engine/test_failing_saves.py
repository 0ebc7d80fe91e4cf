"""Sessions on disks that fail: training goes on, and what has a name is on the disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from core.engine.description import describe
from core.engine.session import Session
from core.errors import RunError
from core.events import State
from core.runs.held_folder import Disk, HeldFolder
from core.settings.run_config import RunConfig
from tests.core.outcomes import curve, notes, train_to_end, train_until

Tiny = Callable[..., RunConfig]

pytestmark = pytest.mark.usefixtures("one_thread")


class Failing(Disk):
    """A disk on which one step of a save fails as long as ``step`` says so."""

    step = ""

    def _at(self, step: str) -> None:
        if step == self.step:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(self, file: BinaryIO, data: bytes) -> None:
        file.write(data[:10])
        self._at("write")
        file.write(data[10:])

    def flush(self, file: BinaryIO) -> None:
        self._at("flush")
        super().flush(file)

    def fsync(self, file: BinaryIO) -> None:
        self._at("fsync")

    def rename(self, folder: HeldFolder, source: str, target: str) -> None:
        self._at("rename")
        super().rename(folder, source, target)


@pytest.mark.parametrize("step", ["write", "flush", "fsync", "rename"])
def test_training_goes_on_where_saving_fails(
    tiny: Tiny, saves: Path, whole: Any, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HeldFolder, "disk", disk := Failing())
    session = Session.create(tiny(checkpoint_seconds=0.0, validation_fraction=0.2), saves)
    session.train()
    train_until(session, lambda: session.trainer is not None and session.trainer.step == 5)
    before = session.run.latest_path.read_bytes()
    disk.step = step
    train_until(session, lambda: session.trainer is not None and session.trainer.step == 15)
    assert session.run.latest_path.read_bytes() == before, "the old save is untouched"
    assert not list(session.run.path.glob(".*")), "and nothing half-written is left"
    assert notes(session.run) == [
        f"the checkpoint could not be saved (No space left on device): make room or permit writing in "
        f"{session.run.path}; training continues in memory, and the next save tries again"
    ]
    session.save()
    with pytest.raises(RunError, match="could not be saved"):
        session.copy("copy")
    assert describe(session).save_problem and not (saves / "copy").exists()
    disk.step = ""
    session.advance()
    assert notes(session.run)[1:] == ["the checkpoint is saved again"] and not session.save_problem
    session.close()
    session = Session.open(session.run)
    list(train_to_end(session))
    session.close()
    assert curve(session.run) == whole(validation_fraction=0.2)


def test_a_full_disk_at_the_very_beginning(
    tiny: Tiny, saves: Path, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that cannot take its first checkpoint does not begin: neither a new one nor one that lost it."""
    monkeypatch.setattr(HeldFolder, "disk", disk := Failing())
    for disk.step in ("write", "flush", "fsync", "rename"):
        with pytest.raises(RunError, match=r"the run cannot be made in .*saves: No space left on device"):
            Session.create(tiny(), saves, "one")
        assert list(saves.iterdir()) == [], disk.step
    disk.step = ""
    session = Session.create(tiny(), saves, "one")
    session.close()
    session.run.latest_path.unlink()
    session = Session.open(session.run)
    disk.step = "write"
    before = session.run.journal_path.read_bytes()
    for act in (session.train, session.step):
        with pytest.raises(RunError, match=r"first checkpoint could not be saved \(No space left .*: make room or"):
            act()
    assert session.run.journal_path.read_bytes() == before and session.state == State.IDLE
    disk.step = ""
    list(train_to_end(session))
    session.close()
    assert session.run.latest_path.exists() and not session.save_problem and curve(session.run) == whole()


def test_a_new_run_is_on_the_disk_before_it_has_a_name(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files, its folder, then the folder of the runs, which was made for it, with the name in it."""
    saves, synced = tmp_path / "new" / "saves", []

    def fsync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, (saves / "one").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    session = Session.create(tiny(), saves, "one")
    made = [entry for entry in session.run.path.iterdir() if entry.name != "engine.lock"]
    assert {"run.json", "vocabulary.json", "corpus.txt", "metrics.jsonl", "latest.safetensors"} == {
        entry.name for entry in made
    }
    for entry in (*made, session.run.path, tmp_path, tmp_path / "new"):
        assert (entry.stat().st_ino, False) in synced, entry
    assert synced[-1] == (saves.stat().st_ino, True)
    session.close()
