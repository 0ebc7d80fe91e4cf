"""The hand-derived gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from core.models.feedforward import Linear, LookUp, OutputLoss
from core.models.products import product
from core.models.recurrence.eager import GRUScan, LSTMScan, RNNScan


def leaf(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64).mul_(0.7).requires_grad_()


@pytest.mark.parametrize("num_steps", [1, 4])
def test_gradients_of_the_scans(num_steps: int) -> None:
    T, B, H = num_steps, 2, 3
    check = torch.autograd.gradcheck

    def scan_of(function: type[torch.autograd.Function]) -> Callable[..., object]:
        return lambda A, *others: function.apply(A.clone(), *others)  # the scan uses A up

    assert check(scan_of(RNNScan), (leaf(T, B, H), leaf(H, H), leaf(B, H), False, False))
    assert check(scan_of(RNNScan), (leaf(T, B, H), leaf(H, H), leaf(B, H), True, False))
    assert check(scan_of(GRUScan), (leaf(T, B, 3 * H), leaf(H, 3 * H), leaf(H), leaf(B, H), False))
    assert check(scan_of(LSTMScan), (leaf(T, B, 4 * H), leaf(H, 4 * H), leaf(B, H), leaf(B, H), False))


def test_gradients_around_the_recurrence() -> None:
    ids = torch.tensor([0, 3, 3, 1])
    check = torch.autograd.gradcheck
    assert check(LookUp.apply, (ids, leaf(5, 4), leaf(4)))
    assert check(LookUp.apply, (ids, leaf(5, 4), None))
    assert check(Linear.apply, (leaf(4, 3), leaf(3, 5), leaf(5), False))
    mask = torch.tensor([True, False, True, True])
    for chosen in (None, mask):
        assert check(OutputLoss.apply, (leaf(4, 3), leaf(3, 5), leaf(5), ids, chosen, False, True))


def test_the_loss_in_several_blocks_is_the_loss_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    H, W, b, ids = leaf(10, 3), leaf(3, 5), leaf(5), torch.randint(0, 5, (10,))
    mask = torch.rand(10) > 0.3
    whole = OutputLoss.apply(H, W, b, ids, mask, False, True)
    expected = torch.autograd.grad(whole, (H, W, b))
    monkeypatch.setattr("core.models.feedforward.BLOCK", {"cpu": 15})
    rows: list[int] = []

    def counted(A: torch.Tensor, B: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        rows.append(A.shape[0])
        return product(A, B, *others)

    monkeypatch.setattr("core.models.feedforward.product", counted)
    for fewest, sizes in ((1, [3, 3, 3, 1]), (4, [5, 5])):
        monkeypatch.setattr("core.models.feedforward.FEWEST_ROWS", fewest)
        rows.clear()
        blocks = OutputLoss.apply(H, W, b, ids, mask, False, True)
        assert rows[::2] == sizes, "each block has a product for its logits and one for the gradient of H"
        torch.testing.assert_close(blocks, whole)
        for ours, reference in zip(torch.autograd.grad(blocks, (H, W, b)), expected, strict=True):
            torch.testing.assert_close(ours, reference)
