"""Watches which sweeps are trained, for the Runs pane: says in its title how many, and when one has ended."""

from __future__ import annotations

import asyncio

from textual.widget import Widget

from core.units import perplexity_text
from tui.panes.runs.sweep_reading import SweepReader, SweepSeen
from tui.services import host, is_alive
from tui.text.keys import key
from tui.text.safe import shown_text

WATCH_SECONDS = 3.0


class SweepWatch:
    """The sweeps in training, as last seen: ``working``."""

    def __init__(self, pane: Widget) -> None:
        self.working: frozenset[str] = frozenset()
        self._pane = pane
        self._reader = SweepReader(host(pane).saves)

    async def look(self) -> None:
        """Look again; show a notice for each sweep that has ended since."""
        before = self.working
        self.working = await asyncio.to_thread(self._reader.working)
        for name in sorted(before - self.working):
            seen = await asyncio.to_thread(self._reader.read, name)
            if is_alive(self._pane) and seen.name == name:
                self._pane.notify(_words(seen), markup=False)

    @property
    def words(self) -> str:
        """For the title of the list."""
        if not self.working:
            return ""
        first = shown_text(min(self.working))
        return f" · sweep {first}" if len(self.working) == 1 else f" · {len(self.working)} sweeps"


def _words(seen: SweepSeen) -> str:
    """``cells is done: the best of 6 runs is cells-gru, 3.21 held out; w shows it, c in it compares``."""
    name, shows = shown_text(seen.name), f"{key('runs.sweeps')} shows the sweep"
    if not seen.is_done:
        return f"{name} has stopped after {seen.ended} of {seen.wanted} runs; {shows}, {key('sweep.go')} in it goes on"
    best = seen.results[0] if seen.results else None
    if best is None or best.best is None:
        return f"{name} is done, without a result; {shows}"
    figure = f"{shown_text(best.run)}, perplexity {perplexity_text(best.best)} ({best.on})"
    compares = f"{key('sweep.compare')} in it compares the curves"
    return f"{name} is done: the best of {seen.wanted} runs is {figure}; {shows}, {compares}"
