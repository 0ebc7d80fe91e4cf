"""Compare a compiled library with the plain calls: ``python -m core.models.recurrence.cpu.proof PATH``.

A library from a broken compiler may crash or hang the process that loads it, so this process loads it first. It
computes everything with and without the library, on shapes that are not multiples of a tile or a vector, and exits with
0 if the results agree.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.models.feedforward import dropped, look_up, output_loss
from core.models.recurrence.cpu import bindings, build
from core.models.recurrence.cpu.compiled import NUMBERS
from core.models.recurrence.cpu.gradients import Descent, gradient_norm
from core.models.recurrence.cpu.step import CompiledStep, CompiledText
from core.models.recurrence.dispatch import run
from core.models.recurrence.eager import next_state
from core.models.recurrence.layer import RecurrentLayer, Rows
from core.settings.cells import CELLS, Cell

# Relative to the largest number. A wrong index or a lost row gives far more.
_TOLERANCE = {False: 1e-4, True: 6e-2}
_SHAPES = ((5, 7, 34), (3, 2, 16), (3, 2, 13))
# Several of the matrix unit's tiles to a thread. Not for relu: among so many numbers, rounding turns one over at zero.
_LARGE = (2, 66, 66)
_VOCABULARY = 9


def main(path: str) -> int:
    """Check the library at ``path``; print the first difference or error."""
    try:
        build.use(build.load(Path(path).read_bytes()))
        torch.set_num_threads(3)
        torch.manual_seed(1)
        for what, bf16, ours, plain in _comparisons():
            difference = float((ours - plain).abs().max() / plain.abs().max().clamp_min(1e-6))
            if not difference <= _TOLERANCE[bf16]:
                print(f"{what} differs from the plain path by {difference:.1%}")
                return 1
    except Exception as error:
        print(f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}")
        return 1
    return 0


def _comparisons() -> Iterator[tuple[str, bool, Tensor, Tensor]]:
    """Each comparison: name, whether in bfloat16, result of the library, plain result."""
    for kind in (bindings.Arithmetic.SINGLE, *bindings.arithmetics_of_bf16()):
        bf16 = kind is not bindings.Arithmetic.SINGLE
        words = f" in bfloat16 ({kind.name})" if bf16 else ""
        with bindings.multiplying(kind):
            for cell, relu in (("rnn", True), *((name, False) for name in NUMBERS)):
                for shape in _SHAPES if relu else (*_SHAPES, _LARGE):
                    for ours, plain in zip(*_recurrence(CELLS[cell], relu, shape, bf16), strict=True):
                        yield f"the recurrence of {cell}{words}", bf16, ours, plain
    for cell in NUMBERS:
        for tied in (False, True):
            yield f"the step of {cell}", False, *_steps(CELLS[cell], tied)
    for unit, bf16 in ((None, False), (None, True), (bindings.Arithmetic.SINGLE, True)):
        with bindings.multiplying(unit):  # where it is not the matrix unit, the products are PyTorch's
            for ours, plain in zip(*_loss(bf16), strict=True):
                yield "the loss", bf16, ours, plain
    ids, table, charge = torch.randint(_VOCABULARY, (50,)), torch.randn(_VOCABULARY, 70), torch.randn(50, 70)
    yield "the gradient of a look-up", False, _look_up(ids, table, charge, True), _look_up(ids, table, charge, False)
    X, Y = torch.randn(300, 130), torch.randn(300, 70)
    yield "a transpose", False, bindings.transposed(X), X.t()
    yield (
        "the norm",
        False,
        gradient_norm([X, Y.t(), ids.float()]),
        (X.square().sum() + Y.square().sum() + ids.square().sum()).sqrt(),
    )
    W = X.clone()
    descent = Descent()
    if descent.begin([W], [X.square()]):
        descent.step(0.9, 0.5)
    yield "a step of gradient descent", False, W, 0.9 * X - 0.5 * X.square()
    share = dropped(torch.ones(40_000), 0.25)
    yield "dropout", True, share.mean(), torch.tensor(1.0)
    yield "dropout", False, torch.stack([share.min(), share.max()]), torch.tensor([0.0, 4 / 3])


def _recurrence(cell: Cell, relu: bool, shape: tuple[int, int, int], bf16: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Outputs, last states and gradients, of the library and of the plain calls."""
    (num_steps, batch, hidden), gates = shape, len(cell.gates)
    ids = torch.randint(_VOCABULARY, (num_steps, batch))
    table, W = torch.randn(_VOCABULARY, gates * hidden), torch.randn(hidden, gates * hidden) / hidden**0.5
    b, charge = torch.randn(gates * hidden), torch.randn(num_steps, batch, hidden)
    state = [torch.randn(batch, hidden) for _ in cell.states]
    extra = [torch.randn(hidden) for _ in cell.extra]
    leaves = [tensor.requires_grad_() for tensor in (table, W, b, *state, *extra)]
    found = []
    for fused in (True, False):
        H, last = run(RecurrentLayer(cell.name, Rows(ids, table, b), W, extra, tuple(state), relu, bf16, fused))
        gradients = torch.autograd.grad((H * charge).sum() + sum(part.sum() for part in last), leaves)
        found.append([H.detach(), *(part.detach() for part in last), *gradients])
    return found[0], found[1]


def _steps(cell: Cell, tied: bool) -> tuple[Tensor, Tensor]:
    """The scores after each of a few tokens, of two layers, and the likeliest token after the last of them.

    Tied weights are the transpose of a matrix.
    """
    hidden, tokens = 34, (3, 0, 8)
    wide, vectors = len(cell.gates) * hidden, torch.randn(_VOCABULARY, hidden) if tied else None
    layers = []
    for rows in (hidden if tied else _VOCABULARY, hidden):
        shapes = [(rows, wide), (hidden, wide), (wide,), *[(hidden,) for _ in cell.extra]]
        layers.append(tuple(torch.randn(shape) / hidden**0.5 for shape in shapes))
    W, b = torch.randn(hidden, _VOCABULARY) if vectors is None else vectors.t(), torch.randn(_VOCABULARY)
    step, found, plain = CompiledStep(cell.name, False, vectors, layers, W, b), [], []
    states = [tuple(torch.zeros(1, hidden) for _ in cell.states) for _ in layers]
    text = CompiledText(step, 0.0, (), ())
    for token in tokens:
        if token == tokens[-1]:
            (chosen,) = text.write(token, np.zeros(1), 0.0)
        else:
            step(token)
        found.append(step.scores.clone())
        X = torch.eye(_VOCABULARY)[[token]] if vectors is None else vectors[[token]]
        for number, (W_x, W_h, b_h, *extra) in enumerate(layers):
            states[number] = next_state(RecurrentLayer(cell.name, torch.addmm(b_h, X, W_x), W_h, extra, states[number]))
            X = states[number][0]
        plain.append(torch.addmm(b, X, W)[0])
    every = torch.eye(_VOCABULARY)
    return torch.stack([*found, every[chosen]]), torch.stack([*plain, every[plain[-1].argmax()]])


def _loss(bf16: bool) -> tuple[list[Tensor], list[Tensor]]:
    H, W, b = (torch.randn(shape).requires_grad_() for shape in ((150, 12), (12, 37), (37,)))
    targets, mask = torch.randint(37, (150,)), torch.rand(150) < 0.6
    found = []
    for fused in (True, False):
        loss = output_loss(H, W, b, targets, mask, bf16=bf16, fused=fused)
        found.append([loss.detach(), *torch.autograd.grad(loss, (H, W, b))])
    return found[0], found[1]


def _look_up(ids: Tensor, table: Tensor, charge: Tensor, fused: bool) -> Tensor:
    table = table.clone().requires_grad_()
    return torch.autograd.grad((look_up(ids, table, fused=fused) * charge).sum(), table)[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
