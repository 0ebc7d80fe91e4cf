"""The places of a text that a loss is looked back from, and how much of the text around each is read."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import torch

from core.errors import UserError
from core.inspection.options import MOST_LAGS, MOST_PLACES, InspectionOptions
from core.inspection.passes import SEGMENT, Trace, forward, state_before
from core.inspection.text import Text
from core.inspection.weights import Weights
from core.models.language_model import LanguageModel

REACH = 256
"""Steps that are looked back from several places, and that a second direction reads before a place: enough for a state
that is that of the whole text, as for the streams of a held-out text."""
WARM_UP = 64
"""Steps that are read before those, so that the state is that of a text and not the zeros that it begins with."""
SHORTEST = 8
"""Tokens of a text, or of a poem, that has a place to look back from."""
# Places that are computed at once: short pieces of work.
_BATCH = 16
# The work of a step of all places that takes a few seconds for the whole, and the places that a mean needs.
_WORK, _FEWEST, _MANY = 32e6, 4, 32


@dataclass(frozen=True, order=True)
class Window:
    """A place, and the stretch of the text around it that is read.

    Attributes:
        before: tokens that are read before it, the first ``warm_up`` of them only for the state.
        after: tokens that are read after it, by a model of both directions.
        at: the position.
    """

    before: int
    after: int
    warm_up: int
    at: int

    @property
    def steps(self) -> int:
        return self.before + 1 + self.after


def windows_of(model: LanguageModel, text: Text, options: InspectionOptions) -> list[Window]:
    """The places that are asked for: one, looked back from as far as an answer shows, or several.

    Raises UserError where there is none.
    """
    if options.places is not None:
        return windows(model, text, options.places, options.reverse)
    return [around(model.directions, text, text.position(options.at, before_another=options.token is None))]


def around(directions: int, text: Text, at: int) -> Window:
    """One place: a model of one direction reads all that is before it, and shows ``MOST_LAGS`` steps of it at most."""
    begin, end = text.span(at)
    first = max(begin, at - MOST_LAGS)
    if directions == 2:
        return Window(at - first, min(REACH, end - 1 - at), 0, at)
    return Window(at - begin, 0, first - begin, at)


def read(weights: Weights, text: Text, batch: Sequence[Window]) -> Generator[None, None, tuple[Trace, int]]:
    """A model over windows of one shape, side by side; and the step of their places in the trace."""
    shape = batch[0]
    stretches = [text.ids[one.at - one.before : one.at + 1 + one.after] for one in batch]
    ids = torch.stack([torch.from_numpy(stretch) for stretch in stretches], dim=1).to(weights.known.device)
    state = None
    if weights.directions == 1:
        state = yield from state_before(weights, ids[: shape.warm_up])
    trace = yield from forward(weights, ids[shape.warm_up :], state)
    return trace, shape.before - shape.warm_up


def fitting_places(model: LanguageModel, text: Text) -> int:
    """How many places take a few seconds at most; 0 if the text has none."""
    _, W_h, *_ = model.stored_layer(0)
    many = int(_WORK / (W_h.numel() * model.num_layers * model.directions))
    try:
        return len(windows(model, text, max(_FEWEST, min(_MANY, many))))
    except UserError:
        return 0


def windows(model: LanguageModel, text: Text, count: int, reverse: bool = False) -> list[Window]:
    """At most ``count`` places, spread evenly: over the text or, of many poems, over these, one for each.

    Raises UserError if there is none.
    """
    if not 1 <= count <= MOST_PLACES:
        raise UserError(f"places must be between 1 and {MOST_PLACES:,}, got {count:,}")
    spans = [span for span in pairwise((*text.starts, len(text))) if span[1] - span[0] >= SHORTEST]
    if not spans:
        raise UserError(f"the text is too short to look back from several places: it needs {SHORTEST} tokens")
    both = model.directions == 2
    if len(spans) > 1:
        return sorted(_of_poem(*spans[place], both, reverse) for place in _spread(0, len(spans) - 1, count))
    begin, end = spans[0]
    last = end - 2  # a token follows it
    after = min(REACH, (last - begin) // 3) if both else 0
    before = min(REACH if both else REACH + WARM_UP, (last - after - begin) // 2)
    warm_up = 0 if both else min(WARM_UP, before // 4)
    return [Window(before, after, warm_up, at) for at in _spread(begin + before, last - after, count)]


def _of_poem(begin: int, end: int, both: bool, reverse: bool) -> Window:
    """The end of a poem, where most is before it, or its beginning for the direction from right to left."""
    at = begin if reverse else end - 2
    before = min(at - begin, REACH if both else REACH + WARM_UP)
    return Window(before, min(end - 1 - at, REACH) if both else 0, max(0, before - REACH), at)


def _spread(first: int, last: int, count: int) -> list[int]:
    """At most ``count`` whole numbers from ``first`` to ``last``, evenly spread."""
    known = last - first + 1
    count = min(count, known)
    return [first + known * (2 * place + 1) // (2 * count) for place in range(count)]


def batches(places: Sequence[Window]) -> Iterator[list[Window]]:
    """Windows of the same shape, at most ``_BATCH`` of them."""
    for _, same in groupby(sorted(places), key=lambda one: (one.before, one.after, one.warm_up)):
        found = list(same)
        for begin in range(0, len(found), _BATCH):
            yield found[begin : begin + _BATCH]


def pieces_of(model: LanguageModel, places: Sequence[Window]) -> int:
    """About how many pieces of work it is to look back from the places."""
    passes = model.num_layers * model.directions
    return 31 + sum(passes * (3 * batch[0].steps) // SEGMENT for batch in batches(places))
