"""Printing, for all commands: JSON lines, tables, progress lines, and text from outside made harmless."""

from __future__ import annotations

import json
import math
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from core.units import loss_words, perplexity_text

SAVES = Path(__file__).resolve().parents[2] / "saves"
BAR_CELLS = 20
REDRAW_SECONDS = 0.1


def fail(sentence: str, code: int) -> int:
    """Print an error as one line on standard error; return ``code``."""
    print(f"error: {printable(sentence)}", file=sys.stderr)
    return code


def print_remarks(*remarks: str) -> None:
    """Print sentences, each as a line on standard error; nothing for an empty one."""
    for remark in filter(None, remarks):
        print(printable(remark), file=sys.stderr)


def put(value: dict[str, Any]) -> None:
    """Print one JSON object as a line."""
    is_unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    line = json.dumps(value, ensure_ascii=not is_unicode, allow_nan=False)
    print(line.encode("utf-8", "replace").decode(), flush=True)


def tell(as_json: bool, facts: dict[str, Any], sentence: str) -> None:
    """Print what was done as a JSON line, or as a sentence."""
    put(facts) if as_json else print(printable(sentence))


def printable(text: str) -> str:
    """Text from outside on one line, its control characters escaped, so that they have no effect on the terminal."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def safe_text(text: str) -> str:
    """The same with its line ends kept."""
    return "".join(character if character == "\n" else printable(character) for character in text)


def print_table(rows: list[list[str]], right: frozenset[int] = frozenset()) -> None:
    """Print columns side by side, the first row a heading; the columns in ``right`` are right-aligned."""
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        blanks = [" " * (width - cells(text)) for width, text in zip(widths, row, strict=True)]
        parts = [blanks[at] + text if at in right else text + blanks[at] for at, text in enumerate(row)]
        print("  ".join(parts).rstrip())


def cells(text: str) -> int:
    """Columns that ``text`` takes in a terminal: wide characters take two, combining marks none."""
    import unicodedata  # here, since --help and most commands do without

    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


class ProgressLine:
    """One line that is redrawn on a terminal, above which finished lines are printed. Elsewhere it is not drawn."""

    def __init__(self, is_on: bool = True) -> None:
        self.is_on = is_on and sys.stdout.isatty()
        self._drawn = 0.0

    def is_due(self) -> bool:
        """Whether to redraw now: true at most ten times a second."""
        now = time.monotonic()
        if now - self._drawn <= REDRAW_SECONDS:
            return False
        self._drawn = now
        return True

    def draw(self, text: str) -> None:
        """Replace the line by ``text``, cut at the terminal's edge."""
        if self.is_on:
            self._drawn = time.monotonic()
            print("\r\x1b[K" + text[: shutil.get_terminal_size().columns - 1], end="", flush=True)

    def clear(self) -> None:
        if self.is_on:
            print("\r\x1b[K", end="", flush=True)

    def print(self, text: str) -> None:
        """Print ``text`` as a line of its own in place of the progress."""
        print(("\r\x1b[K" if self.is_on else "") + text, flush=True)


def bar(done: int, total: int) -> str:
    """``━━━━────``: the share of ``total`` that is done."""
    filled = min(BAR_CELLS, BAR_CELLS * done // total)
    return "━" * filled + "─" * (BAR_CELLS - filled)


def perplexity_figure(perplexity: float, loss: float | None = None) -> str:
    """``86.31``; an exploded one in scientific notation, or with its loss if it is beyond floating point."""
    if perplexity < 1e6:
        return f"{perplexity:.2f}"
    words = f" ({loss_words(loss)})" if math.isinf(perplexity) and loss is not None else ""
    return perplexity_text(perplexity) + words


def saves_flag(saves: Path) -> str:
    """The flag with which a command finds the runs in ``saves``; empty for the default folder."""
    return f" --saves {shlex.quote(str(saves))}" if saves.resolve() != SAVES.resolve() else ""
