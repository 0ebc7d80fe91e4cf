"""A sweep of tiny runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.settings.run_config import RunConfig
from core.sweep.sweep import Sweep, new_sweep

CELLS = ("cell=rnn,gru",)


@pytest.fixture
def swept(tiny: Callable[..., RunConfig]) -> Callable[..., Sweep]:
    """Makes a sweep over ``vary`` whose runs train in milliseconds."""

    def made(*vary: str, name: str = "s", trials: int = 0, pruner: str = "median", **changes: object) -> Sweep:
        return new_sweep(name, tiny(**changes), vary or CELLS, trials=trials, pruner=pruner)

    return made


@pytest.fixture
def processes(runtime: Path, forked_programs: None) -> None:
    """The trainings that a sweep starts are forked."""
