"""What the parts of the playground tell each other. Past tense; who sends throttles, who takes coalesces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.message import Message

from core.device import Device
from core.engine.answers import RunAnswer
from core.events import Event


@dataclass
class CorpusChosen(Message):
    """The Data pane settled on a text; ``settings`` are the RunConfig fields of the group "text"."""

    settings: dict[str, Any]


@dataclass
class TextsChanged(Message):
    """There are other texts to open than before: one was downloaded."""


@dataclass
class RunChosen(Message):
    """A run was picked: ``purpose`` is "watch" (show its curve), "resume" (go on training) or "generate"."""

    path: Path
    purpose: str


@dataclass
class RunOpened(Message):
    """An engine has the run open, and this app is its client."""

    path: Path
    answer: RunAnswer


@dataclass
class RunsChanged(Message):
    """The list of runs is no longer what it was: one was created, saved, renamed, copied or deleted."""


@dataclass
class RunRenamed(Message):
    """A run has moved to another folder: whoever remembers ``path`` should remember ``new_path``."""

    path: Path
    new_path: Path


@dataclass
class RunDeleted(Message):
    """A run is gone: whoever shows the one at ``path`` should stop."""

    path: Path


@dataclass
class JournalGrew(Message):
    """New lines of a run's journal, oldest first. Many epochs come in one message."""

    path: Path
    events: tuple[Event, ...]


@dataclass
class RunStateChanged(Message):
    """The engine of a run says that it is in another state (see core.events.State)."""

    path: Path
    state: str
    epoch: int
    text: str = ""


@dataclass
class EngineLost(Message):
    """The engine of a run went away unasked; ``reason`` is a sentence, ``log`` is where more can be read."""

    path: Path
    reason: str
    log: Path


@dataclass
class DevicesFound(Message):
    """An engine answered which devices its machine has, the best first."""

    devices: tuple[Device, ...]
