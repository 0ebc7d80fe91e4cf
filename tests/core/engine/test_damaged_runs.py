"""Sessions on folders that somebody damaged and on texts that change: what can be recovered is, the rest is refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.engine import loading
from core.engine.description import describe
from core.engine.loading import load_model
from core.engine.session import Session
from core.errors import RunError, UserError
from core.events import NO_CHECKPOINT, Note
from core.runs.checkpoint import read_checkpoint
from core.runs.run import Run
from core.settings.run_config import RunConfig
from tests.core.outcomes import curve, notes, train_to_end, train_until

Tiny = Callable[..., RunConfig]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def stopped(tiny: Tiny, saves: Path) -> Run:
    """A run in the middle of its second epoch, with a best checkpoint at the end of its first."""
    session = Session.create(tiny(validation_fraction=0.2), saves, "one")
    session.train()
    train_until(session, lambda: session.trainer is not None and session.trainer.step == 15)
    session.close()
    return session.run


def test_a_run_killed_before_its_first_checkpoint_begins_again(tiny: Tiny, saves: Path, whole: Any) -> None:
    session = Session.create(tiny(), saves)
    session.close()
    session.run.latest_path.unlink()
    (session.run.path / ".latest.safetensors.77.tmp").write_bytes(b"half a checkpoint")
    with pytest.raises(RunError, match=r"latest\.safetensors is missing: this run has no saved weights yet$"):
        load_model(session.run)
    session = Session.open(session.run)
    assert not list(session.run.path.glob(".*"))
    list(train_to_end(session))
    session.close()
    assert curve(session.run) == whole()


@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_a_damaged_checkpoint_gives_way_to_the_best(stopped: Run, whole: Any, damage: str) -> None:
    if damage == "cut":
        os.truncate(stopped.latest_path, stopped.latest_path.stat().st_size // 2)
    else:
        stopped.latest_path.unlink()
    session = Session.open(stopped)
    assert not notes(stopped), "it is said when the run continues"
    events = list(train_to_end(session))
    session.close()
    (note,) = notes(stopped)
    assert str(stopped.latest_path) in note and note.endswith("; the run continues from its best checkpoint, epoch 1")
    assert events.index(Note(note)) < 3
    assert curve(stopped) == whole(validation_fraction=0.2)


@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_a_checkpoint_damaged_behind_a_paused_run_is_written_again(
    tiny: Tiny, saves: Path, whole: Any, damage: str
) -> None:
    session = Session.create(tiny(), saves, "one")
    session.train()
    train_until(session, lambda: session.trainer is not None and session.trainer.step == 15)
    session.pause()
    latest = session.run.latest_path
    good, written = read_checkpoint(latest)[1], latest.stat().st_mtime_ns
    session.save()
    assert latest.stat().st_mtime_ns == written, "nothing is new"
    if damage == "cut":
        os.truncate(latest, latest.stat().st_size // 2)
    else:
        latest.unlink()
        session.run.metadata_path.unlink()
    session.close()
    assert read_checkpoint(latest)[1]["step"] == good["step"] == 15
    session = Session.open(session.run)
    list(train_to_end(session))
    session.close()
    assert curve(session.run) == whole()


def test_without_any_good_checkpoint_a_sentence_names_the_file(stopped: Run) -> None:
    os.truncate(stopped.best_path, 100)
    os.truncate(stopped.latest_path, 100)
    for _ in range(2):
        with pytest.raises(RunError, match=r"best\.safetensors is no whole checkpoint"):
            Session.open(stopped)
    assert len(curve(stopped)) == 1, "the curve is still there"
    stopped.best_path.unlink()
    with pytest.raises(RunError, match=r"latest\.safetensors is no whole checkpoint"):
        Session.open(stopped)
    stopped.latest_path.unlink()
    with pytest.raises(RunError, match=f"is missing; {NO_CHECKPOINT}$"):
        Session.open(stopped)
    assert not stopped.is_held()


def test_a_checkpoint_of_another_run_is_refused(stopped: Run, tiny: Tiny, saves: Path) -> None:
    other = Session.create(tiny(num_hiddens=5), saves)
    other.close()
    stopped.best_path.unlink()
    shutil.copy(other.run.latest_path, stopped.latest_path)
    with pytest.raises(RunError, match="it belongs to another model or is damaged"):
        Session.open(stopped)
    with pytest.raises(RunError, match=r"latest\.safetensors does not match the run's settings"):
        load_model(stopped)


def test_a_changed_text_leaves_a_run_that_can_write(stopped: Run, text_path: Path) -> None:
    text_path.unlink()
    stopped.corpus_path.write_text(stopped.corpus_path.read_text()[:-1] + "x")
    session = Session.open(stopped)
    assert "is not the text that the run began with: its sha256 has changed" in describe(session).no_training
    for act in (session.train, session.step, lambda: session.set("learning_rate", 1.0)):
        with pytest.raises(UserError, match="this run can generate text but not continue training"):
            act()
    assert describe(session).epoch == 1
    session.close()


def test_a_text_that_is_gone_is_read_where_it_was(stopped: Run, text_path: Path) -> None:
    stopped.corpus_path.unlink()
    Session.open(stopped).close()
    text_path.unlink()
    session = Session.open(stopped)
    assert "there is no file" in session.no_training
    session.close()


@pytest.mark.parametrize("name", ["run.json", "vocabulary.json"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff\xff", b"{}"], ids=str)
def test_damaged_files_get_a_sentence(stopped: Run, text_path: Path, name: str, content: bytes | None) -> None:
    if name == "vocabulary.json":  # it is made again from the text, where there is one
        text_path.unlink()
        stopped.corpus_path.unlink()
    path = stopped.path / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        Session.open(stopped)
    assert name.split(".")[0] in str(caught.value) and "\n" not in str(caught.value)
    assert not stopped.is_held()


def test_a_journal_that_is_none_gets_a_sentence(stopped: Run) -> None:
    stopped.journal_path.unlink()
    stopped.journal_path.mkdir()
    with pytest.raises(RunError, match=r"metrics\.jsonl cannot be written to: Is a directory"):
        Session.open(stopped)
    assert not stopped.is_held()


# --- texts that do not stand still ---------------------------------------------------------------------------------


def appended(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


@pytest.mark.parametrize("is_copied", [True, False])
def test_a_text_that_grows(
    tiny: Tiny, saves: Path, whole: Any, text_path: Path, monkeypatch: pytest.MonkeyPatch, is_copied: bool
) -> None:
    """A log goes on while it is read and while its run trains: the run has the bytes that it read, and keeps them."""
    wanted, before = whole(), text_path.read_bytes()
    if not is_copied:
        monkeypatch.setattr(loading, "LARGEST_CORPUS_COPY", 100)
    describe = loading.write_description

    def grow(*parts: Any) -> None:
        appended(text_path, "and a new letter: z\n")  # after it was read and before it is copied
        describe(*parts)

    monkeypatch.setattr(loading, "write_description", grow)
    session = Session.create(tiny(), saves, "one")
    assert session.metadata.corpus.bytes == len(before)
    session.train()
    train_until(session, lambda: session.trainer is not None and session.trainer.step == 15)
    session.close()
    appended(text_path, "zzz")
    assert session.run.corpus_path.exists() is is_copied
    if is_copied:
        assert session.run.corpus_path.read_bytes() == before
        text_path.unlink()
    load_model(session.run)
    session = Session.open(session.run)
    assert not session.no_training
    list(train_to_end(session))
    session.close()
    assert curve(session.run) == wanted


def test_a_text_that_is_changed_while_it_is_read(
    tiny: Tiny, saves: Path, text_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe = loading.write_description
    config = tiny()
    for change, sentence in (
        (lambda: text_path.write_bytes(text_path.read_bytes()[:-1] + b"z"), "was changed while it was read"),
        (lambda: text_path.write_bytes(text_path.read_bytes()[:-1]), "was changed while it was read"),
        (text_path.unlink, "No such file"),
    ):

        def changed(*parts: Any, change: Callable[[], object] = change) -> None:
            change()
            describe(*parts)

        monkeypatch.setattr(loading, "write_description", changed)
        with pytest.raises(UserError, match=sentence):
            Session.create(config, saves, "one")
        assert list(saves.iterdir()) == []
