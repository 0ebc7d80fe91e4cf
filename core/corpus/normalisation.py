"""Normalisations of a text, piece by piece: each keeps its state between pieces.

All of them work on code points, in unsigned integers of any size, and expect line ends as LF alone.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import CorpusError

CodePoints = npt.NDArray[np.unsignedinteger[Any]]
Mask = npt.NDArray[np.bool_]

_LINE_END = 0x0A
_BLANK = 0x20
_NOTHING: CodePoints = np.zeros(0, dtype=np.uint32)
Normaliser = Callable[[CodePoints], CodePoints]
"""Called with each piece of a text in turn; returns the normalised pieces."""


class _LineEndsToBlanks:
    """``spaces``: each line end becomes a blank; the last one of the text is removed."""

    def __init__(self) -> None:
        self._held_back = False

    def __call__(self, points: CodePoints) -> CodePoints:
        if not len(points):
            return points
        changed: CodePoints = points + (points == _LINE_END) * points.dtype.type(_BLANK - _LINE_END)
        before = [np.array([_BLANK], dtype=points.dtype)] if self._held_back else []
        self._held_back = bool(points[-1] == _LINE_END)
        changed = changed[:-1] if self._held_back else changed
        return np.concatenate([*before, changed]) if before else changed


class _KeptRuns:
    """Keeps some characters; each run of others becomes one blank, or nothing at the ends of the text.

    With ``join_lines`` a run with a line end becomes nothing too: one stripped line ends and the next begins.
    """

    def __init__(self, kept: Callable[[CodePoints], Mask], *, join_lines: bool, lower: bool) -> None:
        self._kept = kept
        self._join_lines = join_lines
        self._lower = lower
        self._started = False
        self._in_run = False
        self._line_end_in_run = False

    def __call__(self, points: CodePoints) -> CodePoints:
        position = np.flatnonzero(self._kept(points))
        lines = np.cumsum(points == _LINE_END, dtype=np.int32) if self._join_lines else None
        if not len(position):
            self._in_run |= len(points) > 0
            self._line_end_in_run |= lines is not None and len(lines) > 0 and bool(lines[-1])
            return _NOTHING
        blank = np.empty(len(position), dtype=bool)  # whether a blank comes before each kept character
        blank[1:] = position[1:] - position[:-1] > 1
        blank[0] = self._started and (self._in_run or position[0] > 0)
        if lines is not None:
            line = lines[position]
            blank[1:] &= line[1:] == line[:-1]
            blank[0] &= not self._line_end_in_run and line[0] == 0
            self._line_end_in_run = bool(lines[-1] > line[-1])
        self._started = True
        self._in_run = bool(position[-1] < len(points) - 1)
        target = np.arange(len(position)) + np.cumsum(blank)
        result = np.full(target[-1] + 1, _BLANK, dtype=points.dtype)
        result[target] = points[position] | points.dtype.type(_BLANK) if self._lower else points[position]
        return result


def _ascii_letters(points: CodePoints) -> Mask:
    # bit 0x20 is the case of an ASCII letter; below 97 the unsigned difference wraps around to a large number
    kind = points.dtype.type
    letter: Mask = (points | kind(_BLANK)) - kind(ord("a")) < kind(26)
    return letter


def _letters_of_any_script() -> Callable[[CodePoints], Mask]:
    """A test for letters, marks and numbers that asks the Unicode database once for each distinct character."""
    known = np.zeros(0x110000, dtype=np.uint8)  # 0 not asked yet, 1 left out, 2 kept

    def kept(points: CodePoints) -> Mask:
        answer = known[points]
        if len(answer) and not answer.min():
            for point in np.unique(points[answer == 0]).tolist():
                known[point] = 2 if unicodedata.category(chr(point))[0] in "LMN" else 1
            answer = known[points]
        kept_ones: Mask = answer == 2
        return kept_ones

    return kept


def normaliser(normalise: str, tokens: str = "char") -> Normaliser:
    """A fresh normaliser.

    ``none``: nothing. ``spaces``: line ends become blanks. ``letters``: a to z only, lower case, line by line as in
    Dive into Deep Learning, section 8.2; the lines of characters are joined without a separator, words stay apart.
    ``no-punctuation``: letters, marks and numbers of any script, a blank between. Raises ``CorpusError``.
    """
    if normalise == "none":
        return lambda points: points
    if normalise == "spaces":
        return _LineEndsToBlanks()
    if normalise == "letters":
        return _KeptRuns(_ascii_letters, join_lines=tokens == "char", lower=True)
    if normalise == "no-punctuation":
        return _KeptRuns(_letters_of_any_script(), join_lines=False, lower=False)
    raise CorpusError(f"normalise must be one of none, spaces, letters, no-punctuation, got {normalise!r}")
