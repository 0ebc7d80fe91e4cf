"""The state of a run in one line, in widths that do not jump."""

from __future__ import annotations

import math

from core.events import State
from core.units import clock_text, count_text, epochs_text, loss_text, perplexity_text
from tui.engines.watched_run import WatchedRun
from tui.text.cells import cell_len, clip_cells, clipped_middle
from tui.text.safe import shown_text

BETWEEN = " · "
SHORTEST_NAME = 30  # cells, to which a longer one is cut; more where the line is long
SLOW_EPOCH = 2.0  # seconds: what is within shorter ones would only flicker


def status_words(run: WatchedRun, width: int) -> tuple[str, str]:
    """``lyrics-0007 · training · epoch 143/250 · ppl 2.310 · 71.0 k tokens/s · ETA 0:14``, in ``width`` cells.

    What matters least is left out first where the room is short; it is the second text.
    """
    pieces, left_out = status_pieces(run, max(SHORTEST_NAME, width // 3)), []
    while len(pieces) > 1 and cell_len(BETWEEN.join(words for _, words in pieces)) > width:
        left_out.append(max(pieces, key=lambda piece: piece[0]))
        pieces.remove(left_out[-1])
    return clip_cells(BETWEEN.join(words for _, words in pieces), width), BETWEEN.join(words for _, words in left_out)


def status_pieces(run: WatchedRun, most: int) -> list[tuple[int, str]]:
    """The pieces of the line, the name in ``most`` cells, each with a rank: the highest is the least important."""
    pieces = [(3, clipped_middle(shown_text(run.name), most)), (1, run.state)]
    if run.state == State.TRAINING and run.message:
        pieces.append((2, shown_text(run.message)))
    total = f"/{run.num_epochs:,}" if run.num_epochs and not run.is_fitting else ""
    epoch = f"{run.epoch:>{max(1, len(total) - 1)},}{total}"
    long_epochs = not run.epochs or run.epochs[-1].seconds > SLOW_EPOCH
    if run.step is not None and run.step.epoch > run.epoch and (long_epochs or run.state == State.PAUSED):
        total = f"{run.step.num_batches:,}"
        pieces.append((6, f"batch {run.step.batch:>{len(total)},}/{total}"))
    pieces.insert(2, (0, f"epoch {epoch}"))
    if run.from_best is not None and run.state not in _MOVING:
        pieces.append((2, f"weights of epoch {run.from_best:,}"))
    if run.perplexity is not None:
        pieces.append((0, f"ppl {perplexity_text(run.perplexity):<5}".rstrip() if run.state not in _MOVING else
                       f"ppl {perplexity_text(run.perplexity):<5}"))  # fmt: skip
    if run.perplexity == math.inf and run.loss is not None:
        pieces.append((7, f"loss {loss_text(run.loss)} nats"))
    if run.validation_perplexity is not None:
        pieces.append((2, f"held out {perplexity_text(run.validation_perplexity):<5}"))
    if run.state == State.TRAINING and run.tokens_per_second is not None:
        pieces.append((5, f"{count_text(round(run.tokens_per_second)):>6} tokens/s"))
    if run.state == State.TRAINING and run.is_fitting:
        pieces.append((4, f"fitting the epochs to {run.minutes:g} min"))
    elif run.state == State.TRAINING and run.seconds_left is not None:
        budget = f" left of {run.minutes:g} min" if run.minutes is not None else ""
        pieces.append((4, f"{'' if budget else 'ETA '}{clock_text(run.seconds_left)}{budget}"))
    if run.fit is not None and run.state in _MOVING:
        pieces.append((8, f"fitted to {epochs_text(run.fit.end)} epochs"))
    return pieces


_MOVING = (State.TRAINING, State.PAUSED)


def model_words(run: WatchedRun) -> list[str]:
    """``scratch rnn 256`` and ``590 k parameters``: what the run is, as far as it is known."""
    if run.config is None:
        return []
    return [run.config.model_name, f"{count_text(run.parameters)} parameters" if run.parameters else ""]
