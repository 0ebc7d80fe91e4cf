"""Files of other programs that are followed: their curves as they are now, for a comparison that goes on."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from core.errors import UserError
from core.export.curves import Curve
from core.export.reading import read_curves
from core.runs.comparison import Column

PATIENCE = 20
"""A file is read again after as many times the time that the last reading took: a large log costs little."""


class FileCurve:
    """One curve of a file, with the face of ``core.runs.comparison.RunCurve``."""

    def __init__(self, curve: Curve, version: int = 0) -> None:
        self.curve = curve
        self.version = version

    def read(self, at_most: int = 0) -> bool:
        """Nothing: the file is read whole, by ``FollowedFile``."""
        return False

    def column(self, name: str) -> Column | None:
        """A column by its name, also one that follows from others; None if the file has no such figure."""
        try:
            return self.curve.column(name)
        except UserError:
            return None

    def has(self, name: str) -> bool:
        """Whether it has finite figures of this name."""
        return self.curve.has(name)

    def points(self, metric: str, axis: str) -> tuple[Column, Column]:
        """The points that can be drawn; of a file with one figure, that figure, whatever it is called."""
        try:
            return self.curve.points(metric if self.curve.has(metric) else self.curve.only_figure or metric, axis)
        except UserError:
            return np.empty(0), np.empty(0)


class FollowedFile:
    """A CSV, an event file, or a folder of event files: read again after it has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.curves: list[FileCurve] = []
        self._stamp: tuple[tuple[int, int], ...] = ()
        self._next = 0.0

    def read(self) -> None:
        """Read the file if it has changed; one that cannot be read now keeps its curves."""
        if time.monotonic() < self._next:
            return
        began, stamp = time.monotonic(), _stamp(self.path)
        if stamp == self._stamp:
            return
        try:
            found = read_curves(self.path)
        except UserError:
            return
        version = self.curves[0].version + 1 if self.curves else 0
        self.curves = [FileCurve(curve, version) for curve in found]
        self._stamp = stamp
        self._next = began + (1 + PATIENCE) * (time.monotonic() - began)


def _stamp(path: Path) -> tuple[tuple[int, int], ...]:
    """Time of change and size of the file, or of the files of the folder."""
    try:
        places = [path, *path.iterdir()] if path.is_dir() else [path]
        found = [os.stat(place) for place in places]
    except OSError:
        return ()
    return tuple((status.st_mtime_ns, status.st_size) for status in found)
