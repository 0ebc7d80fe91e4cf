"""Which weights of a run are used, in words."""

from __future__ import annotations

from core.events import State

UNTRAINED = "It diverged: these are its initial weights, which have learned nothing."


def weights_words(state: str, epoch: int, restored: int | None = None) -> str:
    """``live weights, epoch 143`` of a run that trains, ``untrained weights``, ``epoch 250``.

    ``restored``: the epoch to which a run that diverged went back, if it is known.
    """
    if state == State.DIVERGED and restored is None:
        return "diverged: weights of the last checkpoint"
    if state == State.DIVERGED:
        return f"diverged: weights of epoch {restored:,} again" if restored else "diverged: initial weights again"
    if state in (State.TRAINING, State.PAUSED):
        return f"live weights, epoch {epoch:,}"
    return f"epoch {epoch:,}" if epoch else "untrained weights"
