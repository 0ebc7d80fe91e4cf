"""What the tests of run folders share: a run with all the files that one can have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.engine.session import Session
from core.runs.run import Run
from core.settings.run_config import RunConfig

Tiny = Callable[..., RunConfig]
TEXT = b"<the path of the text>"


@pytest.fixture(scope="session")
def made_runs() -> dict[str, bytes]:
    """The files of the run that ``run`` makes, once it has been made."""
    return {}


@pytest.fixture
def run(tiny: Tiny, text_path: Path, saves: Path, one_thread: None, made_runs: dict[str, bytes]) -> Run:
    """Stopped in the middle of its second epoch, with a best checkpoint at the end of its first.

    It is trained once: each test gets a copy, in which the text is its own.
    """
    run = Run(saves / "one")
    if made_runs:
        run.path.mkdir(parents=True)
        for name, data in made_runs.items():
            (run.path / name).write_bytes(data.replace(TEXT, bytes(text_path)))
        return run
    session = Session.create(tiny(validation_fraction=0.2, num_epochs=4), saves, "one")
    session.train()
    while session.trainer is None or session.trainer.step < 15:
        session.advance()
    session.close()
    for file in run.path.iterdir():
        data = file.read_bytes()
        made_runs[file.name] = data.replace(bytes(text_path), TEXT) if file.suffix == ".json" else data
    return run
