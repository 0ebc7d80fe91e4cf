"""Run folders with odd things in the place of files, and giants; and what is said of them, and still had of them.

Never a crash, a wait, or memory beyond the order of the file.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from core.cli.main import main
from core.engine.engine import open_log, write_log_to
from core.engine.failure import write_failure
from core.engine.loading import load_model
from core.engine.session import Session
from core.events import NO_CHECKPOINT, State
from core.runs.held_folder import HeldFolder
from core.runs.journal import JournalReader, JournalWriter
from core.runs.run import Run
from core.runs.store import duplicate_run, list_runs
from core.runs.summary import run_summary
from tests.core.runs.damage import META, crafted, entry, notes, rewritten, said, train_a_little
from tests.run_folders import read_journal

FILES = ("run.json", "vocabulary.json", "corpus.txt", "metrics.jsonl", "latest.safetensors")


# --- odd things in the place of files --------------------------------------------------------------------------------


def put_pipe(path: Path, elsewhere: Path) -> None:
    os.mkfifo(path)


def put_folder(path: Path, elsewhere: Path) -> None:
    path.mkdir()


def put_link_to_device(path: Path, elsewhere: Path) -> None:
    path.symlink_to("/dev/zero")


def put_link_out(path: Path, elsewhere: Path) -> None:
    path.symlink_to(elsewhere)


def put_dangling_link(path: Path, elsewhere: Path) -> None:
    path.symlink_to(elsewhere.with_name("nowhere"))


def put_loop(path: Path, elsewhere: Path) -> None:
    path.symlink_to(path.name)


ODD = (put_pipe, put_folder, put_link_to_device, put_link_out, put_dangling_link, put_loop)


@pytest.mark.parametrize("put", ODD, ids=lambda put: put.__name__[4:])
@pytest.mark.parametrize("name", [*FILES, "best.safetensors", "engine.lock", "engine.log"])
def test_odd_things(run: Run, tmp_path: Path, name: str, put: Callable[[Path, Path], None]) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("the user's own\n")
    path = run.path / name
    path.unlink(missing_ok=True)
    put(path, elsewhere)
    summaries = list_runs(run.path.parent)
    assert json.dumps([summary.to_json() for summary in summaries])
    assert isinstance(run.is_held(), bool)
    if name == "metrics.jsonl" and put is not put_link_out:
        (summary,) = summaries
        wrong = {put_pipe: "unreadable: it is a pipe", put_dangling_link: "missing"}.get(put, "unreadable: ")
        assert summary.remark.startswith(f"journal {wrong}") and not summary.problem, summary
        assert (summary.epoch, summary.state) == (1, State.INTERRUPTED), "what the checkpoint tells"
    else:
        assert not any("journal" in summary.remark for summary in summaries)
    assert JournalReader(run.journal_path).poll() == [] or name != "metrics.jsonl"
    said(lambda: load_model(run))
    words = said(lambda: train_a_little(run))
    if name in ("run.json", "metrics.jsonl", "engine.lock"):
        assert str(path) in words
    else:
        assert not words
    said(lambda: duplicate_run(run, "two"))
    assert elsewhere.read_text() == "the user's own\n", "what a link leads to is nobody's to write"
    assert not (tmp_path / "nowhere").exists()
    assert not list(run.path.parent.glob(".*")), "nothing half-made is left"


# --- giants ----------------------------------------------------------------------------------------------------------


def sparse(path: Path, head: bytes = b"", size: int = 1 << 30) -> None:
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)


def filled(path: Path, head: bytes, piece: bytes, times: int, tail: bytes) -> None:
    with path.open("wb") as file:
        file.write(head)
        for _ in range(times):
            file.write(piece * 1000)
        file.write(tail)


def only_a_sparse_best(run: Run) -> None:
    run.latest_path.unlink()
    sparse(run.best_path)


def a_huge_model(run: Run) -> None:
    rewritten(run, "config", "num_hiddens", to=16_384)
    rewritten(run, "config", "num_layers", to=8)
    rewritten(run, "parameters", to=2**50)


def a_huge_model_without_a_checkpoint(run: Run) -> None:
    rewritten(run, "config", "num_hiddens", to=16_384)
    run.latest_path.unlink()
    run.best_path.unlink()


GIANTS: dict[str, Callable[[Run], object]] = {
    "sparse run.json": lambda run: sparse(run.metadata_path),
    "sparse vocabulary": lambda run: sparse(run.vocabulary_path),
    "sparse vocabulary with a head": lambda run: sparse(run.vocabulary_path, b'{"tokens":[', 1 << 28),
    "sparse text": lambda run: sparse(run.corpus_path),
    "sparse journal": lambda run: sparse(run.journal_path, size=1 << 28),
    "sparse checkpoint": lambda run: sparse(run.latest_path),
    "only a sparse best": only_a_sparse_best,
    "long header": lambda run: sparse(run.latest_path, struct.pack("<Q", 1 << 29)),
    "sparse body": lambda run: sparse(run.latest_path, crafted({"__metadata__": META, "a": entry(0, 8)})),
    "lists in lists": lambda run: filled(run.vocabulary_path, b'{"tokens":[', b"[],", 10_000, b"[]]}"),
    "objects in run.json": lambda run: filled(run.metadata_path, b'{"versions":[', b"{},", 1300, b"{}]}"),
    "header of lists": lambda run: run.latest_path.write_bytes(crafted(b"[" + b"[]," * 80_000 + b"[]]")),
    "huge model": a_huge_model,
    "huge model without a checkpoint": a_huge_model_without_a_checkpoint,
    "one line": lambda run: filled(run.journal_path, b"", b"x" * 100, 600, b""),
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("make", GIANTS.values(), ids=GIANTS)
def test_giants_take_no_memory(run: Run, text_path: Path, make: Callable[[Run], object]) -> None:
    make(run)
    child = os.fork()
    if child == 0:
        try:
            with open("/proc/self/statm") as file:
                pages = int(file.read().split()[0])
            limit = pages * resource.getpagesize() + (400 << 20)
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            assert len(list_runs(run.path.parent)) == 1
            read_journal(run.journal_path)
            said(lambda: load_model(run))
            said(lambda: Session.open(run).close())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# --- from the command line -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["pipe", "folder", "link", "empty", "cut", "deep", "foreign"])
@pytest.mark.parametrize("name", ["run.json", "metrics.jsonl", "latest.safetensors"])
def test_commands_say_a_sentence(
    run: Run, runtime: Path, name: str, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run.best_path.unlink()
    path = run.path / name
    whole = path.read_bytes()
    path.unlink()
    match damage:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to("/dev/zero")
        case _:
            path.write_bytes({"empty": b"", "cut": whole[:99], "deep": b"[" * 10**6}.get(damage, b'{"some": "thing"}'))
    saves = f"--saves={run.path.parent}"
    can_be_opened = name == "metrics.jsonl" and damage not in ("pipe", "folder", "link")
    for arguments in (["resume", "one", "--epochs=2"], ["generate", "one", "--prefix=a", "--length=3"]):
        code = main([*arguments, saves])
        told = capsys.readouterr()
        if name == "metrics.jsonl" and (can_be_opened or arguments[0] == "generate"):
            assert code == 0
            continue
        assert code == 2 and told.out in ("", "a") and told.err.count("\n") == 1 and told.err.startswith("error: ")
        assert str(path) in told.err
    assert main(["runs", saves]) == 0
    told = capsys.readouterr()
    assert told.err == "" and (str(path) in told.out or name == "metrics.jsonl")


def test_a_pipe_in_the_place_of_the_log_is_waited_for_by_nobody(run: Run) -> None:
    """The engine goes on, its output goes nowhere, and the journal says so."""
    run.log_path.unlink(missing_ok=True)
    os.mkfifo(run.log_path)
    session = Session.open(run)
    write_failure(ValueError("x"), session.folder)
    child = os.fork()
    if child == 0:
        write_log_to(open_log(session))
        print("x" * 100_000, flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    session.close()
    assert notes(run) == [f"{run.log_path} cannot be written to (it is a pipe, no file): the run continues without it"]


def test_what_can_be_had_is_offered(run: Run) -> None:
    """A curve and a best checkpoint are told of in the list, wherever the last checkpoint is broken."""
    assert run_summary(run).remark == ""
    os.truncate(run.latest_path, 500)
    assert run_summary(run).remark.endswith("; the run continues from its best checkpoint, epoch 1")
    assert str(run.latest_path) in run_summary(run).remark and not run_summary(run).problem
    os.truncate(run.best_path, 500)
    remark = run_summary(run).remark
    assert str(run.best_path) in remark and f"; its curve is still there, up to epoch 1; {NO_CHECKPOINT}" in remark
    words = said(lambda: Session.open(run))
    assert str(run.latest_path) in words and str(run.best_path) in words and words.endswith(NO_CHECKPOINT)
    run.latest_path.unlink()
    run.best_path.unlink()
    assert run_summary(run).remark == "", "without any checkpoint it begins again"


def test_a_damaged_copy_of_the_text_gives_way_to_the_text_itself(run: Run, text_path: Path) -> None:
    os.truncate(run.corpus_path, 100)
    assert not said(lambda: train_a_little(run))
    text_path.unlink()
    assert f"{run.corpus_path} is not the text" in said(lambda: train_a_little(run))
    assert not said(lambda: load_model(run)), "it can still write"


def test_a_link_is_never_written_through(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("x")
    (tmp_path / "metrics.jsonl").symlink_to(mine)
    with HeldFolder(tmp_path) as folder, pytest.raises(OSError, match="it is a link, no file"):
        JournalWriter(folder)
    assert mine.read_text() == "x"
