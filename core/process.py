"""This process: which language it speaks, and what it is allowed."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import tempfile
from pathlib import Path

from core.errors import UserError

# Some ten of an engine's own, a few clients, and what libraries open while they load.
FEWEST_OPEN = 64


def speak_utf8() -> None:
    """Begin again in Python's UTF-8 mode where its locale is C and it was told to take that at its word.

    What is typed in UTF-8 would be read as unknown bytes there. For a program's first lines.
    """
    if sys.getfilesystemencoding() == "ascii":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def temporary_folder() -> Path:
    """Where temporary files go: torch cannot do without. Raises UserError where none can be written to."""
    try:
        return Path(tempfile.gettempdir())
    except OSError:
        raise UserError("there is no temporary folder that can be written to: set TMPDIR to one that can") from None


def require_open_files() -> None:
    """Raise UserError where the system allows fewer open files than an engine or a screen has, and allows no more."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not 0 <= allowed < FEWEST_OPEN:  # a negative number stands for no limit
        return
    if 0 <= most < FEWEST_OPEN:
        raise UserError(f"{most} open files are allowed, and this program needs {FEWEST_OPEN}: raise ulimit -n")
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (FEWEST_OPEN, most))
