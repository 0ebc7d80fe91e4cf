"""How a case is measured: all contestants in turn, round after round, and the statistics of their rates."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

Rate = Callable[[], float]


@dataclass(frozen=True)
class Contestant:
    """What is measured against others.

    ``run`` does one round's work and returns the rate, in the case's unit. ``figures`` returns results of the work
    after the last round, which show that all contestants did the same.
    """

    name: str
    run: Rate
    figures: Callable[[], Mapping[str, float]] = dict


@dataclass(frozen=True)
class Bout:
    """Contestants ready to run: ours, the references (the goal is against the first), and the limit.

    ``way`` returns how ours computes, where that varies; it is called after the last round.
    """

    ours: Contestant
    references: tuple[Contestant, ...]
    limit: Contestant | None = None
    way: Callable[[], str] = str


@dataclass(frozen=True)
class Effort:
    """How much work a case does.

    ``rounds`` None takes the case's own number; ``tokens`` of text in a training epoch, ``characters`` written in a
    round, ``corpus_bytes`` of the text that is opened, ``epochs`` of a whole training, ``product_seconds`` for each
    matrix product of the limit.
    """

    rounds: int | None = None
    tokens: int = 10_000
    characters: int = 1_000
    corpus_bytes: int = 100_000_000
    epochs: int = 250
    product_seconds: float = 0.01


QUICK = Effort(rounds=2, tokens=2_300, characters=100, corpus_bytes=2_000_000, epochs=2, product_seconds=0.001)


@dataclass(frozen=True)
class Case:
    """One comparison. ``prepare`` makes the contestants and registers cleanup with the stack.

    ``goal_ratio`` is against the first reference, ``goal_share`` the share of the limit, ``goal_rate`` in the case's
    unit, ``goal_most`` the largest figures allowed. A case that does not warm up counts its first run: what takes
    minutes runs once.
    """

    name: str
    title: str
    unit: str
    prepare: Callable[[Effort, ExitStack], Bout]
    goal_ratio: float | None = None
    goal_share: float | None = None
    goal_rate: float | None = None
    goal_most: Mapping[str, float] = field(default_factory=dict)
    rounds: int = 15
    warms_up: bool = True
    needs_cuda: bool = False


@dataclass(frozen=True)
class Rates:
    """The rates of a contestant in all rounds, and the ratios of ours to it.

    ``ratio`` is the median of ours / theirs in the same round: a machine that slows down for a while slows both.
    """

    name: str
    rates: tuple[float, ...]
    ratios: tuple[float, ...]
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        return statistics.median(self.rates)

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "min": min(self.rates),
            "median": self.median,
            "max": max(self.rates),
            "ratio": self.ratio,
            "ratio_min": min(self.ratios),
            "ratio_max": max(self.ratios),
            "figures": dict(self.figures),
        }


@dataclass(frozen=True)
class Result:
    """The result of a case; ``skipped`` is the reason if it was not measured."""

    case: Case
    ours: Rates | None = None
    references: tuple[Rates, ...] = ()
    limit: Rates | None = None
    skipped: str = ""
    way: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal was reached; None where there is none, or nothing was measured."""
        if self.ours is None:
            return None
        if self.case.goal_ratio is not None:
            return self.references[0].ratio >= self.case.goal_ratio
        if self.case.goal_share is not None and self.limit is not None:
            return self.limit.ratio >= self.case.goal_share
        if self.case.goal_most:
            return all(self.ours.figures.get(name, math.inf) <= most for name, most in self.case.goal_most.items())
        return None if self.case.goal_rate is None else self.ours.median >= self.case.goal_rate

    def to_json(self) -> dict[str, Any]:
        """One line of ``bench --json``, documented there."""
        head = {"event": "case", "case": self.case.name, "title": self.case.title, "unit": self.case.unit}
        if self.ours is None:
            return {**head, "skipped": self.skipped}
        return {
            **head,
            "rounds": len(self.ours.rates),
            "ours": self.ours.to_json(),
            "references": [reference.to_json() for reference in self.references],
            "limit": None if self.limit is None else self.limit.to_json(),
            "goal_ratio": self.case.goal_ratio,
            "goal_share": self.case.goal_share,
            "goal_rate": self.case.goal_rate,
            "goal_most": dict(self.case.goal_most) or None,
            "way": self.way,
            "met": self.met,
        }


def measure(case: Case, effort: Effort) -> Result:
    """Measure one case. The first run of each contestant warms it up and is not counted, where the case warms up."""
    with ExitStack() as stack:
        bout = case.prepare(effort, stack)
        limit = () if bout.limit is None else (bout.limit,)
        contestants = (bout.ours, *bout.references, *limit)
        for contestant in contestants if case.warms_up else ():
            contestant.run()
        rounds: list[list[float]] = []
        for number in range(effort.rounds or case.rounds):
            # in alternating order: the contestant before may leave the caches warm or the processor hot
            order = contestants if number % 2 == 0 else contestants[::-1]
            found = {contestant.name: contestant.run() for contestant in order}
            rounds.append([found[contestant.name] for contestant in contestants])
        columns = list(zip(*rounds, strict=True))
        measured = [
            Rates(
                contestant.name,
                rates,
                tuple(own / rate for own, rate in zip(columns[0], rates, strict=True)),
                contestant.figures(),
            )
            for contestant, rates in zip(contestants, columns, strict=True)
        ]
        way = bout.way()
    references = tuple(measured[1 : 1 + len(bout.references)])
    return Result(case, measured[0], references, measured[-1] if limit else None, way=way)


def rate_of(work: Callable[[], float]) -> Rate:
    """A run from a function that returns the number of units done; it must wait for its device itself."""

    def run() -> float:
        began = time.perf_counter()
        done = work()
        return done / (time.perf_counter() - began)

    return run
