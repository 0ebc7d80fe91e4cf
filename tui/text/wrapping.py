"""Line breaks, by width in terminal cells."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from tui.text.cells import cell_len
from tui.text.safe import shown_text

DASHES = "—…"
OPENING, CLOSING = frozenset("‘“（「『《〈【［｛〔([{"), frozenset("’”）」』》〉】］｝〕)]}，。、！？；：…,.!?;:")
_sizes = {chr(code): 1 for code in range(0x20, 0x7F)}


def cells_of(character: str) -> int:
    """The cells of one character as it is shown."""
    size = _sizes.get(character)
    if size is None:
        if len(_sizes) > 50_000:
            _sizes.clear()
        size = _sizes[character] = cell_len(shown_text(character))
    return size


def may_break(before: str, after: str) -> bool:
    """Whether a line may break between two characters, no blanks: if one is wide and they do not belong together.

    A bracket, a quotation mark and a stop belong to their text, an accent to its letter, two dashes to each other.
    """
    if before in OPENING or after in CLOSING or (before == after and before in DASHES) or unicodedata.combining(after):
        return False
    return max(cells_of(before), cells_of(after)) > 1


def wrapped(text: str, width: int, start: int = 0) -> Iterator[tuple[int, int]]:
    """The lines of ``text`` from ``start`` on, none wider than ``width`` cells, as offsets (first, end).

    A line breaks after a blank and beside wide characters. Only where no line has room for it, a line breaks within a
    word or a number, between a number and its %, between a wide character and the bracket, quotation mark or stop that
    belongs to it. The line ends of ``text`` are not part of a line.
    """
    length, known = len(text), _sizes
    while start < length:
        cells, index, fit = 0, start, start
        while index < length:
            character = text[index]
            if character == "\n":
                break
            size = known.get(character) or cells_of(character)
            if cells + size > width and index > start:
                break
            cells += size
            index += 1
            following = text[index : index + 1]
            is_wide = following and (size > 1 or not following.isascii())  # perhaps: most text is decided here
            if (character == " " and following != "%") or (is_wide and may_break(character, following)):
                fit = index
        if index >= length or text[index] == "\n":
            yield start, index
            start = index + 1
        else:
            end = fit if fit > start else index
            yield start, end
            # A blank at the break is not part of a line.
            start = end + 1 if text[end] == " " and end == index else end
    if length and text[-1] == "\n":
        yield length, length


def wrapped_lines(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` cells, without the blanks at their ends; at least one line."""
    return [text[first:end].rstrip(" ") for first, end in wrapped(text, width)] or [""]


def clipped_lines(text: str, width: int, most: int, ellipsis: str = "…") -> list[str]:
    """At most so many of the lines of ``text``: where more follow, the last one ends at a word with ``ellipsis``."""
    lines = wrapped_lines(text, width)
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], wrapped_lines(lines[most - 1], max(1, width - cell_len(ellipsis)))[0] + ellipsis]
