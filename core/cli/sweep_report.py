"""A sweep on the command line: its progress, and the table of its runs, the best first."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence

from core.cli.printing import ProgressLine, perplexity_figure, print_table, printable, put
from core.events import EpochFinished, State, perplexity
from core.sweep.driver import Place
from core.sweep.folder import Outcome
from core.sweep.ranges import short_text
from core.sweep.results import Result
from core.sweep.sweep import PlannedRun, Sweep, values_text
from core.units import clock_text, counted


class SweepReport:
    """Shows a sweep as JSON lines, or as a line for each run and one that is redrawn on a terminal.

    ``failures`` counts the runs that failed here.
    """

    def __init__(self, sweep: Sweep, where: Sequence[Place], as_json: bool) -> None:
        self.failures = 0
        self._sweep = sweep
        self._where = where
        self._as_json = as_json
        self._progress = ProgressLine(not as_json)
        self._latest: dict[str, EpochFinished] = {}
        self._ended = 0

    def begin(self) -> None:
        """Print what is trained, and what each run gets."""
        sweep, jobs, place = self._sweep, len(self._where), self._where[0]
        count = len(sweep.runs()) if sweep.is_grid else sweep.trials
        if self._as_json:
            put({
                "event": "sweep", "name": sweep.name, "runs": count, "vary": list(sweep.vary), "grid": sweep.is_grid,
                "jobs": jobs, "threads": place.threads or None, "devices": [item.device for item in self._where],
            })  # fmt: skip
            return
        what = (
            f"every combination of {', '.join(sweep.vary)}" if sweep.is_grid else f"a search in {', '.join(sweep.vary)}"
        )
        print(printable(f"{sweep.name}: {counted(count, 'run')}, {what}"))
        if jobs > 1:
            devices = sorted({item.device for item in self._where} - {""})
            on = f", on {', '.join(devices)}" if devices else ""
            on += " in turn" if len(devices) > 1 else ""
            print(f"{jobs} side by side, each with {counted(place.threads, 'thread')}{on}")

    # ------------------------------------------------------------------ the listener of the driver, see ``Listener``

    def began(self, planned: PlannedRun, is_resumed: bool) -> None:
        if self._as_json:
            put({"event": "run", "run": planned.name, "values": dict(planned.values), "resumed": is_resumed})
        elif is_resumed:
            self.say(f"{planned.name} continues from its last checkpoint")

    def grew(self, planned: PlannedRun, event: EpochFinished) -> None:
        if self._as_json:
            put({**event.to_json(), "run": planned.name})
            return
        self._latest[planned.name] = event
        if self._progress.is_due():
            parts = [f"{name} epoch {last.epoch:,} {_figure(last)}" for name, last in self._latest.items()]
            self._progress.draw(printable(f"{self._ended} done · " + " · ".join(parts)))

    def ended(self, planned: PlannedRun, outcome: Outcome, loss: float) -> None:
        self._latest.pop(planned.name, None)
        self._ended += 1
        self.failures += outcome.state == State.FAILED
        best = perplexity(loss) if math.isfinite(loss) else None
        if self._as_json:
            put({
                "event": "outcome", "run": planned.name, "values": dict(planned.values), "state": outcome.state,
                "best": best, "message": outcome.message,
            })  # fmt: skip
            return
        figure = f" · best perplexity {perplexity_figure(best, loss)}" if best is not None else ""
        reason = f": {outcome.message}" if outcome.message else ""
        self.say(f"{planned.name} ({values_text(planned.values)}) {outcome.state}{reason}{figure}")

    def waits(self, count: int) -> None:
        self.say(f"waiting for {counted(count, 'run')} of other processes; ctrl+c leaves them alone")

    def gave_up(self, words: str) -> None:
        """Print that a run of a silent machine was given up."""
        if self._as_json:
            put({"event": "note", "text": words})
        self.say(words)

    # ------------------------------------------------------------------ the end

    def say(self, text: str) -> None:
        """Print a line above the progress; nothing with ``--json``."""
        if not self._as_json:
            self._progress.print(printable(text))

    def warn(self, text: str) -> None:
        print(printable(text), file=sys.stderr)

    def end(self, results: Sequence[Result], importances: Mapping[str, float]) -> None:
        """Print the table and the importance of the settings, as shares."""
        self._progress.clear()
        if self._as_json:
            for result in results:
                put({"event": "result", **result.to_json()})
            if importances:
                put({"event": "importance", "shares": {name: round(share, 6) for name, share in importances.items()}})
            return
        names = [item.setting.name for item in self._sweep.varied]
        rows = [["", "run", *names, "perplexity", "on", "at epoch", "epochs", "time", "state"]]
        for place, result in enumerate(results, 1):
            best = perplexity_figure(result.best) if result.best is not None else "–"
            rows.append([
                str(place) if result.best is not None else "–", printable(result.run),
                *(printable(short_text(result.values[name])) if name in result.values else "–" for name in names),
                best, result.on or "–", str(result.best_epoch or "–"),
                *(("–", "–") if result.place else (str(result.epochs), clock_text(result.seconds))),
                printable(result.words),
            ])  # fmt: skip
        print_table(rows, frozenset({0, len(names) + 2, len(names) + 4, len(names) + 5, len(names) + 6}))
        if importances:
            words = ", ".join(f"{name} {share:.0%}" for name, share in importances.items())
            print(f"importance for the perplexity: {words}")


def _figure(event: EpochFinished) -> str:
    value = event.perplexity if event.validation_perplexity is None else event.validation_perplexity
    return perplexity_figure(value, event.loss)
