"""What the number under the pointer means: the words of the glossary beside it, or above it in a table."""

from __future__ import annotations

import re
from collections.abc import Iterator

from textual.errors import NoWidget
from textual.geometry import Offset
from textual.screen import Screen

from tui.dialogs.glossary import ALIASES, WORDS
from tui.dialogs.help import Section
from tui.text.safe import shown_text

NEAR = 12
"""Cells between a number and the heading of its column, at most."""


def pointed(screen: Screen[object], at: Offset) -> tuple[Section, ...]:
    """The line at a place of the screen, and the words in it; empty if there are none."""
    try:
        widget, _ = screen.get_widget_at(at.x, at.y)
    except NoWidget:
        return ()
    region = widget.content_region
    row, column = at.y - region.y, at.x - region.x
    if 0 <= row < region.height:
        line = widget.render_line(row).text
        found = list(_words(line, column))
        if not found and row > 0 and any(sign.isdigit() for sign in line[max(0, column - 3) : column + 4]):
            # A table: the heading says it.
            found = [one for one in sorted(_words(widget.render_line(0).text, column))[:1] if one[0] <= NEAR]
    else:
        line = f"{widget.border_title or ''}  {widget.border_subtitle or ''}"
        found = list(_words(line, column))
    lines = tuple((word, meaning) for _, word, meaning in sorted(found))
    title = " ".join(shown_text(line).strip(" │┃").split())
    return ((title or "This number", lines),) if lines else ()


def _words(line: str, column: int) -> Iterator[tuple[int, str, str]]:
    """The words of the glossary in a line: how many cells from ``column``, the word, its meaning."""
    for word, meaning in WORDS:
        spellings = "|".join(map(re.escape, (word, *ALIASES.get(word, ()))))
        spans = [match.span() for match in re.finditer(rf"(?<!\w)(?:{spellings})(?!\w)", line, re.IGNORECASE)]
        if spans:
            yield min(max(start - column, column - end, 0) for start, end in spans), word, meaning
