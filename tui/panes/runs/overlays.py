"""What lies over the list of runs when it is asked for: runs compared, or a sweep; and the sweeps that train."""

from __future__ import annotations

import asyncio
from pathlib import Path

from textual import on, work
from textual.containers import Vertical
from textual.widget import Widget

from core.units import perplexity_text
from tui.panes.runs.compare import Compare
from tui.panes.runs.sweep import SweepView
from tui.panes.runs.sweep_reading import SweepReader, SweepSeen
from tui.services import host, is_alive
from tui.text.keys import key
from tui.text.safe import shown_text

COMPARING, SWEEPING = "-comparing", "-sweeping"
WATCH_SECONDS = 3.0


class Overlays(Vertical):
    """The base of the Runs pane: opens and closes what lies over its list, and says when a sweep has ended."""

    working: frozenset[str] = frozenset()
    """The sweeps that processes train, as last seen."""

    def on_mount(self) -> None:
        self._sweeps = SweepReader(host(self).saves)
        self.set_interval(WATCH_SECONDS, self._look_at_sweeps)
        self.call_after_refresh(self._look_at_sweeps)

    @property
    def overlay(self) -> Widget | None:
        """What lies over the list now; the comparison of a sweep's runs lies over the sweep."""
        if self.has_class(COMPARING):
            return self.query_one(Compare)
        return self.query_one(SweepView) if self.has_class(SWEEPING) else None

    def compare(self, paths: tuple[Path, ...]) -> None:
        """Compare these runs, if there are any."""
        if paths:
            self.query_one(Compare).paths = paths
            self._lay(COMPARING, True)

    def action_sweeps(self) -> None:
        """Show the sweep that trains, or the last one."""
        self.query_one(SweepView).show_sweep(min(self.working, default=""))
        self._lay(SWEEPING, True)

    def show_title(self) -> None:
        """Show what the title of the list says of sweeps."""

    def _lay(self, name: str, is_over: bool) -> None:
        self.set_class(is_over, name)
        self.focus()
        self.refresh_bindings()

    @on(Compare.Left)
    def _compared(self) -> None:
        self._lay(COMPARING, False)

    @on(SweepView.Left)
    def _sweep_left(self) -> None:
        self._lay(SWEEPING, False)

    @on(SweepView.CompareAsked)
    def _sweep_compared(self, event: SweepView.CompareAsked) -> None:
        self.compare(event.paths)

    @property
    def sweep_words(self) -> str:
        """For the title of the list."""
        if not self.working:
            return ""
        return (
            f" · sweep {shown_text(min(self.working))}" if len(self.working) == 1 else f" · {len(self.working)} sweeps"
        )

    @work(exclusive=True, group="sweeps")
    async def _look_at_sweeps(self) -> None:
        before, words = self.working, self.sweep_words
        self.working = await asyncio.to_thread(self._sweeps.working)
        for name in sorted(before - self.working):
            seen = await asyncio.to_thread(self._sweeps.read, name)
            if is_alive(self) and seen.name == name:
                self.notify(_ended_words(seen), markup=False)
        if is_alive(self) and words != self.sweep_words:
            self.show_title()


def _ended_words(seen: SweepSeen) -> str:
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
