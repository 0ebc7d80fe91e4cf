"""Wide characters in a real terminal, below what halves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
LINE = "分开了很久我还在原地"


def test_they_are_there_again_when_a_list_of_paths_has_shrunk_or_closed(
    playground: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for name in "abcde":
        (folder / f"{name}.txt").write_text(f"{LINE * 2}\nx{LINE * 2}\n" * 40, "utf-8")
    terminal = playground(columns=80, lines=24)
    terminal.wait("Train")
    terminal.press("f2")
    terminal.wait("Use this text")
    terminal.press("p", "ctrl+u")
    terminal.type(f"{folder}/a.txt")
    terminal.press("enter")
    terminal.wait("a · ")
    terminal.press("escape", "v", "v", "v", "v")
    before = terminal.wait(lambda shown: shown.count(LINE * 2) == 10).count("开")
    terminal.press("p", "ctrl+u")
    terminal.type(f"{folder}/")
    terminal.wait("/e.txt")
    assert terminal.text.count("开") < before
    terminal.type("a")  # one path is left, of two or three lines
    terminal.wait(lambda shown: "/e.txt" not in shown and shown.count(LINE * 2) >= 7)
    terminal.press("backspace")
    terminal.wait("/e.txt")
    terminal.press("backspace")
    terminal.wait(lambda shown: "/e.txt" not in shown)
    terminal.press("escape", "escape")
    terminal.wait(lambda shown: shown.count(LINE * 2) == 10)
