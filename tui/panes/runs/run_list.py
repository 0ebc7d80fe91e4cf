"""What the list of runs shows: the summaries of a folder, filtered and sorted. Everything here runs in a thread."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import RunError
from core.events import State
from core.runs.filter import parse_filter, sorted_runs
from core.runs.summaries import SETTLED_NANOSECONDS, summaries_of
from core.runs.summary import RunSummary
from core.runs.trash import deleted_places, trash_folder

# Processor time of one look at a list that is shown already: under one percent at a look every two seconds.
SHORT_LOOK = 0.006
# Of the first look, between two showings of a list that grows, and of the last ones.
LONG_LOOK, LONGEST_LOOK = 0.4, 1.0
NEWEST_FIRST = ("created", False)


@dataclass(frozen=True)
class Selection:
    """Which runs are shown: a valid filter, and the key and direction of the order."""

    filter: str = ""
    order: tuple[str, bool] = NEWEST_FIRST


@dataclass(frozen=True)
class RunList:
    """``shown`` of ``every`` run that is known; ``unread`` runs are still to be read, ``deleted`` are in the trash.

    ``is_checked``: the files of all runs were looked at once; until then a kept summary may be outdated.
    ``problem`` is a sentence if the folder or its trash cannot be read.
    """

    every: tuple[RunSummary, ...] = ()
    shown: tuple[RunSummary, ...] = ()
    unread: int = 0
    deleted: int = 0
    training: int = 0
    bytes: int = 0
    problem: str = ""
    is_checked: bool = True


def longer(seconds: float) -> float:
    """The next look at a list that grows: the longer the list is, the longer it takes to sort and draw."""
    return min(1.5 * seconds, LONGEST_LOOK)


class RunListReader:
    """Reads the list again and again. Of several threads, one reads at a time: a reading cannot be cancelled."""

    def __init__(self, saves: Path) -> None:
        self._saves = saves
        self._summaries = summaries_of(saves)
        self._last = RunList()
        self._selection = Selection()
        self._trash: tuple[int, int] | None = None
        self._deleted = 0
        self._lock = threading.Lock()

    def read(self, selection: Selection, seconds: float, first: Iterable[str] = ()) -> RunList:
        """The list; the same object as before if nothing has changed. Those called ``first`` are always read again.

        ``seconds``: see ``Summaries.look``.
        """
        with self._lock:
            return self._read(selection, seconds, first)

    def _read(self, selection: Selection, seconds: float, first: Iterable[str]) -> RunList:
        deleted, problem = 0, ""
        try:
            deleted = self._count_deleted()
        except RunError as error:
            problem = str(error)
        every, unread, last = self._summaries.look(seconds, first), self._summaries.unread, self._last
        if every is not last.every or selection != self._selection:
            shown = self._select(every, selection)
            training = sum(run.state == State.TRAINING for run in every)
            last = RunList(every, shown, unread, deleted, training, sum(run.bytes for run in every), problem)
        is_checked = not self._summaries.unchecked
        if (unread, deleted, problem, is_checked) != (last.unread, last.deleted, last.problem, last.is_checked):
            last = replace(last, unread=unread, deleted=deleted, problem=problem, is_checked=is_checked)
        self._last, self._selection = last, selection
        return last

    @staticmethod
    def _select(every: tuple[RunSummary, ...], selection: Selection) -> tuple[RunSummary, ...]:
        if selection == Selection():
            return every
        is_shown = parse_filter(selection.filter)
        found = [run for run in every if is_shown(run)]
        return tuple(found if selection.order == NEWEST_FIRST else sorted_runs(found, *selection.order))

    def _count_deleted(self) -> int:
        """The number of runs in the trash, counted again if its folder has just changed. Raises RunError."""
        try:
            status = os.stat(trash_folder(self._saves))
            stamp = (status.st_ino, status.st_ctime_ns)
        except OSError:
            stamp = (0, 0)
        # The folder of a run in the trash is made before the run is moved there: it is counted a while longer.
        is_new = time.time_ns() - stamp[1] < SETTLED_NANOSECONDS
        if stamp != self._trash or is_new or not stamp[0]:
            self._deleted, self._trash = len(deleted_places(self._saves)), stamp
        return self._deleted
