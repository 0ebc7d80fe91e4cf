"""Running a command in this process."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.cli.main import main
from core.runs.run import Run
from tests.core.cli.commands import SMALL, Printed


@pytest.fixture
def as_it_was(one_thread: None, runtime: Path) -> Iterator[None]:
    """Restores the signal handlers that a command in this process replaces."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    assert list(runtime.iterdir()) == [], "no socket is left behind"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Printed]:
    def printed(*arguments: object) -> Printed:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Printed(code, captured.out, captured.err)

    return printed


@pytest.fixture
def train(run: Callable[..., Printed], saves: Path, text_path: Path) -> Callable[..., Printed]:
    def printed(*arguments: object) -> Printed:
        return run("train", f"--corpus={text_path}", f"--saves={saves}", *SMALL, *arguments)

    return printed


@pytest.fixture
def trained(train: Callable[..., Printed], saves: Path) -> Run:
    assert train("--epochs=1", "--name=one").code == 0
    return Run(saves / "one")
