"""What a case gives: rows of figures, and which of them is to reach what."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Effort:
    """How long it all takes: ``seconds`` of watching, ``rounds`` of alternating, ``keys`` pressed, ``epochs`` kept.

    ``runs`` are in a list; ``views`` of Inspect are measured, none stands for all; ``largest`` is the largest size of
    the cases of growth.
    """

    seconds: float = 60.0
    window: float = 10.0
    rounds: int = 5
    keys: int = 200
    epochs: int = 100_000
    runs: int = 2_000
    largest: int = 10**10
    views: tuple[str, ...] = ()


QUICK = Effort(seconds=4.0, window=4.0, rounds=1, keys=10, epochs=3_000, runs=200, largest=1_000)


@dataclass(frozen=True)
class Row:
    """What one contestant gave, in the case's unit."""

    name: str
    values: tuple[float, ...]

    def percentile(self, share: float) -> float:
        """The value below which ``share`` of them lie."""
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def figures(self) -> dict[str, float]:
        """min, median, p99 and max."""
        return {
            "min": min(self.values),
            "median": statistics.median(self.values),
            "p99": self.percentile(0.99),
            "max": max(self.values),
        }

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` has it."""
        return {"name": self.name, "count": len(self.values), **self.figures}


@dataclass(frozen=True)
class Goal:
    """A figure of the row ``row`` that is to be at most ``limit`` (or at least, with ``at_least``)."""

    row: str
    figure: Literal["median", "p99"]
    limit: float
    unit: str
    at_least: bool = False

    @property
    def words(self) -> str:
        """``at most 0.5 s``."""
        return f"{'at least' if self.at_least else 'at most'} {self.limit:g} {self.unit}"

    def is_met(self, measured: float) -> bool:
        """Whether that is good enough."""
        return measured >= self.limit if self.at_least else measured <= self.limit


@dataclass(frozen=True)
class Outcome:
    """The rows of a case, and what some of them are to reach."""

    case: str
    title: str
    unit: str
    goals: tuple[Goal, ...]
    rows: tuple[Row, ...]

    def measured(self, goal: Goal) -> float:
        """The figure that a goal is about."""
        return next(row for row in self.rows if row.name == goal.row).figures[goal.figure]

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` has it."""
        goals = [
            {"row": goal.row, "figure": goal.figure, "goal": goal.words, "measured": (figure := self.measured(goal)),
             "met": goal.is_met(figure)}
            for goal in self.goals
        ]  # fmt: skip
        return {
            "event": "case", "case": self.case, "title": self.title, "unit": self.unit, "goals": goals,
            "rows": [row.to_json() for row in self.rows],
        }  # fmt: skip
