"""One pane alone in an app of its own: a saves folder made for the test, engines that answer from a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.message import Message
from textual.reactive import reactive
from textual.signal import Signal
from textual.widget import Widget

from core.engine.client import EngineClient
from core.engine.requests import Request
from core.settings.run_config import RunConfig
from tests.tui.parts import notices
from tui import messages
from tui.forms.screen import FormScreen
from tui.services import Remembered
from tui.shell.breakpoints import HORIZONTAL, VERTICAL
from tui.shell.footer import KeyLine
from tui.themes import DARK, LIGHT

TUI = Path(messages.__file__).parent


class ScriptedClient:
    """Answers requests from a list of events; what was asked is kept in ``asked``."""

    def __init__(self, events: Iterable[dict[str, Any]] = (), error: Exception | None = None) -> None:
        self.events = list(events)
        self.error = error
        self.asked: list[dict[str, Any]] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.cancelled = False

    async def stream(self, request: str, /, **fields: Any) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the events; before the last one it waits for ``hold``."""
        self.asked.append({"request": request, **fields})
        if self.error is not None:
            raise self.error
        finished = False
        try:
            for event in self.events:
                if event.get("event") == "done":
                    await self.hold.wait()
                yield event
            finished = True
        finally:
            self.cancelled = not finished

    job = EngineClient.job  # reads the events as the real one does

    async def ask(self, request: Request[Any]) -> None:
        """Take a request without an answer."""
        self.asked.append({"request": request.kind, **request.to_json()})
        if self.error is not None:
            raise self.error


class ScriptedEngines:
    """Hands out one client for every run."""

    def __init__(self, client: ScriptedClient) -> None:
        self.only = client
        self.released: list[Path] = []
        self.opened: list[Path] = []

    async def client(self, path: Path) -> ScriptedClient:
        """The one client."""
        self.opened.append(path)
        return self.only

    def has_client(self, path: Path) -> bool:
        """Whether the run has an engine: none was opened for it."""
        return False

    async def release(self, path: Path) -> None:
        """Remember that it was asked."""
        self.released.append(path)


class PaneApp(App[None]):
    """Shows one pane, with the product's styles, and keeps the messages that reach the app."""

    CSS_PATH: ClassVar[list[str | Path]] = [
        TUI / "app.tcss",
        TUI / "dialogs/dialogs.tcss",
        *sorted((TUI / "panes").glob("*/*.tcss")),
    ]
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]] | None] = HORIZONTAL
    VERTICAL_BREAKPOINTS: ClassVar[list[tuple[int, str]] | None] = VERTICAL
    read_only: ClassVar[bool] = False
    current_run: reactive[Path | None] = reactive(None)

    def __init__(
        self, pane: Widget, saves: Path, client: ScriptedClient | None = None, data: Path | None = None
    ) -> None:
        super().__init__()
        self.pane = pane
        self.saves = saves
        self.data_dir = data
        self.script = client or ScriptedClient()
        self.engines = ScriptedEngines(self.script)
        self.messages: list[Message] = []
        self.written: tuple[Path, str] | None = None
        self.first_settings: RunConfig | None = None
        self.form_texts: Mapping[str, str] = {}
        self.keymap: Mapping[str, str] = {}
        self.remembered = Remembered()
        self.news: Signal[Message] = Signal(self, "news")
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.set_reactive(App.theme, DARK.name)  # as the playground does: the styles are read once

    def get_default_screen(self) -> FormScreen:
        """As in the playground."""
        return FormScreen(id="_default")

    def compose(self) -> ComposeResult:
        yield self.pane
        yield KeyLine()

    def remember(self, **changes: Any) -> None:
        """Remember it until the test ends."""
        self.remembered = replace(self.remembered, **changes)

    async def _on_message(self, message: Message) -> None:
        if type(message).__module__ == messages.__name__:
            self.messages.append(message)
            self.news.publish(message)
        await super()._on_message(message)

    def of(self, kind: type[Message]) -> list[Any]:
        """The messages of that kind which reached the app."""
        return [message for message in self.messages if isinstance(message, kind)]

    @property
    def notices(self) -> list[str]:
        """What notifications say."""
        return notices(self)
