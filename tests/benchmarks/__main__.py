"""What the screen costs, measured: ``python -m tests.benchmarks [--json] [--case NAME ...] [--quick]``.

Run it from the project's folder, on a machine that does nothing else; all cases take about ten minutes, ``--quick`` a
minute or two, with figures that mean little. What needs no screen is measured by ``python -m core bench``.

``--json`` prints one object a case: ``event`` ("case"), ``case``, ``title``, ``unit``, ``goal`` (words), and ``rows``,
each ``{name, count, min, median, p99, max}``. The p99 of a few rounds is their maximum.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from core.console import print_table
from tests.benchmarks.screen import CASES, QUICK, Effort, Outcome


def main() -> int:
    """Run the cases that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="What the screen costs.")
    parser.add_argument("--json", action="store_true", help="one JSON object a case")
    parser.add_argument("--case", action="append", choices=list(CASES), help="only this case; may come often")
    parser.add_argument("--quick", action="store_true", help="small and over soon; the figures mean little")
    options = parser.parse_args()
    outcomes = []
    for name in dict.fromkeys(options.case or CASES):
        if sys.stderr.isatty():
            print(f"\r\x1b[K{name} …", end="", file=sys.stderr, flush=True)
        outcome = CASES[name](QUICK if options.quick else Effort())
        outcomes.append(outcome)
        if options.json:
            print(json.dumps(outcome.to_json(), ensure_ascii=False), flush=True)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if not options.json:
        print(f"load {os.getloadavg()[0]:.2f}\n")
        print_table(table(outcomes), right=frozenset({2, 3, 4, 5}))
    return 0


def table(outcomes: list[Outcome]) -> list[list[str]]:
    """The rows of all cases."""
    rows = [["case", "", "min", "median", "p99", "max", "unit", "goal"]]
    for outcome in outcomes:
        if len(rows) > 1:
            rows.append([""] * 8)
        rows.append([outcome.case, outcome.title, "", "", "", "", "", outcome.goal])
        for row in outcome.rows:
            told = row.to_json()
            figures = [number(told[name]) for name in ("min", "median", "p99", "max")]
            rows.append(["", row.name, *figures, outcome.unit, ""])
    return rows


def number(value: float) -> str:
    """Three figures that mean something."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
