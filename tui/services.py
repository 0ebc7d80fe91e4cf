"""The interface of the app for panes, and how they receive its messages. Tests implement the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from textual.message import Message
from textual.signal import Signal
from textual.widget import Widget

from core.settings.run_config import RunConfig

if TYPE_CHECKING:
    from core.engine.client import EngineClient


READ_ONLY = "This playground is read-only: it shows texts, runs and curves, and changes nothing"
NO_ENGINE = "This playground is read-only and starts no engine, so no model can be inspected or write here"
NO_EXPERIMENT = "This playground is read-only and starts no engine, so no experiment can be computed here"


@dataclass(frozen=True)
class Remembered:
    """What is remembered from one session to the next.

    Attributes:
        pane: the name of the last pane.
        scale: the name of the scale of the perplexity in the Train pane.
        window: the number of latest epochs on that chart; 0 is all.
        files: the paths of texts that were opened by path, the last one first.
        settings: those of the last training that was started.
        export_folder: the folder of the last export; empty for the working directory.
        training: the folder of the run on screen while it trains: it may end while no playground is open.
    """

    pane: str = ""
    scale: str = "log"
    window: int = 0
    files: tuple[str, ...] = ()
    settings: RunConfig | None = None
    export_folder: str = ""
    training: str = ""


class Engines(Protocol):
    """The engines behind the runs, one each."""

    @property
    def ready(self) -> bool:
        """Whether a standby engine has finished its imports."""

    async def create(self, config: RunConfig, name: str | None = None) -> Path:
        """Create a run, called ``name`` or after its text, and return its folder. Raises RunError, EngineError."""

    async def client(self, path: Path) -> EngineClient:
        """The client of the engine of the run at ``path``, started if there is none. Raises RunError, EngineError."""

    def has_client(self, run: Path) -> bool:
        """Whether this app is connected to an engine of ``run``."""

    async def laboratory(self) -> EngineClient:
        """The client of an engine for requests without a run. Raises EngineError."""

    async def release(self, path: Path) -> None:
        """Disconnect from the run's engine, so that an idle one exits and its folder may be moved."""


class Host(Protocol):
    """The app, as panes see it."""

    current_run: Path | None
    saves: Path
    data_dir: Path | None
    read_only: bool
    """Whether nothing may be changed: ``READ_ONLY`` says so."""
    device: str
    """The device that new runs train on, as given on the command line."""
    written: tuple[Path, str] | None
    """The text that Generate wrote last, and the run that wrote it."""
    news: Signal[Message]
    """The messages of ``tui.messages``, published after the app has acted on them."""

    first_settings: RunConfig | None
    """What the settings of a new run begin with; None for the first preset."""
    form_texts: Mapping[str, str]
    """The valid settings in the form of the Train pane, as a person types them; empty until it has been read."""
    keymap: Mapping[str, str]
    """The keys that differ from those of the bindings, by binding id."""

    @property
    def engines(self) -> Engines:
        """The engines behind the runs."""

    @property
    def remembered(self) -> Remembered:
        """What is remembered of the last session."""

    def remember(self, **changes: Any) -> None:
        """Remember other fields of ``Remembered``; nothing is kept in a read-only playground."""

    async def open_run(self, path: Path) -> None:
        """Put a run on screen."""


def host(widget: Widget) -> Host:
    """The app of ``widget``."""
    return cast(Host, widget.app)


def listen(widget: Widget, handlers: Mapping[type[Any], Callable[[Any], object]]) -> None:
    """Call the handler of each message that the app publishes, in the message loop of ``widget``, which is mounted."""

    def handle(message: Message) -> object:
        return handlers[type(message)](message) if is_alive(widget) else None

    def hear(message: Message) -> None:
        if type(message) in handlers:  # the others wake no widget
            widget.call_next(handle, message)

    host(widget).news.subscribe(widget, hear, immediate=True)


def is_alive(widget: Widget) -> bool:
    """Whether ``widget`` is mounted, its app runs, and it is not being removed.

    Check it after every ``await`` of a worker and at every tick: a widget that is removed outlives its children.
    """
    return widget.is_attached and widget.app.is_running and not _is_being_removed(widget)


def _is_being_removed(widget: Widget) -> bool:
    """Whether Textual hides the widget, or what holds it, although its style does not: so it says this publicly."""
    return any(not node.display and node.styles.display != "none" for node in widget.ancestors_with_self)
