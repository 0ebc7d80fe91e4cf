"""Keys, clicks and changes of size at random: nothing fails, nothing is lost, no two parts of the screen disagree."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.random_player import SIZES, play

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(0)]

SECONDS = 20.0


def test_random_keys(tmp_path: Path, trials: int) -> None:
    """By hand an hour: ``--trials 60``."""
    for seed in range(3 * trials):
        folder = tmp_path / str(seed)
        folder.mkdir()
        print(play(seed, SECONDS, SIZES[seed % len(SIZES)], folder))
