"""Beam search: the most likely whole texts, rather than a text of likely tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.errors import UserError
from core.generation.decoder import BatchStream
from core.generation.strategies import NOT_FINITE


@dataclass(frozen=True)
class Result:
    """A text found by beam search. ``score`` is the mean log-probability of its tokens in nats, at most 0."""

    ids: tuple[int, ...]
    score: float


class BeamSearch:
    """Keeps the ``width`` most likely candidates, all of one length, and the ``width`` best texts that ended.

    Texts are compared by the mean log-probability of their tokens, score = 1/n sum_t log p(x_t | x_<t), including the
    token that ends them: without division by the length the shortest would win. (Wu et al. 2016, "Google's neural
    machine translation system", divide by a power of the length; here the power is 1, and the score is the logarithm
    of one over the perplexity.)
    """

    def __init__(
        self,
        stream: BatchStream,
        last: int,
        width: int,
        length: int,
        masked: npt.NDArray[np.int64],
        ends: frozenset[int],
    ) -> None:
        """``stream`` has one row and has read all but the token ``last``; ``masked`` ids are never written."""
        self._stream, self._last = stream, [last]
        self._width, self._length = width, length
        self._masked = masked
        self._ends = np.array(sorted(ends), dtype=np.int64)
        self._sums = np.zeros(1)  # of log-probabilities, one for each candidate
        # The origin of each candidate, (parent row, token), one pair of arrays for each step.
        self._steps: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
        self._ended: list[Result] = []
        self.finished = False

    def advance(self) -> None:
        """Add one token to every candidate. Raises UserError if the model's scores are not finite."""
        logits = self._stream.advance(self._last).astype(np.float64)  # (rows, vocabulary)
        if not np.isfinite(logits).all():
            raise UserError(NOT_FINITE)
        logits -= logits.max(axis=1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        if len(self._masked) < logits.shape[1]:
            logits[:, self._masked] = -np.inf
        sums = self._sums[:, None] + logits  # (rows, vocabulary)
        self._end_texts(sums)
        sums[:, self._ends] = -np.inf
        rows, tokens, self._sums = _best(sums, self._width)
        self._steps.append((rows, tokens))
        if len(rows):
            self._last = tokens.tolist()
            self._stream.select(rows.tolist())
        self.finished = len(self._steps) == self._length or not len(rows) or self._cannot_improve()

    def _end_texts(self, sums: npt.NDArray[np.float64]) -> None:
        """Keep the candidates that can end here, if they are among the best that ended."""
        rows, which, found = _best(sums[:, self._ends], self._width)
        number = len(self._steps) + 1
        worst = self._ended[-1].score if len(self._ended) == self._width else -np.inf
        for row, end, total in zip(rows.tolist(), which.tolist(), found.tolist(), strict=True):
            if total / number > worst:
                ids = (*self._text(row), int(self._ends[end]))
                self._ended.append(Result(ids, total / number))
        self._ended = sorted(self._ended, key=lambda result: -result.score)[: self._width]

    def _cannot_improve(self) -> bool:
        """Whether no candidate can still be among the best: its sum only falls, and is divided by the length."""
        return len(self._ended) == self._width and self._sums.max() / self._length <= self._ended[-1].score

    def _text(self, row: int) -> list[int]:
        ids = []
        for rows, tokens in reversed(self._steps):
            ids.append(int(tokens[row]))
            row = int(rows[row])
        return ids[::-1]

    def results(self) -> Iterator[Result]:
        """At most ``width`` texts, the best first."""
        number = len(self._steps)
        candidates = [Result(tuple(self._text(row)), float(total) / number) for row, total in enumerate(self._sums)]
        yield from sorted([*self._ended, *candidates], key=lambda result: -result.score)[: self._width]


def _best(
    sums: npt.NDArray[np.float64], count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The ``count`` largest finite entries of (rows, columns): their rows, columns and values, the largest first."""
    flat = sums.ravel()
    order = np.arange(len(flat)) if count >= len(flat) else np.argpartition(-flat, count - 1)[:count]
    order = order[np.lexsort((order, -flat[order]))]
    order = order[np.isfinite(flat[order])]
    return order // sums.shape[1], order % sums.shape[1], flat[order]
