"""Asking the engine of a run to look inside its model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.engine.requests import Inspect
from core.errors import EngineError
from core.inspection.answers import InspectionAnswer
from core.inspection.events import InspectionProgress
from tui.services import Engines

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
    async with contextlib.aclosing(client.job(Inspect(view, **dict(question.options)))) as events:
        async for event in events:
            if isinstance(event, InspectionProgress):
                progress(event.share)
            else:
                return event.answer, event.seconds
    raise EngineError("the engine gave no answer")
