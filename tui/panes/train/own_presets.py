"""The user's own presets in the Train pane: read, saved and deleted in a thread, after a question."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.widgets import Button

from core.errors import UserError
from core.settings.own_presets import check_preset_name, delete_preset, own_presets, save_preset
from core.settings.presets import Preset
from core.settings.run_config import RunConfig
from tui.dialogs.checked import CheckedDialog
from tui.dialogs.confirm import ConfirmDialog
from tui.forms.plain_input import PlainInput
from tui.panes.train.parts import TrainParts
from tui.services import is_alive
from tui.text.safe import shown_text


@dataclass(frozen=True)
class PresetAnswer:
    """What to do with the preset ``name``: save the settings under it, or delete it."""

    name: str
    title: str = ""
    delete: bool = False


class PresetDialog(CheckedDialog[PresetAnswer]):
    """Asks for name and description of a preset. ``preset``: the own preset that the form has, which may be deleted."""

    AUTO_FOCUS = "#preset-name"

    def __init__(self, preset: Preset | None = None) -> None:
        super().__init__("Save")
        self._preset = preset
        name, title = (preset.name, preset.title) if preset is not None else ("", "")
        self._name_line = PlainInput(name, placeholder="name", max_length=60, id="preset-name")
        self._title_line = PlainInput(title, placeholder="description, one line", max_length=200, id="preset-title")

    def compose(self) -> ComposeResult:
        with self.box("Save these settings as a preset", "preset-dialog"):
            yield self._name_line
            yield self._title_line
            delete = [Button(f"Delete {self._preset.name}", id="delete", compact=True)] if self._preset else []
            yield from self.foot("", *delete)

    def answer(self) -> PresetAnswer:
        """What is typed. Raises UserError; without words while there is no name yet."""
        name = self._name_line.value
        if not name:
            raise UserError("")
        check_preset_name(name)
        return PresetAnswer(name, self._title_line.value)

    @on(Button.Pressed, "#delete")
    def _delete(self) -> None:
        if self._preset is not None:
            self.dismiss(PresetAnswer(self._preset.name, delete=True))


async def show_own_presets(pane: TrainParts, say: bool = False) -> dict[str, Preset]:
    """Put the user's presets into the list of the form, and return them. ``say``: show what is wrong with files."""
    presets, problems = await asyncio.to_thread(own_presets)
    if is_alive(pane):
        pane.form.show_own_presets(presets)
        for problem in problems[:3] if say else ():
            pane.notify(shown_text(problem), severity="warning", markup=False)
    return presets


async def ask_about_preset(pane: TrainParts, config: RunConfig) -> None:
    """Save the settings as a preset, or delete the one that the form has. Overwriting and deleting ask first."""
    presets = await show_own_presets(pane)
    if not is_alive(pane):
        return
    answer = await pane.app.push_screen_wait(PresetDialog(presets.get(pane.form.preset or "")))
    if answer is None:
        return
    title, body, confirm = f"Delete {answer.name}?", "The preset is deleted permanently; runs are kept.", "Delete"
    if not answer.delete:
        title, body, confirm = f"Replace {answer.name}?", "There is already a preset with this name.", "Replace"
    if answer.name in presets and not await pane.app.push_screen_wait(ConfirmDialog(title, body, confirm, danger=True)):
        return
    try:
        if answer.delete:
            await asyncio.to_thread(delete_preset, answer.name)
        else:
            await asyncio.to_thread(save_preset, answer.name, answer.title, config)
    except UserError as error:
        pane.notify(shown_text(str(error)), severity="error", markup=False)
    else:
        words = "is deleted" if answer.delete else "is saved: it is in the list of presets"
        pane.notify(f"{answer.name} {words}", markup=False)
    await show_own_presets(pane)
