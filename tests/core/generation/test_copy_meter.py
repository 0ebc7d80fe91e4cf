"""The copy meter against the textbook's dynamic programme."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.generation.copy_meter import BLOCK, Stretch, searching


def by_hand(text: list[int], output: list[int]) -> int:
    best, before = 0, [0] * (len(output) + 1)
    for left in text:
        row = [0] * (len(output) + 1)
        for place, right in enumerate(output):
            row[place + 1] = before[place] + 1 if left == right != 0 else 0
        best, before = max(best, *row), row
    return best


def check(text: list[int], output: list[int], kind: type = np.uint16, block: int = BLOCK) -> Stretch:
    *_, found = searching(np.array(text, dtype=kind), np.array(output, dtype=np.int64), block)
    assert found is not None
    assert found.length == by_hand(text, output)
    stretch = output[found.start : found.start + found.length]
    assert text[found.text_start : found.text_start + found.length] == stretch
    return found


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_any_text_and_output(data: st.DataObject) -> None:
    ids = st.integers(0, data.draw(st.sampled_from([1, 2, 4, 30])))
    check(data.draw(st.lists(ids, max_size=50)), data.draw(st.lists(ids, max_size=30)))


@pytest.mark.parametrize("block", [1, 2, 3, 7, 16])
def test_matches_across_blocks(block: int) -> None:
    generator = np.random.default_rng(block)
    for _ in range(40):
        text = generator.integers(0, 3, 80).tolist()
        check(text, generator.integers(0, 3, generator.integers(1, 25)).tolist(), np.int32, block)


def test_different_windows_with_the_same_hash() -> None:
    # The Thue-Morse sequence and its complement: any polynomial hash modulo 2 ** 64 takes them for equal.
    text = [1 + place.bit_count() % 2 for place in range(1024)]
    check(text, [3 - token for token in text])


def test_places() -> None:
    assert check([9, 1, 2, 3, 4, 9, 1, 2, 3, 4], [7, 1, 2, 3, 4, 8]) == Stretch(4, 1, 1)
    assert check([1, 2, 3], [4, 5]) == Stretch(0, 0, 0)
    assert check([0, 0, 0], [0, 0]) == Stretch(0, 0, 0)  # unknown tokens are not the same token


def test_a_long_text_is_searched_a_block_at_a_time() -> None:
    text, output = np.arange(1, 100_001), np.arange(70_000, 70_010)
    *before, found = searching(text, output, 1000)
    assert found == Stretch(10, 0, 69_999) and before == [None] * len(before) and len(before) > 50


def test_ten_million_tokens_in_a_moment() -> None:
    generator = np.random.default_rng(2)
    # about as uneven as letters are
    text = np.minimum(generator.geometric(0.08, 10_000_000), 60).astype(np.uint16)
    output = np.minimum(generator.geometric(0.08, 2000), 60).astype(np.int64)
    output[700:800] = text[6_000_000:6_000_100]
    began = time.perf_counter()
    *_, found = searching(text, output)
    assert found is not None
    assert time.perf_counter() - began < 6
    assert found.length >= 100 and 600 < found.start <= 700
