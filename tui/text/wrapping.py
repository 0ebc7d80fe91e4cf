"""Line breaks, by width in terminal cells."""

from __future__ import annotations

from collections.abc import Iterator

from tui.text.cells import cell_len
from tui.text.safe import shown_text

OPENING, CLOSING = frozenset("‘“（「『《〈【［｛〔"), frozenset("’”）」』》〉】］｝〕，。、！？；：…·")
_sizes = {chr(code): 1 for code in range(0x20, 0x7F)}


def cells_of(character: str) -> int:
    """The cells of one character as it is shown."""
    size = _sizes.get(character)
    if size is None:
        if len(_sizes) > 50_000:
            _sizes.clear()
        size = _sizes[character] = cell_len(shown_text(character))
    return size


def wrapped(text: str, width: int, start: int = 0) -> Iterator[tuple[int, int]]:
    """The lines of ``text`` from ``start`` on, none wider than ``width`` cells, as offsets (first, end).

    A line breaks after a blank and between wide characters; within a word or a number, between a number and its %,
    after an opening bracket or before a closing one or a Chinese stop, only where no line has room for it. The line
    ends of ``text`` are not part of a line.
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
            if character == " " and following != "%":
                fit = index
            elif size > 1 or not following.isascii():
                fit = fit if following in CLOSING or character in OPENING else index
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
