"""Dialogs that ask for the path of a file, and stay open until all is done with it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.screen import ScreenResultType
from textual.widgets import Static

from core.errors import UserError
from tui.dialogs.checked import CheckedDialog
from tui.dialogs.path_input import PathInput
from tui.services import is_alive


class PlaceDialog(CheckedDialog[ScreenResultType]):
    """The base of both: what ``result`` makes of the path ends the dialog."""

    takes_picked: ClassVar[bool] = True
    """Whether a file that is picked from the list finishes, as enter does."""

    def __init__(self, confirm: str, place: PathInput, missing: str) -> None:
        """``missing`` is said while there is no path."""
        super().__init__(confirm)
        self._place = place
        self._missing = missing

    async def result(self, path: Path) -> ScreenResultType | None:
        """What to dismiss the dialog with, None to stay open. Raises UserError, which is shown."""
        raise NotImplementedError

    @on(PathInput.Submitted)
    def _path_submitted(self, event: PathInput.Submitted) -> None:
        event.stop()
        if self.takes_picked or not event.picked:
            self.finish()

    def finish(self) -> None:
        self._finish()

    @work(exclusive=True)
    async def _finish(self) -> None:
        if not self._place.value:
            self._refuse(self._missing)
            return
        self._yes.disabled = True
        try:
            result = await self.result(Path(os.path.expanduser(self._place.value)).absolute())
        except UserError as error:
            if is_alive(self):
                self._refuse(str(error))
        else:
            if result is not None and is_alive(self):
                self.dismiss(result)
            else:
                self._yes.disabled = False

    def _refuse(self, sentence: str) -> None:
        self.show_problem(sentence)
        self._yes.disabled = False  # the same again may succeed: the file may be there then


class PathDialog(PlaceDialog[Path]):
    """The result is an absolute path.

    ``check`` is called in a thread; it raises UserError for a file that will not do, and the sentence is shown.
    """

    AUTO_FOCUS = "#path-line"

    def __init__(self, title: str, body: str, confirm: str, check: Callable[[Path], object]) -> None:
        place = PathInput("path of a file or a folder", id="path-place")
        super().__init__(confirm, place, "say which: the path of a file")
        self._title = title
        self._body = body
        self._check = check

    def compose(self) -> ComposeResult:
        with self.box(self._title, "path"):
            yield Static(self._body, classes="dialog-body", markup=False)
            yield self._place
            yield from self.foot("tab completes a path")

    async def result(self, path: Path) -> Path:
        await asyncio.to_thread(self._check, path)
        return path
