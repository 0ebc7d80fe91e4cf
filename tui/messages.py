"""Messages between the panes, the engines and the app. Every message is in past tense.

A pane posts a message, which bubbles up to the app. The app acts on it and then publishes it to all panes that listen
(``tui.services.listen``).
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    from core.device import Device
    from core.engine.answers import RunAnswer
    from core.events import Event
    from core.runs.metadata import RunMetadata
    from core.runs.summary import RunSummary
    from core.training.preflight import TextFacts


class Fact(Message):
    """A message whose fields cannot change; no frozen dataclass, since Textual assigns attributes of its own."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in vars(self):
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        super().__setattr__(name, value)


class Latest(Fact):
    """A message whose latest instance counts: it replaces one that waits to be handled."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, type(self))


@dataclass
class CorpusChosen(Fact):
    """A text was chosen in the Data pane; ``settings`` are it and the RunConfig fields that were changed there.

    ``text``: its sizes, if they are known.
    """

    settings: dict[str, Any]
    text: TextFacts | None = None


@dataclass
class TextsChanged(Latest):
    """The list of texts changed: one was downloaded."""


@dataclass
class RunChosen(Fact):
    """A run was chosen: ``purpose`` is "watch" (show its curve), "resume" (continue training) or "generate"."""

    path: Path
    purpose: str


@dataclass
class RunRead(Fact):
    """The files of the run on screen were read."""

    path: Path
    metadata: RunMetadata
    summary: RunSummary


@dataclass
class RunUnreadable(Fact):
    """The run on screen cannot be opened; ``reason`` is a sentence."""

    path: Path
    reason: str


@dataclass
class RunOpened(Fact):
    """An engine has the run open, and this app is its client."""

    path: Path
    answer: RunAnswer


@dataclass
class TextWritten(Fact):
    """Generate has written a text with the run at ``path``: its prefix and the continuation."""

    path: Path
    text: str


@dataclass
class RunsChanged(Latest):
    """The list of runs changed: one was created, saved, renamed, copied, deleted or restored."""


@dataclass
class RunRenamed(Fact):
    """A run moved from the folder ``path`` to ``new_path``."""

    path: Path
    new_path: Path


@dataclass
class RunDeleted(Fact):
    """The run at ``path`` was deleted."""

    path: Path


@dataclass
class RunFolderSeen(Fact):
    """The folder of a run on screen is gone, without a rename or a deletion of ours, or it ``exists`` again."""

    path: Path
    exists: bool


@dataclass
class JournalGrew(Fact):
    """A run's journal has new lines, oldest first. Many epochs come in one message."""

    path: Path
    events: tuple[Event, ...]


@dataclass
class RunStateChanged(Fact):
    """The engine of a run reported another state (see core.events.State)."""

    path: Path
    state: str
    epoch: int
    text: str = ""


@dataclass
class EngineLost(Fact):
    """The engine of a run ended unasked; ``reason`` says why, and where its log is."""

    path: Path
    reason: str


@dataclass
class DevicesFound(Latest):
    """An engine answered which devices its machine has, the best first."""

    devices: tuple[Device, ...]


@dataclass
class SettingsRead(Latest):
    """The form of the Train pane changed; ``texts`` are its valid settings, as a person types them."""

    texts: dict[str, str]
