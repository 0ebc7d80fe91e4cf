"""The lock of a run: an ``flock`` that the engine holds for as long as it lives, so that it cannot be stale."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from core.errors import RunError
from core.files import open_to_append

NAME = "engine.lock"
_HELD = (errno.EWOULDBLOCK, errno.EACCES)


def acquire(path: Path, folder: int, patience: float = 0.25) -> int:
    """Take the lock in the file of that name in an open folder; it lasts as long as the returned descriptor is open.

    Raises RunError where an engine holds it, or where it cannot be written to.
    """
    try:
        descriptor = open_to_append(path, os.O_RDWR, folder)
    except FileNotFoundError:  # what is made in a folder that was deleted
        raise RunError(f"there is no run {path.parent.name!r} in {path.parent.parent}") from None
    except OSError as error:
        raise RunError(f"{path} cannot be written to: {error.strerror or error}") from None
    try:
        _lock_exclusively(descriptor, patience)
    except OSError as error:
        os.close(descriptor)
        if error.errno in _HELD:
            raise RunError(
                f"run {path.parent.name!r} is open in another engine: attach to that one, or stop it first"
            ) from None
        raise RunError(f"{path} cannot be locked: {error.strerror}") from None
    return descriptor


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock in ``path`` at this moment."""
    try:
        # It waits for no pipe, and flock takes any file: what is no lock of ours is held by nobody of ours.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared, so that two who merely ask are never in each other's way.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _HELD
    finally:
        os.close(descriptor)
    return False


def _lock_exclusively(descriptor: int, patience: float) -> None:
    """Take the lock. Raises OSError where an engine holds it.

    Somebody who merely asks whether the run is held (``is_held``) has it too, for some microseconds: try again.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _HELD or time.monotonic() > deadline:
                raise
        time.sleep(0.01)
