"""One step of the recurrence, with all its intermediate results.

Elman 1990; Cho et al. 2014; Hochreiter & Schmidhuber 1997: the equations are those of ``core.models.scratch``,
and are computed by it, see ``core.inspection.recording``.
"""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor

from core.inspection.answers import Stage, StepView
from core.inspection.figures import bits, check_layer, likely, stage
from core.inspection.options import InspectionOptions
from core.inspection.passes import SEGMENT, Trace
from core.inspection.places import around, read
from core.inspection.recording import Recording, equations
from core.inspection.text import Text
from core.inspection.weights import Weights, weights_of
from core.models.language_model import LanguageModel
from core.models.scratch import STEPS, HiddenState, Parameters, output_layer


def step(model: LanguageModel, text: Text, options: InspectionOptions) -> Generator[None, None, StepView]:
    """The step that reads the token at a position, in one layer, by default the first, and direction.

    In the format of the parameters; a model that trains in bfloat16 rounds its products more coarsely.
    """
    layer, reverse = options.layer or 1, options.reverse
    place = text.position(options.at, before_another=options.at is None and len(text) > 1)
    check_layer(model, layer, reverse)
    weights = weights_of(model, text.ids)
    trace, index = yield from read(weights, text, [around(weights.directions, text, place)])
    direction = int(reverse)
    part = trace.layers[layer - 1][direction]
    own = len(part.H) - 1 - index if reverse else index  # in the order of this direction
    state = yield from _state_at(trace, layer - 1, direction, own)
    inputs, p = weights.read(layer - 1, direction, part.X[own : own + 1])
    with torch.no_grad():
        stages, names = _recorded(weights, inputs[0], state, p, reverse)
        Y, scores = _scores(weights, trace.outputs[index])
        probabilities = torch.softmax(Y, dim=-1)
        separate, concatenated, difference = _identity(inputs[0], state[0], p, names, _state_names(reverse)[0])
    following = text.tokens(place + 1, place + 2)[0] if place + 1 < text.span(place)[1] else None
    probability = float(probabilities[text.ids[place + 1]]) if following is not None else None
    is_one_hot = layer == 1 and weights.embedding is None
    return StepView(
        text=text.text,
        at=place,
        token=text.tokens(place, place + 1)[0],
        id=int(text.ids[place]),
        stages=(*stages, *scores, stage("softmax(Y_t)", probabilities)),
        identity_difference=difference,
        next=likely(text, probabilities),
        surprise_bits=None if probability is None else bits(probability),
        following=following,
        probability=probability,
        layer=layer,
        reverse=reverse,
        previous=tuple(stage(name, part) for name, part in zip(_state_names(reverse), state, strict=False)),
        inputs=Stage("X_t", (weights.vocabulary_size,), 1.0, 1 / weights.vocabulary_size, ())
        if is_one_hot
        else stage("X_t", inputs[0]),
        is_one_hot=is_one_hot,
        separate=separate,
        concatenated=concatenated,
    )


def _state_at(trace: Trace, layer: int, direction: int, index: int) -> Generator[None, None, HiddenState]:
    """The state before the step ``index``, counted in the direction's own order."""
    part, weights = trace.layers[layer][direction], trace.weights
    state, begin = part.begins[index // SEGMENT], index - index % SEGMENT
    piece = part.X[begin:index]
    if len(piece):
        with torch.no_grad():
            inputs, p = weights.read(layer, direction, piece)
            for X_t in inputs:
                state = weights.step(X_t, state, p)
    yield
    return state


def _recorded(
    weights: Weights, X: Tensor, state: HiddenState, p: Parameters, reverse: bool
) -> tuple[list[Stage], list[str]]:
    """The stages of a cell, and the names of its expressions."""
    inputs = {"X_t": X, **dict(zip(_state_names(False), state, strict=False)), **p}
    with Recording(inputs, equations(STEPS[weights.cell.name], weights.activation)) as recording:
        weights.step(X, state, p)
    names = [name.replace("{t-1}", "{t+1}") if reverse else name for name, _ in recording.stages]
    return [stage(name, tensor) for name, (_, tensor) in zip(names, recording.stages, strict=True)], names


def _state_names(reverse: bool) -> tuple[str, str]:
    """From right to left, the state before a step is that of the token after it."""
    return ("H_{t+1}", "C_{t+1}") if reverse else ("H_{t-1}", "C_{t-1}")


def _scores(weights: Weights, H: Tensor) -> tuple[Tensor, list[Stage]]:
    """The scores of the next token, (vocabulary,), and the stages of the output layer; H is (1, width)."""
    named = {"W_hq": weights.W_hq, "b_q": weights.b_q}
    with Recording(named, equations(output_layer), other="H_t") as recording:
        Y = output_layer(H.unsqueeze(0), weights.W_hq, weights.b_q)
    return Y.flatten(), [stage(name, tensor) for name, tensor in recording.stages]


def _identity(X: Tensor, H: Tensor, p: Parameters, names: list[str], H_name: str) -> tuple[Stage, Stage, float]:
    """X W_xh + H W_hh and [X H] [W_xh; W_hh] of the first equation's gate, and the largest difference over all gates.

    One-hot rows are those of the token that is read: the others multiply zeros.
    """
    first = names[0].removeprefix("X_t W_x")
    XH = torch.cat((X, H), dim=-1)  # (1, inputs + hidden)
    difference, both = 0.0, (X, X)
    for gate in sorted({name[3:] for name in p if name.startswith("W_x")}):
        W_x, W_h = p[f"W_x{gate}"], p[f"W_h{gate}"]
        separate, concatenated = X @ W_x + H @ W_h, XH @ torch.cat((W_x, W_h))  # (1, hidden)
        difference = max(difference, float((separate - concatenated).abs().max()))
        both = (separate, concatenated) if gate == first else both
    left = f"X_t W_x{first} + {H_name} W_h{first}"
    right = f"[X_t {H_name}] [W_x{first}; W_h{first}]"
    return stage(left, both[0]), stage(right, both[1]), difference
