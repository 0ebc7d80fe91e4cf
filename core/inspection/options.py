"""What can be asked of an inspection: the fields of the request, of the command's flags and of the pane.

No torch in this module: the screen imports it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NewType

from core.errors import UserError
from core.settings.cells import CELLS

VIEWS = ("text", "step", "gradients", "units", "saliency", "tokens", "parity")
LONGEST = 100_000
"""Tokens of an inspected text. A longer one is refused: its states would not fit into an answer."""
MOST_LAGS = 1_000
"""Steps that ``gradients`` and ``saliency`` look back, at most."""
MOST_PLACES = 1_000
"""Places over which ``gradients`` takes the mean, at most."""
DEFAULT_LENGTH = 2_000
"""Tokens of the stretch of the run's own text that is inspected if no text is given."""

GATES = tuple(name for cell in CELLS.values() for name in cell.sigmoids)
"""The quantities between 0 and 1."""
VECTORS = ("input", "output")
CHECKPOINTS = ("", "first", "best", "latest")

LongText = NewType("LongText", str)
"""A text of up to ``LONGEST_CHARACTERS``, where other requests take shorter ones."""
LONGEST_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class InspectionOptions:
    """What to look at. A view ignores the options that it does not use; each may be null.

    Attributes:
        view: one of ``VIEWS``. ``text`` only cuts the text into tokens.
        text: the text to look at; null takes ``DEFAULT_LENGTH`` tokens of the run's held-out text or, if nothing is
            held out, of its training text.
        at: position of a token in the text, from 0. ``step`` computes the step that reads this token, ``gradients``
            the loss of the token after it, ``saliency`` why this token was predicted. Null takes the last position
            that has an answer; in the run's own text, one early in it.
        places: ``gradients``: the mean over so many places of the text, in place of the one at ``at``.
        unit: hidden unit, from 0: ``units`` then adds its activation at every token.
        token: ``tokens``: the token whose neighbours are looked for. ``saliency`` and ``gradients``: the predicted
            token, in place of the one in the text ("why not the other?").
        layer: from 1; null is the first layer for ``step`` and the top layer for ``gradients`` and ``units``.
        reverse: the direction from right to left, of a bidirectional model.
        quantity: ``units``: what is looked at, one of the cell's ``quantities``; null is H.
        feature: ``units``: rank by the correlation with this feature; part of a name is enough. Null ranks each unit
            by the feature that it follows best.
        vectors: ``tokens``: ``input`` or ``output``, the vectors that are shown on the plane; null is input.
        checkpoint: one of ``CHECKPOINTS``, in place of the weights as they are now; ``first`` are the initial weights.
        run: the folder of another run to look at, at ``checkpoint`` or its latest one, over the text of this one.
    """

    view: str
    text: LongText | None = None
    at: int | None = None
    places: int | None = None
    unit: int | None = None
    token: str | None = None
    layer: int | None = None
    reverse: bool = False
    quantity: str | None = None
    feature: str | None = None
    vectors: str | None = None
    checkpoint: str | None = None
    run: Path | None = None

    def __post_init__(self) -> None:
        """Raises UserError for a value that no model has; what depends on the model is checked with it."""
        choices = {
            "view": VIEWS,
            "vectors": VECTORS,
            "checkpoint": CHECKPOINTS[1:],
            "quantity": tuple(dict.fromkeys(name for cell in CELLS.values() for name in cell.quantities)),
        }
        for name, known in choices.items():
            value = getattr(self, name)
            if value is not None and value not in known:
                raise UserError(f"{name} must be one of {', '.join(known)}, got {value[:50]!r}")
        for name, least in (("at", 0), ("places", 1), ("unit", 0), ("layer", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UserError(f"{name} must be at least {least}, got {value}")
        for name in ("at", "token"):
            if self.view == "gradients" and self.places is not None and getattr(self, name) is not None:
                raise UserError(f"{name} is for one place, and places for the mean over several: give one of the two")
