"""Every route of a matrix product gives the same numbers."""

from __future__ import annotations

import pytest
import torch

from core.models.products import RightFactor, onednn_serves, product, transposed_product

SHAPES = [(3, 5, 7), (32, 256, 768), (200, 129, 1027)]


@pytest.mark.parametrize("rows, inner, columns", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_agree_with_torch(rows: int, inner: int, columns: int, dtype: torch.dtype) -> None:
    X, W, b = (
        torch.randn(rows, inner, dtype=dtype),
        torch.randn(inner, columns, dtype=dtype),
        torch.randn(columns, dtype=dtype),
    )
    Y, addend = torch.randn(rows, columns, dtype=dtype), torch.randn(rows, columns, dtype=dtype)
    expected = X.double() @ W.double()
    near = {"atol": 1e-3 if dtype is torch.float32 else 1e-10, "rtol": 1e-4 if dtype is torch.float32 else 1e-10}
    for weights in (W, W.t().contiguous().t()):  # both storage orders
        torch.testing.assert_close(product(X, weights).double(), expected, **near)
        torch.testing.assert_close(product(X, weights, b).double(), expected + b, **near)
        factor = RightFactor(weights, rows)
        torch.testing.assert_close(factor.product(X).double(), expected, **near)
        torch.testing.assert_close(factor.product_plus(X, addend).double(), expected + addend, **near)
    torch.testing.assert_close(transposed_product(X, Y).double(), X.double().t() @ Y.double(), **near)


@pytest.mark.parametrize("is_fast", [True, False])
@pytest.mark.parametrize("rows, inner, columns", SHAPES)
def test_bf16_products_round_their_factors(
    rows: int, inner: int, columns: int, is_fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.process.is_bf16_fast", lambda: is_fast)
    X, W, b = torch.randn(rows, inner), torch.randn(inner, columns), torch.randn(columns)
    exact = X.bfloat16().double() @ W.bfloat16().double()
    # A processor that multiplies them in single precision does not round the results.
    near = {"atol": 0.02 * inner**0.5, "rtol": 2**-7} if is_fast else {"atol": 1e-3, "rtol": 1e-4}
    factor = RightFactor(W, rows, bf16=True)
    for result, expected in (
        (product(X, W, b, bf16=True), exact + b),
        (factor.product(X), exact),
        (transposed_product(X.t().contiguous(), W, bf16=True), exact),
        (factor.product_plus(X, b.expand(rows, columns).contiguous()), exact + b),
    ):
        assert result.dtype is torch.float32
        torch.testing.assert_close(result.double(), expected, **near)


def test_double_precision_never_goes_to_onednn() -> None:
    assert not onednn_serves(torch.float64)


def test_products_without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain route, as on other builds of PyTorch."""
    X, W = torch.randn(64, 256), torch.randn(256, 1024)
    addend = torch.randn(64, 1024)
    fast = RightFactor(W, 64).product_plus(X, addend)
    monkeypatch.setattr("core.models.products.onednn_serves", lambda dtype: False)
    torch.testing.assert_close(RightFactor(W, 64).product_plus(X, addend), fast, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(product(X, W), X @ W)
