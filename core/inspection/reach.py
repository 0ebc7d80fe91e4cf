"""How far back losses reach on average: the gradients of many places of a text at once, on their way back in time.

One place says little: a gradient halves every 5 steps from here and every 30 from there. The mean norm over many,

    1/P sum_p |dL_p / dH_{N_p-k}|,    k = 0, 1, 2, ...,

is what a model remembers; see ``core.inspection.gradients`` for one of them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import torch
from torch import Tensor

from core.errors import UserError
from core.inspection.answers import GradientsView
from core.inspection.figures import check_layer, floats
from core.inspection.gradients import norms_back, output_gradient, view_of
from core.inspection.options import MOST_PLACES
from core.inspection.passes import SEGMENT, backward, forward, state_before
from core.inspection.text import Text
from core.inspection.weights import Weights, weights_of
from core.models.language_model import LanguageModel

REACH = 256
"""Steps that are looked back."""
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


def pieces_of(model: LanguageModel, places: Sequence[Window]) -> int:
    """About how many pieces of work ``reach`` has."""
    passes = model.num_layers * model.directions
    return 31 + sum(passes * (3 * batch[0].steps) // SEGMENT for batch in _batches(places))


def reach(
    model: LanguageModel, text: Text, places: Sequence[Window], *, layer: int | None = None, reverse: bool = False
) -> Generator[None, None, GradientsView]:
    """The mean norms of dLoss/dH of a layer (from 1, the top one by default), 0, 1, 2, ... steps before the places.

    Of places with stretches of different lengths, up to the lag that half of them have.
    """
    layer = model.num_layers if layer is None else layer
    check_layer(model, layer, reverse)
    weights = weights_of(model, text.ids, torch.float64)
    norms: list[tuple[Tensor, ...]] = []  # of each place, by state: (lags,)
    losses: list[float] = []
    for batch in _batches(places):
        yield from _add_norms(weights, text, batch, layer, reverse, norms, losses)
    lags = sorted(len(one[0]) for one in norms)[len(norms) // 2]
    means = []
    for which in range(len(norms[0])):
        known = [one[which][:lags] for one in norms]
        counts = torch.tensor([sum(len(one) > lag for one in known) for lag in range(lags)])
        total = torch.stack([torch.nn.functional.pad(one, (0, lags - len(one))) for one in known]).sum(0)
        means.append(floats(total / counts))
    loss, positions = sum(losses) / len(losses), tuple(sorted(one.at for one in places))
    view = view_of(model, text, weights, layer, reverse, tuple(means), loss, positions[-1], places=positions)
    return (yield from view)


def _batches(places: Sequence[Window]) -> Iterator[list[Window]]:
    """Windows of the same shape, at most ``_BATCH`` of them."""
    for _, same in groupby(sorted(places), key=lambda one: (one.before, one.after, one.warm_up)):
        found = list(same)
        for begin in range(0, len(found), _BATCH):
            yield found[begin : begin + _BATCH]


def _add_norms(
    weights: Weights,
    text: Text,
    batch: list[Window],
    layer: int,
    reverse: bool,
    norms: list[tuple[Tensor, ...]],
    losses: list[float],
) -> Generator[None, None, None]:
    """Compute windows of the same shape and add what they give."""
    shape, device = batch[0], weights.known.device
    stretches = [text.ids[one.at - one.before : one.at + 1 + one.after] for one in batch]
    ids = torch.stack([torch.from_numpy(stretch) for stretch in stretches], dim=1).to(device)  # (steps, places)
    state = None
    if weights.directions == 1:
        state = yield from state_before(weights, ids[: shape.warm_up])
    trace = yield from forward(weights, ids[shape.warm_up :], state)
    index = shape.before - shape.warm_up
    targets = [int(text.ids[one.at + 1]) for one in batch]
    dY, found = output_gradient(weights, trace.outputs, index, targets)
    losses += found
    gradients = yield from backward(trace, dY, layer - 1)
    first = len(trace.outputs) - 1 - index if reverse else index
    by_state = [norms_back(state, first).cpu() for state in gradients[layer - 1][int(reverse)].states]
    norms += zip(*(one.unbind(1) for one in by_state), strict=True)
