"""What the screen shows of the sweeps beside the runs. Everything here runs in a thread, or in another process."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from core.errors import UserError
from core.sweep.folder import SweepFolder, sweeps_in
from tui.processes import core_process

if TYPE_CHECKING:
    from core.sweep.results import Result, Results
    from core.sweep.sweep import Sweep

LONGEST_ASKING = 60.0


@dataclass(frozen=True)
class SweepSeen:
    """One sweep at one moment. ``names`` are those of all sweeps, ``working`` of those that processes train now.

    ``results`` are its runs, the best first. ``problem`` is a sentence if it cannot be read, ``error`` the one that
    ended its last process.
    """

    names: tuple[str, ...] = ()
    working: frozenset[str] = frozenset()
    sweep: Sweep | None = None
    results: tuple[Result, ...] = ()
    is_done: bool = False
    problem: str = ""
    error: str = ""

    @property
    def name(self) -> str:
        return self.sweep.name if self.sweep is not None else ""

    @property
    def is_working(self) -> bool:
        return self.name in self.working

    @property
    def ended(self) -> int:
        """The runs that are not trained any further, without those that were given up."""
        from core.sweep.results import counted_results, has_ended

        return sum(map(has_ended, counted_results(self.results)))

    @property
    def wanted(self) -> int:
        """The runs that there will be."""
        if self.sweep is None:
            return 0
        from core.sweep.results import counted_results

        counted = len(counted_results(self.results))
        return counted if self.sweep.is_grid else max(self.sweep.trials, counted)


@dataclass
class SweepReader:
    """Reads sweeps again and again; one thread at a time."""

    saves: Path
    _results: dict[str, Results] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def working(self) -> frozenset[str]:
        return frozenset(folder.name for folder in sweeps_in(self.saves) if folder.is_working())

    def read(self, name: str) -> SweepSeen:
        """The sweep ``name``, or the newest if there is none of that name."""
        with self._lock:
            folders = {folder.name: folder for folder in sweeps_in(self.saves)}
            names = tuple(folders)
            if not folders:
                return SweepSeen()
            if name not in folders:
                name = max(folders, key=lambda known: _changed(folders[known].path))
            working = frozenset(known for known, folder in folders.items() if folder.is_working())
            try:
                return self._seen(folders[name], names, working)
            except UserError as error:
                return SweepSeen(names, working, problem=str(error))

    def _seen(self, folder: SweepFolder, names: tuple[str, ...], working: frozenset[str]) -> SweepSeen:
        from core.sweep.results import Results, is_done

        reader = self._results.setdefault(folder.name, Results(folder))
        sweep = folder.read()
        results = reader.read(sweep)
        done = is_done(results, sweep)
        words = "" if done or folder.name in working else folder.last_words()
        error = words.removeprefix("error: ") if words.startswith("error: ") else ""
        return SweepSeen(names, working, sweep, tuple(results), done, error=error)


def _changed(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


async def importances(saves: Path, name: str) -> Mapping[str, float]:
    """The share of each setting in what makes the results differ, by Optuna in a process of its own; {} for none."""
    try:
        async with core_process(["sweep", f"--saves={saves}", "--show", "--json", "--", name]) as process:
            out, _ = await asyncio.wait_for(process.communicate(), LONGEST_ASKING)
    except (UserError, TimeoutError):
        return {}
    return importances_in(out)


def importances_in(out: bytes) -> dict[str, float]:
    """The shares in what ``sweep --show --json`` printed."""
    for line in reversed(out.splitlines()):
        with contextlib.suppress(ValueError, AttributeError):
            value = json.loads(line)
            if value.get("event") == "importance":
                return {str(name): float(share) for name, share in value["shares"].items()}
    return {}
