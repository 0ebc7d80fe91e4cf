"""What the command line shows a person: a progress bar, tables and words; and its JSON twin."""

from __future__ import annotations

import shutil
import sys
import time
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cli import printable, put
from core.config import shown
from core.events import EpochFinished, Event, Note, SampleWritten, SettingChanged, State, StateChanged, StepFinished
from core.presets import Preset
from core.runs.run import RunSummary

if TYPE_CHECKING:
    from core.engine.session import Session


def cells(text: str) -> int:
    """Columns that ``text`` takes in a terminal: wide characters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def padded(text: str, width: int) -> str:
    """``text`` with blanks behind it up to ``width`` columns."""
    return text + " " * max(0, width - cells(text))


def print_table(rows: list[list[str]], right: frozenset[int] = frozenset()) -> None:
    """Columns side by side, the first row a heading; ``right`` names the columns that are set flush right."""
    widths = [max(cells(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        parts = []
        for column, text in enumerate(row):
            blanks = " " * (widths[column] - cells(text))
            parts.append(blanks + text if column in right else text + blanks)
        print("  ".join(parts).rstrip())


def bytes_text(size: float) -> str:
    """1,234,567 as 1.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")


def duration_text(seconds: float) -> str:
    """4321 as 1:12:01."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class TrainingReport:
    """Shows a training as it goes: JSON lines, a bar redrawn on a terminal, or now and then a line in a file."""

    def __init__(self, session: Session, as_json: bool) -> None:
        self._session = session
        self._as_json = as_json
        self._is_terminal = sys.stdout.isatty() and not as_json
        self._drawn = 0.0
        self._last: EpochFinished | None = None
        self._milestone = 0

    def begin(self) -> None:
        """Say what is about to be trained."""
        facts = self._session.describe()
        if self._as_json:
            put({"event": "run", **{key: facts[key] for key in ("name", "run", "parameters", "vocabulary", "device")}})
            return
        config, corpus = facts["config"], facts["corpus"]
        print(
            f"{printable(facts['name'])}: {config['implementation']} {config['cell']}, {config['num_hiddens']} hidden, "
            f"{shown(facts['parameters'])} parameters, on {facts['device']}; {printable(corpus['name'])}: "
            f"{shown(corpus['tokens'])} tokens, vocabulary {shown(corpus['vocabulary'])}, "
            f"{shown(facts['batches_per_epoch'])} batches an epoch"
        )

    def show(self, event: Event) -> None:
        """Show one event."""
        if self._as_json:
            put(event.to_json())
        elif isinstance(event, EpochFinished):
            self._last = event
            self._show_epoch(event)
        elif isinstance(event, StepFinished):
            self._draw(
                f"epoch {event.epoch} · batch {event.batch}/{event.num_batches} · perplexity {event.perplexity:.2f}"
            )
        elif isinstance(event, SampleWritten):
            self._line(f"  epoch {event.epoch:>5}  {printable(event.prefix + event.text)}")
        elif isinstance(event, (Note, SettingChanged)):
            self._line(event.text if isinstance(event, Note) else f"{event.name} is {event.value:g} from now on")
        elif isinstance(event, StateChanged) and event.message:
            self._line(event.message)

    def _show_epoch(self, event: EpochFinished) -> None:
        total = self._session.describe()["num_epochs"] if not self._is_terminal else self._num_epochs()
        if self._is_terminal:
            if time.monotonic() - self._drawn > 0.1 or event.epoch == total:
                left = (total - event.epoch) * event.seconds
                filled = min(20, 20 * event.epoch // total)
                bar = "━" * filled + "─" * (20 - filled)
                self._draw(f"epoch {event.epoch:>5}/{total} {bar} {_figures(event)} · {duration_text(left)} left")
        elif event.epoch * 10 // total > self._milestone or event.epoch == total:
            self._milestone = event.epoch * 10 // total
            print(f"epoch {event.epoch:>5}/{total}  {_figures(event)}", flush=True)

    def _num_epochs(self) -> int:
        trainer = self._session.trainer
        return trainer.num_epochs if trainer is not None else 1

    def _draw(self, text: str) -> None:
        if self._is_terminal:
            self._drawn = time.monotonic()
            print("\r\x1b[K" + text[: shutil.get_terminal_size().columns - 1], end="", flush=True)

    def _line(self, text: str) -> None:
        print(("\r\x1b[K" if self._is_terminal else "") + text, flush=True)

    def end(self) -> None:
        """Say how it ended, and what can be done next."""
        if self._as_json:
            return
        name, state = printable(self._session.run.name), self._session.state
        if self._last is not None:
            self._line(f"epoch {self._last.epoch}: {_figures(self._last)}")
        self._line(f"{name} is {state} and saved in {printable(str(self._session.run.path))}")
        if state == State.STOPPED:
            print(f"python -m core resume {name} goes on")
        else:
            print(f"python -m core generate {name} --prefix TEXT lets it write")


def _figures(event: EpochFinished) -> str:
    held_out = event.validation_perplexity
    beside = f" · held out {held_out:.2f}" if held_out is not None else ""
    return f"perplexity {event.perplexity:8.2f}{beside} · {event.tokens_per_second:,.0f} tokens/s"


class GenerationReport:
    """Shows a text as it is written: piece by piece, or as JSON events."""

    def __init__(self, prefix: str, as_json: bool) -> None:
        self._as_json = as_json
        self._text = prefix
        self._unknown: list[str] = []
        if not as_json:
            print(safe_text(prefix), end="", flush=True)

    def unknown(self, tokens: list[str]) -> None:
        """Name what of the prefix is outside the vocabulary."""
        self._unknown = tokens
        if tokens and not self._as_json:
            names = ", ".join(printable(token) for token in tokens[:10])
            print(f"not in the vocabulary, read as <unk>: {names}", file=sys.stderr)

    def piece(self, text: str) -> None:
        """Show what has just been written."""
        self._text += text
        if self._as_json:
            put({"event": "text", "text": text})
        else:
            print(safe_text(text), end="", flush=True)

    def end(self) -> None:
        """Show the end."""
        if self._as_json:
            put({"event": "done", "text": self._text, "unknown": self._unknown})
        else:
            print()


def safe_text(text: str) -> str:
    """Text from outside with its line ends, but without the control characters that a terminal obeys."""
    return "".join(character if character == "\n" else printable(character) for character in text)


def print_statistics(facts: dict[str, Any]) -> None:
    """The dictionary of ``core.corpus.statistics.describe``, in words."""
    print(
        f"{printable(str(facts['name']))}: {shown(facts['bytes'])} bytes, {facts['encoding']}, sha256 {facts['sha256']}"
    )
    print(
        f"{shown(facts['lines'])} lines, {shown(facts['tokens'])} tokens, "
        f"vocabulary {shown(facts['vocabulary'])} with the unknown token"
    )
    one_hot = facts["one_hot"]
    print(
        f"a one-hot batch is {tuple(one_hot['shape'])}: {bytes_text(one_hot['bytes'])} of which a share of "
        f"{one_hot['density']:.4%} is not zero; the ids are {bytes_text(one_hot['ids_bytes'])}"
    )
    for order, heading in (("1", "tokens"), ("2", "bigrams"), ("3", "trigrams")):
        print(f"\nmost frequent {heading}")
        rows = []
        for gram, count in facts["top"].get(order, []):
            name = gram if isinstance(gram, str) else " ".join(gram)
            rows.append([f"  {printable(name) if name.strip() else repr(name)}", shown(count)])
        if rows:
            print_table(rows, right=frozenset({1}))


def print_runs(summaries: Iterable[RunSummary], saves: Path) -> None:
    """The list of runs as a table."""
    rows = [["name", "state", "epoch", "perplexity", "model", "corpus", "parameters", "size", "created"]]
    for run in summaries:
        if run.problem:
            rows.append([printable(run.name), "damaged", "", "", "", "", "", bytes_text(run.bytes), ""])
            continue
        figure = "" if run.perplexity is None else f"{run.perplexity:.2f}"
        if run.validation_perplexity is not None:
            figure += f" (held out {run.validation_perplexity:.2f})"
        rows.append(
            [
                printable(run.name), run.state, f"{run.epoch}/{run.num_epochs}", figure, run.model,
                printable(run.corpus), shown(run.parameters), bytes_text(run.bytes), run.created[:16].replace("T", " "),
            ]
        )  # fmt: skip
    if len(rows) == 1:
        print(f"no runs in {printable(str(saves))} yet: python -m core train makes one")
        return
    print_table(rows, right=frozenset({2, 3, 6, 7}))
    for run in summaries:
        if run.problem:
            print(f"{printable(run.name)}: {printable(run.problem)}")


def print_presets(presets: Iterable[Preset]) -> None:
    """The presets with source, figures and notes."""
    for preset in presets:
        print(f"{preset.name}: {preset.title}")
        if preset.published:
            figures = ", ".join(f"{value:g} at {epoch}" for epoch, value in preset.published.items())
            print(f"  published training perplexity ({preset.source}): {figures}")
        if preset.note:
            print(f"  {preset.note}")
