"""Colours and markers of runs in a picture."""

from __future__ import annotations

from collections.abc import Iterable

from core.runs.looks import looks

# Okabe & Ito 2008, "Color universal design": eight colours that colour-blind readers tell apart; black is left to text,
# and yellow, which white paper swallows, is darker.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8400", "#6A3D9A")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p")


def appearances(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """A colour and a marker for each name, see ``core.runs.looks``."""
    return {name: (COLOURS[colour], MARKERS[marker]) for name, (colour, marker) in looks(names).items()}
