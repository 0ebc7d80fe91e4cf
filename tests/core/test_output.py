"""Streams that are closed, full or gone: what is more than its output goes on, the rest ends with a sentence."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.events import Event, Note, State
from core.runs.run import Run
from core.runs.summary import run_summary
from tests.core.processes import started
from tests.run_folders import epochs, read_journal

REPOSITORY = Path(__file__).resolve().parents[2]
FULL = Path("/dev/full")
SMALL = ("--set", "num_hiddens=8", "--set", "batch_size=2", "--set", "num_steps=5", "--set", "threads=1")


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell in which ``core`` and ``tui`` are the programs."""
    names = "".join(
        f'{name}() {{ {shlex.quote(sys.executable)} -m {name} "$@"; }}\n' for name in ("core", "tui")
    )  # no exec: the streams are the shell's to close
    return subprocess.run(
        ["bash", "-c", names + command], cwd=REPOSITORY, capture_output=True, text=True, timeout=100,
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_what_only_prints_ends_with_a_sentence(saves: Path) -> None:
    full = "error: standard output cannot be written (No space left on device): redirect it to a place that can\n"
    closed = full.replace("No space left on device", "it is closed")
    for line, code, err in (
        (f"core runs --saves {saves} > /dev/full", 2, full),
        (f"core runs --saves {saves} >&-", 2, closed),
        ("core presets --json > /dev/full", 2, full),
        ("core stats --json >&-", 2, closed),
        ("core --help > /dev/full", 2, full),
        ("core train --help >&-", 2, closed),
        ("core download > /dev/full", 2, full),
        ("core lab --set num_epochs=1 --set tau=0 2> /dev/full", 2, ""),
        ("core nothing 2>&-", 2, ""),
        ("core presets | head -1 > /dev/null; exit ${PIPESTATUS[0]}", 0, ""),
    ):
        told = shell(line)
        assert (told.returncode, told.stderr) == (code, err), line


def test_the_playground_without_a_terminal_is_one_sentence() -> None:
    for line in ("tui >&-", "tui > /dev/full", "tui <&-", "tui | cat; exit ${PIPESTATUS[0]}", "tui 2>&- >&1"):
        told = shell(line)
        words = told.stderr + told.stdout
        assert told.returncode == 2 and "Traceback" not in words, line
        assert "needs a terminal" in words or "2>&-" in line, line


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_training_goes_on_whatever_its_streams_do(saves: Path, text_path: Path, fork_server: dict[str, str]) -> None:
    closed, full = (
        "standard output cannot be written (it is closed)",
        "standard output cannot be written (No space left",
    )
    broken = "standard output cannot be written (Broken pipe"
    for name, streams, reason in (
        ("one", "<&- >&- 2>&-", closed), ("two", "> /dev/full 2> /dev/full", full),
        ("three", "--json > /dev/full", full), ("four", "--json >&-", closed),
        ("five", "| true; exit ${PIPESTATUS[0]}", broken),
    ):  # fmt: skip
        options = shlex.join([f"--corpus={text_path}", f"--saves={saves}", f"--name={name}", "--epochs=3", *SMALL])
        told = shell(f"core train {options} {streams}", **fork_server)
        assert told.returncode == 0 and "Traceback" not in told.stderr, (name, told.stderr)
        run = Run(saves / name)
        events = read_journal(run.journal_path)
        assert len(epochs(events)) == 3 and run_summary(run).state == State.FINISHED, name
        notes = [event.text for event in events if isinstance(event, Note)]
        assert len(notes) == 1 and notes[0].startswith(reason), (name, notes)
        assert "2>" in streams or told.stderr.count("standard output cannot be written") == 1, (name, told.stderr)


@pytest.mark.skipif(not os.path.ismount("/dev/shm") or os.getuid() != 0, reason="needs to mount a small disk")
def test_a_log_on_a_disk_that_fills_up(
    saves: Path, text_path: Path, tmp_path: Path, fork_server: dict[str, str]
) -> None:
    """A real disk with room for some lines; the training goes on and is stopped as any other."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("may not mount")
    try:
        options = [f"--corpus={text_path}", f"--saves={saves}", "--name=one", "--epochs=100000", "--json", *SMALL]
        with (
            open(disk / "log", "wb") as log,
            started(
                "-m", "core", "train", *options, stdout=log, stderr=subprocess.PIPE, env={**os.environ, **fork_server}
            ) as process,
        ):
            run = Run(saves / "one")
            deadline = time.monotonic() + 90
            events: list[Event] = []
            done = None
            while (done is None or len(epochs(events)) < done + 5) and time.monotonic() < deadline:
                time.sleep(0.05)
                events = read_journal(run.journal_path)
                if done is None and any(isinstance(event, Note) for event in events):
                    done = len(epochs(events))
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        assert process.returncode == 0 and err.count("\n") == 1 and "No space left on device" in err
        assert done and len(epochs(events)) >= done + 5 and run_summary(run).state == State.STOPPED
        assert (disk / "log").stat().st_size > 1000
    finally:
        subprocess.run(["umount", str(disk)], check=True)
