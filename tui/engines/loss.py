"""Why an engine ended unexpectedly, and what to change."""

from __future__ import annotations

import os
import time
from pathlib import Path

from core.events import State
from core.files import open_to_read
from core.runs.run import Run
from tui.text.safe import shown_text

WORKING = (State.TRAINING, State.PAUSED)
RECENT_SECONDS = 60.0  # a log changed within this time may hold the reason


def loss_in_words(run: Path, state: str) -> str:
    """The reason, from the engine's log if it has one, and where that log is. Reads a file."""
    path = Run(run).log_path
    try:
        with open_to_read(path) as file:
            status = os.fstat(file.fileno())
            file.seek(max(0, status.st_size - 4096))
            # The log may be of an earlier engine.
            is_recent = abs(time.time() - status.st_mtime) < RECENT_SECONDS
            log = file.read(4096).decode(errors="replace").lower() if is_recent else ""
    except OSError:
        return _reason(state, "")
    return f"{_reason(state, log)} Its log is {shown_text(str(path))}."


def _reason(state: str, log: str) -> str:
    if any(words in log for words in ("out of memory", "allocate memory", "memoryerror", "bad_alloc")):
        return "The engine ran out of memory: make batch, steps or hidden smaller, or use another device."
    if state in WORKING and not log:
        return (
            "The engine was killed during training: Train continues from the last checkpoint. The system does that if "
            "memory runs out; a smaller batch, fewer steps or hidden units need less."
        )
    if state in WORKING:
        return "The engine ended during training: Train continues from the last checkpoint."
    return "The engine ended: the next request starts another."
