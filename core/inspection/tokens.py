"""Tokens as vectors: the nearest ones, and all of them on a plane.

The input vector of a token is its row of the embedding, or of W_x with the columns of all gates: what its one-hot
vector picks. The output vector is its column of W_hq. Two tokens are near if the cosine of the angle between their
vectors, u . v / (|u| |v|), is near 1. The plane is that of the first two principal components: the directions in which
the centred vectors vary most.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import torch
from torch import Tensor

from core.corpus.vocabulary import Vocabulary
from core.inspection.answers import TokensView
from core.inspection.features import token_class
from core.inspection.figures import floats, require_finite, token_id
from core.inspection.options import InspectionOptions
from core.models.language_model import LanguageModel

MOST_NEIGHBOURS = 10
# Points of the plane: the most frequent tokens.
MOST_POINTS = 5_000
# Subspace iteration: vectors, largest number of rounds, and the change of the axes at which it ends.
_BLOCK, _ROUNDS, _TOLERANCE = 8, 200, 1e-6
# Rows of a large table that are copied or multiplied at once.
_ROWS = 4096


def tokens(
    model: LanguageModel, vocabulary: Vocabulary, options: InspectionOptions
) -> Generator[None, None, TokensView]:
    """The neighbours of a token, by default the most frequent one that is no blank, and the plane of the vectors.

    Raises UserError for an unknown token.
    """
    token, vectors = options.token, options.vectors or "input"
    token = _common_token(vocabulary) if token is None else token
    index = token_id(vocabulary, token)
    tables = {}
    for name, source in (("input", _input_vectors(model)), ("output", model.output_layer()[0].detach().t())):
        tables[name] = yield from _copied(source)
    near = {name: _neighbours(table, index, vocabulary) for name, table in tables.items()}
    yield
    places, axes = yield from plane(tables[vectors])
    shown = places[:MOST_POINTS].tolist()
    named = vocabulary.tokens[: len(shown)]
    return TokensView(
        token=token,
        id=index,
        neighbours=near["input"],
        output_neighbours=near["output"],
        vectors=vectors,
        axes=axes,
        points=tuple((name, _short(x), _short(y)) for name, (x, y) in zip(named, shown, strict=True)),
        classes=tuple(map(token_class, named)),
        num_tokens=len(vocabulary),
    )


def plane(table: Tensor) -> Generator[None, None, tuple[Tensor, tuple[float, float]]]:
    """The vectors (tokens, size) on their first two principal components, (tokens, 2), and shares of the variance.

    By subspace iteration (Halko, Martinsson & Tropp 2011, "Finding structure with randomness") with a start that is
    always the same. The sign of an axis is such that its largest element is positive.
    """
    count, size = table.shape
    X = table - table.mean(dim=0)
    total = float((X * X).sum())
    width = min(_BLOCK, size, count)
    start = torch.from_numpy(np.random.default_rng(0).standard_normal((size, width)))
    Q, _ = torch.linalg.qr(start.to(X))
    values = torch.zeros(width, dtype=X.dtype, device=X.device)
    yield
    for _ in range(_ROUNDS if total > 0 else 0):
        product = torch.zeros_like(Q)
        for begin in range(0, count, _ROWS):
            rows = X[begin : begin + _ROWS]
            product += rows.t() @ (rows @ Q)
            yield
        # Rayleigh and Ritz: of the block, the directions of most variance come first
        inner, turn = torch.linalg.eigh(Q.t() @ product)
        before, values = values, inner.flip(0)
        Q, _ = torch.linalg.qr(product @ turn.flip(1))
        if float((values - before)[:2].abs().max()) <= _TOLERANCE * float(values[0]):
            break
    axes = Q[:, :2] if width > 1 else torch.cat((Q, torch.zeros_like(Q)), dim=1)
    largest = axes.abs().argmax(dim=0)
    axes = axes * axes.gather(0, largest.unsqueeze(0)).sign()
    places = X @ axes  # (tokens, 2)
    shares = [float((places[:, axis] ** 2).sum()) / total if total > 0 else 0.0 for axis in range(2)]
    yield
    return places, (shares[0], shares[1])


def _copied(source: Tensor) -> Generator[None, None, Tensor]:
    """A table, (tokens, size), in double precision on the CPU, a piece at a time. Raises UserError."""
    pieces = []
    for begin in range(0, len(source), _ROWS):
        pieces.append(source[begin : begin + _ROWS].cpu().double())
        yield
    require_finite(pieces)
    return torch.cat(pieces)


def _input_vectors(model: LanguageModel) -> Tensor:
    """(tokens, size): the embedding, or the rows of W_x of the first layer, of both directions side by side."""
    vectors = model.input_vectors()
    if vectors is not None:
        return vectors.detach()
    tables = [model.stored_layer(row)[0].detach() for row in range(model.directions)]
    return torch.cat(tables, dim=1) if len(tables) > 1 else tables[0]


def _neighbours(table: Tensor, index: int, vocabulary: Vocabulary) -> tuple[tuple[str, float], ...]:
    norms = table.norm(dim=1).clamp_min(torch.finfo(table.dtype).tiny)
    cosines = (table @ table[index]) / (norms * norms[index])
    cosines[index] = -2.0  # a token is no neighbour of itself
    top = torch.topk(cosines, min(MOST_NEIGHBOURS, len(table) - 1))
    named = map(vocabulary.id_to_token, top.indices.tolist())
    return tuple(zip(named, floats(top.values), strict=True))


def _common_token(vocabulary: Vocabulary) -> str:
    """The most frequent token that is neither reserved nor a blank; ids are in the order of frequency."""
    own = vocabulary.tokens[1 + len(vocabulary.reserved) :]
    return next((token for token in own if not token.isspace()), vocabulary.tokens[-1])


def _short(value: float) -> float:
    return float(f"{value:.5g}")
