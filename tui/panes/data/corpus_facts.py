"""The counts of a text, and the size of a batch as one-hot vectors and as ids."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from core.units import bytes_text, counted
from tui.text.cells import cell_len, pad_cells
from tui.text.safe import shown_text
from tui.text.wrapping import wrapped_lines
from tui.themes import QUIET

Line = list[tuple[str, str]]


class CorpusFacts(Vertical):
    """Shows the counts of a text and the size of one batch, as one-hot vectors and as ids."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._facts: dict[str, Any] | None = None

    def compose(self) -> ComposeResult:
        numbers = Static(id="corpus-numbers")
        numbers.tooltip = (
            "entropy: bits of a token by itself; bigram: bits of a token given the one before it. "
            "2 to the power of each is a perplexity on this text."
        )
        yield numbers

    def on_resize(self) -> None:
        self._paint()

    def show(self, facts: dict[str, Any]) -> None:
        """Show the result of ``tui.corpora.statistics.describe``."""
        self._facts = facts
        self._paint()

    def _paint(self) -> None:
        width = self.content_size.width
        if self._facts is not None and width > 0:
            lines = [*counts(self._facts, width), *remarks(self._facts, width)]
            lines += one_hot_lesson(self._facts["one_hot"], width)
            self.query_one(Static).update(Content("\n").join(Content.assemble(*line) for line in lines))


def counts(facts: dict[str, Any], width: int) -> list[Line]:
    """Names and numbers, in as many columns as fit."""
    entropy = facts["entropy_bits"]
    pairs = [
        ("file lines", f"{facts['lines']:,}"),
        ("tokens", f"{facts['tokens']:,}"),
        ("vocabulary", f"{facts['vocabulary']:,}"),
        ("unknown", f"{100 * facts['unknown_share']:.1f} %"),
        ("entropy", f"{entropy['unigram']:.2f} bits"),
        ("bigram", f"{entropy['bigram_conditional']:.2f} bits"),
        ("encoding", shown_text(str(facts["encoding"]))),
        ("sha256", str(facts["sha256"])[:8]),
    ]
    poems = facts.get("poems")
    if poems:
        pairs[3:3] = [
            ("poems", f"{poems['lines']:,}"),
            ("longest", counted(poems["longest"], "token")),
            ("cut", counted(poems["cut"], "poem")),
        ]
    if facts.get("files"):
        pairs.insert(0, ("files", f"{len(facts['files']):,}"))
    columns = max(1, min(4, width // 22))
    cells = width // columns
    lines: list[Line] = []
    for start in range(0, len(pairs), columns):
        line: Line = []
        for name, value in pairs[start : start + columns]:
            line += [(pad_cells(name, 11), QUIET), (pad_cells(value, cells - 11), "")]
        lines.append(line)
    return lines


def remarks(facts: dict[str, Any], width: int) -> list[Line]:
    """How a long text was counted, and what is wrong with the cache, if anything is."""
    words = []
    if size := facts.get("gram_disk_bytes"):
        words.append((f"n-grams counted exactly, on the disk: {bytes_text(size)} at most", QUIET))
    if facts.get("problem"):
        words.append((shown_text(str(facts["problem"])), "$text-warning"))
    return [[(line, style)] for text, style in words for line in wrapped_lines(text, width)]


def first_encoding(facts: dict[str, Any]) -> str:
    """The encoding of a text, of several files that of the first."""
    return str((facts.get("files") or [facts])[0]["encoding"])


def one_hot_lesson(one_hot: dict[str, Any], width: int) -> list[Line]:
    """The shape and the bytes of a batch in both forms, and what one-hot vectors are good for."""
    steps, batch, vocabulary = one_hot["shape"]
    rows = [
        ("one-hot", f"({steps}, {batch}, {vocabulary})", one_hot["bytes"]),
        ("ids", f"({steps}, {batch})", one_hot["ids_bytes"]),
    ]
    shape_cells = max(cell_len(shape) for _, shape, _ in rows)
    room = width - 11 - shape_cells - 12
    lines: list[Line] = [[("", "")]]
    for name, shape, size in rows:
        line: Line = [
            (pad_cells(name, 11), QUIET), (pad_cells(shape, shape_cells), ""), (f" {bytes_text(size):>8} ", "")
        ]  # fmt: skip
        if room >= 8:
            full = room * size / max(1, one_hot["bytes"])
            line.append(("█" * int(full) if full >= 1 else "▏", "$primary 60%"))
        lines.append(line)
    share = f"one of {vocabulary:,} numbers in it is a 1 ({100 * one_hot['density']:.2g} %), "
    lesson = "so one_hot(x) @ W_xh only looks up the row W_xh[x]."
    if cell_len(share + lesson) <= width:
        lines.append([(share + lesson, QUIET)])
    else:
        lines += [
            [(f"1 of {vocabulary:,} is a 1: one_hot(x) @ W_xh", QUIET)],
            [("only looks up the row W_xh[x]", QUIET)],
        ]
    return lines
