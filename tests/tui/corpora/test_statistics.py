"""Statistics of a text by the command, and the beginning of a file."""

from __future__ import annotations

import asyncio
import gzip
import os
import sys
import time
from pathlib import Path

import pytest

from core.errors import CorpusError
from core.settings.run_config import START
from tui.corpora import statistics
from tui.corpora.statistics import head, matches, text_facts

SETTINGS = {
    "normalise": "none", "tokens": "char", "max_tokens": 0, "min_freq": 0, "batch_size": 2, "num_steps": 5,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One bundled text."""
    (tmp_path / "first.txt").write_text("分开了很久 我还在原地\n" * 40, encoding="utf-8")
    return tmp_path


def test_matches(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", ".hidden", "bad\x1b.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "folder").mkdir()
    assert matches(f"{tmp_path}/") == [f"{tmp_path}/folder/", f"{tmp_path}/a.txt", f"{tmp_path}/b.txt"]
    assert matches(f"{tmp_path}/.h") == [f"{tmp_path}/.hidden"]
    assert matches(f"{tmp_path}/nowhere/x") == [] and matches("\0") == []


def test_the_beginning_of_a_text(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeff分\r\n开".encode())
    assert head(path, "utf-8") == "分\n开"
    assert head(tmp_path / "none", "utf-8") == "" and head(path, "no-such-encoding") == ""


def test_the_beginning_of_several_and_of_compressed_files(tmp_path: Path) -> None:
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress("分开".encode("gb18030") * 9000))
    (tmp_path / "c.txt").write_text("later")
    assert head(tmp_path / "b.txt.gz", "gb18030").startswith("分开分开")
    assert head(tmp_path, "gb18030").startswith("分开分开") and head(tmp_path / "*.txt", "utf-8") == "later"
    assert head(tmp_path / "*.md", "utf-8") == ""


async def test_poems_come_from_the_command(folder: Path) -> None:
    facts = await statistics.describe("first", data_dir=folder, documents="lines", **SETTINGS)
    assert facts["poems"]["lines"] == 40 and facts["examples"]["lines"][0]["X"][0][0] == START


async def test_statistics_come_from_the_command(folder: Path) -> None:
    facts = await statistics.describe("first", data_dir=folder, **SETTINGS)
    assert (facts["name"], facts["lines"], facts["one_hot"]["shape"][:2]) == ("first", 40, [5, 2])
    assert "分" in (text_facts(facts).known or ())
    with pytest.raises(CorpusError, match=r"^there is no (file|text) 'nowhere'"):
        await statistics.describe("nowhere", data_dir=folder, **SETTINGS)


async def test_a_choice_that_was_changed_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "slow"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    task = asyncio.create_task(statistics.describe("first", **SETTINGS))
    deadline = time.monotonic() + 10
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
