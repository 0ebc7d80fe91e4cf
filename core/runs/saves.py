"""The folder of runs, ``saves/``: whether runs can be read from it and made in it. No torch, nothing heavy."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from core.errors import RunError


def check_saves(saves: Path) -> None:
    """Raise RunError where ``saves`` may not be looked into: a list of it is empty then. One that is missing may be."""
    try:
        os.scandir(saves).close()
        if os.access(saves, os.X_OK, effective_ids=True):
            return
        reason = os.strerror(errno.EACCES)
    except FileNotFoundError:
        return
    except OSError as error:
        reason = error.strerror or str(error)
    raise RunError(f"{saves} cannot be looked into ({reason}): permit reading and entering it, or name another folder")


def check_new_run(saves: Path) -> None:
    """Raise RunError where no run can be made in ``saves``, which may be missing. Nothing is made.

    To be asked before a model is built: that may take a minute, and the same answer would come after it.
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
