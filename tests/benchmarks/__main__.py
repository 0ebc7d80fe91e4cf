"""What the screen costs, measured: ``python -m tests.benchmarks [--json] [--case NAME ...] [--quick]``.

Run it from the project's folder, on a machine that does nothing else; all cases take about twenty minutes, ``--quick``
a minute or two, with figures that mean little. What needs no screen is measured by ``python -m core bench``.

``--json`` prints one object a case: ``event`` ("case"), ``case``, ``title``, ``unit``, ``goals``, each ``{row, figure,
goal, measured, met}``, and ``rows``, each ``{name, count, min, median, p99, max}``. The p99 of a few rounds is their
maximum.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace

from core.cli.printing import print_table
from tests.benchmarks.outcome import QUICK, Effort, Outcome
from tests.benchmarks.screen import CASES, LIVE_VIEWS


def main() -> int:
    """Run the cases that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="What the screen costs.")
    parser.add_argument("--json", action="store_true", help="one JSON object a case")
    parser.add_argument("--case", action="append", choices=list(CASES), help="only this case; may be repeated")
    parser.add_argument(
        "--view", action="append", choices=list(LIVE_VIEWS), help="speed-with-inspect: only this view; may be repeated"
    )
    parser.add_argument("--quick", action="store_true", help="small and over soon; the figures mean little")
    options = parser.parse_args()
    outcomes = []
    for name in dict.fromkeys(options.case or CASES):
        if sys.stderr.isatty():
            print(f"\r\x1b[K{name} …", end="", file=sys.stderr, flush=True)
        outcome = CASES[name](replace(QUICK if options.quick else Effort(), views=tuple(options.view or ())))
        outcomes.append(outcome)
        if options.json:
            print(json.dumps(outcome.to_json(), ensure_ascii=False), flush=True)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if not options.json:
        print(f"load {os.getloadavg()[0]:.2f}\n")
        print_table(table(outcomes), right=frozenset({2, 3, 4, 5}))
        print()
        print_table(goals(outcomes), right=frozenset({2}))
    return 0


def table(outcomes: list[Outcome]) -> list[list[str]]:
    """The rows of all cases."""
    rows = [["case", "", "min", "median", "p99", "max", "unit"]]
    for outcome in outcomes:
        if len(rows) > 1:
            rows.append([""] * 7)
        rows.append([outcome.case, outcome.title, "", "", "", "", ""])
        for row in outcome.rows:
            rows.append(["", row.name, *map(number, row.figures.values()), outcome.unit])
    return rows


def goals(outcomes: list[Outcome]) -> list[list[str]]:
    """What was to be reached, and whether it was."""
    rows = [["case", "figure", "measured", "goal", ""]]
    for outcome in outcomes:
        for goal in outcome.goals:
            measured = outcome.measured(goal)
            met = "met" if goal.is_met(measured) else "missed"
            rows.append(
                [outcome.case, f"{goal.row}, {goal.figure}", f"{number(measured)} {goal.unit}", goal.words, met]
            )
    return rows


def number(value: float) -> str:
    """Three figures that mean something."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
