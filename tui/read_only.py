"""``--read-only``: a playground that shows texts, runs and curves and changes nothing, for the screen of a classroom.

It takes three things. The keys in ``CHANGES`` show one sentence, and no command is offered for them. No engine is
started, asked or connected to: an idle engine exits with its last client, so even a connection would change something.
And the process refuses itself to write a file, to rename or remove one and to start a program, so that nothing depends
on ``CHANGES`` being complete.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from textual.app import SystemCommand
from textual.binding import ActiveBinding
from textual.dom import DOMNode
from textual.screen import Screen

from core.engine.client import EngineClient
from core.errors import EngineError
from core.settings.run_config import RunConfig
from tui.app import Playground
from tui.commands import described
from tui.engines.clients import Engines
from tui.forms.screen import FormScreen
from tui.services import NO_ENGINE, NO_EXPERIMENT, READ_ONLY
from tui.shell.header import HeaderLine

# The ids of the bindings whose key, or command, changes a run or the user's folders, or needs an engine.
CHANGES = frozenset((
    "data.cancel",
    "train.train", "train.pause", "train.step", "train.stop", "train.rate_up", "train.rate_down", "train.tenth",
    "train.half", "train.save", "train.new",
    "train.preset", "train.vary", "sweep.stop", "sweep.go",
    "generate.write", "generate.export", "train.export", "compare.export", "runs.export",
    "runs.generate", "runs.resume", "runs.rename", "runs.duplicate", "runs.annotate", "runs.delete", "runs.restore",
    "runs.empty", "compare.samples", "inspect.text", "inspect.written", "inspect.again",
    "lab.settings", "lab.noise", "lab.book", "lab.compute",
))  # fmt: skip


class ReadOnlyScreen(FormScreen):
    """The screen of a read-only playground; its footer leaves out what changes something.

    Its class hides the buttons that do.
    """

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        return {key: active for key, active in super().active_bindings.items() if active.binding.id not in CHANGES}


class ReadOnlyPlayground(Playground):
    """The app without its engines, and without what changes something."""

    read_only = True
    refused = CHANGES

    @cached_property
    def engines(self) -> Engines:
        """No engines: a run that trains is watched by its journal."""
        return NoEngines(self.post_message, self.saves, self.data_dir)

    async def on_mount(self) -> None:
        """Say it where the device would be."""
        self.call_after_refresh(self.query_one(HeaderLine).show_device, "read-only")

    def get_default_screen(self) -> FormScreen:
        return ReadOnlyScreen(id="_default", classes="-read-only")

    async def run_action(
        self, action: Any, default_namespace: DOMNode | None = None, namespaces: Mapping[str, DOMNode] | None = None
    ) -> bool:
        """Perform an action, or say why not."""
        target = self if default_namespace is None else default_namespace
        if any(binding.id in CHANGES and binding.action == action for binding in described(type(target).BINDINGS)):
            self.refuse()
            return True
        return await super().run_action(action, default_namespace, namespaces)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """All commands but a screenshot, which would be a file."""
        return (item for item in super().get_system_commands(screen) if item.title != "Screenshot")

    def refuse(self) -> None:
        self.notify(READ_ONLY, severity="warning", markup=False)


class NoEngines(Engines):
    """Starts no engine and connects to none; what needs one raises EngineError."""

    def prepare(self, delay: float = 0.0) -> None:
        """Prepare nothing."""

    async def laboratory(self) -> EngineClient:
        raise EngineError(NO_EXPERIMENT)

    async def client(self, run: Path) -> EngineClient:
        raise EngineError(NO_ENGINE)

    async def attached(self, run: Path) -> bool:
        return False

    async def create(self, config: RunConfig, name: str | None = None) -> Path:
        raise EngineError(NO_ENGINE)


# ---------------------------------------------------------------------- the process

# The statistics of a text are computed by a command, which only prints.
_ALLOWED = ("-m", "core", "stats")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_REFUSED = frozenset((
    "os.chmod", "os.chown", "os.exec", "os.fork", "os.forkpty", "os.link", "os.mkdir", "os.posix_spawn", "os.remove",
    "os.removexattr", "os.rename", "os.rmdir", "os.setxattr", "os.spawn", "os.symlink", "os.system", "os.truncate",
    "os.utime", "socket.connect",
))  # fmt: skip


def forbid_changes() -> None:
    """From now on, and until the process ends, raise OSError where it would change a file, start or call a program."""
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.environ["RNN_PLAYGROUND_CACHE_GB"] = "0"  # the statistics of a large text would be kept
    sys.addaudithook(_audit)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = arguments
        # A number is a file that is open already. Nothing is kept in a device: the terminal, the null device.
        is_kept = not isinstance(path, int) and not os.fsdecode(path).startswith("/dev/")
        refused = is_kept and bool((flags or 0) & _WRITES)
    elif event == "subprocess.Popen":
        refused = tuple(arguments[1][1:4]) != _ALLOWED
    else:
        refused = event in _REFUSED
    if refused:
        raise OSError(errno.EROFS, READ_ONLY)
