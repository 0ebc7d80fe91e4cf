"""The C kernels of the output layer and its loss against the same in plain torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from core.models.feedforward import output_loss
from core.models.recurrence.cpu import bindings

compiled = pytest.mark.skipif(bool(bindings.unavailable_reason()), reason=bindings.unavailable_reason() or "compiled")


@compiled
@pytest.mark.parametrize(
    ("rows", "hidden", "vocabulary"),
    # the last but one in three blocks, the last by the library's products
    # the fifth has more weights than are read for each few rows
    [(1, 1, 1), (5, 12, 3), (37, 33, 28), (64, 70, 1027), (70, 300, 1027), (200, 12, 65), (300, 3, 4000),
     (150, 3, 9000)],
)  # fmt: skip
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_the_loss(
    rows: int, hidden: int, vocabulary: int, masked: bool, tied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against double precision; tied weights are the transpose of a matrix."""
    torch.manual_seed(rows)
    H, W, b = torch.randn(rows, hidden), torch.randn(hidden, vocabulary) * 3 / hidden**0.5, torch.randn(vocabulary)
    W = W.t().contiguous().t() if tied else W
    targets = torch.randint(vocabulary, (rows,))
    mask = torch.rand(rows) < 0.6 if masked else None

    def graded(*given: Tensor) -> list[Tensor]:
        weights = [tensor.clone().requires_grad_() for tensor in given]
        loss = output_loss(*weights, targets, mask)
        with torch.no_grad():
            assert torch.allclose(output_loss(*weights, targets, mask), loss)
        return [loss.detach(), *torch.autograd.grad(loss, weights)]

    found = graded(H, W, b)
    monkeypatch.setattr(bindings, "serves", lambda *_, **__: False)
    for ours, wanted in zip(found, graded(H.double(), W.double(), b.double()), strict=True):
        assert (ours.double() - wanted).abs().max() < 1e-5 * wanted.abs().max().clamp_min(1e-3)


@compiled
@pytest.mark.parametrize(("rows", "vocabulary"), [(1, 1), (37, 28), (70, 1027)])
@pytest.mark.parametrize("masked", [False, True])
def test_the_loss_in_bfloat16(rows: int, vocabulary: int, masked: bool) -> None:
    """Against the plain operations, which round at the same places."""
    torch.manual_seed(rows)
    H, W, b = torch.randn(rows, 12), torch.randn(12, vocabulary), torch.randn(vocabulary)
    leaves = [tensor.requires_grad_() for tensor in (H, W, b)]
    targets, mask = torch.randint(vocabulary, (rows,)), torch.rand(rows) < 0.6 if masked else None
    found = []
    with bindings.multiplying(bindings.Arithmetic.SINGLE):  # PyTorch multiplies
        for fused in (True, False):
            loss = output_loss(*leaves, targets, mask, bf16=True, fused=fused)
            found.append([loss.detach(), *torch.autograd.grad(loss, leaves)])
    for number, (ours, plain) in enumerate(zip(*found, strict=True)):
        tolerance = (1e-5, 0.02, 0.02, 0.02)[number]
        assert (ours - plain).abs().max() <= tolerance * plain.abs().max().clamp_min(1e-3), number


@compiled
@pytest.mark.skipif(
    bindings.arithmetic(bf16=True) is not bindings.Arithmetic.BF16_TILES, reason="the processor has no matrix unit"
)
@pytest.mark.parametrize(
    ("rows", "hidden", "vocabulary"),  # the last in two blocks
    [(1, 1, 1), (5, 12, 3), (37, 33, 28), (150, 70, 1027), (200, 12, 65), (600, 3, 4000)],
)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_the_loss_by_the_matrix_unit(rows: int, hidden: int, vocabulary: int, masked: bool, tied: bool) -> None:
    """Against double precision on the same rounded factors; only the gradient of the logits is rounded besides."""
    torch.manual_seed(rows)
    H, W, b = torch.randn(rows, hidden), torch.randn(hidden, vocabulary) * 3 / hidden**0.5, torch.randn(vocabulary)
    W = W.t().contiguous().t() if tied else W
    targets, mask = torch.randint(vocabulary, (rows,)), torch.rand(rows) < 0.6 if masked else None
    found, threads = [], torch.get_num_threads()
    for count in (1, 3):
        torch.set_num_threads(count)
        leaves = [tensor.clone().requires_grad_() for tensor in (H, W, b)]
        loss = output_loss(*leaves, targets, mask, bf16=True)
        with torch.no_grad():
            assert torch.equal(output_loss(*leaves, targets, mask, bf16=True), loss)
        found.append([loss.detach(), *torch.autograd.grad(loss, leaves)])
    torch.set_num_threads(threads)
    assert all(torch.equal(one, three) for one, three in zip(*found, strict=True))
    leaves = [H.bfloat16().double().requires_grad_(), W.bfloat16().double().requires_grad_(), b.double()]
    exact = output_loss(*leaves, targets, mask, fused=False)
    gradients = torch.autograd.grad(exact, leaves[:2])
    for ours, wanted, tolerance in zip(found[0], (exact, *gradients), (1e-6, 0.01, 0.01), strict=False):
        assert (ours.double() - wanted).abs().max() <= tolerance * wanted.abs().max().clamp_min(1e-3)


@compiled
def test_the_loss_is_the_same_on_any_number_of_threads() -> None:
    H, W, b = torch.randn(150, 40), torch.randn(40, 9000), torch.randn(9000)
    targets, found = torch.randint(9000, (150,)), []
    threads = torch.get_num_threads()
    for count in (1, 3):
        torch.set_num_threads(count)
        compute, surprises, gradients = bindings.output_loss(H, W, b, targets, None, 1.0, differentiate=True)
        compute()
        found.append((surprises, *(gradients or ())))
    torch.set_num_threads(threads)
    assert all(torch.equal(one, three) for one, three in zip(*found, strict=True))


@compiled
def test_the_loss_of_what_cannot_be() -> None:
    """A score of minus infinity, certainty, and NaN: infinite, zero and NaN surprise."""
    logits = torch.tensor([[-torch.inf, 0.0], [200.0, 0.0], [torch.nan, 0.0], [0.0, torch.nan]])
    H, W, targets, found = torch.ones(1, 1), torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64), []
    for row in logits:
        compute, surprise, _ = bindings.output_loss(H, W, row, targets, None, 1.0, differentiate=False)
        compute()
        found.append(surprise)
    assert found[0] > 80 and found[1] == 0 and all(surprise.isnan() for surprise in found[2:])
