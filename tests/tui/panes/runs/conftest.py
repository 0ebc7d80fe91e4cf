"""Runs for the list."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run_folders import make_run


@pytest.fixture
def saves(tmp_path: Path) -> Path:
    """Three runs, the newest called ``c``."""
    folder = tmp_path / "saves"
    for day, name in enumerate("abc", 1):
        make_run(folder, name, epochs=day, created=f"2026-01-0{day}T00:00:00+00:00")
    return folder
