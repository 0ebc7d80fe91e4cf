"""Colours and markers of runs in one picture: a run keeps its own from one picture to the next."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

# Okabe & Ito 2008, "Color universal design": eight colours that colour-blind readers tell apart; black is left to text,
# and yellow, which white paper swallows, is darker.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8400", "#6A3D9A")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p")


def appearances(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """A colour and a marker for each name.

    They follow from the name, so a run looks the same in every picture. Of two runs in one picture that would share a
    colour or a marker, the later one takes the next that is free; beyond eight runs, no two share both.
    """
    found: dict[str, tuple[str, str]] = {}
    for name in dict.fromkeys(names):
        number = zlib.crc32(name.encode("utf-8", "surrogatepass"))
        colours = _in_order(COLOURS, number, [colour for colour, _ in found.values()])
        markers = _in_order(MARKERS, number // len(COLOURS), [marker for _, marker in found.values()])
        pairs = ((colour, marker) for colour in colours for marker in markers)
        found[name] = next((pair for pair in pairs if pair not in found.values()), (colours[0], markers[0]))
    return found


def _in_order(signs: Sequence[str], first: int, used: list[str]) -> list[str]:
    """The signs from number ``first`` on, those that are used least before the others."""
    turned = [signs[(first + place) % len(signs)] for place in range(len(signs))]
    return sorted(turned, key=used.count)
