"""Perplexity and bits per token on both texts, and what they mean: a few lines below the curve."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from tui.engines.watched_run import WatchedRun
from tui.panes.train.interpretation import figure_words, interpretation_words
from tui.shell.breakpoints import is_short
from tui.text.cells import cell_len
from tui.text.wrapping import wrapped_lines
from tui.themes import QUIET

WARNING = "$text-warning"
MOST_LINES = 4  # on a short screen, where the curve needs the room
Line = tuple[str, str]


class Figures(Widget):
    """As high as it has lines; not there while a run has no numbers."""

    lines: reactive[tuple[Line, ...]] = reactive(())

    def on_mount(self) -> None:
        self.display = False

    def show(self, run: WatchedRun | None) -> None:
        """Say what the numbers of ``run`` are."""
        width = self.parent.content_size.width - 2 if isinstance(self.parent, Widget) else 0
        lines = tuple(lines_of(run, max(20, width))) if run is not None else ()
        if is_short(self):
            lines = lines[:MOST_LINES]
        if len(lines) != len(self.lines) or self.display != bool(lines):
            self.styles.height = len(lines)
            self.display = bool(lines)
        self.lines = lines

    def render(self) -> Content:
        return Content("\n").join(Content.styled(words, style) for words, style in self.lines)


def lines_of(run: WatchedRun, width: int) -> list[Line]:
    """The lines, none wider than ``width``."""
    words = figure_words(run)
    if any(cell_len(line) > width for line in words):
        words = figure_words(run, short=True)
    lines = [(wrapped_lines(line, width)[0], "") for line in words]
    for sentence, warns in interpretation_words(run):
        lines += [(line, WARNING if warns else QUIET) for line in wrapped_lines(sentence, width)]
    return lines
