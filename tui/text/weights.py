"""Which weights of a run are used, in words."""

from __future__ import annotations

from core.events import State
from core.runs.summary import weights_of

UNTRAINED = "It diverged: these are its initial weights, which have learned nothing."


def weights_words(
    state: str, epoch: int, restored: int | None = None, from_best: int | None = None, is_lost: bool = False
) -> str:
    """``live weights, epoch 143`` of a run that trains, ``untrained weights``, ``epoch 250``.

    ``restored``: the epoch to which a run that diverged went back, if it is known. ``from_best``: that of the best
    checkpoint, where the latest one is damaged. ``is_lost``: no checkpoint can be read.
    """
    if is_lost:
        return "no weights"
    if state == State.DIVERGED:
        known = "weights of the last checkpoint" if restored is None else f"{weights_of(restored)} again"
        return f"diverged: {known}"
    if state in (State.TRAINING, State.PAUSED):
        return f"live weights, epoch {epoch:,}"
    if from_best is not None:
        return f"epoch {from_best:,}, of the best checkpoint"
    return f"epoch {epoch:,}" if epoch else "untrained weights"
