"""The driver of a playground in a browser's window: the server is at the other end of standard input and output."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from textual.app import App
from textual.drivers.web_driver import WebDriver

# A browser keeps ctrl+t and ctrl+n, its new tab and its new window, for itself.
KEYMAP = {"train.train": "f8,ctrl+t", "train.new": "f10,ctrl+n"}
PATIENCE = 5.0  # seconds from the end of the window to the end by force


class WindowDriver(WebDriver):
    """Textual's driver for a browser, which also ends the app when the window or the server is gone.

    Textual's own waits for a message that says so, and a server that was killed sends none.
    """

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        self._playground = app

    def run_input_thread(self) -> None:
        """Read until the end of standard input, then quit the app. Runs in a thread."""
        super().run_input_thread()
        if self.exit_event.is_set():
            return
        self._playground.call_later(self._playground.exit)
        if not self.exit_event.wait(PATIENCE):
            os._exit(1)

    def write(self, data: str) -> None:
        """Write to the window; dropped once the window is closed."""
        with contextlib.suppress(BrokenPipeError):
            super().write(data)

    def write_meta(self, data: dict[str, object]) -> None:
        """Write a message to the server; dropped once the server is gone."""
        with contextlib.suppress(BrokenPipeError):
            super().write_meta(data)
