"""A dialog that asks for the path of a file, and stays open until the file can be read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from core.errors import UserError
from tui.dialogs.checked import CheckedDialog
from tui.dialogs.path_input import PathInput
from tui.services import is_alive


class PathDialog(CheckedDialog[Path]):
    """The result is an absolute path, or None if the dialog was cancelled.

    ``check`` is called in a thread; it raises UserError for a file that will not do, and the sentence is shown.
    """

    AUTO_FOCUS = "#path-line"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", tooltip="Change nothing", id="dialog.cancel"),
    ]

    def __init__(self, title: str, body: str, confirm: str, check: Callable[[Path], object]) -> None:
        super().__init__(confirm, error_id="path-error")
        self._title = Content(title)
        self._body = body
        self._check = check
        self._place = PathInput("path of a file or a folder", id="path-place")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="path") as dialog:
            dialog.border_title = self._title
            yield Static(self._body, classes="dialog-body", markup=False)
            yield self._place
            yield from self.foot(f"tab completes a path   enter {str(self._yes.label).lower()}   esc cancel")

    @on(PathInput.Submitted)
    def _path_submitted(self, event: PathInput.Submitted) -> None:
        event.stop()
        self.finish()

    def finish(self) -> None:
        self._finish()

    @work(exclusive=True)
    async def _finish(self) -> None:
        if not self._place.value:
            self.show_problem("say which: the path of a file")
            self._yes.disabled = False
            return
        path, problem = Path(os.path.expanduser(self._place.value)).absolute(), ""
        self._yes.disabled = True
        try:
            await asyncio.to_thread(self._check, path)
        except UserError as error:
            problem = str(error)
        if not is_alive(self):
            return
        if problem:
            self.show_problem(problem)
            self._yes.disabled = False  # the same again may succeed: the file may be there then
        else:
            self.dismiss(path)
