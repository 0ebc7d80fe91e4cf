"""What an inspection sends while it works and when it is done; no torch, as in ``answers``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.inspection.answers import InspectionAnswer, read_inspection
from core.record import read_record


@dataclass(frozen=True)
class InspectionProgress:
    """The share of long work that is done, from 0 to 1."""

    share: float

    def to_json(self) -> dict[str, Any]:
        return {"event": "progress", "share": self.share}


@dataclass(frozen=True)
class Inspected:
    """The end of an inspection: its answer, and the seconds that it took from the training."""

    answer: InspectionAnswer
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The event, JSON-able; the answer has a key of its own because a token's id is not the request's."""
        return {"event": "done", "answer": self.answer.to_json(), "seconds": self.seconds}


InspectionEvent = InspectionProgress | Inspected


def read_inspection_event(value: Mapping[str, Any]) -> InspectionEvent:
    """The event in a JSON object. Raises one of ``core.record.MALFORMED``."""
    if value["event"] == "progress":
        return read_record(InspectionProgress, value)
    return Inspected(read_inspection(value["answer"]), float(value.get("seconds", 0.0)))
