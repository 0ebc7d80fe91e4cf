"""Commands as processes: signals, pipes and terminals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from core.engine.client import EngineClient
from core.engine.requests import Open
from core.engine.session import Session
from core.events import State
from core.runs.run import Run
from core.runs.summary import run_summary
from tests.core.cli.commands import REPOSITORY, SMALL, Printed, refused
from tests.core.processes import started, training_process
from tests.run_folders import epochs, read_journal

pytestmark = pytest.mark.usefixtures("as_it_was")


def start(*arguments: object, **options: Any) -> AbstractContextManager[subprocess.Popen[str]]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return started("-m", "core", *arguments, **{**pipes, **options})


def test_a_test_that_fails_does_not_wait_for_what_it_started(saves: Path, text_path: Path) -> None:
    """Also for one that is suspended; and what it starts can be interrupted, however the suite was started."""
    arguments = (f"--corpus={text_path}", f"--saves={saves}", "--name=one", "--epochs=100000", *SMALL)
    with pytest.raises(AssertionError, match="fails"), start("train", *arguments) as process:
        process.send_signal(signal.SIGSTOP)
        raise AssertionError("fails")
    assert process.returncode == -signal.SIGKILL
    program = "import tests.conftest, signal; print(signal.getsignal(signal.SIGINT) == signal.default_int_handler)"
    ignoring = f"trap '' INT; exec {sys.executable} -c '{program}'"
    told = subprocess.run(["bash", "-c", ignoring], cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert told.stdout == "True\n", told.stderr


async def paused_by_a_screen(run: Run) -> None:
    """A client holds the training still, looks at it for a while, and lets it go on."""
    client = await EngineClient.attach(run.path)
    assert (await client.request("pause"))["state"] == State.PAUSED
    assert not (await client.ask(Open(run.path))).stays
    assert (await client.request("step"))["state"] == State.PAUSED
    assert (await client.request("resume"))["state"] == State.TRAINING
    await client.close()


def test_interrupted_in_the_midst(saves: Path, text_path: Path, forked_programs: None) -> None:
    with start(
        "train", f"--corpus={text_path}", f"--saves={saves}", "--name=one", "--epochs=100000", *SMALL
    ) as process:
        run = Run(saves / "one")
        deadline = time.monotonic() + 60
        while len(epochs(read_journal(run.journal_path))) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        asyncio.run(paused_by_a_screen(run))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert f"one is stopped and saved in {run.path}" in out
    assert out.splitlines()[-1] == f"python -m core resume one --saves {saves} continues it"
    assert run_summary(run).state == State.STOPPED and not run.is_held()


def test_writing_with_a_suspended_engine(saves: Path, text_path: Path, forked_programs: None) -> None:
    """What is waited for is said; ctrl+c ends it, and so does the engine's going on."""
    arguments = (f"--corpus={text_path}", f"--saves={saves}", "--name=one", "--epochs=100000", *SMALL)
    with start("train", *arguments) as training:
        run = Run(saves / "one")
        deadline = time.monotonic() + 60
        while not epochs(read_journal(run.journal_path)) and time.monotonic() < deadline:
            time.sleep(0.05)
        engine = training_process(run)
        os.kill(engine, signal.SIGSTOP)
        for is_given_up in (True, False):
            with start("generate", "one", f"--saves={saves}", "--prefix=a", "--length=5", "--seed=1") as writing:
                assert writing.stderr is not None and writing.stdout is not None
                words = writing.stderr.readline()
                assert words.startswith("waiting for the engine of one (process ") and "is suspended" in words
                assert f"kill -CONT {engine}" in words
                if is_given_up:
                    writing.send_signal(signal.SIGINT)
                else:
                    os.kill(engine, signal.SIGCONT)
                out, err = writing.communicate(timeout=60)
                assert writing.returncode == (130 if is_given_up else 0), err
                assert out == "" if is_given_up else out.startswith("a")
                assert err.startswith("error: stopped") if is_given_up else "error" not in err
        training.send_signal(signal.SIGINT)
        training.communicate(timeout=60)
        assert training.returncode == 0


def test_what_cannot_write_is_refused_before_the_prefix(
    train: Callable[..., Printed], run: Callable[..., Printed], saves: Path
) -> None:
    printed = train("--epochs=1", "--name=both", "--set", "bidirectional=yes")
    assert printed.code == 0 and "both is finished and saved" in printed.out and "core generate" not in printed.out
    printed = run("generate", "both", "--saves", saves, "--prefix=abc")
    refused(printed, "a bidirectional model cannot write")


def test_what_is_said_of_a_text_stands_on_a_line_of_its_own(trained: Run, saves: Path, forked_programs: None) -> None:
    """Where both streams go to one place, and where a text is interrupted in its midst."""
    options = (f"--saves={saves}", "--prefix=45a", "--seed=1")
    with start("generate", "one", "--length=5", *options, stderr=subprocess.STDOUT) as writing:
        out, _ = writing.communicate(timeout=60)
    text, *rest = out.rsplit("\n", 2)
    assert text.startswith("45a") and rest == ["not in the vocabulary, read as <unk>: 4, 5", ""], out
    with start("generate", "one", "--length=1000000", *options, stderr=subprocess.STDOUT) as writing:
        assert writing.stdout is not None
        head = writing.stdout.read(20)
        writing.send_signal(signal.SIGINT)
        out, _ = writing.communicate(timeout=60)
    assert head.startswith("45a") and out.endswith("\nerror: stopped\n"), out[-100:]


def test_a_reader_that_goes_away(saves: Path, text_path: Path, forked_programs: None) -> None:
    arguments = ("train", f"--corpus={text_path}", f"--saves={saves}", "--name=one", "--epochs=100000", "--json")
    with start(*arguments, *SMALL) as process:
        assert process.stdout is not None and process.stderr is not None
        for _ in range(5):
            assert json.loads(process.stdout.readline())
        process.stdout.close()
        run, before = Run(saves / "one"), time.monotonic()
        done = len(epochs(read_journal(run.journal_path)))
        while len(epochs(read_journal(run.journal_path))) < done + 5 and time.monotonic() < before + 60:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stderr.read().startswith("standard output cannot be written (Broken pipe): training continues")
    assert len(epochs(read_journal(run.journal_path))) >= done + 5
    assert run_summary(run).state == State.STOPPED and not run.is_held()
    Session.open(run).close()


def test_a_terminal_that_knows_no_chinese() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    with start("stats", "--corpus=lyrics-zh", "--top=3", env=environment) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and err == "" and "\\u" in out
    with start("stats", "--corpus=lyrics-zh", "--top=3", "--json", env=environment) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and err == "" and len(json.loads(out)["top"]["1"][0][0]) == 1
