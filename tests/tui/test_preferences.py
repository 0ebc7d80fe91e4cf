"""The theme is remembered; a file that is wrong, slow or in the way does no harm and is named."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tui.waiting import until
from tui.app import Playground
from tui.preferences import Preferences, preferences_path, remember_theme
from tui.themes import DARK, LIGHT

Make = Callable[[], Playground]


def begun(playground: Make, path: Path) -> Playground:
    """The app as ``python -m tui`` makes it."""
    app = playground()
    app.preferences = Preferences(path)
    app.preferences.begin(app)
    return app


async def test_the_theme_is_the_one_of_the_last_time(playground: Make, tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.toml"
    app = begun(playground, path)
    async with app.run_test() as pilot:
        assert app.theme == DARK.name
        await pilot.pause()
        for _ in range(3):
            await pilot.press("f9")
        await until(pilot, lambda: path.exists() and tomllib.loads(path.read_text()) == {"theme": LIGHT.name})
    app = begun(playground, path)
    assert app.theme == LIGHT.name, "before the first paint"
    async with app.run_test() as pilot:
        assert not app.current_theme.dark and not app._notifications
        app.theme = "gruvbox"
        await until(pilot, lambda: tomllib.loads(path.read_text()) == {"theme": "gruvbox"})
    assert begun(playground, path).theme == "gruvbox" and os.listdir(path.parent) == ["config.toml"]


async def test_what_is_wrong_is_said_and_left_as_it_is(playground: Make, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    for content, words in (
        (b"theme = ", "is not used"),
        (b"theme = 7", "theme must be a name in quotes"),
        (b'theme = "no such"', "names an unknown theme 'no such'"),
        (b"\xff\xfe", "is not used"),
        (b"a = " + b"[" * 100_000, "is not used"),
        (b"#" * (1 << 21), "it has more than 1,048,576 bytes"),
        (None, "it is a pipe, no file"),
    ):
        path.unlink(missing_ok=True)
        path.write_bytes(content) if content is not None else os.mkfifo(path)
        app = begun(playground, path)
        async with app.run_test() as pilot:
            assert app.theme == DARK.name
            await until(pilot, lambda app=app: app._notifications)
            assert words in next(iter(app._notifications)).message, content
            if content is not None and b"no such" not in content and b"7" not in content:
                await pilot.press("f9")
                await until(pilot, lambda app=app: "cannot be saved" in str([*app._notifications]))
                assert path.read_bytes() == content


async def test_what_else_stands_in_the_file_is_kept(tmp_path: Path) -> None:
    path, link = tmp_path / "mine.toml", tmp_path / "config.toml"
    link.symlink_to(path)
    for before, after in (
        ("", 'theme = "x"\n'),
        ("# mine\nkeys = 3\n", 'theme = "x"\n# mine\nkeys = 3\n'),
        ('# mine\ntheme = "old"  # dark\nkeys = 3\n[theme]\n', None),
        ('a = 1\ntheme = "old"\n[b]\ntheme = "not mine"\n', 'a = 1\ntheme = "x"\n[b]\ntheme = "not mine"\n'),
        ('[b]\ntheme = "not mine"\n', 'theme = "x"\n[b]\ntheme = "not mine"\n'),
    ):
        path.write_text(before)
        if after is None:
            with pytest.raises(ValueError):
                remember_theme(link, "x")
            assert path.read_text() == before
        else:
            remember_theme(link, "x")
            assert path.read_text() == after and link.is_symlink()


def test_it_is_in_the_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert preferences_path() == tmp_path / "rnn-playground" / "config.toml"
