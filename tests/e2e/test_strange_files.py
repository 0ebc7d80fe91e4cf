"""Pipes in the place of a run's files: nothing in the playground waits for them, and q still ends it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.engine.session import Session
from core.settings.run_config import RunConfig

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
FILES = ("run.json", "vocabulary.json", "corpus.txt", "metrics.jsonl", "latest.safetensors", "engine.log")


def in_one_line(text: str) -> str:
    """What a box shows, wherever its lines are broken: that depends on the length of the folder's name."""
    return " ".join(text.replace("│", " ").split())


def test_pipes_in_the_place_of_files(playground: Callable[..., Any], tmp_path: Path) -> None:
    saves = tmp_path / "saves"
    config = RunConfig(num_hiddens=8, num_epochs=1, max_tokens=2000, threads=1, device="cpu", cpu_path="plain")
    whole = Session.create(config, saves, "whole")
    whole.close()
    for name in FILES:
        folder = saves / f"pipe-{name}"
        shutil.copytree(whole.run.path, folder)
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
    shutil.rmtree(whole.run.path)
    terminal = playground()
    terminal.wait("Train")
    terminal.press("f6")
    terminal.wait("pipe-run")
    for _ in range(len(FILES)):
        # The details of each are there: none was waited for.
        terminal.wait(
            lambda text: any(words in in_one_line(text) for words in ("created", "cannot be read", "unreadable"))
        )
        terminal.press("down")
    terminal.press("f4")
    terminal.wait("strategy")
    terminal.press("f6")
    terminal.wait("pipe-run")
    terminal.press("q")
    assert terminal.wait_exit() == 0
