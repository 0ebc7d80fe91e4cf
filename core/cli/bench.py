"""``python -m core bench``: the cases one after the other, as one table or as JSON lines.

Without names, the cases of the CPU; with ``--cuda``, those of a GPU and the goals for an H100; with ``--workers N``,
those of N processes that train one model together; with ``--shares``, the share of the matrix products' speed that a
training reaches, cell by cell and size by size.

``--json`` prints ``{"event": "machine", processor, cores, threads, torch, cuda, load, environment}``, then one object a
case: ``event`` ("case"), ``case``, ``title``, ``unit``, and either ``skipped`` (why) or

- ``rounds``: the number of runs of each contestant;
- ``ours``, ``references`` (a list, the goal is against the first) and ``limit`` (or null), each ``{name, min, median,
  max, ratio, ratio_min, ratio_max, figures}``: the rates in ``unit`` over the rounds; ``ratio`` is the median of ours
  divided by theirs in the same round, so that of the limit is the share of it that is reached; ``figures`` are
  results of the work (``perplexity``, ``gflops``, ``peak_bytes``, ``tokens``, ``vocabulary``);
- ``goal_ratio``, ``goal_share`` (of the limit), ``goal_rate``, ``goal_most`` (the largest figures allowed; each may be
  null) and ``met`` (null without a goal);
- ``way``: how ours was computed, if there are several ways.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from core.benchmark.cases import cases
from core.benchmark.cuda import cuda_cases
from core.benchmark.machine import describe
from core.benchmark.measuring import QUICK, Case, Effort, Rates, Result, measure
from core.benchmark.shares import share_cases
from core.benchmark.workers import worker_cases
from core.cli.printing import print_table, put
from core.devices import no_cuda
from core.errors import ConfigError, CorpusError, UserError
from core.process import resume_collection
from core.units import bytes_text

MET = {True: ", met", False: ", missed", None: ""}
HEADING = ["case", "", "min", "median", "max", "unit", "ours to it", "goal", ""]


def bench(options: argparse.Namespace) -> int:
    """Run the cases that were named, or all of the CPU or of a GPU."""
    resume_collection()
    if options.cuda and not torch.cuda.is_available():
        raise UserError(f"{no_cuda()}: bench without --cuda measures the CPU")
    chosen = _chosen(options.case, options.cuda, options.shares, options.workers)
    effort = QUICK if options.quick else Effort()
    if options.rounds is not None:
        if not 1 <= options.rounds <= 10_000:
            raise UserError(f"--rounds must be between 1 and 10,000, got {options.rounds:,}")
        effort = replace(effort, rounds=options.rounds)
    results = []
    if options.json:
        put({"event": "machine", **describe()})
    for number, case in enumerate(chosen, 1):
        _progress(f"case {number} of {len(chosen)}: {case.name}, {case.title}")
        result = _result(case, effort)
        results.append(result)
        if options.json:
            put(result.to_json())
    _progress("")
    if not options.json:
        _print(results, describe())
    return 0


def _chosen(names: Sequence[str], on_cuda: bool, shares: bool, workers: int | None) -> list[Case]:
    if workers is not None:
        known = group = worker_cases(workers)
    else:
        group = share_cases() if shares else cuda_cases() if on_cuda else cases()
        known = {**cases(), **cuda_cases(), **share_cases()}
    for name in names:
        if name not in known:
            raise UserError(f"there is no case {name!r}: choose one of {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)] or list(group.values())


def _result(case: Case, effort: Effort) -> Result:
    if case.needs_cuda and not torch.cuda.is_available():
        return Result(case, skipped=no_cuda())
    try:
        return measure(case, effort)
    except (ConfigError, CorpusError) as error:  # a text that is not downloaded, a missing precision
        return Result(case, skipped=str(error))


def _progress(text: str) -> None:
    """Show the running case on standard error, where that is a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _print(results: Sequence[Result], machine: Mapping[str, Any]) -> None:
    device = "" if machine["cuda"] is None else f" · {machine['cuda']}"
    print(
        f"{machine['processor']}{device} · {machine['threads']} threads · torch {machine['torch']} · "
        f"load {machine['load']:g}"
    )
    for name, value in machine["environment"].items():
        print(f"{name}={value}")
    print()
    rows = [HEADING]
    for result in results:
        if len(rows) > 1:
            rows.append([""] * len(HEADING))
        rows += _rows(result)
    print_table(rows, right=frozenset({2, 3, 4, 6}))
    print()
    print(
        "Each figure is over rounds in which all contestants ran in turn; the ratio is the median over the rounds of\n"
        "ours to theirs in the same round. A wide span from min to max means a busy machine: measure again."
    )


def _rows(result: Result) -> list[list[str]]:
    case = result.case
    if result.ours is None:
        return [[case.name, case.title, "", "", "", case.unit, "", _goal(case), result.skipped]]
    contestants = [result.ours, *result.references, *([result.limit] if result.limit else [])]
    rows = [[case.name, f"{case.title} · {len(result.ours.rates)} rounds", *[""] * 7]]
    for contestant in contestants:
        ratio = f"{contestant.ratio:.0%}" if contestant is result.limit else f"{contestant.ratio:.2f} x"
        span = (min(contestant.rates), contestant.median, max(contestant.rates))
        has_goal = contestant is _measured_against(result)
        rows.append(
            [
                "", contestant.name, *map(_number, span), case.unit, "" if contestant is result.ours else ratio,
                _goal(case) + MET[result.met] if has_goal else "", _figures(contestant.figures),
            ]
        )  # fmt: skip
    if result.way:
        rows.append(["", result.way, *[""] * 7])
    return rows


def _measured_against(result: Result) -> Rates | None:
    """The contestant whose row shows the goal."""
    if result.case.goal_ratio is not None:
        return result.references[0]
    return result.limit if result.case.goal_share is not None else result.ours


def _goal(case: Case) -> str:
    if case.goal_share is not None:
        return f"{case.goal_share:.0%}"
    if case.goal_ratio is not None:
        return f"{case.goal_ratio:g} x"
    if case.goal_most:
        return _figures(case.goal_most)
    return "" if case.goal_rate is None else f"{case.goal_rate:,g} {case.unit}"


def _number(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _figures(figures: Mapping[str, float]) -> str:
    words = {
        "perplexity": lambda value: f"perplexity {value:.4g}",
        "gflops": lambda value: f"{value:,.0f} GFLOP/s",
        "peak_bytes": lambda value: f"peak {bytes_text(value)}",
        "tokens": lambda value: f"{value:,.0f} tokens",
        "vocabulary": lambda value: f"vocabulary {value:,.0f}",
        "nats": lambda value: f"{value:.4g} nats",
        "seconds": lambda value: f"{value:,.0f} s",
    }
    return ", ".join(words[name](value) for name, value in figures.items())
