"""Files of other programs that are followed: their curves as they are now, for a comparison that goes on."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

from core.errors import UserError
from core.export.curves import Curve
from core.export.reading import event_files, read_curves
from core.runs.summaries import Stamp, stamp_of

PATIENCE = 20
"""A file is read again after as many times the time that the last reading took: a large log costs little."""


class FollowedFile:
    """A CSV, an event file, or a folder of event files: read again after it has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.curves: list[Curve] = []
        self._stamp: Stamp = ()
        self._next = 0.0

    def read(self) -> None:
        """Read the file if it has changed; one that cannot be read now keeps its curves."""
        if time.monotonic() < self._next:
            return
        began, stamp = time.monotonic(), stamp_of(str(self.path), _names(self.path))
        if stamp == self._stamp:
            return
        try:
            found = read_curves(self.path)
        except UserError:
            return
        version = self.curves[0].version + 1 if self.curves else 0
        self.curves = [replace(curve, version=version) for curve in found]
        self._stamp = stamp
        self._next = began + (1 + PATIENCE) * (time.monotonic() - began)


def _names(path: Path) -> list[str]:
    """The event files of a folder, as they are called in it; none of a file."""
    try:
        folders = event_files(path) if os.path.isdir(path) else {}
    except UserError:
        return []
    return [str(file.relative_to(path)) for files in folders.values() for file in files]
