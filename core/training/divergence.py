"""When a training has diverged, and the messages about it."""

from __future__ import annotations

import math

from core.events import EpochFinished, perplexity
from core.settings.setting import shown
from core.units import loss_text

# Uniform guessing has a loss of log(vocabulary); a training that explodes has several times that.
TIMES_UNIFORM = 3.0
# Epochs in a row with such a loss after which a training has diverged. A single one may be a spike.
PATIENCE = 3
WHAT_HELPS = "a lower learning rate or a tighter clip usually helps"


def is_exploding(loss: float, vocabulary_size: int) -> bool:
    """Whether ``loss``, in nats, is much worse than guessing among all tokens would be."""
    return vocabulary_size > 1 and loss > TIMES_UNIFORM * math.log(vocabulary_size)


def ceiling_of(figure: str, vocabulary_size: int) -> float:
    """The largest value of a figure of the loss, by its name in the journal, that is not ``is_exploding``.

    Infinite for other figures, and for a vocabulary that is not known.
    """
    nats = TIMES_UNIFORM * math.log(vocabulary_size) if vocabulary_size > 1 else math.inf
    ceilings = {"perplexity": perplexity(nats), "loss": nats, "bits": nats / math.log(2)}
    return ceilings.get(figure.removeprefix("validation_"), math.inf)


def explosion_words(event: EpochFinished, rate: float, vocabulary_size: int) -> str:
    """The message about the first epoch that explodes; ``rate``: the learning rate that was set."""
    now = "" if event.learning_rate == rate else f" ({event.learning_rate:.4g} by the schedule)"
    return (
        f"epoch {event.epoch:,} had {_beside(event.loss, vocabulary_size)}: the learning rate, "
        f"{shown(rate)}{now}, is probably too high, and a lower one or a tighter clip usually helps"
    )


def exploded_words(event: EpochFinished, epochs: int, vocabulary_size: int) -> str:
    """Why a training whose last ``epochs`` exploded has diverged, although its numbers are finite."""
    since = f"in epochs {event.epoch - epochs + 1:,} to {event.epoch:,}" if epochs > 1 else f"in epoch {event.epoch:,}"
    return f"the loss exploded {since}, the last had {_beside(event.loss, vocabulary_size)}: {WHAT_HELPS}"


def infinite_words(step: int, batch: int, epoch: int) -> str:
    """Why a training whose numbers became non-finite has diverged."""
    return (
        f"the loss, its gradient or the weights became non-finite at step {step:,} (batch {batch:,} of epoch "
        f"{epoch:,}): {WHAT_HELPS}"
    )


def _beside(loss: float, vocabulary_size: int) -> str:
    return (
        f"a loss of {loss_text(loss)} nats, where guessing among all {vocabulary_size:,} tokens has "
        f"{math.log(vocabulary_size):.1f}"
    )
