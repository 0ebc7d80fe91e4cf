"""n-grams counted with little memory: the same as with much."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.corpus import gram_counts
from core.corpus.gram_counts import count_grams
from core.errors import CorpusError

Counted = tuple[np.ndarray, np.ndarray]


def counted(ids: np.ndarray, order: int) -> Counted:
    """The distinct n-grams and their numbers, with as much memory as it takes."""
    windows = np.stack([ids[place : max(0, len(ids) - order + 1 + place)] for place in range(order)], axis=1)
    powers = 10_000 ** np.arange(order - 1, -1, -1)  # as one number each, an n-gram is sorted in no time
    found, counts = np.unique(windows @ powers, return_counts=True)
    return (found[:, None] // powers % 10_000).astype(ids.dtype), counts


def check(ids: np.ndarray, order: int, size: int, folder: Path, plainly: Counted, top: int = 7, **few: Any) -> int:
    found = count_grams(ids, order, size, top, folder, **few)
    wanted, counts = plainly
    ranked = np.argsort(-counts, kind="stable")[:top]
    assert found.distinct == len(wanted)
    assert found.top == [(tuple(wanted[place].tolist()), counts[place]) for place in ranked]
    assert np.repeat(found.counts, found.times).tolist() == sorted(counts.tolist(), reverse=True)
    assert (np.diff(found.counts) < 0).all()
    assert not list(folder.iterdir())
    return found.disk_bytes


@given(st.data())
def test_any_text(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 9))
    ids = np.array(data.draw(st.lists(st.integers(0, size - 1), max_size=60)), dtype=np.uint8)
    order = data.draw(st.integers(1, 3))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for name, least in (("STEP", 5), ("BLOCK", 2), ("MOST_RUNS", 2), ("WIDEST_TABLE", 1)):
            patch.setattr(gram_counts, name, least)
        most, largest_key = data.draw(st.sampled_from([1, 4, 1000])), data.draw(st.sampled_from([3, 20, 2**63 - 1]))
        check(ids, order, size, Path(folder), counted(ids, order), most=most, largest_key=largest_key)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_text_that_needs_the_disk(tmp_path: Path, order: int) -> None:
    ids = np.minimum(np.random.default_rng(order).geometric(0.0005, 300_000), 9_999).astype(np.uint16)
    plainly = counted(ids, order)
    assert check(ids, order, 10_000, tmp_path, plainly, top=60) == 0
    few = {"most": 2_000} if order == 1 else {"most": 20_000}
    used = check(ids, order, 10_000, tmp_path, plainly, top=60, **few)
    assert (used > 0) == (order > 1)  # numbers below the largest table need no runs
    check(ids, order, 10_000, tmp_path, plainly, top=60, largest_key=10**9, **few)


def test_a_disk_that_fails_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ids = np.arange(10_000, dtype=np.uint16)
    with pytest.raises(CorpusError, match=r"need room in .*file/tokens, which cannot be written \(Not a directory\)"):
        count_grams(ids, 2, 10_000, 5, tmp_path / "file" / "tokens", most=100)
