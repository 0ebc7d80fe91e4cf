"""Matrix products, each by the fastest routine of its device.

On a CPU ``torch.mm`` asks MKL, which is at its best on one vendor's processors and packs the matrix anew for every
call. oneDNN, which PyTorch brings along, takes part of that away: measured on two Zen 5 cores, 450 against 215 GFLOP/s
for the output layer of a small language model, and 350 against 125 for the product inside an LSTM step once the
recurrent matrix is packed ahead. So single precision and bf16 go there where it is built in. Everything else (double
precision, CUDA, other builds) takes ``torch.mm``, and so does single precision on Intel's processors: there MKL is 1.0
to 1.2 times as fast, and 2.3 times for 3,072 columns. Nothing here is differentiated: the callers write gradients out.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from core import process
from core.models.recurrence.cpu import bindings

# Below so many multiplications a call costs more than its arithmetic, and torch.mm has the cheaper call.
_WORTH_ONEDNN = 1 << 19

# The same for a product whose left factor has to be turned first. With a matrix unit (bf16), torch.mm takes 0.6 to 1.0
# of the time for up to 512 columns, and 1.1 to 1.8 for 1,536 and more.
_WORTH_TURNING, _WORTH_TURNING_BESIDE_TILES = 1 << 24, 1 << 29

# Packing costs about 0.1 ms a scan: 35 steps earn it back from so many weights on (fp32), and from fewer in bf16, where
# torch.mm packs anew for each product.
_WORTH_PACKING = {torch.float32: 1 << 16, torch.bfloat16: 1 << 14}


@cache
def onednn_serves(dtype: torch.dtype) -> bool:
    """Whether oneDNN's linear layer is there for this number format on this CPU, and computes what it should."""
    if dtype not in (torch.float32, torch.bfloat16) or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    try:
        if dtype is torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
        X = torch.arange(96, device="cpu").reshape(4, 24).remainder(7).to(dtype)  # (4, 24), exact in bf16
        W = torch.arange(240, device="cpu").reshape(24, 10).remainder(5).to(dtype)  # (24, 10)
        packed = torch.ops.mkldnn._reorder_linear_weight(W.t(), 4)
        plain = _onednn_linear(X, W.t())
        added = torch.ops.mkldnn._linear_pointwise.binary(X, plain, packed, None, "add")
        expected = X.double() @ W.double()
        return torch.equal(plain.double(), expected.to(dtype).double()) and torch.allclose(
            added.double(), 2 * expected, rtol=2**-7
        )
    except (AttributeError, RuntimeError, TypeError):
        return False


def _onednn_linear(X: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    result: Tensor = torch.ops.mkldnn._linear_pointwise.default(X, weight, bias, "none", [], "")
    return result


def _takes_onednn(X: Tensor, columns: int) -> bool:
    if X.device.type != "cpu" or X.numel() * columns < _WORTH_ONEDNN or not onednn_serves(X.dtype):
        return False
    return X.dtype is not torch.float32 or not is_mkl_at_home()


@cache
def is_mkl_at_home() -> bool:
    """Whether ``torch.mm`` asks MKL on a processor of Intel's."""
    return torch.backends.mkl.is_available() and "Intel" in process.processor_name()  # type: ignore[no-untyped-call]


def lies_transposed(weight: Tensor) -> bool:
    """Whether a weight is a matrix whose columns lie one after the other in memory, as some of torch.nn's models do."""
    return weight.dim() == 2 and not weight.is_contiguous()


def factor_format(device: torch.device) -> torch.dtype:
    """The format in which factors rounded to bfloat16 are multiplied: single precision where that is faster."""
    return torch.bfloat16 if device.type != "cpu" or process.is_bf16_fast() else torch.float32


def narrowed(X: Tensor) -> Tensor:
    """X rounded to bfloat16, as a factor of products, in ``factor_format``."""
    return X.bfloat16().to(factor_format(X.device))


def product(X: Tensor, W: Tensor, b: Tensor | None = None, *, bf16: bool = False) -> Tensor:
    """``X @ W + b``: (rows, inner), (inner, columns), (columns,) -> (rows, columns).

    With ``bf16`` the factors are rounded to bfloat16 and the result comes back in X's own format.
    """
    if bf16:
        rounded = _product(narrowed(X), narrowed(W), None).to(X.dtype)
        return rounded if b is None else rounded.add_(b)
    return _product(X, W, b)


def transposed_product(
    X: Tensor, Y: Tensor, *, bf16: bool = False, fused: bool = True, out: Tensor | None = None
) -> Tensor:
    """``X.T @ Y``: (rows, inner), (rows, columns) -> (inner, columns): a weight matrix's gradient, all rows at once.

    ``fused``: whether our compiled kernel may turn X; ``out``: memory for the result, used where the routine can.
    """
    if bf16:
        return transposed_product(narrowed(X), narrowed(Y), fused=fused).to(X.dtype)
    turned, either = X.t(), (torch.float32, torch.bfloat16)
    has_tiles = fused and X.device.type == "cpu" and bindings.arithmetic(bf16=True) is bindings.Arithmetic.BF16_TILES
    if X.numel() * Y.shape[1] < (_WORTH_TURNING_BESIDE_TILES if has_tiles else _WORTH_TURNING):
        return torch.mm(turned, Y, out=out)
    if fused and _takes_onednn(turned, Y.shape[1]) and bindings.serves(X, dtypes=either):
        turned = bindings.transposed(X)  # oneDNN's layer wants it so, and would turn it itself, ten times as slowly
    return _product(turned, Y, None, out)


def _product(X: Tensor, W: Tensor, b: Tensor | None, out: Tensor | None = None) -> Tensor:
    if _takes_onednn(X, W.shape[1]):
        return _onednn_linear(X, W.t(), b)
    return torch.mm(X, W, out=out) if b is None else torch.addmm(b, X, W)


class RightFactor:
    """The right factor of many small products, converted and packed once.

    Args:
        W: (inner, columns).
        rows: the number of rows of the left factors.
        bf16: round the factors to bfloat16; the results come in W's own format all the same.
    """

    def __init__(self, W: Tensor, rows: int, *, bf16: bool = False) -> None:
        self._bf16 = bf16
        self._dtype = W.dtype
        if bf16:
            W = narrowed(W)
        self._packed = (
            W.device.type == "cpu"
            and W.numel() >= _WORTH_PACKING.get(W.dtype, 0)
            and rows * W.numel() >= _WORTH_ONEDNN
            and onednn_serves(W.dtype)
        )
        self._W = torch.ops.mkldnn._reorder_linear_weight(W.t(), rows) if self._packed else W

    def product(self, X: Tensor) -> Tensor:
        """``X @ W``: (rows, inner) -> (rows, columns)."""
        if self._bf16:
            X = narrowed(X)
        result = _onednn_linear(X, self._W) if self._packed else torch.mm(X, self._W)
        return result.to(self._dtype) if self._bf16 else result

    def product_plus(self, X: Tensor, addend: Tensor) -> Tensor:
        """``X @ W + addend``: (rows, inner), (rows, columns) -> (rows, columns), a new tensor."""
        if self._bf16:
            X = narrowed(X)
            # bf16 and the addend's format promote to the latter: the sum is not rounded
            return torch.add(addend, _onednn_linear(X, self._W) if self._packed else torch.mm(X, self._W))
        if self._packed:
            result: Tensor = torch.ops.mkldnn._linear_pointwise.binary(X, addend, self._W, None, "add")
            return result
        return torch.addmm(addend, X, self._W)
