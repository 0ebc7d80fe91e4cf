"""What the end-to-end tests share: an environment of their own, and terminals that are closed in any case."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.terminal import Terminal
from tests.processes import processes_of

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def forks(fork_server: dict[str, str]) -> dict[str, str]:
    """Variables with which engines are forked and wait between their batches: the screen is what is tested."""
    return {**fork_server, "RNN_PLAYGROUND_FORK_PACE": "0.04"}  # seconds a batch


@pytest.fixture
def environment(forks: dict[str, str]) -> Iterator[dict[str, str]]:
    """Variables for the program: sockets in a folder of this test alone; its engines are ended afterwards."""
    runtime = tempfile.mkdtemp(prefix="rnn-", dir="/tmp")
    yield {**os.environ, **forks, "RNN_PLAYGROUND_RUNTIME": runtime, "LANG": "C.UTF-8",
           "XDG_CONFIG_HOME": f"{runtime}/config", "XDG_STATE_HOME": f"{runtime}/state"}  # fmt: skip
    for process in processes_of(runtime):
        with contextlib.suppress(psutil.Error):
            process.kill()
    shutil.rmtree(runtime, ignore_errors=True)


@pytest.fixture
def terminals(environment: dict[str, str]) -> Iterator[Callable[..., Any]]:
    """Start any command in a terminal."""
    started: list[Any] = []

    def start(*command: str, columns: int = 120, lines: int = 40) -> Any:
        made = Terminal(command, columns=columns, lines=lines, environment=environment, folder=PROJECT)
        started.append(made)
        return made

    yield start
    for terminal in started:
        terminal.close()


@pytest.fixture
def playground(terminals: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Start ``python -m tui`` in a terminal; its runs are in ``tmp_path / "saves"``."""

    def start(*arguments: str, columns: int = 120, lines: int = 40) -> Any:
        command = [sys.executable, "-m", "tui", "--saves", str(tmp_path / "saves"), *arguments]
        return terminals(*command, columns=columns, lines=lines)

    return start
