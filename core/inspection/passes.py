"""A model over a text, by the page's own equations, forwards and backwards through time, a few steps at a time.

All functions are generators that yield None between two short pieces of work, so that they can take turns with a
training, and return their result. They draw no random numbers, and dropout is off.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from core.inspection.weights import Weights
from core.models.scratch import HiddenState

# Steps between two yields: some milliseconds, also for an LSTM backwards.
SEGMENT = 16


@dataclass(eq=False)
class Layer:
    """One layer in one direction over a stretch of text, in the order in which the direction reads it.

    Attributes:
        X: its inputs (steps, batch, inputs); the ids of the tokens, (steps, batch), for the first layer.
        H: hidden states, (steps, batch, hidden).
        begins: the state before each segment of ``SEGMENT`` steps.
        last: the state after the last step.
    """

    X: Tensor
    H: Tensor
    begins: list[HiddenState]
    last: HiddenState


@dataclass(eq=False)
class Trace:
    """A model over a stretch of text: ``layers[layer][direction]``; the second direction reads it from its end."""

    weights: Weights
    layers: list[list[Layer]] = field(default_factory=list)

    @property
    def outputs(self) -> Tensor:
        """The hidden states of the top layer, (steps, batch, directions * hidden), in the order of the text."""
        return in_order(self.layers[-1])

    def state(self) -> list[list[HiddenState]]:
        """The state after the stretch, as ``forward`` takes it."""
        return [[part.last for part in layer] for layer in self.layers]


def in_order(layer: list[Layer]) -> Tensor:
    """The hidden states of both directions side by side, in the order of the text."""
    parts = [part.H.flip(0) if direction else part.H for direction, part in enumerate(layer)]
    return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]


def forward(
    weights: Weights,
    ids: Tensor,
    state: list[list[HiddenState]] | None = None,
    resets: Tensor | None = None,
    layers: int | None = None,
) -> Generator[None, None, Trace]:
    """A model over a stretch of text.

    Args:
        ids: (steps, batch), among the ids that ``weights`` were taken for.
        state: before the first step, from ``Trace.state``; zeros by default. A second direction begins with zeros.
        resets: (steps,), true where a new text begins and the state is zeros again.
        layers: how many to run, from the first; all by default.
    """
    trace = Trace(weights)
    X = ids
    for layer in range(len(weights.layers) if layers is None else layers):
        found = []
        for direction in range(weights.directions):
            begin = state[layer][direction] if state is not None else weights.begin_state(ids.shape[1])
            ends = None if resets is None else resets.roll(-1).flip(0) if direction else resets
            part = yield from _run(weights, layer, direction, X.flip(0) if direction else X, begin, ends)
            found.append(part)
        trace.layers.append(found)
        X = in_order(found)
    return trace


def state_before(weights: Weights, ids: Tensor, block: int = 1024) -> Generator[None, None, list[list[HiddenState]]]:
    """The state after a stretch of text, (steps, batch); keeps nothing else. Of one direction only."""
    state = [[weights.begin_state(ids.shape[1])] for _ in weights.layers]
    for begin in range(0, len(ids), block):
        trace = yield from forward(weights, ids[begin : begin + block], state)
        state = trace.state()
    return state


def _run(
    weights: Weights, layer: int, direction: int, X: Tensor, state: HiddenState, resets: Tensor | None
) -> Generator[None, None, Layer]:
    H = weights.b_q.new_empty(len(X), X.shape[1], weights.hidden)  # filled in place: stacking a long text takes long
    begins = []
    again = set() if resets is None else set(resets.nonzero().flatten().tolist())
    zeros = weights.begin_state(X.shape[1])
    for begin in range(0, len(X), SEGMENT):
        begins.append(state)
        with torch.no_grad():
            inputs, p = weights.read(layer, direction, X[begin : begin + SEGMENT])
            for step, X_t in enumerate(inputs, begin):
                state = weights.step(X_t, zeros if step in again else state, p)
                H[step] = state[0]
        yield
    return Layer(X, H, begins, state)


@dataclass(eq=False)
class Gradients:
    """Gradients of a scalar with respect to one layer in one direction, in the order in which it reads the text.

    Attributes:
        states: for H and, of the LSTM, C: (steps, batch, hidden).
        inputs: gradient times input, summed over the input's elements: (steps, batch).
        X: with respect to the inputs, (steps, batch, inputs); None for the first layer.
    """

    states: tuple[Tensor, ...]
    inputs: Tensor
    X: Tensor | None


def backward(trace: Trace, dY: Tensor, down_to: int = 0) -> Generator[None, None, list[list[Gradients]]]:
    """Back-propagation through time, from the top layer down to the layer ``down_to``.

    The gradient with respect to a state counts all ways from it to the scalar: through the output of its own step and
    through the steps after it. Autograd differentiates the page over one segment after the other, from the last one.

    Args:
        dY: the gradient of the scalar with respect to ``trace.outputs``.

    Returns:
        By layer (those below ``down_to`` are empty) and direction.
    """
    found: list[list[Gradients]] = [[] for _ in trace.layers]
    for layer in range(len(trace.layers) - 1, down_to - 1, -1):
        dX: Tensor | None = None
        for direction, (part, dH) in enumerate(
            zip(trace.layers[layer], dY.chunk(trace.weights.directions, -1), strict=True)
        ):
            gradients = yield from _back(trace.weights, layer, direction, part, dH.flip(0) if direction else dH)
            found[layer].append(gradients)
            if gradients.X is not None:
                mine = gradients.X.flip(0) if direction else gradients.X
                dX = mine if dX is None else dX + mine
        if dX is not None:
            dY = dX
    return found


def _back(weights: Weights, layer: int, direction: int, part: Layer, dH: Tensor) -> Generator[None, None, Gradients]:
    d_state = [torch.zeros_like(tensor) for tensor in part.last]
    states: list[list[Tensor]] = [[] for _ in d_state]  # pieces, from the last segment to the first
    inputs, dXs = [], []
    for index in range(len(part.begins) - 1, -1, -1):
        steps = slice(index * SEGMENT, (index + 1) * SEGMENT)
        X, p = weights.read(layer, direction, part.X[steps])
        with torch.enable_grad():
            X = X.detach().requires_grad_()
            state = begin = tuple(tensor.detach().requires_grad_() for tensor in part.begins[index])
            after: list[HiddenState] = []
            for X_t in X:
                state = weights.step(X_t, state, p)
                after.append(state)
            total = (torch.stack([state[0] for state in after]) * dH[steps]).sum()
            total = total + sum((tensor * d).sum() for tensor, d in zip(state, d_state, strict=True))
            # allow_unused: an LSTM's last C of a segment at the end of the text
            wanted = [X, *begin, *(tensor for state in after for tensor in state)]
            gradients = torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True)
        dX, count = gradients[0], len(begin)
        d_state = list(gradients[1 : 1 + count])
        for which in range(count):
            states[which].append(torch.stack(gradients[1 + count + which :: count]))
        inputs.append((dX * X.detach()).sum(-1))
        dXs.append(dX if layer else None)
        yield
    whole = [torch.cat(pieces[::-1]) for pieces in states]
    above = None if layer == 0 else torch.cat([piece for piece in dXs[::-1] if piece is not None])
    return Gradients(tuple(whole), torch.cat(inputs[::-1]), above)
