"""The lock of a run: an ``flock`` that ends with the engine's process, so that it cannot be stale."""

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
    """Take the lock: the file with the name of ``path`` in an open folder. Closing the returned descriptor releases it.

    Raises RunError if an engine holds it, or the file is not writable.
    """
    try:
        descriptor = open_to_append(path, os.O_RDWR, folder)
    except FileNotFoundError:  # the folder was deleted
        raise RunError(f"there is no run {path.parent.name!r} in {path.parent.parent}") from None
    except OSError as error:
        raise RunError(f"{path} cannot be written to: {error.strerror or error}") from None
    deadline = time.monotonic() + patience  # ``is_held`` in another process has the lock for some microseconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except OSError as error:
            if error.errno in _HELD and time.monotonic() <= deadline:
                time.sleep(0.01)
                continue
            os.close(descriptor)
            if error.errno in _HELD:
                raise RunError(
                    f"run {path.parent.name!r} is open in another engine: attach to that one, or stop it first"
                ) from None
            raise RunError(f"{path} cannot be locked: {error.strerror}") from None


def is_held(path: Path, shared: bool = False) -> bool:
    """Whether a process holds the lock ``path`` now; ``shared``: also if several share it."""
    try:
        # Opening does not block, and flock accepts any file: no engine holds a file that is not ours.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared, so that two callers of this function do not see each other.
        fcntl.flock(descriptor, (fcntl.LOCK_EX if shared else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _HELD
    finally:
        os.close(descriptor)
    return False
