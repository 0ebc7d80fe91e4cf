"""What the tests of run folders share: a run with all the files that one can have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.engine.session import Session
from core.runs.run import Run
from core.settings.run_config import RunConfig

Tiny = Callable[..., RunConfig]


@pytest.fixture
def run(tiny: Tiny, saves: Path, one_thread: None) -> Run:
    """Stopped in the middle of its second epoch, with a best checkpoint at the end of its first."""
    session = Session.create(tiny(validation_fraction=0.2, num_epochs=4), saves, "one")
    session.train()
    while session.trainer is None or session.trainer.step < 15:
        session.advance()
    session.close()
    return session.run
