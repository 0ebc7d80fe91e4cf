"""Ways to damage a run folder, and to look at what comes of it."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

from core.engine.session import Session
from core.errors import UserError
from core.events import Note, State
from core.runs.run import Run
from tests.run_folders import read_journal

META = {"format": "1", "facts": "{}", "sha256": "0" * 64}


def said(act: Callable[[], object]) -> str:
    """What is said where ``act`` is refused, else an empty text. Anything but our own errors fails the test."""
    try:
        act()
    except UserError as error:
        words = str(error)
        assert words and "\n" not in words and len(words) < 2000, words
        return words
    return ""


def train_a_little(run: Run) -> None:
    session = Session.open(run)
    try:
        session.train()
        for _ in range(3):
            if session.state == State.TRAINING:
                session.advance()
        assert session.state != State.FAILED, session.message
    finally:
        session.close()


def notes(run: Run) -> list[str]:
    return [event.text for event in read_journal(run.journal_path) if isinstance(event, Note)]


def crafted(header: Any, body: bytes = b"") -> bytes:
    words = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(words)) + words + body


def entry(begin: int, end: int, shape: Any = None, dtype: Any = "F32") -> Mapping[str, Any]:
    return {"dtype": dtype, "shape": [2] if shape is None else shape, "data_offsets": [begin, end]}


def rewritten(run: Run, *path: str, to: Any) -> None:
    value = json.loads(run.metadata_path.read_text())
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    run.metadata_path.write_text(json.dumps(value))
