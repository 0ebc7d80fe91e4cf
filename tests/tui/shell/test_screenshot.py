"""A picture of the screen: saved where there is a place, and said where, or said why not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import UserError
from tests.tui.parts import notices
from tests.tui.waiting import until
from tui.app import Playground
from tui.commands import commands
from tui.shell import screenshot
from tui.shell.screenshot import save_picture


def test_the_first_place_that_takes_it(tmp_path: Path) -> None:
    here, full = tmp_path / "here", tmp_path / "full"
    here.mkdir()
    full.mkdir()
    (full / "a.svg").write_text("mine")
    assert save_picture("<svg/>", "a.svg", [tmp_path / "none", full, here]) == here / "a.svg"
    assert (here / "a.svg").read_text() == "<svg/>" and (full / "a.svg").read_text() == "mine"
    with pytest.raises(UserError, match=r"could not be saved in .*none \(No such file.*full \(File exists"):
        save_picture("<svg/>", "a.svg", [tmp_path / "none", full])


async def test_it_is_said_where_it_is_or_why_not(
    playground: Callable[[], Playground], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        for folder, words in ((tmp_path, f"it is in {tmp_path}"), (tmp_path / "none", "could not be saved in")):
            monkeypatch.setattr(screenshot, "places", lambda folder=folder: [folder])
            (command,) = (command for command in app.get_system_commands(app.screen) if command.title == "Screenshot")
            command.callback()
            await until(pilot, lambda words=words: any(words in notice for notice in notices(app)))
        assert sum(command.title == "Screenshot" for command in commands(app, "train", {})) == 1
        assert "<svg" in next(tmp_path.glob("playground-*.svg")).read_text()
