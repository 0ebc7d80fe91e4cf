"""The folder of runs, ``saves/``: whether runs can be read and created in it. No torch in this module."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from core.errors import RunError


def check_saves(saves: Path) -> None:
    """Raise RunError if ``saves`` exists and cannot be read: a list of its runs would be empty."""
    try:
        os.scandir(saves).close()
        if os.access(saves, os.X_OK, effective_ids=True):
            return
        reason = os.strerror(errno.EACCES)
    except FileNotFoundError:
        return
    except OSError as error:
        reason = error.strerror or str(error)
    raise RunError(f"{saves} cannot be read ({reason}): permit reading and entering it, or name another folder")


def check_new_run(saves: Path) -> None:
    """Raise RunError if no run can be created in ``saves``, which may be missing. Creates nothing.

    To be called before a model is built, which may take a minute.
    """
    place = saves.absolute()
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not os.path.isdir(place):
        code = errno.ENOTDIR
    elif os.access(place, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        return
    else:
        code = errno.EROFS if os.statvfs(place).f_flag & os.ST_RDONLY else errno.EACCES
    where = "" if place == saves.absolute() else f"{place}: "
    remedy = "permit reading, writing and entering it, or " if code == errno.EACCES else ""
    raise RunError(
        f"no run can be made in {saves} ({where}{os.strerror(code)}): {remedy}name another folder with --saves"
    )
