"""What the tests of core share: a small text, a small configuration, folders of their own."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from core.events import EpochFinished
from core.settings.run_config import RunConfig

# A machine that is busy with other things is no failure.
settings.register_profile("core", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("core")


def _text(length: int) -> str:
    """Nonsense out of nine letters, blanks and line ends, the same every time."""
    draw = random.Random(1)
    return "".join(draw.choice("abcdefghi   \n") for _ in range(length))


@pytest.fixture
def text_path(tmp_path: Path) -> Path:
    """A text of 801 characters, 11 different ones."""
    path = tmp_path / "nonsense.txt"
    path.write_text(_text(801), "utf-8")
    return path


@pytest.fixture
def tiny(text_path: Path) -> Callable[..., RunConfig]:
    """Makes a configuration that trains in milliseconds: 13 batches of 4 x 15 tokens an epoch, 8 hidden units."""

    def config(**changes: object) -> RunConfig:
        small: dict[str, object] = {
            "corpus": str(text_path), "normalise": "none", "max_tokens": 0, "num_hiddens": 8, "batch_size": 4,
            "num_steps": 15, "num_epochs": 3, "learning_rate": 1.0, "clip": 1.0, "threads": 1, "device": "cpu",
            "sample_every": 0, "checkpoint_seconds": 86_400.0,
        }  # fmt: skip
        return RunConfig(**{**small, **changes})  # type: ignore[arg-type]

    return config


@pytest.fixture
def saves() -> Iterator[Path]:
    """A folder of runs that does not exist yet, in memory where the system has such a place."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="runs", dir=place) as folder:
        yield Path(folder) / "saves"


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for sockets, whose path is short enough for them, known to this process and the ones it starts."""
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    monkeypatch.setenv("RNN_PLAYGROUND_RUNTIME", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Training sets the number of threads of this process: put it back."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def whole(tiny: Callable[..., RunConfig], tmp_path: Path) -> Callable[..., list[EpochFinished]]:
    """Trains a run that nothing interrupts; returns its curve."""
    from core.engine.session import Session
    from tests.core.outcomes import curve, train_to_end

    def trained(**changes: Any) -> list[EpochFinished]:
        session = Session.create(tiny(**changes), tmp_path / "whole")
        list(train_to_end(session))
        session.close()
        return curve(session.run)

    return trained
