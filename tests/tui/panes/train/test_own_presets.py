"""Own presets in the Train pane: saved with name and description, in the list of the form, deleted after a question."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList, Select

from core.settings.own_presets import own_presets, presets_folder, save_preset
from core.settings.run_config import RunConfig
from tests.tui.parts import notices
from tests.tui.waiting import until
from tui.app import Playground
from tui.dialogs.confirm import ConfirmDialog
from tui.panes.train.own_presets import PresetDialog
from tui.panes.train.pane import TrainPane

Make = Callable[[], Playground]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return presets_folder()


def pane(app: Playground) -> TrainPane:
    return app.query_one(TrainPane)


def offered(app: Playground, name: str) -> list[str]:
    """The lines of the drop-down that begin with ``name``."""
    prompts = (str(line.prompt) for line in pane(app).query_one("#preset OptionList", OptionList).options)
    return [prompt for prompt in prompts if prompt.startswith(name)]


async def test_saved_chosen_replaced_deleted(playground: Make) -> None:
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        pane(app).form.edit("num_hiddens", "48")
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.focused, Input) and isinstance(app.screen, PresetDialog))
        await pilot.press(*"lyrics-512", "enter")
        assert isinstance(app.screen, PresetDialog), "the name of a bundled preset is refused"
        await pilot.press("ctrl+u", *"mine", "tab", *"small", "enter")
        await until(pilot, lambda: pane(app).form.preset == "mine")
        assert "small" in offered(app, "mine")[0] and own_presets()[0]["mine"].config.num_hiddens == 48
        select = pane(app).query_one("#preset", Select)
        select.value = "lyrics-nn-gru"
        await until(pilot, lambda: pane(app).form.texts["cell"] == "gru")
        select.value = "mine"
        await until(pilot, lambda: pane(app).form.texts["num_hiddens"] == "48")
        pane(app).form.edit("num_hiddens", "64")
        for keys, hidden in (("escape",), 48), (("left", "enter"), 64):
            await pilot.press("p")
            await until(pilot, lambda: isinstance(app.screen, PresetDialog))
            app.screen.query_one("#preset-name", Input).value = "mine"
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
            await pilot.press(*keys)
            await until(pilot, lambda: len(app.screen_stack) == 1)
            await until(pilot, lambda hidden=hidden: own_presets()[0]["mine"].config.num_hiddens == hidden)
        await until(pilot, lambda: pane(app).form.preset == "mine")
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, PresetDialog))
        await pilot.click("#delete")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await pilot.press("left", "enter")
        await until(pilot, lambda: not offered(app, "mine"))
        assert own_presets() == ({}, []) and pane(app).form.preset is None
        assert pane(app).form.texts["num_hiddens"] == "64", "the settings stay as they are"


async def test_a_damaged_one_is_named_and_a_failing_disk_too(playground: Make, folder: Path) -> None:
    save_preset("good", "", RunConfig(num_hiddens=5))
    (folder / "bad.json").write_text("{")
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: offered(app, "good"))
        await until(pilot, lambda: any("bad.json is not used" in notice for notice in notices(app)))
        (folder / "good.json").unlink()
        (folder / "bad.json").unlink()
        folder.rmdir()
        folder.write_text("a file in the place of the folder")
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, PresetDialog))
        await pilot.press(*"mine", "enter")
        await until(pilot, lambda: any("cannot be saved" in notice for notice in notices(app)))
