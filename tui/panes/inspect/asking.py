"""Asking the engine of a run to look inside its model."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from core.errors import EngineError
from core.inspection.answers import InspectionAnswer, read_inspection
from core.record import MALFORMED
from tui.services import Engines

UNKNOWN_FORM = "the engine's answer is of an unknown form: it may be of another version"
BESIDE = "beside"
"""The name of the question for the gradients of other weights."""
Progress = Callable[[float], object]


@dataclass(frozen=True)
class Question:
    """A request and the run it goes to. Two equal questions have the same answer.

    Attributes:
        options: the fields of the request and their values; null ones are left out.
        weights: counts how often the weights were looked at anew.
        epoch: the epoch of the weights when it was asked; the same question may be asked at several.
    """

    run: Path
    view: str
    options: tuple[tuple[str, Any], ...] = ()
    weights: int = 0
    epoch: int = field(default=0, compare=False)


async def answer_to(question: Question, engines: Engines, progress: Progress) -> tuple[InspectionAnswer, float]:
    """Ask; ``progress`` gets shares from 0 to 1 while long work is under way. Cancelled, it cancels the work.

    Returns the answer, and the seconds of the engine's time that it took.

    Raises RunError, EngineError.
    """
    client = await engines.client(question.run)
    view = "gradients" if question.view == BESIDE else question.view
    events = client.stream("inspect", view=view, **dict(question.options))
    async with contextlib.aclosing(cast("AsyncGenerator[dict[str, Any], None]", events)):
        async for event in events:
            try:
                if event["event"] == "progress":
                    progress(float(event["share"]))
                elif event["event"] == "done":
                    return read_inspection(event["answer"]), float(event.get("seconds", 0.0))
            except MALFORMED:
                raise EngineError(UNKNOWN_FORM) from None
    raise EngineError(UNKNOWN_FORM)
