"""Text in terminal cells: measured, clipped and padded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from rich.cells import cell_len

__all__ = ["cell_len", "clip_cells", "clipped_middle", "distinct_labels", "pad_cells"]


def clip_cells(text: str, cells: int, ellipsis: str = "…") -> str:
    """``text`` in at most ``cells`` cells, the cut marked by ``ellipsis``; a wide character is never split."""
    if cells <= 0:
        return ""
    head = text[: 4 * cells + 8]  # a line of megabytes is not measured to its end
    if len(head) == len(text) and cell_len(text) <= cells:
        return text
    room = cells - cell_len(ellipsis)
    if room < 0:
        return ellipsis[:cells]
    used = end = 0
    for end, character in enumerate(head):  # noqa: B007
        used += cell_len(character)
        if used > room:
            break
    else:
        end = len(head)
    kept = head[:end]
    while cell_len(kept) > room:  # a sequence may be wider than its characters one by one
        kept = kept[:-1]
    return kept + ellipsis


def distinct_labels(names: Sequence[str], cells: int) -> list[str]:
    """``names`` in at most ``cells`` cells: cut at the end, or in the middle where two would then look the same."""
    by_end = [clip_cells(name, cells) for name in names]
    by_middle = [clipped_middle(name, cells) for name in names]
    seen_end, seen_middle = Counter(by_end), Counter(by_middle)
    labels = []
    for place, (name, end, middle) in enumerate(zip(names, by_end, by_middle, strict=True), 1):
        if seen_end[end] == 1:
            labels.append(end)
        elif seen_middle[middle] == 1 and middle not in seen_end:
            labels.append(middle)
        else:  # equal at both ends: distinguished by its place in the list
            number = f"…{place}"
            labels.append(clip_cells(clip_cells(name, max(0, cells - len(number)), "") + number, cells))
    return labels


def clipped_middle(text: str, cells: int) -> str:
    """``text`` in at most ``cells`` cells, its beginning and its end kept."""
    if cell_len(text) <= cells or cells < 3:
        return clip_cells(text, cells)
    head = clip_cells(text, (cells - 1) // 2, "")
    room = cells - 1 - cell_len(head)
    tail = ""
    for character in reversed(text):
        if cell_len(character + tail) > room:
            break
        tail = character + tail
    return f"{head}…{tail}"


def pad_cells(text: str, cells: int, align: Literal["left", "right", "centre"] = "left", ellipsis: str = "…") -> str:
    """``text`` in exactly ``cells`` cells: clipped where too long, filled with blanks where too short."""
    clipped = clip_cells(text, cells, ellipsis)
    missing = max(0, cells - cell_len(clipped))
    if align == "right":
        return " " * missing + clipped
    if align == "centre":
        left = missing // 2
        return " " * left + clipped + " " * (missing - left)
    return clipped + " " * missing
