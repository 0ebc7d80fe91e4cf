"""Random keys, clicks and changes of size: nothing fails, nothing is lost, the parts of the screen agree."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from tests.e2e.random_player import SIZES, play

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(0)]

SECONDS = 12.0


def test_random_keys(tmp_path: Path, trials: int, forks: dict[str, str]) -> None:
    """One game a trial. The first seed is the day, so each day plays another game; a failure says its seed."""
    today = datetime.date.today().toordinal()
    for seed in range(today, today + trials):
        folder = tmp_path / str(seed)
        folder.mkdir()
        print(play(seed, SECONDS, SIZES[seed % len(SIZES)], folder, forks))
