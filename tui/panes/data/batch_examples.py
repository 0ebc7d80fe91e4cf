"""Example batches as text: Y is X shifted by one token."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from core.settings.run_config import END, PADDING, START
from tui.text.cells import cell_len, clip_cells, pad_cells
from tui.text.safe import shown_text, token_name
from tui.text.wrapping import wrapped_lines
from tui.themes import QUIET

JOINT = "bold $primary"
WORDS = {
    "sequential": "each row continues where it ended in the previous batch: the last Y is the next X",
    "random": "each row starts at a random position: no row continues another",
    "lines": "each row is one line of the text: ▸ start, ◂ end, · padding, which has no loss",
}
# The reserved tokens as signs of one cell, with their styles.
SIGNS = {START: ("▸", "bold $primary"), END: ("◂", "bold $primary"), PADDING: ("·", QUIET)}
LONGEST_TOKEN = 16
Part = tuple[str, str]


class BatchExamples(VerticalScroll):
    """Shows the first batches of both samplings."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._facts: dict[str, Any] | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="batch-text")

    def on_resize(self) -> None:
        self._paint()

    def show(self, facts: dict[str, Any]) -> None:
        """Show the result of ``tui.corpora.statistics.describe``."""
        self._facts = facts
        self._paint()

    def _paint(self) -> None:
        width = self.content_size.width - self.scrollbar_size_vertical
        if self._facts is not None and width > 0:
            lines = batch_lines(self._facts["examples"], str(self._facts["token_kind"]), width)
            self.query_one(Static).update(Content("\n").join(lines))


def batch_lines(examples: dict[str, Any], kind: str, width: int) -> list[Content]:
    """Both samplings, or the poems, as lines no wider than ``width``."""
    if examples["reason"]:
        return [Content.styled(line, "$text-warning") for line in wrapped_lines(shown_text(examples["reason"]), width)]
    lines: list[Content] = []
    for sampling, words in WORDS.items():
        if sampling not in examples:
            continue
        batches = examples[sampling]
        head = f" · {examples['batches']:,} {'batch' if examples['batches'] == 1 else 'batches'} an epoch"
        lines.append(Content.assemble((sampling, "bold"), (head, QUIET)))
        lines += [Content.styled(part, QUIET) for part in wrapped_lines(words, width)]
        for row in range(len(batches[0]["X"]) if batches else 0):
            for number, batch in enumerate(batches, 1):
                if row >= len(batch["X"]):
                    continue  # the last batch of poems may have fewer
                label = f"row {row + 1} " if number == 1 else "      "
                follows = sampling == "sequential" and number > 1
                leads = sampling == "sequential" and number < len(batches)
                lines += _pair(
                    label + f"batch {number} ", batch["X"][row], batch["Y"][row], kind, width, follows, leads
                )
            lines.append(Content(""))
    return lines[:-1]


def _pair(
    label: str, inputs: list[str], targets: list[str], kind: str, width: int, follows: bool, leads: bool
) -> list[Content]:
    """X above Y, token above token. Where batches join, the first token of X or the last of Y is marked."""
    x_names, y_names = ([_name(token, kind) for token in row] for row in (inputs, targets))
    gap = 1 if kind == "word" else 0
    cells = [max(cell_len(x), cell_len(y)) + gap for x, y in zip(x_names, y_names, strict=True)]
    if not gap and cells:
        # Characters have columns of one width, so that padding does not shift them.
        cells = [max(cells)] * len(cells)
    shown = _fitting(cells, width - cell_len(label) - 2)
    x_line: list[Part] = [(label, QUIET), ("X ", QUIET)]
    y_line: list[Part] = [(" " * cell_len(label), ""), ("Y ", QUIET)]
    for place in shown:
        if place is None:
            x_line.append((" … ", QUIET))
            y_line.append((" … ", QUIET))
            continue
        x_style = JOINT if follows and place == 0 else _style(inputs[place], kind)
        y_style = JOINT if leads and place == len(cells) - 1 else _style(targets[place], kind)
        x_line.append((pad_cells(x_names[place], cells[place]), x_style))
        y_line.append((pad_cells(y_names[place], cells[place]), y_style))
    return [Content.assemble(*x_line), Content.assemble(*y_line)]


def _name(token: str, kind: str) -> str:
    return SIGNS[token][0] if kind == "char" and token in SIGNS else clip_cells(token_name(token), LONGEST_TOKEN)


def _style(token: str, kind: str) -> str:
    return SIGNS[token][1] if kind == "char" and token in SIGNS else ""


def _fitting(cells: list[int], room: int) -> list[int | None]:
    """The places shown: all of them, or the beginning and the end with None for what is left out between them."""
    if sum(cells) <= room:
        return list(range(len(cells)))
    tail: list[int | None] = []
    end, used = len(cells), 3
    while end > 0 and used + cells[end - 1] <= max(room // 3, min(room, 3 + cells[-1])):
        end -= 1
        used += cells[end]
        tail.insert(0, end)
    head: list[int | None] = []
    for place in range(end):
        if used + cells[place] > room:
            break
        used += cells[place]
        head.append(place)
    return [*head, None, *tail]
