"""How far back a loss reaches: the gradient on its way through time.

For the loss L of the token after position N, in nats, and the hidden state H of k steps before,

    dL/dH_{N-k} = dL/dH_N  prod_{t=N-k+1}^{N} dH_t/dH_{t-1},

whose norm shrinks or grows by about the same factor a step (Bengio, Simard & Frasconi 1994, "Learning long-term
dependencies with gradient descent is difficult"; Pascanu, Mikolov & Bengio 2013, "On the difficulty of training
recurrent neural networks"). One place says little: a gradient halves every 5 steps from here and every 30 from there.
The mean norm over many, 1/P sum_p |dL_p / dH_{N_p-k}|, is what a model remembers. Computed in double precision: in
single precision the norms of a factor 1/2 end after 126 steps.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence

import torch
from torch import Tensor

from core.inspection.answers import GradientsView
from core.inspection.figures import check_layer, floats, token_id
from core.inspection.options import InspectionOptions
from core.inspection.passes import backward
from core.inspection.places import batches, read, windows_of
from core.inspection.text import Text
from core.inspection.weights import Weights, weights_of
from core.models.language_model import LanguageModel
from core.settings.cells import CELLS

NEGLIGIBLE = 0.01
_SQUARINGS = 30
# Smaller norms have lost digits: they take no part in the factor.
_SMALLEST = 1e-290


def gradients(model: LanguageModel, text: Text, options: InspectionOptions) -> Generator[None, None, GradientsView]:
    """The norms of dLoss/dH of a layer, by default the top one, 0, 1, 2, ... steps before a place; of several the mean.

    The loss is that of the token after the place, or of the token ``options.token`` there. Of places with stretches of
    different lengths, up to the lag that half of them have.
    """
    layer, places = options.layer or model.num_layers, windows_of(model, text, options)
    check_layer(model, layer, options.reverse)
    wanted = None if options.token is None else token_id(text.vocabulary, options.token)
    weights = weights_of(model, text.ids, torch.float64)
    found: list[tuple[Tensor, ...]] = []  # of each place, by state: (lags,)
    losses: list[float] = []
    for batch in batches(places):
        targets = [int(text.ids[one.at + 1]) if wanted is None else wanted for one in batch]
        trace, index = yield from read(weights, text, batch)
        dY, some = output_gradient(weights, trace.outputs, index, targets)
        losses += some
        states = (yield from backward(trace, dY, layer - 1))[layer - 1][int(options.reverse)].states
        first = len(trace.outputs) - 1 - index if options.reverse else index
        found += zip(*(norms_back(state, first).cpu().unbind(1) for state in states), strict=True)
    norms = _means(found)
    matrix = CELLS[model.config.cell].recurrent_matrix
    radius = yield from spectral_radius(weights.layers[layer - 1][int(options.reverse)][matrix])
    factor, negligible = decay_factor(norms[0]), negligible_after(norms[0])
    positions, is_mean = sorted(one.at for one in places), options.places is not None
    return GradientsView(
        text=text.text,
        at=positions[-1],
        lags=tuple(range(len(norms[0]))),
        norms=norms[0],
        cell_norms=norms[1] if len(norms) > 1 else None,
        factor=factor,
        spectral_radius=radius,
        matrix=matrix,
        half_life=half_life(factor if negligible is None else decay_factor(norms[0][: negligible + 1])),
        negligible_after=negligible,
        target="" if is_mean else text.vocabulary.id_to_token(targets[0]),
        loss=sum(losses) / len(losses),
        num_steps=model.config.num_steps,
        layer=layer,
        reverse=options.reverse,
        places=tuple(positions) if is_mean else (),
    )


def _means(found: list[tuple[Tensor, ...]]) -> list[tuple[float, ...]]:
    """The mean norms by state, up to the lag that half of the places have."""
    lags = sorted(len(one[0]) for one in found)[len(found) // 2]
    means = []
    for of_state in zip(*found, strict=True):
        known = [one[:lags] for one in of_state]
        counts = torch.tensor([sum(len(one) > lag for one in known) for lag in range(lags)])
        total = torch.stack([torch.nn.functional.pad(one, (0, lags - len(one))) for one in known]).sum(0)
        means.append(floats(total / counts))
    return means


def output_gradient(weights: Weights, H: Tensor, index: int, targets: list[int]) -> tuple[Tensor, list[float]]:
    """The losses at a step, and their gradients with respect to H, the outputs of the top layer, (steps, batch, width).

    -log softmax(H_t W_hq + b_q)[target]: autograd differentiates it.
    """
    with torch.enable_grad():
        H_t = H[index].detach().requires_grad_()  # (batch, width)
        scores = torch.log_softmax(H_t @ weights.W_hq + weights.b_q, dim=-1)
        losses = -scores[torch.arange(len(targets)), targets]  # (batch,)
        (gradient,) = torch.autograd.grad(losses.sum(), H_t)
    dY = torch.zeros_like(H)
    dY[index] = gradient
    return dY, losses.tolist()


def norms_back(gradient: Tensor, first: int) -> Tensor:
    """The norms from the step ``first`` back to the first step; gradient: (steps, batch, hidden) -> (lags, batch)."""
    norms: Tensor = gradient[: first + 1].norm(dim=-1)
    return norms.flip(0)


def decay_factor(norms: Sequence[float]) -> float | None:
    """The geometric mean ratio of a norm to the one before it, up to the first that vanishes; None of fewer than two.

    sum log(n_k / n_{k-1}) / K telescopes to (log n_K - log n_0) / K.
    """
    count = next(
        (index for index, norm in enumerate(norms) if not (norm > _SMALLEST and math.isfinite(norm))), len(norms)
    )
    if count < 2:
        return None
    return math.exp((math.log(norms[count - 1]) - math.log(norms[0])) / (count - 1))


def half_life(factor: float | None) -> float | None:
    """Steps in which the norm halves; None if it does not shrink."""
    return math.log(0.5) / math.log(factor) if factor is not None and factor < 1 else None


def negligible_after(norms: Sequence[float]) -> int | None:
    """The first lag from which on less than 1 % of the norm at lag 0 is left; None if it is beyond ``norms``."""
    if not norms or not norms[0] > 0:
        return None
    last = max(lag for lag, norm in enumerate(norms) if not norm < NEGLIGIBLE * norms[0])
    return last + 1 if last + 1 < len(norms) else None


def spectral_radius(W: Tensor) -> Generator[None, None, float]:
    """The largest absolute eigenvalue of W, (hidden, hidden): the limit of ||W^n||^(1/n) (Gelfand 1941), n = 2^30.

    By repeated squaring, each a short piece of work; eigenvalues themselves come from one call that does not return for
    a second at a thousand units.
    """
    B = W.detach().double() if W.device.type != "mps" else W.detach().cpu().double()
    logarithm = 0.0  # of the norm of W^n, divided by n
    for power in range(_SQUARINGS + 1):
        norm = float(B.norm())
        if not norm > 0:
            return 0.0
        logarithm += math.log(norm) / 2**power
        B = B / norm
        B = B @ B
        yield
    return math.exp(logarithm)
