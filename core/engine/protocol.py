"""The protocol between client and engine: JSON lines over a Unix socket that only the user can reach.

A request is ``{"id": 7, "request": "generate", ...}``; every event that answers it carries ``"id": 7``, and the last of
them is ``{"event": "done", ...}``, ``{"event": "error", "message": ...}`` or, for a generate, inspect or lab that was
cancelled, ``{"event": "cancelled"}``. A change of state is sent to all clients, without an id. The requests are in
``core.engine.requests``, the answers in ``core.engine.answers``. No torch in this module.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import stat
import struct
from pathlib import Path
from typing import Any

from core.errors import EngineError, RunError, UserError, refusing
from core.process import temporary_folder

LAST_EVENTS = ("done", "error", "cancelled")
CANCELLED = {"event": "cancelled"}
ENDING = {"event": "error", "message": "the engine is ending: ask again, and another one answers"}
# Bytes; a longer message is refused.
LONGEST_MESSAGE = 8 << 20
# sun_path has 108 bytes on Linux and 104 elsewhere, with its final NUL.
LONGEST_SOCKET_PATH = 103


class ProtocolError(ValueError):
    """A line that is not a message."""


def encoded(message: dict[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def decoded(line: bytes) -> dict[str, Any]:
    """One line as a message. Raises ProtocolError."""
    with contextlib.suppress(ValueError, RecursionError):
        message = json.loads(line, parse_constant=_refused)
        if isinstance(message, dict):
            return message
    raise ProtocolError("a message must be one JSON object on one line")


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def runtime_folder() -> Path:
    """The folder of the user's sockets: mode 0700, owned by the user. Raises RunError if it belongs to another user.

    ``RNN_PLAYGROUND_RUNTIME`` is its path; else it is in ``XDG_RUNTIME_DIR`` or in the temporary folder.
    """
    chosen = os.environ.get("RNN_PLAYGROUND_RUNTIME")
    base = os.environ.get("XDG_RUNTIME_DIR")
    if chosen:
        folder = Path(chosen)
    elif base and os.access(base, os.W_OK):
        folder = Path(base) / "rnn-playground"
    else:
        folder = temporary_folder() / f"rnn-playground-{os.getuid()}"
    try:
        for part in reversed([folder, *folder.parents]):  # with ``parents=True`` only the last one would be private
            with contextlib.suppress(FileExistsError):
                part.mkdir(mode=0o700)
        facts = folder.lstat()
    except OSError as error:
        raise RunError(
            f"{folder} cannot be made ({error.strerror}): set RNN_PLAYGROUND_RUNTIME to a folder of yours"
        ) from None
    if wrong := _wrong_with(facts):
        raise RunError(
            f"{folder} must be a folder of yours that only you can enter (mode 0700): remove it, "
            f"or set RNN_PLAYGROUND_RUNTIME to another place; it {wrong}"
        )
    if len(os.fsencode(folder)) + len("/standby-1234567890.sock") > LONGEST_SOCKET_PATH:
        raise RunError(f"{folder} is too long for sockets: set RNN_PLAYGROUND_RUNTIME to a shorter path")
    return folder


def _wrong_with(facts: os.stat_result) -> str:
    """Why a folder cannot contain sockets, links not followed; empty if it can."""
    if stat.S_ISLNK(facts.st_mode):
        return "is a symbolic link"
    if not stat.S_ISDIR(facts.st_mode):
        return "is not a folder"
    if facts.st_uid != os.getuid():
        return f"belongs to the user with the id {facts.st_uid}"
    if facts.st_mode & 0o077:
        return f"has mode {stat.S_IMODE(facts.st_mode):04o}"
    return ""


def run_socket(run: Path) -> Path:
    """The socket of a run's engine, named after the folder's inode: a renamed run is still found. Raises RunError."""
    with refusing(f"there is no run at {run}"):
        facts = run.stat()
    key = hashlib.sha256(f"{facts.st_dev}:{facts.st_ino}".encode()).hexdigest()[:20]
    return runtime_folder() / f"{key}.sock"


def standby_socket(pid: int) -> Path:
    return runtime_folder() / f"standby-{pid}.sock"


def peer_is_user(connection: socket.socket) -> bool:
    """Whether the other end of a Unix socket belongs to this user (or to root); True if the system does not say."""
    return not hasattr(socket, "SO_PEERCRED") or _credentials(connection)[1] in (os.getuid(), 0)


def peer_process(connection: socket.socket) -> int:
    """The process at the other end of a Unix socket; 0 if the system does not say."""
    return _credentials(connection)[0] if hasattr(socket, "SO_PEERCRED") else 0


def _credentials(connection: socket.socket) -> tuple[int, int, int]:
    """Process, user and group of the other end, on Linux."""
    process, user, group = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return process, user, group


def error_event(error: UserError) -> dict[str, Any]:
    """The ``error`` event for a mistake of the user; with the setting and its sentence for a form, if known."""
    setting = {"field": error.field, "labelled": error.labelled} if error.field else {}
    return {"event": "error", "message": str(error), "mendable": True, **setting}


def failure(message: dict[str, Any]) -> Exception:
    text = str(message.get("message", "the engine gave no reason"))
    if message.get("mendable"):
        return RunError(text, message.get("field"), message.get("labelled"))
    return EngineError(text)
