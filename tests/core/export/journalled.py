"""Epochs and samples as a journal has them."""

from __future__ import annotations

import math
from collections.abc import Callable

from core.events import EpochFinished, SampleWritten
from core.runs.run import Run

MakeRun = Callable[..., Run]


def epoch(number: int, **changes: float | None) -> EpochFinished:
    """An epoch of 8 batches; its loss falls."""
    loss = 6.0 / number
    figures = {
        "perplexity": math.exp(loss), "validation_perplexity": None, "loss": loss, "gradient_norm": 0.1 * number,
        "learning_rate": 0.5, "tokens_per_second": 1000.0 + number, "seconds": 0.25,
    }  # fmt: skip
    return EpochFinished(epoch=number, step=8 * number, **{**figures, **changes})  # type: ignore[arg-type]


EPOCHS = (
    epoch(1),
    SampleWritten(1, "月", "亮\nab"),
    epoch(2, validation_perplexity=math.exp(4.0), validation_loss=4.0),
    epoch(3, perplexity=math.inf, loss=800.0),
)
