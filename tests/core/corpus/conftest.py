"""Texts for the tests of ``core.corpus``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def time_machine() -> str:
    """The path of H. G. Wells's Time Machine, which is not part of the project; skips where it is not at hand."""
    given = os.environ.get("RNN_PLAYGROUND_TIMEMACHINE")
    places = [Path(given)] if given else [REPOSITORY.parent / "shared/data/timemachine.txt"]
    places.append(REPOSITORY / "data/downloads/time-machine.txt")
    for place in places:
        if place.is_file():
            return str(place)
    pytest.skip("timemachine.txt is not at hand; RNN_PLAYGROUND_TIMEMACHINE can name it")


@pytest.fixture
def text_file(tmp_path: Path) -> Callable[[str | bytes], str]:
    """Writes a file and gives its path."""

    def write(content: str | bytes, name: str = "text.txt") -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return str(path)

    return write
