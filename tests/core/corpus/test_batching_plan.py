"""The batches of both samplings, by their starts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.corpus.batching_plan import (
    RandomStarts,
    SequentialStarts,
    largest_offset,
    num_batches,
    require_one_batch,
)
from core.errors import CorpusError


@st.composite
def cuts(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """A text length with sizes that it is long enough for, and an offset."""
    batch_size, num_steps = draw(st.integers(1, 9)), draw(st.integers(1, 12))
    num_tokens = draw(st.integers(batch_size * num_steps + 1, batch_size * num_steps * 6 + 20))
    offset = draw(st.integers(0, largest_offset(num_tokens, batch_size, num_steps)))
    return num_tokens, batch_size, num_steps, offset


def sequential_starts(*sizes: int) -> np.ndarray:
    """The starts of all batches, (batches, batch)."""
    return SequentialStarts(*sizes)[np.arange(num_batches(*sizes[:3]))]


def random_starts(*sizes: int, seed: int = 1) -> np.ndarray:
    return RandomStarts(*sizes, np.random.default_rng(seed))[np.arange(num_batches(*sizes[:3]))]


def rows(starts: np.ndarray, num_steps: int) -> np.ndarray:
    """The positions that the rows of every batch read as X, (batches, batch, steps)."""
    return starts[:, :, None] + np.arange(num_steps)


def test_textbook_sequence_sequential() -> None:
    starts = sequential_starts(35, 2, 5)
    assert starts.tolist() == [[0, 17], [5, 22], [10, 27]]
    sequence = np.arange(35)
    x, y = sequence[rows(starts, 5)], sequence[rows(starts, 5) + 1]
    assert x.shape == (3, 2, 5)
    assert (y == x + 1).all()
    assert x[0, 0].tolist() == [0, 1, 2, 3, 4]
    assert y[0, 0].tolist() == [1, 2, 3, 4, 5]
    assert (x[1:, :, 0] == x[:-1, :, -1] + 1).all()


def test_textbook_sequence_random() -> None:
    starts = random_starts(35, 2, 5, 0)
    assert starts.shape == (3, 2)
    assert len(set(starts.ravel().tolist())) == 6
    assert (starts % 5 == 0).all()


def test_lyrics_shape_has_eight_batches() -> None:
    assert num_batches(10_000, 32, 35) == 8
    assert largest_offset(10_000, 32, 35) == 34


@given(cuts())
def test_sequential_rows_continue_and_stay_inside(cut: tuple[int, int, int, int]) -> None:
    num_tokens, batch_size, num_steps, offset = cut
    starts = sequential_starts(*cut)
    assert [SequentialStarts(*cut)[batch].tolist() for batch in range(len(starts))] == starts.tolist()
    assert starts.dtype == np.int64
    assert starts.shape == (num_batches(num_tokens, batch_size, num_steps), batch_size)
    assert (np.diff(starts, axis=0) == num_steps).all()
    positions = rows(starts, num_steps)
    assert positions.min() == offset
    assert positions.max() + 1 <= num_tokens - 1
    assert len(np.unique(positions)) == positions.size


@given(cuts(), st.integers(0, 2**32))
def test_random_pieces_never_overlap(cut: tuple[int, int, int, int], seed: int) -> None:
    num_tokens, batch_size, num_steps, offset = cut
    starts = random_starts(num_tokens, batch_size, num_steps, offset, seed=seed)
    assert starts.dtype == np.int64
    assert starts.shape == (num_batches(num_tokens, batch_size, num_steps), batch_size)
    assert ((starts - offset) % num_steps == 0).all()
    positions = rows(starts, num_steps)
    assert positions.min() >= offset
    assert positions.max() + 1 <= num_tokens - 1
    assert len(np.unique(positions)) == positions.size
    one_by_one = RandomStarts(*cut, np.random.default_rng(seed))
    assert [one_by_one[batch].tolist() for batch in range(len(starts))] == starts.tolist()
    again = random_starts(num_tokens, batch_size, num_steps, offset, seed=seed)
    assert (starts == again).all()


@given(cuts())
def test_both_samplings_have_as_many_batches_as_the_textbook(cut: tuple[int, int, int, int]) -> None:
    num_tokens, batch_size, num_steps, _ = cut
    assert num_batches(num_tokens, batch_size, num_steps) == ((num_tokens - 1) // num_steps) // batch_size


def test_too_short_says_what_would_be_enough() -> None:
    with pytest.raises(CorpusError) as caught:
        sequential_starts(120, 32, 35)
    assert str(caught.value) == (
        "the text has 120 tokens; batch_size 32 with num_steps 35 needs at least 1,121: "
        "choose a smaller batch_size, fewer num_steps or more text"
    )
    require_one_batch(1_121, 32, 35)
    assert num_batches(0, 32, 35) == 0


def test_a_wrong_offset_or_size_is_refused() -> None:
    with pytest.raises(ValueError, match="offset must be between 0 and 4, got 5"):
        sequential_starts(35, 2, 5, 5)
    with pytest.raises(ValueError, match="at least 1"):
        require_one_batch(10, 0, 5)
