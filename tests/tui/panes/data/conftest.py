"""Texts, and what stands in for the process that computes their statistics."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.panes.data.harness import Describer
from tui.panes.data import pane as data_module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two bundled texts."""
    (tmp_path / "first.txt").write_text("分开了很久 我还在原地\n" * 40, encoding="utf-8")
    (tmp_path / "second.txt").write_text("[bold]red[/] \x1b[31m\n" * 40, encoding="utf-8")
    return tmp_path


@pytest.fixture
def describer(monkeypatch: pytest.MonkeyPatch) -> Describer:
    """The pane's statistics, at once and as they are wanted."""
    describer = Describer()
    monkeypatch.setattr(data_module, "describe", describer)
    return describer
