"""The process that fetches a text: what it tells, how it fails, and that it can be ended."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from core.errors import CorpusError
from tui.corpora.downloads import download, not_here, not_here_words


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Put a shell script in the place of Python."""
    path = folder / "python"
    path.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


async def test_progress_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(
        tmp_path, monkeypatch, f"echo \"$@\" > {tmp_path}/arguments",
        """echo '{"event":"download","name":"x"}'""", """echo '{"event":"progress","bytes":5,"total":9}'""",
        "echo nonsense", """echo '{"event":"progress","bytes":9,"total":9}'""",
    )  # fmt: skip
    seen: list[tuple[int, int]] = []
    await download("time-machine", data_dir=tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(5, 9), (9, 9)]
    words = (tmp_path / "arguments").read_text().split()
    assert words == ["-m", "core", "download", "--json", f"--data={tmp_path}", "--", "time-machine"]


async def test_what_went_wrong_is_the_sentence_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, "echo 'error: the connection was cut' >&2", "exit 2")
    with pytest.raises(CorpusError, match=r"^the connection was cut$"):
        await download("time-machine", data_dir=None, progress=lambda done, total: None)
    program(tmp_path, monkeypatch, "exit 1")
    with pytest.raises(CorpusError, match="ended without a reason"):
        await download("time-machine", data_dir=None, progress=lambda done, total: None)


async def test_cancelled_it_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, f"echo $$ > {tmp_path}/pid", "exec sleep 60")
    task = asyncio.create_task(download("time-machine", data_dir=None, progress=lambda done, total: None))
    deadline = time.monotonic() + 10
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


async def test_the_real_command_refuses_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="there is no text 'nothing' to download"):
        await download("nothing", data_dir=tmp_path, progress=lambda done, total: None)


def test_what_is_not_here(tmp_path: Path) -> None:
    entry = not_here("time-machine", tmp_path)
    assert entry is not None
    assert not_here_words(entry) == "time-machine is not downloaded: the Data pane (f2) downloads it, 179 kB"
    assert not_here("lyrics-zh", tmp_path) is None and not_here("/some/path.txt", tmp_path) is None
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "time-machine.txt").write_text("text")
    assert not_here("time-machine", tmp_path) is None
