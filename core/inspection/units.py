"""What each hidden unit does, over a text (Karpathy, Johnson & Fei-Fei 2015).

For the activations a (tokens,) of a unit and a feature f (tokens,) of the text, the list shows Pearson's correlation

    r = sum_t (a_t - mean a)(f_t - mean f) / sqrt(sum_t (a_t - mean a)^2  sum_t (f_t - mean f)^2),

and how much of the time the unit is saturated, where its activation function is flat and lets no gradient through.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.errors import UserError
from core.inspection.answers import Feature, Unit, UnitsView
from core.inspection.features import features
from core.inspection.figures import check_layer
from core.inspection.options import GATES, InspectionOptions
from core.inspection.passes import SEGMENT, Trace, forward
from core.inspection.recording import Recording, equations
from core.inspection.text import Text
from core.inspection.weights import weights_of
from core.models.language_model import LanguageModel
from core.models.scratch import STEPS
from core.settings.cells import CELLS

HIGH, LOW = 0.9, 0.1
# A unit whose activation spans less than this is dead.
DEAD = 0.01
# Tokens below which a text shows nothing about that.
ENOUGH = 50
# Tokens whose activations are summed at once.
BLOCK = 1024

Matrix = npt.NDArray[np.float64]


def units(model: LanguageModel, text: Text, options: InspectionOptions) -> Generator[None, None, UnitsView]:
    """The units of a layer, by default the top one, ranked by how well they follow a feature of the text.

    A cell state C counts as saturated by tanh(C), which is what the output sees.
    """
    layer, reverse, unit = options.layer or model.num_layers, options.reverse, options.unit
    quantity = options.quantity or "H"
    check_layer(model, layer, reverse)
    quantities = CELLS[model.config.cell].quantities
    if quantity not in quantities:
        known = ", ".join(quantities)
        raise UserError(f"quantity must be one of {known} for {model.config.cell}, got {quantity}")
    A = yield from activations(model, text, layer, reverse, quantity)
    named = yield from features(text)
    names, searched = list(named), _found(options.feature, list(named))
    facts = yield from _facts(A, named, quantity, model.is_relu)
    r = facts.correlations
    chosen = np.full(A.shape[1], searched) if searched is not None else _strongest(r)
    strength = r[chosen, np.arange(A.shape[1])] if names else np.zeros(A.shape[1])
    is_enough = len(text) >= ENOUGH
    dead = is_enough & (facts.maximum - facts.minimum < DEAD)  # (hidden,)
    columns = (strength, facts.mean, facts.high + facts.low, facts.minimum, facts.maximum, dead)
    listed = [
        Unit(index, names[chosen[index]] if names else "", *row)
        for index, row in enumerate(zip(*(column.tolist() for column in columns), strict=True))
    ]
    return UnitsView(
        text=text.text,
        num_tokens=len(text),
        layer=layer,
        reverse=reverse,
        quantity=quantity,
        units=tuple(sorted(listed, key=lambda item: -abs(item.correlation))),
        saturated=float((facts.high + facts.low).mean()),
        high=float(facts.high.mean()),
        low=float(facts.low.mean()),
        dead=int(dead.sum()) if is_enough else None,
        features=_features(named, r),
        feature=None if searched is None else names[searched],
        unit=unit,
        activations=None if unit is None else tuple(np.round(A[:, unit].astype(np.float64), 4).tolist()),
        correlations=None if unit is None else _correlations_of(unit, names, r),
        tokens=None if unit is None else text.tokens(),
    )


def activations(
    model: LanguageModel, text: Text, layer: int, reverse: bool, quantity: str
) -> Generator[None, None, npt.NDArray[np.float32]]:
    """A quantity of a layer at every token, (tokens, hidden), in the order of the text."""
    weights = weights_of(model, text.ids, output=False)
    ids = torch.from_numpy(text.ids).to(weights.known.device).unsqueeze(1)
    resets = torch.zeros(len(text), dtype=torch.bool)
    resets[list(text.starts)] = True
    trace = yield from forward(weights, ids, resets=resets, layers=layer)
    part = trace.layers[layer - 1][int(reverse)]
    found = part.H if quantity == "H" else (yield from _recorded(trace, layer - 1, int(reverse), quantity, resets))
    found = found.squeeze(1)
    return (found.flip(0) if reverse else found).float().cpu().numpy()


def _recorded(trace: Trace, layer: int, direction: int, quantity: str, resets: Tensor) -> Generator[None, None, Tensor]:
    """A quantity that is no output, recorded from the page step by step: (tokens, 1, hidden)."""
    weights, part = trace.weights, trace.layers[layer][direction]
    named, name = equations(STEPS[weights.cell.name], weights.activation), f"{quantity}_t"
    again = resets.roll(-1).flip(0) if direction else resets
    zeros, found = weights.begin_state(), []
    for begin, state in zip(range(0, len(part.X), SEGMENT), part.begins, strict=True):
        piece = part.X[begin : begin + SEGMENT]
        with torch.no_grad():
            inputs, p = weights.read(layer, direction, piece)
            for step, X in enumerate(inputs, begin):
                state = zeros if again[step] else state
                names = {"X_t": X, **dict(zip(("H_{t-1}", "C_{t-1}"), state, strict=False)), **p}
                with Recording(names, named) as recording:
                    state = weights.step(X, state, p)
                found.append(next(tensor for known, tensor in recording.stages if known == name))
        yield
    return torch.stack(found)


@dataclass(frozen=True, eq=False)
class _Facts:
    """What a list of units shows of each: (hidden,), and the correlations (features, hidden)."""

    correlations: Matrix
    mean: Matrix
    minimum: Matrix
    maximum: Matrix
    high: Matrix
    low: Matrix


def _facts(
    A: npt.NDArray[np.float32], named: dict[str, Matrix], quantity: str, is_relu: bool
) -> Generator[None, None, _Facts]:
    """Sums over the tokens, block by block: over a long text a single product would take too long."""
    means, sizes = np.zeros(len(named)), np.zeros(len(named))  # of each feature; sizes: the norm about its mean
    for index, values in enumerate(named.values()):
        means[index] = values.mean()
        sizes[index] = np.linalg.norm(values - means[index])
        yield
    hidden, count = A.shape[1], len(A)
    products, total, squares, high, low = np.zeros((len(named), hidden)), *np.zeros((4, hidden))
    minimum, maximum = np.full(hidden, np.inf), np.full(hidden, -np.inf)
    for begin in range(0, count, BLOCK):
        block = A[begin : begin + BLOCK].astype(np.float64)
        is_high, is_low = _saturation(block, quantity, is_relu)
        high, low = high + is_high.sum(axis=0), low + is_low.sum(axis=0)
        minimum, maximum = np.minimum(minimum, block.min(axis=0)), np.maximum(maximum, block.max(axis=0))
        block = block - A[0]  # the sums of squares of a unit that hardly changes keep their digits
        if named:
            F = np.stack([values[begin : begin + BLOCK] for values in named.values()]) - means[:, None]
            # by torch, which keeps to the threads of this process: numpy's own would compete with a training
            products += (torch.from_numpy(F) @ torch.from_numpy(block)).numpy()
        total, squares = total + block.sum(axis=0), squares + (block * block).sum(axis=0)
        yield
    deviations = np.sqrt(np.maximum(squares - total * total / count, 0.0))  # (hidden,)
    norms = np.outer(sizes, deviations)
    moves = deviations > 1e-7 * np.sqrt(count)  # below this a unit's changes are rounding
    r = np.where(moves & (norms > 0), products / np.where(norms > 0, norms, 1.0), 0.0)
    return _Facts(r, total / count + A[0], minimum, maximum, high / count, low / count)


def _saturation(A: Matrix, quantity: str, is_relu: bool) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Where each unit is high, and where low; each (tokens, hidden).

    A gate is high beyond 0.9 and low below 0.1; tanh is low below -0.9; a relu has no ceiling, and is low at 0.
    """
    if quantity in GATES:
        return A > HIGH, A < LOW
    if is_relu:
        return np.zeros(A.shape, dtype=np.bool_), A <= 0
    values = np.tanh(A) if quantity == "C" else A
    return values > HIGH, values < -HIGH


def _found(feature: str | None, names: list[str]) -> int | None:
    """The feature that a person searches for. Raises UserError for one that the text does not have."""
    if feature is None:
        return None
    near = [index for index, name in enumerate(names) if feature.casefold() in name.casefold()]
    exact = [index for index in near if names[index] == feature]
    if not near:
        raise UserError(f"the text has no feature {feature[:50]!r}, only: {', '.join(names) or 'none'}")
    return (exact or near)[0]


def _strongest(r: Matrix) -> npt.NDArray[np.int64]:
    """The feature that each unit follows best, (hidden,)."""
    return np.abs(r).argmax(axis=0) if len(r) else np.zeros(r.shape[1], dtype=np.int64)


def _features(named: dict[str, Matrix], r: Matrix) -> tuple[Feature, ...]:
    best = np.abs(r).argmax(axis=1) if len(r) else []
    found = [
        Feature(name, float(values.mean()), int(unit), float(row[unit]))
        for (name, values), row, unit in zip(named.items(), r, best, strict=True)
    ]
    return tuple(sorted(found, key=lambda item: -abs(item.correlation)))


def _correlations_of(unit: int, names: list[str], r: Matrix) -> tuple[tuple[str, float], ...]:
    found = zip(names, r[:, unit].tolist(), strict=True)
    return tuple(sorted(found, key=lambda item: -abs(item[1])))
