"""How a text is cut into batches: the index arithmetic of random sampling and of sequential partition.

A batch is given by the start of each of its rows in ``ids``: ``X = ids[start : start + num_steps]`` and
``Y = ids[start + 1 : start + num_steps + 1]``. Source: Dive into Deep Learning, section 8.3. Where each line is a
document, each is one row: ``line_rows``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from core.corpus.vocabulary import Vocabulary
from core.errors import CorpusError
from core.settings.run_config import END, PADDING, START, RunConfig
from core.units import counted

Starts = npt.NDArray[np.int64]


def num_batches(num_tokens: int, batch_size: int, num_steps: int) -> int:
    """Batches in an epoch, for both samplings; 0 if the text is too short."""
    return max(num_tokens - 1, 0) // (batch_size * num_steps)


def require_one_batch(num_tokens: int, batch_size: int, num_steps: int) -> None:
    """Raise ``CorpusError`` if the text is too short for one batch, ``ValueError`` for sizes below 1."""
    if batch_size < 1 or num_steps < 1:
        raise ValueError(f"batch_size and num_steps must be at least 1, got {batch_size} and {num_steps}")
    if num_batches(num_tokens, batch_size, num_steps) < 1:
        words = (
            "the text has {length}; {batch_size} {rows:,} with {num_steps} {steps:,} needs at least {needed:,}: "
            "choose a smaller {batch_size} or fewer {num_steps}"
        )
        needed = batch_size * num_steps + 1
        sizes = {"length": counted(num_tokens, "token"), "rows": batch_size, "steps": num_steps, "needed": needed}
        refused = RunConfig.refusal("batch_size", words, **sizes)
        raise CorpusError(str(refused), refused.field, refused.labelled)


def largest_offset(num_tokens: int, batch_size: int, num_steps: int) -> int:
    """The largest random offset: less than one sequence, and without losing a batch. Raises ``CorpusError``."""
    require_one_batch(num_tokens, batch_size, num_steps)
    used = num_batches(num_tokens, batch_size, num_steps) * batch_size * num_steps
    return min(num_steps - 1, num_tokens - 1 - used)


def sequential_starts(num_tokens: int, batch_size: int, num_steps: int, offset: int = 0) -> Starts:
    """Starts of the sequential partition, int64 (num_batches, batch_size).

    The text from ``offset`` on is cut into ``batch_size`` rows of equal length, and each row of batch i + 1 continues
    the same row of batch i, so the hidden state may be carried. Raises ``CorpusError`` for a text too short, and
    ``ValueError`` for an offset beyond ``largest_offset``.
    """
    batches = _checked(num_tokens, batch_size, num_steps, offset)
    row_length = (num_tokens - 1 - offset) // batch_size
    rows = offset + row_length * np.arange(batch_size, dtype=np.int64)
    return num_steps * np.arange(batches, dtype=np.int64)[:, None] + rows[None, :]


def random_starts(
    num_tokens: int, batch_size: int, num_steps: int, offset: int, generator: np.random.Generator
) -> Starts:
    """Starts of random sampling, int64 (num_batches, batch_size).

    The text from ``offset`` on is cut into pieces of ``num_steps``, which are used once each, in random order. Raises
    like ``sequential_starts``.
    """
    batches = _checked(num_tokens, batch_size, num_steps, offset)
    pieces = (num_tokens - 1 - offset) // num_steps
    order = generator.permutation(pieces)[: batches * batch_size]
    return (offset + num_steps * order.astype(np.int64, copy=False)).reshape(batches, batch_size)


def _checked(num_tokens: int, batch_size: int, num_steps: int, offset: int) -> int:
    """The number of batches. Raises ``CorpusError``, ``ValueError``."""
    largest = largest_offset(num_tokens, batch_size, num_steps)
    if not 0 <= offset <= largest:
        raise ValueError(f"offset must be between 0 and {largest}, got {offset}")
    return num_batches(num_tokens, batch_size, num_steps)


def line_spans(ids: npt.NDArray[Any], vocabulary: Vocabulary) -> tuple[Starts, Starts]:
    """Where each line of ``ids`` (tokens,) begins and ends, without its line end; empty lines are skipped."""
    line_end = vocabulary.token_to_id("\n") if "\n" in vocabulary else -1
    cuts = np.flatnonzero(ids == line_end)
    firsts, lasts = np.concatenate([[0], cuts + 1]), np.concatenate([cuts, [len(ids)]])
    filled = lasts > firsts
    return firsts[filled], lasts[filled]


def line_rows(ids: npt.NDArray[Any], vocabulary: Vocabulary, num_steps: int) -> npt.NDArray[np.int32]:
    """The lines of a text as rows: (lines, num_steps + 1).

    A row is the start token, the line, cut at ``num_steps`` - 1 tokens, the end token, and padding.
    """
    start, end, padding = (vocabulary.token_to_id(token) for token in (START, END, PADDING))
    firsts, lasts = line_spans(ids, vocabulary)
    lengths = np.minimum(lasts - firsts, num_steps - 1)
    rows = np.full((len(lengths), num_steps + 1), padding, dtype=np.int32)
    rows[:, 0] = start
    for row, first, length in zip(rows, firsts, lengths, strict=True):
        row[1 : length + 1] = ids[first : first + length]
        row[length + 1] = end
    return rows
