"""Colours and markers of runs in one chart: a run keeps its own from one chart to the next, on paper and on screen."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping

COLOURS, MARKERS = 8, 11
"""How many there are of each; a chart has its own list of both."""
Look = tuple[int, int]
"""The numbers of a colour and of a marker."""


def looks(names: Iterable[str], kept: Mapping[str, Look] | None = None) -> dict[str, Look]:
    """A colour and a marker for each name, by number.

    They follow from the name, so a run looks the same in every chart. Of two runs in one chart that would share a
    colour or a marker, the later one takes the next that is free; beyond eight runs, no two share both. ``kept`` are
    the looks that names of the same chart had before: they do not change.
    """
    names = list(dict.fromkeys(names))
    found = {name: look for name, look in (kept or {}).items() if name in names}
    for name in names:
        if name in found:
            continue
        number = zlib.crc32(name.encode("utf-8", "surrogatepass"))
        colours = _in_order(COLOURS, number, [colour for colour, _ in found.values()])
        markers = _in_order(MARKERS, number // COLOURS, [marker for _, marker in found.values()])
        pairs = ((colour, marker) for colour in colours for marker in markers)
        found[name] = next((pair for pair in pairs if pair not in found.values()), (colours[0], markers[0]))
    return {name: found[name] for name in names}


def _in_order(count: int, first: int, used: list[int]) -> list[int]:
    """The numbers from ``first`` on, those that are used least before the others."""
    turned = [(first + place) % count for place in range(count)]
    return sorted(turned, key=used.count)
