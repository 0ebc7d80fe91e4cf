"""Perplexities of n-gram models, to compare a recurrent model with."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from core.corpus.ids import Ids
from core.corpus.ngrams import NGrams
from core.errors import CorpusError

Probabilities = npt.NDArray[np.float64]

NAMES = ("uniform", "unigram", "bigram", "trigram")
_HELD_BACK = 10  # one part in ten
_LARGEST_HELD_BACK = 1_000_000
_EM_STEPS = 50
_STEP = 1 << 20


class NGramBaseline:
    """An n-gram model, interpolated with all lower orders down to the uniform distribution (Jelinek-Mercer).

    ``p_k(w | context) = weight_k * count(context, w) / count(context) + (1 - weight_k) * p_{k-1}(w | shorter context)``
    with ``p_0 = 1 / vocabulary_size``; for a context that was never seen ``p_k = p_{k-1}``. The weights are fitted by
    expectation maximisation: counts from the first nine tenths of the training text, the weights that fit its last
    tenth (at most a million tokens) best, then counts from all of it. One pseudo-observation for the lower order keeps
    each weight below 1, so that no token has probability 0.

    Source: F. Jelinek and R. L. Mercer, Interpolated estimation of Markov source parameters from sparse data, 1980;
    S. F. Chen and J. Goodman, An empirical study of smoothing techniques for language modeling, 1999, section 2.3.

    Attributes:
        order: n; 0 is the uniform distribution.
        weights: of the orders 1 to n.
    """

    def __init__(self, train_ids: Ids, vocabulary_size: int, order: int = 3) -> None:
        """Fit to ``train_ids`` (tokens,), all below ``vocabulary_size``. Raises ``CorpusError`` for an empty text."""
        if not len(train_ids):
            raise CorpusError("the training text has no tokens to count n-grams in")
        self.order = order
        self._vocabulary_size = vocabulary_size
        cut = len(train_ids) - max(min(len(train_ids) // _HELD_BACK, _LARGEST_HELD_BACK), 1)
        counts = [_Counts(train_ids[:cut], k, vocabulary_size) for k in range(1, order + 1)]
        self.weights = _weights(counts, train_ids[cut:], vocabulary_size)
        self._counts = [_Counts(train_ids, k, vocabulary_size) for k in range(1, order + 1)]

    def perplexities(self, ids: Ids) -> list[float]:
        """The perplexity on ``ids`` (tokens,) of each order from 0 to ``order``.

        As for a recurrent model, all tokens but the first are predicted, each from those before it in ``ids``.
        Raises ``CorpusError`` for fewer than two tokens.
        """
        if len(ids) < 2:
            raise CorpusError(f"a perplexity needs at least 2 tokens, the text has {len(ids)}")
        surprise = np.zeros(self.order + 1)
        for start in range(1, len(ids), _STEP):
            context = min(max(self.order - 1, 0), start)
            piece = ids[start - context : start + _STEP]
            probabilities = [np.full(len(piece), 1 / self._vocabulary_size)]
            for counts, weight in zip(self._counts, self.weights, strict=True):
                probabilities.append(_interpolated(counts, weight, piece, probabilities[-1]))
            surprise -= [np.log(order[context:]).sum() for order in probabilities]
        interpolated = [math.exp(nats) for nats in (surprise[1:] / (len(ids) - 1)).tolist()]
        return [float(self._vocabulary_size), *interpolated]


def baselines(train_ids: Ids, test_ids: Ids, vocabulary_size: int) -> dict[str, float]:
    """Perplexities on ``test_ids`` of ``uniform, unigram, bigram, trigram``, fitted to ``train_ids``.

    Raises ``CorpusError`` for an empty training text and for a test text with fewer than two tokens.
    """
    return dict(zip(NAMES, NGramBaseline(train_ids, vocabulary_size).perplexities(test_ids), strict=True))


class _Counts:
    """How often each n-gram occurs, and how often its first n - 1 tokens occur with anything after them."""

    def __init__(self, ids: Ids, order: int, vocabulary_size: int) -> None:
        self.order = order
        self._grams = NGrams(ids, order, vocabulary_size)
        self._contexts = NGrams(ids[:-1], order - 1, vocabulary_size) if order > 1 else None

    def relative(self, ids: Ids) -> tuple[Probabilities, npt.NDArray[np.bool_]]:
        """The share of the last token of each n-gram among those seen after its context, 0 for an unseen context.

        Returns the shares (tokens - n + 1,), and whether each context was seen.
        """
        place = self._grams.find(self._grams.pack(ids))
        if self._contexts is None:
            of_context = np.full(len(place), self._grams.total)
        else:
            context = self._contexts.find(self._contexts.pack(ids[:-1]))
            of_context = np.where(context >= 0, _taken(self._contexts.counts, context), 0)
        together = np.where(place >= 0, _taken(self._grams.counts, place), 0)
        seen = of_context > 0
        return together / np.maximum(of_context, 1), seen


def _taken(counts: npt.NDArray[np.int64], place: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """``counts[place]``, also without any counts, when every place is -1."""
    return counts[place] if len(counts) else np.zeros(len(place), dtype=np.int64)


def _interpolated(counts: _Counts, weight: float, ids: Ids, lower: Probabilities) -> Probabilities:
    """The probability of each token of ``ids`` (tokens,), given those of the order below."""
    share, seen = counts.relative(ids)
    result = lower.copy()
    behind = result[counts.order - 1 :]
    behind[seen] = weight * share[seen] + (1 - weight) * behind[seen]
    return result


def _weights(counts: list[_Counts], held_back: Ids, vocabulary_size: int) -> tuple[float, ...]:
    """The weight of each order, from the lowest up: each takes the order below as given."""
    weights: list[float] = []
    lower = np.full(len(held_back), 1 / vocabulary_size)
    for order in counts:
        share, seen = order.relative(held_back)
        weights.append(_fitted_weight(share[seen], lower[order.order - 1 :][seen]))
        lower = _interpolated(order, weights[-1], held_back, lower)
    return tuple(weights)


def _fitted_weight(share: Probabilities, lower: Probabilities) -> float:
    """The weight of ``share`` against ``lower`` of maximum likelihood on the held-back tokens, 0.5 without any."""
    weight = 0.5
    if not len(share):
        return weight
    for _ in range(_EM_STEPS):
        of_share = weight * share
        last, weight = weight, float((of_share / (of_share + (1 - weight) * lower)).sum()) / (len(share) + 1)
        if abs(weight - last) < 1e-6:
            break
    return weight
