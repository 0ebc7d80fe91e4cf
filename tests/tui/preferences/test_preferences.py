"""The theme is remembered; a file that is wrong, slow or in the way does no harm and is named."""

from __future__ import annotations

import json
import os
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input, OptionList

from core.scales import LINEAR, LOG
from core.settings.run_config import RunConfig
from tests.run_folders import made_run
from tests.tui.fake_engine import FakeEngines
from tests.tui.parts import notices
from tests.tui.waiting import until
from tui.__main__ import HERE, command_for
from tui.app import Playground
from tui.commands import all_bindings
from tui.panes.train.pane import TrainPane
from tui.preferences.configuration import Configuration, preferences_path
from tui.preferences.preferences import Preferences, remember_theme
from tui.shell.header import HeaderLine
from tui.themes import DARK, LIGHT

Make = Callable[..., Playground]


def begun(playground: Make, path: Path, **options: Any) -> Playground:
    """The app as ``python -m tui`` makes it."""
    app = playground(**options)
    app.preferences = Preferences(path, path.parent / "state" / "state.json")
    app.preferences.begin(app, lambda: all_bindings(Playground))
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
        assert not app.current_theme.dark and not notices(app)
        app.theme = "gruvbox"
        await until(pilot, lambda: tomllib.loads(path.read_text()) == {"theme": "gruvbox"})
    assert begun(playground, path).theme == "gruvbox" and sorted(os.listdir(path.parent)) == ["config.toml", "state"]


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
            await until(pilot, lambda app=app: notices(app))
            assert words in notices(app)[0], content
            if content is not None and b"no such" not in content and b"7" not in content:
                await pilot.press("f9")
                await until(pilot, lambda app=app: "cannot be saved" in str(notices(app)))
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


def test_the_command_that_finds_a_training_again_names_its_folder_where_that_is_not_the_usual(tmp_path: Path) -> None:
    own = Configuration(folders={"saves": tmp_path})
    assert command_for(HERE / "saves", Configuration()) == command_for(tmp_path, own) == "python -m tui"
    for configuration, saves in ((Configuration(), tmp_path / "two words"), (own, HERE / "saves")):
        assert command_for(saves, configuration) == f"python -m tui --saves {shlex.quote(str(saves))}"


def train_pane(app: Playground) -> TrainPane:
    return app.query_one(TrainPane)


async def test_the_run_that_was_training_is_opened_where_it_has_ended_meanwhile(
    playground: Make, tmp_path: Path, saves: Path, fakes: FakeEngines
) -> None:
    path = tmp_path / "config.toml"
    fakes.halt_at = 2
    app = begun(playground, path)
    async with app.run_test() as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: app.current_run is not None and app.remembered.training == str(app.current_run))
        run = Path(app.remembered.training)
        await pilot.press("q")
    await fakes.end()
    for is_there in (True, False):
        app = begun(playground, path)
        async with app.run_test() as pilot:
            if is_there:
                await until(pilot, lambda app=app: app.current_run == run)
                await until(pilot, lambda app=app: any(words.startswith(f"{run.name} is ") for words in notices(app)))
            assert app.remembered.training == "" and (app.current_run is None) != is_there, "once only"


async def test_a_session_returns(playground: Make, tmp_path: Path) -> None:
    path = tmp_path / "mine" / "config.toml"
    app = begun(playground, path)
    async with app.run_test(size=(120, 40)) as pilot:
        train_pane(app).form.edit("num_hiddens", "48")
        await pilot.press("ctrl+t")
        await until(pilot, lambda: app.remembered.settings is not None)
        await until(pilot, lambda: train_pane(app).run is not None)
        await pilot.press("escape", "l", "w", "w", "m", "l", "f6")  # the scale of the perplexity, then of the loss
        await until(pilot, lambda: app.remembered.pane == "runs")
    app = begun(playground, path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.query_one(HeaderLine).current == "runs")
        pane = train_pane(app)
        assert pane.form.texts["num_hiddens"] == "48"
        assert (pane.view.scale, pane.view.window) == (LINEAR, 50)
    assert not path.exists(), "what is remembered is not written into the person's own file"


async def test_the_run_that_is_asked_for_comes_before_the_last_pane(playground: Make, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    app = begun(playground, path)
    async with app.run_test() as pilot:
        await pilot.press("f7")
        await until(pilot, lambda: app.remembered.pane == "lab")
    run = made_run(app.saves, RunConfig(num_hiddens=8), "one").path
    app = begun(playground, path, run=run)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.current_run == run)
        assert app.query_one(HeaderLine).current == "train"


async def test_a_preset_and_defaults_come_before_the_last_settings(playground: Make, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    state = tmp_path / "state" / "state.json"
    state.parent.mkdir()
    state.write_text(json.dumps({"settings": RunConfig(num_hiddens=99).to_dict()}))
    for content, changed, words in (
        ("", {"num_hiddens": "99"}, ""),
        ('preset = "lyrics-nn-gru"\n[defaults]\nnum_hiddens = 77\n', {"num_hiddens": "77", "cell": "gru"}, ""),
        ('preset = "none such"\n', {"num_hiddens": "256"}, "there is no preset 'none such'"),
        (
            "[defaults]\nnum_hiddens = 0\nbatch_size = 8\n",
            {"num_hiddens": "256", "batch_size": "8"},
            "num_hiddens must be",
        ),
        ("[defaults]\ntied = true\n", {"tied": "no"}, "defaults are not used: tied needs"),
    ):
        path.write_text(content)
        app = begun(playground, path)
        async with app.run_test() as pilot:
            texts = train_pane(app).form.texts
            assert {name: texts[name] for name in changed} == changed, content
            await pilot.pause()
            said = notices(app)
            assert len(said) == bool(words) and all(words in message for message in said), (content, said)


async def test_keys_of_the_file(playground: Make, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[keymap]\n"train.log" = "y"\ntrain.window = "?"\n"train.save" = "space"\n"app.runs" = "f12"\n')
    app = begun(playground, path)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("l")
        assert train_pane(app).view.scale is LOG
        await pilot.press("y")
        assert train_pane(app).view.scale is LINEAR
        await until(pilot, lambda: notices(app))
        said = notices(app)
        assert (
            len(said) == 2 and "keymap train.save: space is the key of train.pause (Pause) already" in said[0] + said[1]
        )
        assert "question_mark is the key of app.help" in said[0] + said[1]
        await pilot.press("f12")
        await until(pilot, lambda: app.query_one(HeaderLine).current == "runs")
        await pilot.press("f3", "f6")
        assert app.query_one(HeaderLine).current == "train", "f6 shows nothing any more"


async def test_recent_files_are_offered(playground: Make, tmp_path: Path) -> None:
    text, path = tmp_path / "mine.txt", tmp_path / "config.toml"
    text.write_text("some words of mine " * 300)

    async def at_the_path(pilot: Any) -> Input:
        """Open Data, and its line for a path; a key that comes before the focus does would go nowhere."""
        await pilot.press("f2")
        await until(pilot, lambda: app.query("#pane-data") and app.query_one("#pane-data").has_focus_within)
        await pilot.press("p")
        line = app.query_one("#path-line", Input)
        await until(pilot, lambda: line.has_focus)
        return line

    app = begun(playground, path)
    async with app.run_test(size=(120, 40)) as pilot:
        line = await at_the_path(pilot)
        line.value = str(text)
        await pilot.press("enter")
        await until(pilot, lambda: app.remembered.files == (str(text),))
    app = begun(playground, path)
    async with app.run_test(size=(120, 40)) as pilot:
        line = await at_the_path(pilot)
        await until(pilot, lambda: app.query_one("#path-matches").display)
        await pilot.press("down")
        await until(pilot, lambda: app.query_one("#path-matches", OptionList).highlighted == 0)
        await pilot.press("enter")
        await until(pilot, lambda: line.value == str(text))
