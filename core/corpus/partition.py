"""How a text is cut into batches: the index arithmetic of random sampling and of sequential partition.

A batch is given by the start of each of its rows in ``ids``: ``X = ids[start : start + num_steps]`` and
``Y = ids[start + 1 : start + num_steps + 1]``. Source: Dive into Deep Learning, section 8.3.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.errors import CorpusError

Starts = npt.NDArray[np.int64]


def num_batches(num_tokens: int, batch_size: int, num_steps: int) -> int:
    """Batches in an epoch, for either sampling; 0 where the text is too short.

    Random sampling has ``((num_tokens - 1) // num_steps) // batch_size`` of them, which is the same number.
    """
    return max(num_tokens - 1, 0) // (batch_size * num_steps)


def require_one_batch(num_tokens: int, batch_size: int, num_steps: int) -> None:
    """Raise ``CorpusError`` where the text is too short for one batch, ``ValueError`` for sizes below 1."""
    if batch_size < 1 or num_steps < 1:
        raise ValueError(f"batch_size and num_steps must be at least 1, got {batch_size} and {num_steps}")
    if num_batches(num_tokens, batch_size, num_steps) < 1:
        noun = "token" if num_tokens == 1 else "tokens"
        raise CorpusError(
            f"the text has {num_tokens:,} {noun}; batch_size {batch_size:,} with num_steps {num_steps:,} needs "
            f"at least {batch_size * num_steps + 1:,}: choose a smaller batch_size or fewer num_steps"
        )


def largest_offset(num_tokens: int, batch_size: int, num_steps: int) -> int:
    """The largest random offset: less than one sequence, and never at the cost of a batch. Raises ``CorpusError``."""
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

    The text from ``offset`` on is cut into pieces of ``num_steps``, which are dealt out in random order; no piece
    twice. Raises like ``sequential_starts``.
    """
    batches = _checked(num_tokens, batch_size, num_steps, offset)
    pieces = (num_tokens - 1 - offset) // num_steps
    order = generator.permutation(pieces)[: batches * batch_size]
    return (offset + num_steps * order.astype(np.int64, copy=False)).reshape(batches, batch_size)


def _checked(num_tokens: int, batch_size: int, num_steps: int, offset: int) -> int:
    """The number of batches, once the arguments are known to fit together."""
    largest = largest_offset(num_tokens, batch_size, num_steps)
    if not 0 <= offset <= largest:
        raise ValueError(f"offset must be between 0 and {largest}, got {offset}")
    return num_batches(num_tokens, batch_size, num_steps)
