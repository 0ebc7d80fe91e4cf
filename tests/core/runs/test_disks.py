"""Disks that are really full, folders and disks that really cannot be written to, and who may write what we make."""

from __future__ import annotations

import os
import random
import resource
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.cli.main import main
from core.engine.failure import write_failure
from core.engine.session import Session
from core.errors import RunError
from core.events import Note, State
from core.runs.checkpoint import read_checkpoint
from core.runs.held_folder import HeldFolder
from core.runs.journal import JournalReader, JournalWriter
from core.runs.store import duplicate_run, list_runs
from core.runs.summary import run_summary
from core.settings.run_config import RunConfig
from tests.core.outcomes import curve, notes, train_to_end
from tests.run_folders import read_journal

Tiny = Callable[..., RunConfig]
ROOM = 400 << 10
NOBODY = 65_534
FILLINGS = 3


@pytest.fixture(autouse=True)
def _quiet(one_thread: None) -> None:
    pass


def steps(session: Session, count: int) -> None:
    assert session.trainer is not None
    last = session.trainer.step + count
    while session.trainer.step < last:
        assert session.state == State.TRAINING, session.message
        session.advance()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of its own with 400 kB. Needs the right to mount one."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root may mount a small disk")
    place = Path(tempfile.mkdtemp(prefix="disk"))
    told = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(place)], capture_output=True, text=True
    )
    if told.returncode:
        place.rmdir()
        pytest.skip(f"a small disk cannot be mounted here: {told.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
    place.rmdir()


def fill(disk: Path, room: int) -> Path:
    """Put a file on ``disk`` that leaves about ``room`` bytes."""
    ballast = disk / "ballast"
    status = os.statvfs(disk)
    with ballast.open("wb") as file:
        file.write(bytes(max(0, status.f_bavail * status.f_frsize - room)))
    return ballast


def test_training_goes_on_while_the_disk_is_full(tiny: Tiny, small_disk: Path, whole: Any, trials: int) -> None:
    settings: dict[str, Any] = {
        "checkpoint_seconds": 0.0, "validation_fraction": 0.2, "num_epochs": 7 * FILLINGS * trials,
        "num_hiddens": 32, "learning_rate": 0.1,
    }  # fmt: skip
    session = Session.create(tiny(**settings), small_disk / "saves", "one")
    run, draw = session.run, random.Random(1)
    session.train()
    for filling in range(FILLINGS * trials):
        steps(session, 20)
        assert not session.save_problem
        ballast = fill(small_disk, draw.choice((0, draw.randrange(30_000))))
        steps(session, 40)
        assert "No space left on device" in session.save_problem
        assert f"make room or permit writing in {run.path}" in session.save_problem
        _, facts = read_checkpoint(run.latest_path)
        assert facts["step"] < session.trainer.step, "the old save is there, and whole"  # type: ignore[union-attr]
        assert not list(run.path.glob(".*")), "and nothing half-written is left"
        session.save()
        with pytest.raises(RunError, match="No space left on device"):
            session.copy(f"copy-{filling}")
        ballast.unlink()
        steps(session, 2)
        assert not session.save_problem and notes(run)[-1] == "the checkpoint is saved again"
        assert read_checkpoint(run.latest_path)[1]["step"] > facts["step"]
    while session.state == State.TRAINING:
        session.advance()
    session.close()
    assert sorted(entry.name for entry in (small_disk / "saves").iterdir()) == ["one"]
    reader = JournalReader(run.journal_path)
    reader.poll()
    assert reader.damaged_lines == 0, "no line is torn"
    assert curve(run) == whole(**{**settings, "checkpoint_seconds": 60.0}), "and none is lost"


def test_a_journal_on_a_full_disk_has_whole_lines(small_disk: Path, trials: int) -> None:
    draw, path = random.Random(1), small_disk / "metrics.jsonl"
    folder = HeldFolder(small_disk)
    journal, written, first = JournalWriter(folder), 0, 0
    for _ in range(5 * trials):
        ballast = fill(small_disk, draw.randrange(9000))
        for _ in range(100):
            journal.append(Note(f"{written} " + "x" * draw.randrange(3000)))
            written += 1
        data = path.read_bytes()
        assert data.endswith(b"\n") or not data, "a line that did not fit is taken back"
        ballast.unlink()
        journal.append(Note(f"{written} "))
        written += 1
        texts = [event.text for event in read_journal(path) if isinstance(event, Note)]
        assert [int(text.split()[0]) for text in texts] == list(range(first, written)), "none is lost, in their order"
        journal.close()
        with path.open("ab") as file:
            file.write(b'{"event": "no')  # what a killed writer leaves
        journal = JournalWriter(folder)
        if path.stat().st_size > ROOM // 3:
            journal.close()
            path.unlink()
            journal, first = JournalWriter(folder), written
    journal.close()
    folder.close()


def test_training_goes_on_where_files_may_not_grow(tiny: Tiny, saves: Path, whole: Any) -> None:
    """The journal is too long for the limit, the checkpoints are not: that is said, and no line is torn or lost."""
    settings: dict[str, Any] = {"checkpoint_seconds": 0.0, "num_epochs": 30}
    session = Session.create(tiny(**settings), saves, "one")
    session.train()
    steps(session, 40)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = max(session.run.journal_path.stat().st_size, session.run.latest_path.stat().st_size) + 2000
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        while not session.save_problem:
            steps(session, 1)
        assert session.save_problem == (
            f"the journal could not be saved (File too large): make room or permit writing in {session.run.path}"
        )
        steps(session, 20)
        assert session.trainer is not None
        assert read_checkpoint(session.run.latest_path)[1]["step"] == session.trainer.step, "the weights are saved"
        assert session.run.journal_path.read_bytes().endswith(b"\n")
        write_failure(ValueError("x" * room), session.folder)
        with session.run.path.joinpath("more").open("wb") as file, pytest.raises(OSError, match="too large"):
            file.write(bytes(2 * room))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    while session.state == State.TRAINING:
        session.advance()
    session.close()
    assert not session.save_problem and notes(session.run)[-1] == "the journal is saved again"
    assert curve(session.run) == whole(**{**settings, "checkpoint_seconds": 60.0})


def test_a_run_cannot_be_made_on_a_full_disk(tiny: Tiny, small_disk: Path) -> None:
    (small_disk / "saves").mkdir()
    fill(small_disk, 0)
    with pytest.raises(RunError, match=r"the run cannot be made in .*saves: No space left on device"):
        Session.create(tiny(), small_disk / "saves", "one")
    assert list((small_disk / "saves").iterdir()) == []


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """A folder of somebody who is not root, and we are he: to root nothing is forbidden."""
    place = Path(tempfile.mkdtemp(prefix="own"))
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(place, NOBODY, NOBODY)
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
    try:
        yield place
    finally:
        if is_root:
            os.seteuid(0)
            os.setegid(0)
        shutil.rmtree(place)


def test_training_goes_on_in_a_folder_that_may_not_be_written(
    tiny: Tiny, whole: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    settings = {"checkpoint_seconds": 0.0, "validation_fraction": 0.2, "num_epochs": 6}
    wanted, config = whole(**settings), tiny(**settings)  # also imports all that is needed while we are still ourselves
    text = Path(config.corpus).read_bytes()
    place: Path = request.getfixturevalue("own_folder")
    (place / "nonsense.txt").write_bytes(text)
    session = Session.create(config.replace(corpus=str(place / "nonsense.txt")), place / "saves", "one")
    run = session.run
    session.train()
    for _ in range(2):
        steps(session, 15)
        before = run.latest_path.read_bytes()
        run.path.chmod(0o555)
        steps(session, 10)
        assert f"(Permission denied): make room or permit writing in {run.path}" in session.save_problem
        assert run.latest_path.read_bytes() == before
        run.path.chmod(0o755)
        steps(session, 2)
        assert not session.save_problem and notes(run)[-1] == "the checkpoint is saved again"
    while session.state == State.TRAINING:
        session.advance()
    session.close()
    assert curve(run) == wanted
    run.path.chmod(0o555)
    (place / "saves").chmod(0o555)
    assert run_summary(run).state == State.FINISHED
    with pytest.raises(RunError, match=r"'one' cannot be copied to 'two': Permission denied"):
        duplicate_run(run, "two")
    (place / "saves").chmod(0o755)
    run.path.chmod(0o755)


def test_a_disk_that_is_read_only(
    tiny: Tiny, small_disk: Path, runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saves = small_disk / "saves"
    session = Session.create(tiny(num_epochs=1), saves, "one")
    list(train_to_end(session))
    session.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert main(["generate", "one", "--prefix=a", "--length=5", f"--saves={saves}"]) == 0
    assert main(["runs", f"--saves={saves}"]) == 0
    told = capsys.readouterr()
    assert told.err == "" and "finished" in told.out
    assert main(["resume", "one", "--epochs=3", f"--saves={saves}"]) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.endswith("cannot be written to: Read-only file system\n")
    assert main(["train", "--preset=lyrics-scratch-sequential", f"--saves={saves}", "--name=two"]) == 2
    assert capsys.readouterr().err.endswith("(Read-only file system): name another folder with --saves\n")


# --- who may write -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o027, 0o077])
def test_nobody_else_may_write(tiny: Tiny, tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        saves = tmp_path / "new" / "saves"
        session = Session.create(tiny(validation_fraction=0.2, num_epochs=1), saves, "one")
        list(train_to_end(session))
        duplicate_run(session.run, "two")
        session.close()
    finally:
        os.umask(before)
    made = [tmp_path / "new", *(tmp_path / "new").rglob("*")]
    assert len(made) > 14 and {"latest.safetensors", "best.safetensors", "metrics.jsonl", "engine.lock"} <= {
        entry.name for entry in made
    }
    for entry in made:
        wanted = (0o755 if entry.is_dir() else 0o644) & ~umask
        assert stat.S_IMODE(entry.stat().st_mode) == wanted, entry
    assert [summary.problem for summary in list_runs(saves)] == ["", ""]
