"""Strategies: from the scores of a model to the next token. numpy only, one row of scores at a time.

The filters apply in this order, each to the result of the previous one, as in most toolkits:

1. masked tokens get the probability 0;
2. repetition penalty: the score of each token of the last ``repetition_window`` ones is divided by the penalty if it is
   positive and multiplied if it is negative (Keskar et al. 2019, "CTRL"; the sign as in Hugging Face's
   transformers, without which a penalty would reward unlikely tokens);
3. temperature: the scores are divided by it, and a softmax makes them probabilities;
4. top-k: the k most likely tokens stay (Fan et al. 2018, "Hierarchical neural story generation");
5. top-p: the smallest set of most likely tokens with a total probability of at least p stays (Holtzman et al. 2020,
   "The curious case of neural text degeneration");
6. min-p: tokens stay that are at least min_p times as likely as the most likely one (Nguyen et al. 2024, "Turning up
   the heat").

Probabilities are renormalised after each step. Of equally likely tokens the one with the smaller id comes first: the
more frequent one in the text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from core.errors import UserError
from core.generation.options import Filters, Sampling

Logits = npt.NDArray[np.floating]
Probabilities = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

_BLOCK = 64
NOTHING: Ids = np.zeros(0, dtype=np.int64)
NOT_FINITE = (
    "the model's scores became non-finite: go back to an earlier checkpoint, or train a new run with a lower learning "
    "rate"
)


def distribution(logits: Logits, filters: Filters, recent: Sequence[int] = (), masked: Ids = NOTHING) -> Probabilities:
    """The distribution of the next token after all filters, (vocabulary,) float64.

    Args:
        logits: (vocabulary,), the scores of the model.
        filters: see the module.
        recent: ids for the penalty: the text so far, or its end.
        masked: ids that are never sampled, unless there are no others.

    Raises UserError for non-finite scores.
    """
    scores = logits.astype(np.float64)
    if len(masked) < len(scores):
        scores[masked] = -np.inf
    if filters.repetition_penalty != 1 and len(recent):
        ids = np.unique(np.asarray(recent[-filters.repetition_window :], dtype=np.int64))
        penalty, before = filters.repetition_penalty, scores[ids]
        scores[ids] = np.where(before > 0, before / penalty, before * penalty)
    scores /= filters.temperature
    scores -= scores.max()
    probabilities: Probabilities = np.exp(scores, out=scores)
    total = probabilities.sum()
    if not math.isfinite(total):
        raise UserError(NOT_FINITE)
    probabilities /= total
    if filters.top_k is not None and filters.top_k < len(probabilities):
        _keep_likeliest(probabilities, filters.top_k)
    if filters.top_p < 1:
        _keep_nucleus(probabilities, filters.top_p)
    if filters.min_p > 0:
        probabilities[probabilities < filters.min_p * probabilities.max()] = 0
        probabilities /= probabilities.sum()
    return probabilities


def _keep_likeliest(probabilities: Probabilities, k: int) -> None:
    """Set all but the k largest to 0, in place, and renormalise."""
    least = np.partition(probabilities, len(probabilities) - k)[len(probabilities) - k]
    ties = np.flatnonzero(probabilities == least)
    spare = k - int(np.count_nonzero(probabilities > least))
    probabilities[probabilities < least] = 0
    probabilities[ties[spare:]] = 0
    probabilities /= probabilities.sum()


def _keep_nucleus(probabilities: Probabilities, p: float) -> None:
    """Set all but the smallest set of most likely tokens that reaches ``p`` to 0, in place, and renormalise."""
    # All tokens less likely than (1 - p) / vocabulary have less than 1 - p together: the nucleus has none of them, and
    # a trained model has few others to sort.
    some = np.flatnonzero(probabilities >= (1 - p) / len(probabilities))
    some = some[np.argsort(-probabilities[some], kind="stable")]
    sums = np.cumsum(probabilities[some])
    # The nucleus ends with the token that reaches p; the tolerance is for rounding of the sum.
    nucleus = some[: int(np.searchsorted(sums, p * (1 - 1e-12))) + 1]
    kept = probabilities[nucleus]
    probabilities[:] = 0
    probabilities[nucleus] = kept / kept.sum()


def draw(probabilities: Probabilities, uniform: float) -> int:
    """The token at ``uniform``, in [0, 1), of the cumulative distribution: inverse transform sampling.

    It takes one random number for each token; ``torch.multinomial`` and the Gumbel-max trick take one for each entry of
    the vocabulary. A token of probability 0 is never sampled.
    """
    sums = np.cumsum(probabilities)
    return _place(sums, uniform * sums[-1])


def _place(sums: npt.NDArray[np.floating], mass: float) -> int:
    """The first place whose cumulative sum exceeds ``mass``; if rounding leaves none, the last one that adds to it."""
    place = int(sums.searchsorted(mass, side="right"))
    return place if place < len(sums) else int(sums.searchsorted(sums[-1]))


def surprise(logits: Logits, token: int) -> float:
    """-log2 of the token's probability under the model itself, without any filter: in bits."""
    scores = logits.astype(np.float64)
    top = scores.max()
    return float(math.log2(np.exp(scores - top).sum()) + (top - scores[token]) / math.log(2))


def likeliest(probabilities: Probabilities, count: int) -> list[tuple[int, float]]:
    """The ``count`` most probable tokens, (id, probability), the most probable first; none of probability 0."""
    count = min(count, len(probabilities))
    best = np.argpartition(-probabilities, count - 1)[:count]
    best = best[np.lexsort((best, -probabilities[best]))]
    return [(int(token), float(probabilities[token])) for token in best if probabilities[token] > 0]


class Chooser:
    """Chooses tokens by one sampling, with reused buffers.

    Sampling by temperature alone, the most common case, would take most of the time of a small model. So it uses the
    fp32 scores without subtracting their maximum (and falls back to ``distribution`` on overflow), and searches the
    cumulative sum in two stages, over blocks and within one: numpy's cumulative sum of a whole vocabulary is slow. With
    1,027 tokens that takes 5 us, where ``distribution`` takes 15; ``CompiledText`` has the same in C for a single text.
    """

    def __init__(self, sampling: Sampling, vocabulary_size: int) -> None:
        self.filters = sampling.filters
        self._is_greedy = sampling.is_greedy
        self._is_plain = self.filters.is_temperature_alone
        self._factor = 1 / self.filters.temperature
        # The vocabulary, row by row; the rest stays 0.
        self._blocks = np.zeros((-(-vocabulary_size // _BLOCK), _BLOCK), dtype=np.float32)
        self._weights = self._blocks.reshape(-1)[:vocabulary_size]
        self._ones = np.ones(_BLOCK, dtype=np.float32)

    @property
    def temperature_alone(self) -> float | None:
        """What ``CompiledText`` chooses by: the temperature, 0 for the most likely token; None where more decides."""
        if self.looks_back or not (self._is_greedy or self._is_plain):
            return None
        return 0.0 if self._is_greedy else self.filters.temperature

    @property
    def looks_back(self) -> bool:
        """Whether the choice depends on the tokens written so far."""
        return self.filters.repetition_penalty != 1

    def choose(self, logits: Logits, uniform: float, recent: Sequence[int], masked: Ids) -> int:
        """The next token.

        Args:
            logits: (vocabulary,) fp32; they are not changed.
            uniform: a random number in [0, 1); greedy ignores it.
            recent, masked: as for ``distribution``.

        Raises UserError for non-finite scores. Intermediate results may overflow: call it under
        ``np.errstate(over="ignore", invalid="ignore")``.
        """
        if self._is_greedy:
            return self._greediest(logits, recent, masked)
        if self._is_plain:
            token = self._draw_plainly(logits, uniform, masked)
            if token >= 0:
                return token
        return draw(distribution(logits, self.filters, recent, masked), uniform)

    def _draw_plainly(self, logits: Logits, uniform: float, masked: Ids) -> int:
        """The token sampled at the temperature, or -1 if the numbers leave the range of fp32."""
        np.exp(logits if self._factor == 1 else logits * self._factor, out=self._weights)
        self._weights[masked] = 0
        sums = np.dot(self._blocks, self._ones).tolist()
        total = sum(sums)
        if not 1e-20 < total < 1e30:
            return -1
        mass = uniform * total
        for block, weight in enumerate(sums):
            if mass < weight:
                return block * _BLOCK + _place(self._blocks[block].cumsum(), mass)
            mass -= weight
        return -1

    def _greediest(self, logits: Logits, recent: Sequence[int], masked: Ids) -> int:
        if self.looks_back:
            return int(distribution(logits, self.filters, recent, masked).argmax())
        scores = self._weights
        scores[:] = logits
        if len(masked) < len(scores):
            scores[masked] = -math.inf
        token = int(scores.argmax())
        if not math.isfinite(scores[token]):
            raise UserError(NOT_FINITE)
        return token

    def distribution(self, logits: Logits, recent: Sequence[int], masked: Ids) -> Probabilities:
        """The distribution that ``choose`` samples from; for greedy, its one token. Shapes as for ``choose``."""
        if self._is_greedy:
            certain = np.zeros(len(logits))
            certain[self.choose(logits, 0.0, recent, masked)] = 1
            return certain
        return distribution(logits, self.filters, recent, masked)
