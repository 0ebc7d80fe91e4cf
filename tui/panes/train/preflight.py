"""The estimates before a training starts, as a few short lines."""

from __future__ import annotations

from core.runs.pace import Pace
from core.training.preflight import Preflight
from core.units import bytes_text, count_text, counted
from tui.panes.train.status_line import clock_text
from tui.text.safe import shown_text

CUT = "of a longer text; max tokens 0 uses all"


def preflight_lines(facts: Preflight, pace: Pace | None = None, brief: bool = False) -> list[str]:
    """A few short lines for the foot of the form; ``brief`` where the screen is low."""
    text = facts.text
    lines = [f"{'first ' if facts.cut else ''}{counted(text.tokens, 'token')} · vocabulary {text.vocabulary:,}"]
    lines += [CUT] if facts.cut else []
    if text.lines is not None and not brief:
        lines.append(f"{counted(text.lines, 'line')}, the longest of {counted(text.longest, 'token')}")
    if facts.problem:
        return lines
    batches = "1 batch" if facts.batches == 1 else f"{count_text(facts.batches)} batches"
    memory, parameters = facts.memory, f"{count_text(facts.parameters)} parameters"
    lines.append(f"{batches} an epoch · {parameters}")
    lines.append(f"memory about {bytes_text(memory.total)}" + ("" if brief else ":"))
    if not brief:
        lines.append(f"weights and gradients {bytes_text(memory.weights + memory.gradients)}")
        lines.append(f"optimiser {bytes_text(memory.optimiser)}, activations {bytes_text(memory.activations)}")
    if pace is not None:
        seconds = facts.tokens_per_epoch / pace.tokens_per_second
        lines.append(f"about {seconds_text(seconds)} an epoch, {_length(facts, seconds)}")
        if not brief:
            lines.append(f"as measured in {shown_text(pace.run)}")
    return lines


def _length(facts: Preflight, seconds: float) -> str:
    """How long training takes, or with a time budget how many epochs of ``seconds`` it has."""
    if facts.minutes:
        return f"{facts.minutes * 60 / seconds:.3g} in {facts.minutes:g} min"
    return f"{clock_text(seconds * facts.num_epochs)} in all"


def seconds_text(seconds: float) -> str:
    """``0.13 s``, ``12 s``, ``3:05``."""
    return clock_text(seconds) if seconds >= 100 else f"{seconds:.2g} s"
