"""``python -m core inspect``: look inside a run: at the live weights of its engine, or at its checkpoint."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import fields

from core.cli.inspection_report import print_view
from core.cli.live import stream_live
from core.cli.printing import ProgressLine, print_remarks, put
from core.engine.requests import Inspect
from core.inspection.answers import InspectionAnswer
from core.inspection.events import Inspected, InspectionEvent
from core.inspection.options import InspectionOptions
from core.process import resume_collection
from core.runs.run import Run
from core.runs.store import find_run


def inspect(options: argparse.Namespace) -> int:
    run = find_run(options.saves, options.run)
    names = [item.name for item in fields(InspectionOptions) if hasattr(options, item.name) and item.name != "run"]
    asked = Inspect(**{name: getattr(options, name) for name in names})
    report = _Report(as_json=options.json)
    try:
        if not run.is_held() or not asyncio.run(stream_live(run.path, asked, report.show)):
            _show_stored(run, asked, report)
    finally:
        report.progress.clear()
    report.end()
    return 0


def _show_stored(run: Run, options: InspectionOptions, report: _Report) -> None:
    """A view of the run's checkpoint."""
    from core.devices import at_home, prepare
    from core.engine.inspecting import inspecting, stored_source, with_text

    resume_collection()
    source = stored_source(run, options.checkpoint, prepare(at_home(run.metadata().config)))
    print_remarks(source.remark)
    if options.text is None:
        source = with_text(source)
    for events in inspecting(source, options):
        for event in events:
            report.show(event)


class _Report:
    """Shows the progress of a long view on a terminal, and at its end the answer."""

    def __init__(self, as_json: bool) -> None:
        self.progress = ProgressLine(is_on=not as_json)
        self._as_json = as_json
        self._answer: InspectionAnswer | None = None

    def show(self, event: InspectionEvent) -> None:
        if isinstance(event, Inspected):
            self._answer = event.answer
        elif self.progress.is_due():
            self.progress.draw(f"{event.share:.0%}")

    def end(self) -> None:
        if self._answer is not None:
            put(self._answer.to_json()) if self._as_json else print_view(self._answer)
