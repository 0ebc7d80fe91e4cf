"""Batches: the textbook's example, what X and Y are to each other, and a plan that follows from seed and epoch."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from core.corpus.batching_plan import LineRows
from core.corpus.vocabulary import Vocabulary
from core.errors import CorpusError
from core.models.implementations import build_model
from core.settings.run_config import END, PADDING, START, RunConfig
from core.training.batches import Batches
from core.training.mapped_batches import LineBatches

CPU = torch.device("cpu")


def batches(length: int, batch_size: int, num_steps: int, **changes: Any) -> Batches:
    config = RunConfig(batch_size=batch_size, num_steps=num_steps, **changes)
    return Batches(np.arange(length, dtype=np.uint16), config, CPU)


def epoch_of(made: Batches, epoch: int) -> list[tuple[list[list[int]], list[list[int]]]]:
    found = []
    for index in range(made.per_epoch):
        X, Y, mask = made.batch(epoch, index)
        assert X.dtype == Y.dtype == torch.int64 and mask is None
        found.append((X.tolist(), Y.tolist()))
    return found


def test_the_textbooks_sequential_batches() -> None:
    """Dive into Deep Learning, section 8.3: 0..34, batch 2, 5 steps, here without an offset."""
    made = batches(35, 2, 5, sampling="sequential", random_offset=False)
    assert made.per_epoch == 3 and made.tokens_per_epoch == 30
    assert [X for X, _ in epoch_of(made, 0)] == [
        [[0, 1, 2, 3, 4], [17, 18, 19, 20, 21]],
        [[5, 6, 7, 8, 9], [22, 23, 24, 25, 26]],
        [[10, 11, 12, 13, 14], [27, 28, 29, 30, 31]],
    ]
    assert epoch_of(made, 0) == epoch_of(made, 9), "without an offset all epochs are the same"


@pytest.mark.parametrize("sampling", ["sequential", "random"])
@pytest.mark.parametrize("offset", [False, True])
def test_y_is_x_one_further(sampling: str, offset: bool) -> None:
    made = batches(35, 2, 5, sampling=sampling, random_offset=offset)
    for epoch in range(20):
        found = epoch_of(made, epoch)
        assert len(found) == 3
        for X, Y in found:
            assert np.array(X).shape == (2, 5) and (np.array(Y) == np.array(X) + 1).all()
            assert (np.diff(np.array(X), axis=1) == 1).all()
        starts = [row[0] for X, _ in found for row in X]
        assert len(set(starts)) == 6, "no piece twice"


def test_sequential_batches_are_adjacent() -> None:
    made = batches(500, 3, 7, sampling="sequential")
    for epoch in range(5):
        found = epoch_of(made, epoch)
        for (before, _), (after, _) in pairwise(found):
            assert [row[-1] + 1 for row in before] == [row[0] for row in after]


def test_the_plan_follows_from_seed_and_epoch_alone() -> None:
    for sampling in ("sequential", "random"):
        made, again = (batches(300, 2, 5, sampling=sampling, seed=3) for _ in range(2))
        torch.manual_seed(99)
        forward = [epoch_of(made, epoch) for epoch in range(4)]
        backward = [epoch_of(again, epoch) for epoch in reversed(range(4))]
        assert forward == backward[::-1]
        assert len({str(epoch) for epoch in forward}) > 1
        assert forward != [epoch_of(batches(300, 2, 5, sampling=sampling, seed=4), epoch) for epoch in range(4)]


def test_random_batches_are_in_random_order() -> None:
    (first, _), *_ = epoch_of(batches(1000, 10, 5, sampling="random"), 0)
    starts = [row[0] for row in first]
    assert starts != sorted(starts)


@pytest.mark.parametrize(("length", "batch_size", "num_steps"), [(10, 2, 5), (1, 1, 1), (32 * 35, 32, 35)])
def test_a_text_too_short_for_one_batch_gets_a_sentence(length: int, batch_size: int, num_steps: int) -> None:
    with pytest.raises(CorpusError, match=r"^the text has .*: choose .*, fewer num_steps or more text$"):
        batches(length, batch_size, num_steps)
    assert batches(length + 1, batch_size, num_steps).per_epoch == 1


POEMS = "ab\n\ncab\nabcab\n"


def poem_batches(num_steps: int, batch_size: int = 2) -> tuple[LineBatches, Vocabulary]:
    tokens = ["<unk>", START, END, PADDING, "a", "b", "c", "\n"]
    vocabulary = Vocabulary("char", tokens, [0] * len(tokens), reserved=3)
    config = RunConfig(documents="lines", normalise="none", batch_size=batch_size, num_steps=num_steps)
    lines = LineRows(vocabulary.encode(POEMS), vocabulary, num_steps)
    return LineBatches(lines, len(lines), config, CPU), vocabulary


def test_poems_stand_between_start_and_end() -> None:
    made, vocabulary = poem_batches(6)
    assert made.per_epoch == 2
    for epoch in range(3):
        seen: list[str] = []
        counted = 0
        for index in range(2):
            X, Y, mask = made.batch(epoch, index)
            assert mask is not None and X.shape == Y.shape == mask.shape == (2, int(mask.sum(1).max()))
            assert torch.equal(X[:, 1:], Y[:, :-1])
            counted += int(mask.sum())
            for x, y, row in zip(X.tolist(), Y.tolist(), mask.tolist(), strict=True):
                assert row == [token != vocabulary.token_to_id(PADDING) for token in y]
                if any(row):
                    assert vocabulary.id_to_token(x[0]) == START and vocabulary.id_to_token(y[sum(row) - 1]) == END
                    seen.append("".join(vocabulary.id_to_token(token) for token in y[: sum(row) - 1]))
        assert sorted(seen) == ["ab", "abcab", "cab"]
        assert counted == made.tokens_per_epoch == 3 + 4 + 6


def test_a_long_poem_is_cut_and_still_ends() -> None:
    made, vocabulary = poem_batches(4, batch_size=3)
    _, Y, mask = made.batch(0, 0)
    assert mask is not None
    lines = {"".join(vocabulary.id_to_token(i) for i, counts in zip(y, m, strict=True) if counts)
             for y, m in zip(Y.tolist(), mask.tolist(), strict=True)}  # fmt: skip
    assert lines == {f"ab{END}", f"cab{END}", f"abc{END}"}


def test_lines_of_like_length_share_a_batch() -> None:
    lengths = np.random.default_rng(1).integers(1, 30, 1000)
    firsts = [chr(0x4E00 + number) for number in range(1000)]
    tokens = ["<unk>", START, END, PADDING, "\n", "a", *firsts]
    vocabulary = Vocabulary("char", tokens, [0] * len(tokens), reserved=3)
    poems = "\n".join(first + "a" * (length - 1) for first, length in zip(firsts, lengths.tolist(), strict=True))
    lines = LineRows(vocabulary.encode(poems), vocabulary, 31)
    config = RunConfig(documents="lines", normalise="none", batch_size=8, num_steps=31)
    plain, made = (LineBatches(lines, 1000, config.replace(bucketing=bucketing), CPU) for bucketing in (False, True))

    def order(epoch: int) -> list[int]:
        return [first - 6 for index in range(125) for first in made.batch(epoch, index)[0][:, 1].tolist()]

    drawn = [order(0), order(1)]
    assert all(sorted(found) == list(range(1000)) for found in drawn)
    assert drawn[0] != drawn[1] and drawn[0] == order(0), "from (seed, epoch) alone"
    read = [sum(batches.batch(0, index)[0].numel() for index in range(125)) for batches in (plain, made)]
    assert read[1] < 0.65 * read[0] and read[1] < 1.15 * made.tokens_per_epoch
    widths = [made.batch(0, index)[0].shape[1] for index in range(16)]
    assert widths != sorted(widths), "short and long ones take turns"


def test_padding_that_is_cut_off_changes_no_number() -> None:
    made, vocabulary = poem_batches(12, batch_size=3)
    config = RunConfig(documents="lines", normalise="none", cell="lstm", num_hiddens=8, embedding_size=4)
    model = build_model(config, len(vocabulary))
    X, Y, _ = made.batch(0, 0)
    assert X.shape == (3, 6)
    padding, losses, gradients = vocabulary.token_to_id(PADDING), [], []
    for wide in (0, 6):
        x, y = (torch.nn.functional.pad(part, (0, wide), value=padding) for part in (X, Y))
        model.zero_grad()
        loss, _ = model.loss(x, y, model.begin_state(3), mask=y != padding)
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.item())
        gradients.append([weight.grad.clone() for weight in model.parameters() if weight.grad is not None])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_the_tiny_text(tiny: Callable[..., RunConfig]) -> None:
    config = tiny()
    assert Batches(np.zeros(801, dtype=np.uint16), config, CPU).per_epoch == 13
