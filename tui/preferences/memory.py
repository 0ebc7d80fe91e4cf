"""``state.json``: what the program remembers from one session to the next. It belongs to the program.

Whatever is wrong in it is ignored without a word: nothing in it was typed by a person.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.files import open_to_read, replace_whole
from core.record import MALFORMED, read_record, record_as_json
from tui.services import Remembered

LARGEST = 1 << 18  # bytes
MOST_FILES = 100
DELAY = 1.0  # seconds from a change until it is written
PATIENCE = 1.0  # seconds that quitting waits for a slow disk


def memory_path() -> Path:
    """The file in the user's folder for the state of programs; it follows ``XDG_STATE_HOME``."""
    from platformdirs import user_state_path

    return user_state_path("rnn-playground") / "state.json"


class Memory:
    """Reads the file once, and writes it a moment after a change, in a thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.remembered = Remembered()
        self._changes: dict[str, Any] = {}
        self._timer: threading.Timer | None = None
        self._writing = threading.Lock()

    def read(self) -> None:
        """Read the file. Raises nothing."""
        self.remembered = _read(self.path)

    def remember(self, **changes: Any) -> None:
        """Change some fields of ``Remembered``, and write them soon."""
        before, self.remembered = self.remembered, dataclasses.replace(self.remembered, **changes)
        if self.remembered != before:
            self._changes.update(changes)
            if self._timer is None:
                self._timer = threading.Timer(DELAY, self.write)
                self._timer.daemon = True
                self._timer.start()

    def write(self) -> None:
        """Write what has changed over what the file has now: another playground may have written it. Blocks."""
        with self._writing:
            timer, self._timer = self._timer, None
            changes, self._changes = self._changes, {}
            if timer is not None:
                timer.cancel()
            if changes:
                try:
                    latest = dataclasses.replace(_read(self.path), **changes)
                    replace_whole(self.path, json.dumps(record_as_json(latest), indent=1).encode())
                except (OSError, ValueError):
                    pass  # what is only convenient is not worth a message

    def finish(self) -> None:
        """Write what has changed, before the program ends; it does not wait long for a disk. Blocks."""
        if self._changes:
            writer = threading.Thread(target=self.write, name="memory", daemon=True)
            writer.start()
            writer.join(PATIENCE)


def _read(path: Path) -> Remembered:
    try:
        with open_to_read(path) as file:
            data = file.read(LARGEST + 1)
        values = json.loads(data) if len(data) <= LARGEST else None
    except (OSError, ValueError, RecursionError):
        return Remembered()
    return _remembered(values) if isinstance(values, dict) else Remembered()


def _remembered(values: dict[str, Any]) -> Remembered:
    """The fields that are valid; the others have their defaults."""
    found = Remembered()
    if values.get("log_scale") is False:  # as it was written until there was a table of scales
        values = {"scale": "linear", **values}
    for name, value in values.items():
        with contextlib.suppress(UserError, *MALFORMED):
            found = dataclasses.replace(found, **{name: getattr(read_record(Remembered, {name: value}), name)})
    return dataclasses.replace(found, files=found.files[:MOST_FILES])
