"""What lies over the list of runs when it is asked for: runs compared, or a sweep."""

from __future__ import annotations

from pathlib import Path

from textual import on, work
from textual.containers import Vertical
from textual.widget import Widget

from tui.panes.runs.compare import Compare
from tui.panes.runs.sweep import SweepView
from tui.panes.runs.sweep_watch import WATCH_SECONDS, SweepWatch
from tui.services import is_alive

COMPARING, SWEEPING = "-comparing", "-sweeping"


class Overlays(Vertical):
    """The base of the Runs pane: opens and closes what lies over its list, and watches the sweeps."""

    def on_mount(self) -> None:
        self.sweeps = SweepWatch(self)
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
        self.query_one(SweepView).show_sweep(min(self.sweeps.working, default=""))
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

    @work(exclusive=True, group="sweeps")
    async def _look_at_sweeps(self) -> None:
        before = self.sweeps.words
        await self.sweeps.look()
        if is_alive(self) and before != self.sweeps.words:
            self.show_title()
