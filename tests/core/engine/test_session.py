"""Sessions: a run from its making to its end, on disks that fail and in folders that somebody damaged."""

from __future__ import annotations

import errno
import math
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch

from core.engine import loading
from core.engine.checkpointing import Checkpointing
from core.engine.description import describe
from core.engine.failure import failure_words, is_out_of_memory
from core.engine.loading import load_model
from core.engine.session import Session, train_to_end
from core.errors import ConfigError, CorpusError, RunError, UserError
from core.events import EpochFinished, Event, RunResumed, SampleWritten, SettingChanged, State, StateChanged
from core.runs.atomic_write import Disk
from core.runs.held_folder import HeldFolder
from core.runs.journal import read_journal
from core.runs.run import Run
from core.runs.store import list_runs
from core.runs.summary import run_summary
from core.settings.run_config import RunConfig
from tests.core.outcomes import curve, notes

Tiny = Callable[..., RunConfig]


@pytest.fixture(autouse=True)
def _quiet(one_thread: None) -> None:
    pass


def states(run: Run) -> list[str]:
    return [event.state for event in read_journal(run.journal_path) if isinstance(event, StateChanged)]


def until(session: Session, happened: Callable[[], bool]) -> None:
    while not happened():
        assert session.state == State.TRAINING
        session.advance()


# --- from the making to the end ------------------------------------------------------------------------------------


def test_a_life(tiny: Tiny, saves: Path) -> None:
    session = Session.create(tiny(sample_every=2, sample_length=9), saves)
    assert (session.run.name, session.state) == ("nonsense-0001", State.IDLE)
    assert session.run.latest_path.exists() and session.run.is_held()
    told = list(train_to_end(session))
    assert read_journal(session.run.journal_path)[1:] == told
    assert [type(event) for event in told] == [
        RunResumed, StateChanged, EpochFinished, SampleWritten, EpochFinished, SampleWritten, EpochFinished,
        StateChanged,
    ]  # fmt: skip
    assert all(len(event.text) == 9 for event in told if isinstance(event, SampleWritten))
    assert session.state == State.FINISHED
    session.close()
    session.close()
    assert not session.run.is_held()
    (summary,) = list_runs(saves)
    assert (summary.state, summary.epoch, summary.problem) == (State.FINISHED, 3, "")
    model, vocabulary = load_model(session.run)
    assert len(vocabulary) == describe(session).vocabulary and not model.training
    for name, tensor in session.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_stopped_and_gone_on_with(tiny: Tiny, saves: Path, whole: Any) -> None:
    session = Session.create(tiny(dropout=0.2), saves, "one")
    session.train()
    until(session, lambda: session.trainer is not None and session.trainer.step == 20)
    session.close()
    assert states(session.run)[-1] == State.STOPPED
    session = Session.open(session.run)
    assert session.state == State.STOPPED
    list(train_to_end(session))
    session.close()
    assert curve(session.run) == whole(dropout=0.2)


def test_more_epochs(tiny: Tiny, saves: Path, whole: Any) -> None:
    session = Session.create(tiny(num_epochs=2), saves)
    list(train_to_end(session))
    for number in (None, 2, 1):
        with pytest.raises(
            UserError, match=r"2 epochs are done and \d were asked for: ask for more than 2 to train on"
        ):
            session.train(number)
    with pytest.raises(ConfigError, match="num_epochs must be between 1"):
        session.train(0)
    assert session.trainer is not None and session.trainer.num_epochs == 2 and session.state == State.FINISHED
    session.train(4)
    until(session, lambda: session.trainer is not None and session.trainer.step == 30)
    session.stop()
    session.close()
    assert run_summary(session.run).num_epochs == 4, "the list knows it too"
    session = Session.open(session.run)
    assert describe(session).num_epochs == 4
    list(train_to_end(session))
    session.close()
    assert curve(session.run) == whole(num_epochs=4)


def test_pausing_changes_nothing(tiny: Tiny, saves: Path, whole: Any) -> None:
    changes = {"validation_fraction": 0.3, "patience": 2, "num_epochs": 12, "learning_rate": 6.0}
    session = Session.create(tiny(**changes), saves)
    with pytest.raises(UserError, match="there is nothing to pause: the run is idle"):
        session.pause()
    session.train()
    while session.state == State.TRAINING:
        session.advance()
        if session.state == State.TRAINING:
            session.pause()
            session.train()
    wanted = whole(**changes)
    assert 2 < len(wanted) < 12, "it stops early, for patience"
    assert curve(session.run) == wanted
    assert "no better held-out perplexity for 2 epochs: stopped early" in session.message
    done = len(wanted)
    session.train()
    until(session, lambda: session.trainer is not None and session.trainer.epoch > done)
    session.close()


def test_steps_by_hand(tiny: Tiny, saves: Path, whole: Any) -> None:
    session = Session.create(tiny(num_epochs=2), saves)
    told: list[Event] = []
    for _ in range(26):
        assert session.state in (State.IDLE, State.PAUSED)
        told += session.step()
    assert session.state == State.FINISHED
    assert curve(session.run) == whole(num_epochs=2)
    with pytest.raises(UserError, match="2 epochs are done"):
        session.step()
    session.close()


def test_settings_changed_while_it_holds_still_are_kept(tiny: Tiny, saves: Path) -> None:
    session = Session.create(tiny(), saves)
    assert session.set("num_epochs", 5) == [SettingChanged(0, "num_epochs", 5)]
    session.train()
    session.advance()
    session.pause()
    session.set("learning_rate", 0.125)
    session.close()
    again = Session.open(session.run)
    assert describe(again).config.learning_rate == 0.125 and describe(again).num_epochs == 5
    assert session.run.metadata().config.learning_rate == 0.125
    again.close()


def test_fewer_epochs_than_are_done_are_refused(tiny: Tiny, saves: Path) -> None:
    session = Session.create(tiny(), saves)
    trainer = session.trainer
    assert trainer is not None
    session.train()
    until(session, lambda: trainer.epoch == 2)
    words = r"num_epochs must be at least 2, the epochs that are done or begun, got 1$"
    with pytest.raises(ConfigError, match=words) as refused:
        session.set("num_epochs", 1)
    assert refused.value.labelled.startswith("epochs must be at least 2"), "a form names the label"
    assert (session.state, trainer.num_epochs, trainer.config.num_epochs) == (State.TRAINING, 3, 3)
    session.advance()
    with pytest.raises(ConfigError, match="at least 3, the epochs that are done or begun, got 2"):
        session.set("num_epochs", 2)
    session.pause()
    with pytest.raises(ConfigError, match="at least 3"):
        session.train(2)
    session.train()
    until(session, lambda: session.state == State.FINISHED)
    assert (trainer.epoch, trainer.batch) == (3, 0)
    session.close()


def test_as_many_epochs_as_are_done_end_it(tiny: Tiny, saves: Path) -> None:
    session = Session.create(tiny(), saves)
    session.train()
    until(session, lambda: session.trainer is not None and session.trainer.epoch == 2)
    session.set("num_epochs", 2)
    session.advance()
    assert (session.state, session.trainer.epoch, session.trainer.batch) == (State.FINISHED, 2, 0)  # type: ignore[union-attr]
    session.close()


def test_a_run_without_a_name_never_takes_anothers(tiny: Tiny, saves: Path) -> None:
    made: list[Session] = []

    def make() -> None:
        made.append(Session.create(tiny(), saves))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(session.run.name for session in made) == [f"nonsense-000{number}" for number in range(1, 5)]
    for session in made:
        session.close()


def test_a_copy_of_a_training_is_a_run_that_rests(tiny: Tiny, saves: Path, whole: Any) -> None:
    session = Session.create(tiny(), saves, "one")
    session.train()
    until(session, lambda: session.trainer is not None and session.trainer.step == 20)
    session.save()
    copy = Run(session.copy("copy"))
    assert session.state == State.TRAINING and run_summary(copy).state == State.STOPPED
    with pytest.raises(RunError, match="there is already a run 'copy'"):
        session.copy("copy")
    with pytest.raises(RunError, match="cannot be the name of a run"):
        session.copy("../copy")
    for one in (Session.open(copy), session):
        list(train_to_end(one)) if one is not session else until(session, lambda: session.state == State.FINISHED)
        one.close()
        assert curve(one.run) == whole()


# --- what is refused -----------------------------------------------------------------------------------------------


def test_a_run_that_cannot_be_made_leaves_nothing(tiny: Tiny, saves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for changes, error, sentence in (
        ({"batch_size": 400}, CorpusError, "the text has 801 tokens"),
        ({"device": "cuda:9"}, ConfigError, "there is no device"),
        ({"corpus": "/nowhere"}, CorpusError, "there is no file"),
    ):
        with pytest.raises(error, match=sentence):
            Session.create(tiny(**changes), saves)
    with pytest.raises(RunError, match="cannot be the name of a run"):
        Session.create(tiny(corpus="/nowhere"), saves, "../x")
    assert not saves.exists()
    monkeypatch.setattr(Checkpointing, "save_first", lambda self, trainer: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Session.create(tiny(), saves)
    assert list(saves.iterdir()) == []


def test_one_session_a_run(tiny: Tiny, saves: Path) -> None:
    session = Session.create(tiny(), saves, "one")
    with pytest.raises(RunError, match="run 'one' is open in another engine: attach to that one, or stop it first"):
        Session.open(session.run)
    with pytest.raises(RunError, match="there is already a run 'one'"):
        Session.create(tiny(corpus="/nowhere"), saves, "one")
    session.close()
    Session.open(session.run).close()
    with pytest.raises(RunError, match="there is no run 'two' in"):
        Session.open(Run(saves / "two"))
    assert not (saves / "two").exists()


# --- disks that fail -----------------------------------------------------------------------------------------------


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
def test_training_goes_on_where_saving_fails(tiny: Tiny, saves: Path, whole: Any, step: str) -> None:
    disk = Failing()
    session = Session.create(tiny(checkpoint_seconds=0.0, validation_fraction=0.2), saves, disk=disk)
    session.train()
    until(session, lambda: session.trainer is not None and session.trainer.step == 5)
    before = session.run.latest_path.read_bytes()
    disk.step = step
    until(session, lambda: session.trainer is not None and session.trainer.step == 15)
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


def test_a_full_disk_at_the_very_beginning(tiny: Tiny, saves: Path, whole: Any) -> None:
    disk = Failing()
    """A run that cannot take its first checkpoint does not begin: neither a new one nor one that lost it."""
    for disk.step in ("write", "flush", "fsync", "rename"):
        with pytest.raises(RunError, match=r"the run cannot be made in .*saves: No space left on device"):
            Session.create(tiny(), saves, "one", disk=disk)
        assert list(saves.iterdir()) == [], disk.step
    disk.step = ""
    session = Session.create(tiny(), saves, "one")
    session.close()
    session.run.latest_path.unlink()
    session = Session.open(session.run, disk)
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


# --- folders that somebody damaged ---------------------------------------------------------------------------------


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


@pytest.fixture
def stopped(tiny: Tiny, saves: Path) -> Run:
    """A run in the middle of its second epoch, with a best checkpoint at the end of its first."""
    session = Session.create(tiny(validation_fraction=0.2), saves, "one")
    session.train()
    until(session, lambda: session.trainer is not None and session.trainer.step == 15)
    session.close()
    return session.run


def test_a_run_killed_before_its_first_checkpoint_begins_again(tiny: Tiny, saves: Path, whole: Any) -> None:
    session = Session.create(tiny(), saves)
    session.close()
    session.run.latest_path.unlink()
    (session.run.path / ".latest.safetensors.77.tmp").write_bytes(b"half a checkpoint")
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
    (note,) = notes(stopped)
    assert str(stopped.latest_path) in note and note.endswith("; the run continues from its best checkpoint, epoch 1")
    list(train_to_end(session))
    session.close()
    assert curve(stopped) == whole(validation_fraction=0.2)


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
    with pytest.raises(RunError, match="is missing: this run has no saved weights yet"):
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
        with pytest.raises(UserError, match="this run can write but not train on"):
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
    until(session, lambda: session.trainer is not None and session.trainer.step == 15)
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


# --- trainings that fail -------------------------------------------------------------------------------------------


def test_divergence_goes_back_to_the_last_good_checkpoint(tiny: Tiny, saves: Path) -> None:
    session = Session.create(tiny(num_epochs=5), saves)
    session.train()
    until(session, lambda: session.trainer is not None and session.trainer.step == 20)
    session.save()
    with torch.no_grad():
        next(session.model.parameters()).fill_(math.nan)
    before = session.run.latest_path.read_bytes()
    session.save()
    assert session.run.latest_path.read_bytes() == before, "what is no number is not saved"
    while session.state == State.TRAINING:
        session.advance()
    assert session.state == State.DIVERGED and states(session.run).count(State.DIVERGED) == 1
    assert "at step 21 (batch 8 of epoch 2)" in session.message
    assert session.message.endswith("the weights are those of epoch 1 again")
    assert all(bool(torch.isfinite(weight).all()) for weight in session.model.parameters())
    session.set("learning_rate", 0.1)
    list(train_to_end(session))
    session.close()
    assert states(session.run)[-1] == State.FINISHED and [point.epoch for point in curve(session.run)] == [
        1,
        2,
        3,
        4,
        5,
    ]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "out of memory: make batch, steps or hidden smaller, or use another device"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "out of memory: make batch"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory"),
        (ValueError("strange\nthings"), "the engine failed (ValueError: strange); the log is "),
    ],
)
def test_a_failure_is_told_in_words(tiny: Tiny, saves: Path, whole: Any, error: Exception, words: str) -> None:
    session = Session.create(tiny(dropout=0.3), saves)
    session.train()
    until(session, lambda: session.trainer is not None and session.trainer.step == 15)
    session.save()
    until(session, lambda: session.trainer is not None and session.trainer.step == 30)
    assert session.trainer is not None
    advance = session.trainer.optimiser.step

    def fail() -> None:
        raise error

    session.trainer.optimiser.step = fail  # type: ignore[method-assign,assignment]
    (event,) = session.advance()
    assert isinstance(event, StateChanged) and event.state == State.FAILED and event.message.startswith(words)
    log = session.run.log_path
    assert event.message.endswith(f"; the log is {log}"), "it is at hand"
    assert f"{type(error).__name__}: " in log.read_text() or "MemoryError" in log.read_text(), "and has all of it"
    assert "Traceback" in log.read_text() and all(weight.grad is None for weight in session.model.parameters())
    assert failure_words(error, session.folder) == event.message
    assert is_out_of_memory(error) is words.startswith("out of memory")
    session.trainer.optimiser.step = advance  # type: ignore[method-assign]
    list(train_to_end(session))
    session.close()
    assert curve(session.run) == whole(dropout=0.3), "it goes on from its checkpoint"
