"""The numbers of a run in words, with their text and unit, and what they mean. No widgets."""

from __future__ import annotations

import math

from core.events import State
from core.settings.run_config import RunConfig
from core.training.divergence import is_exploding
from core.units import counted, loss_text, loss_words, perplexity_text
from tui.engines.watched_run import WatchedRun
from tui.text.safe import shown_text

BIDIRECTIONAL = (
    "it reads both ways and sees the token that it predicts: its perplexity is not that of a language model, and it "
    "cannot generate"
)
# Memorised: the training perplexity is below the first, the held-out one at least the second times as high (two bits).
BY_HEART = 2.0
FAR_ABOVE = 4.0


def bits(perplexity: float | None) -> float | None:
    """Bits per token: the binary logarithm of a finite perplexity."""
    if perplexity is None or not 0 < perplexity < math.inf:
        return None
    return math.log2(perplexity)


def figure_words(run: WatchedRun, short: bool = False) -> list[str]:
    """``training   2.310 perplexity   1.21 bits/token``, and the same for the held-out text if there is one."""
    if run.perplexity is None:
        return []
    if run.validation_perplexity is None:
        return [_figures("training", run.perplexity, run.loss, short)]
    best = f"  best {perplexity_text(run.best[1])} at epoch {run.best[0]:,}" if run.best is not None else ""
    held_out = _figures("held out", run.validation_perplexity, run.validation_loss, short) + best
    return [_figures("training", run.perplexity, run.loss, short), held_out]


def _figures(name: str, perplexity: float, loss: float | None, short: bool) -> str:
    units = ("ppl", "bits") if short else ("perplexity", "bits/token")
    first = f"{name:<8} {perplexity_text(perplexity):>7} {units[0]}"
    if math.isinf(perplexity) and loss is not None:
        return f"{first}  {loss_words(loss)}"
    found = bits(perplexity)
    words = "–" if found is None else f"{found:.2f}"
    return f"{first}  {words:>5} {units[1]}"


def interpretation_words(run: WatchedRun) -> list[tuple[str, bool]]:
    """Sentences about the run, each with whether it is a warning."""
    config = run.config
    if config is not None and config.bidirectional:
        return [(f"bidirectional: {BIDIRECTIONAL}", True)]
    warnings = [(words, True) for words in (exploding_words(run), memorised_words(run)) if words]
    patience = patience_words(run)
    return [*warnings, (patience, False)] if patience else warnings


def exploding_words(run: WatchedRun) -> str:
    """A loss far above that of guessing, unless the run has already been stopped as diverged."""
    loss, size = run.loss, run.vocabulary
    if loss is None or not size or run.state == State.DIVERGED or not is_exploding(loss, size):
        return ""
    return (
        f"exploding: the loss is {loss_text(loss)} nats, guessing among {size:,} tokens has "
        f"{math.log(size):.1f}; a lower learning rate or a tighter clip usually helps"
    )


def memorised_words(run: WatchedRun) -> str:
    """The training text is known by heart, and the held-out text is not."""
    training, held_out = run.perplexity, run.validation_perplexity
    if training is None or held_out is None or not (training < BY_HEART and held_out >= FAR_ABOVE * training):
        return ""
    better = "no better" if run.best is not None and held_out > run.best[1] else "far less well"
    known, other = _short(training), _short(held_out)
    return f"memorised: it knows the training text by heart ({known}), the held-out text {better} ({other})"


def _short(perplexity: float) -> str:
    return f"{perplexity:.1f}" if perplexity < 10 else f"{perplexity:.0f}" if perplexity < 1000 else \
        perplexity_text(perplexity)  # fmt: skip


def patience_words(run: WatchedRun) -> str:
    """When training ends early, or that it did."""
    patience = run.config.patience if run.config is not None else 0
    since = run.epochs_since_best
    if run.state == State.FINISHED and run.message:
        return shown_text(run.message)
    if not patience or since is None or run.state not in (State.TRAINING, State.PAUSED):
        return ""
    epochs = counted(patience, "epoch")
    return f"stops early after {epochs} without a better held-out perplexity; {since:,} so far"


def nothing_written_words(config: RunConfig | None) -> str:
    """The sentence shown if there are no samples."""
    if config is not None and config.bidirectional:
        return "No samples: a bidirectional model cannot generate, since it needs the next token."
    if config is not None and not config.sample_every:
        return "No samples: sample every is 0."
    return "Every few epochs the model writes a line here."
