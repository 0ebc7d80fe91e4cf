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

from tests.e2e.terminal import FORKED_BY, Terminal
from tests.fork_servers import fork_server as serve_forks
from tests.processes import processes_of
from tui.panes import PANES

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def screens(shared_folder: Path) -> Iterator[Path]:
    """The server that a terminal forks the screen from, instead of importing Textual for each."""
    modules = (
        "tui.__main__", "tui.app", "tui.commands", "tui.read_only", "tui.shell.safety_net",
        "tui.preferences.preferences", "textual.drivers.linux_driver", "numpy", "plotext",
        *(pane.module for pane in PANES),
    )  # fmt: skip
    # Read where Textual is imported; the program sets them before.
    with serve_forks(shared_folder, "screens", *modules, TEXTUAL_FPS="30", TEXTUAL_ANIMATIONS="none") as path:
        yield path


@pytest.fixture(scope="session")
def forks(fork_server: dict[str, str], screens: Path) -> dict[str, str]:
    """Variables with which screens and engines are forked, and engines wait between their batches."""
    return {**fork_server, FORKED_BY: str(screens), "RNN_PLAYGROUND_FORK_PACE": "0.04"}  # seconds a batch


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
