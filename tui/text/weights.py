"""Which weights of a run are used, in words."""

from __future__ import annotations

from core.events import State


def weights_words(state: str, epoch: int) -> str:
    """``live weights, epoch 143`` of a run that trains, ``untrained weights``, ``epoch 250``."""
    if state in (State.TRAINING, State.PAUSED):
        return f"live weights, epoch {epoch:,}"
    return f"epoch {epoch:,}" if epoch else "untrained weights"
