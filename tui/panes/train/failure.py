"""The message for a failed run: the reason, what to change, how to continue, and the log. No widgets."""

from __future__ import annotations

from core.events import State
from core.runs.run import Run
from core.settings.setting import shown
from tui.engines.watched_run import WatchedRun
from tui.text.keys import key, keyed
from tui.text.safe import shown_text

# A run continues with its learning rate divided by one of these, by key.
DIVISORS = {"r": 10, "h": 2}
_WORDS = {
    State.FAILED: "The training failed",
    State.DIVERGED: "The training diverged",
    State.INTERRUPTED: "The training was interrupted: {train.train} continues from the last checkpoint.",
}


def failure_words(run: WatchedRun) -> str:
    """The message for a failed, diverged or interrupted run; empty for any other."""
    words = keyed(_WORDS.get(run.state, ""))
    if not words or run.state == State.INTERRUPTED:
        return f"{words} {shown_text(run.message)}".strip() if words else ""
    why = shown_text(run.message).rstrip(".") or "it gave no reason"
    advice = (
        "" if "learning rate" in why or run.state == State.FAILED else " A lower learning rate or clip usually helps."
    )
    log = "" if "engine.log" in why else f" Log: {shown_text(str(Run(run.path).log_path))}"
    same = (
        ""
        if run.state == State.DIVERGED
        else f" {key('train.train')} continues from the last checkpoint with the same settings."
    )
    return f"{words}: {why}.{advice}{same}{log}"


def lower_rates(run: WatchedRun | None) -> dict[str, float]:
    """The learning rates with which a failed or diverged run may continue, by key; none for any other."""
    if run is None or run.state not in (State.FAILED, State.DIVERGED) or not run.learning_rate:
        return {}
    rates = {key: float(f"{run.learning_rate / divisor:.4g}") for key, divisor in DIVISORS.items()}
    return {key: rate for key, rate in rates.items() if rate > 0}


def offer_words(key: str, rate: float) -> str:
    """``r: continue with lr 10``: what a button says."""
    return f"{key}: continue with lr {shown(rate)}"
