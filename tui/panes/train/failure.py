"""A failed run: the reason, what to change, the log, and the buttons that continue it with a lower learning rate."""

from __future__ import annotations

from collections.abc import Mapping

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button

from core.events import NO_CHECKPOINT, State
from core.runs.run import Run
from core.units import rate_text
from tui.engines.watched_run import WatchedRun
from tui.text.keys import key
from tui.text.safe import shown_text

# A run continues with its learning rate divided by one of these, by key.
DIVISORS = {"r": 10, "h": 2}
_WORDS = {
    State.FAILED: "The training failed",
    State.DIVERGED: "The training diverged",
    State.INTERRUPTED: "The training was interrupted",
}


def _is_over(run: WatchedRun) -> bool:
    """Whether nothing can continue the run."""
    return run.message.endswith(NO_CHECKPOINT)


def failure_words(run: WatchedRun, read_only: bool) -> str:
    """The message for a failed, diverged or interrupted run; empty for any other."""
    words, is_over = _WORDS.get(run.state, ""), _is_over(run)
    how = "" if read_only or is_over else f"{key('train.train')} continues from the last checkpoint"
    if not words or run.state == State.INTERRUPTED:
        return f"{words}{how and ': '}{how}. {shown_text(run.message)}".strip() if words else ""
    why = shown_text(run.message).rstrip(".") or "it gave no reason"
    if run.state == State.DIVERGED:
        advice = "" if "learning rate" in why else " A lower learning rate or clip usually helps."
        return f"{words}: {why}.{advice}"
    log = "" if "engine.log" in why or is_over else f" Log: {shown_text(str(Run(run.path).log_path))}"
    return f"{words}: {why}.{how and f' {how} with the same settings.'}{log}"


def lower_rates(run: WatchedRun | None) -> dict[str, float]:
    """The learning rates with which a failed or diverged run may continue, by key; none for any other."""
    if run is None or run.state not in (State.FAILED, State.DIVERGED) or not run.learning_rate or _is_over(run):
        return {}
    rates = {key: float(f"{run.learning_rate / divisor:.4g}") for key, divisor in DIVISORS.items()}
    return {key: rate for key, rate in rates.items() if rate > 0}


class Recovery(Horizontal):
    """The buttons ``#recover-r`` and ``#recover-h``; hidden if no lower learning rate is offered."""

    def on_mount(self) -> None:
        self.display = False

    def compose(self) -> ComposeResult:
        for letter in DIVISORS:
            yield Button("", compact=True, id=f"recover-{letter}", classes="recover",
                         tooltip="Continue from the last good checkpoint with a smaller learning rate")  # fmt: skip

    def show(self, rates: Mapping[str, float]) -> None:
        self.display = bool(rates)
        for letter in DIVISORS:
            button = self.query_one(f"#recover-{letter}", Button)
            button.display = letter in rates
            if letter in rates:
                button.label = Content(f"{letter}: continue with lr {rate_text(rates[letter])}")
                button.refresh(layout=True)
