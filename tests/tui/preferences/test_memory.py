"""``state.json``: what is remembered is written whole, and whatever is wrong in it is ignored without a word."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from core.settings.run_config import RunConfig
from tui.preferences.memory import LARGEST, Memory
from tui.services import Remembered

ALL = Remembered("runs", "linear", 50, ("/a", "/b\udcff"), RunConfig(num_hiddens=5))


def read(path: Path) -> Remembered:
    memory = Memory(path)
    memory.read()
    return memory.remembered


def test_it_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.json"
    memory = Memory(path)
    memory.read()
    memory.remember(pane="train")
    memory.remember(pane=ALL.pane, scale="linear", window=50, files=ALL.files, settings=ALL.settings)
    assert memory.remembered == ALL and not path.exists(), "written a moment later"
    memory.finish()
    assert read(path) == ALL and os.listdir(path.parent) == ["state.json"]
    first, second = Memory(path), Memory(path)
    first.read(), second.read()
    first.remember(pane="lab")
    second.remember(window=20)
    first.finish(), second.finish()
    assert read(path) == Remembered("lab", "linear", 20, ALL.files, ALL.settings), (
        "two playgrounds change what they changed"
    )


def test_what_is_wrong_is_ignored_and_the_rest_is_used(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    valid: dict[str, Any] = {"pane": "runs", "scale": "linear", "window": 50, "files": ["/a"], "settings": None}
    expected = Remembered("runs", "linear", 50, ("/a",))
    for name in valid:
        for value in (None, 3.5, "x" * 5, [1], {"a": 1}, -1, 10**40):
            path.write_text(json.dumps({**valid, name: value}))
            found = read(path)
            for other in valid:
                if other != name:
                    assert getattr(found, other) == getattr(expected, other), (name, value)
    path.write_text(json.dumps({"log_scale": False, "window": 50}))
    assert read(path) == Remembered(scale="linear", window=50), "as it was written before there was a table of scales"
    for settings in ({"num_hidden": 3}, {"num_hiddens": "x"}, {"num_hiddens": 0}, {"tied": True}):
        path.write_text(json.dumps({**valid, "settings": settings}))
        assert read(path) == expected
    for content in (b"", b"{", b"[]", b"\xff", b"[" * 100_000, b" " * (LARGEST + 1), b"null"):
        path.write_bytes(content)
        assert read(path) == Remembered(), content
    path.unlink()
    os.mkfifo(path)
    assert read(path) == Remembered()
    memory = Memory(tmp_path / "state.json" / "below")
    memory.remember(pane="runs")
    memory.finish()  # it cannot be written: nothing is said
