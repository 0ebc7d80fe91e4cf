"""The compiled recurrences and loss as functions of tensors.

Each computes what ``eager.py`` or ``feedforward.py`` computes, which is used wherever ``serves`` is false. The results
do not depend on the number of threads: a row of a batch is always computed alone.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from core import process
from core.models.recurrence.cpu.build import compiled_library

# Columns that an output layer is padded to: three vectors of 16, or six of 8; in bfloat16 two of 16.
_PIECE, _NARROW_PIECE = 48, 32
_LOGITS_AT_ONCE = 1 << 19  # 2 MB of two cores' second-level caches

_NARROW_ROWS = 128  # that a thread takes at a time
_NARROW_LOGITS_AT_ONCE = 1 << 21  # what a block keeps of them in bfloat16: 4 MB


class Part(NamedTuple):
    """The rows of a batch that a worker has: where they begin, and how many rows the whole batch has."""

    first: int
    whole: int


@cache
def unavailable_reason() -> str:
    """Why there are no compiled kernels, in a sentence; empty if there are."""
    found = compiled_library()
    return found if isinstance(found, str) else ""


class Arithmetic(IntEnum):
    """How the compiled recurrences multiply.

    In bf16 ``ROUNDED`` multiplies the rounded factors in single precision; ``BF16_VECTORS`` needs AVX512-BF16 and
    factors of an even length, ``BF16_TILES`` the matrix unit (AMX) too. recurrence.h has the same numbers.
    """

    SINGLE = 0
    ROUNDED = 1
    BF16_VECTORS = 2
    BF16_TILES = 3


_proven: Arithmetic | None = None


@cache
def _best_of_bf16() -> Arithmetic:
    return Arithmetic.SINGLE if unavailable_reason() else Arithmetic(_library().best_of_bf16())


def arithmetic(*, bf16: bool, inner: int = 2) -> Arithmetic:
    """The fastest arithmetic of this processor for factors of that length; ``SINGLE`` without compiled kernels."""
    if not bf16:
        return Arithmetic.SINGLE
    best = _best_of_bf16() if _proven is None else _proven
    is_slow = _proven is None and not process.is_bf16_fast()
    return min(best, Arithmetic.ROUNDED) if is_slow or inner % 2 else best


def arithmetics_of_bf16() -> list[Arithmetic]:
    """All that this processor has for bfloat16."""
    return [kind for kind in Arithmetic if 0 < kind <= _best_of_bf16()]


@contextmanager
def multiplying(kind: Arithmetic | None) -> Iterator[None]:
    """Multiply in bfloat16 so, to prove it: one of ``arithmetics_of_bf16``; ``SINGLE`` leaves it to PyTorch."""
    global _proven
    _proven = kind
    try:
        yield
    finally:
        _proven = None


def serves(X: Tensor, *, bf16: bool = False, dtypes: tuple[torch.dtype, ...] = (torch.float32,)) -> bool:
    """Whether the compiled kernels can compute this tensor: single precision on a CPU."""
    if X.device.type != "cpu" or X.dtype not in dtypes or unavailable_reason():
        return False
    return not bf16 or arithmetic(bf16=True) is not Arithmetic.SINGLE


class _Numbers:
    """An argument that is a contiguous CPU tensor of one dtype, or None: C gets the address of its first number."""

    def __init__(self, *dtypes: torch.dtype) -> None:
        self._dtypes = dtypes

    def from_param(self, given: Tensor | None) -> ctypes.c_void_p:
        if given is None:
            return ctypes.c_void_p(None)
        if given.dtype not in self._dtypes or given.device.type != "cpu" or not given.is_contiguous():
            kind = "" if given.is_contiguous() else ", not contiguous,"
            raise TypeError(
                f"the compiled kernels take a contiguous tensor of {self._dtypes[0]} on the CPU here, "
                f"got one of {given.dtype}{kind} on {given.device}"
            )
        return ctypes.c_void_p(given.data_ptr())


class _EitherOrder(_Numbers):
    """The same for a matrix or the transpose of one: C gets its strides beside it."""

    def from_param(self, given: Tensor | None) -> ctypes.c_void_p:
        return super().from_param(given if given is None or given.is_contiguous() else given.t())


class _Count:
    """An argument that is an int in C. Checked here, because ctypes truncates a number that is too large."""

    def from_param(self, given: int) -> ctypes.c_int:
        if not -(2**31) <= given < 2**31:
            raise OverflowError(f"the compiled kernels count up to {2**31 - 1:,}, got {given:,}")
        return ctypes.c_int(given)


FLOATS = _F = _Numbers(torch.float32)
_H, _I, _N = _Numbers(torch.bfloat16), _Numbers(torch.int64), _Count()
_EITHER = _Numbers(torch.float32, torch.bfloat16)
_EITHER_ORDER = _EitherOrder(torch.float32)
# The declarations of the functions in the C files of this folder. The last argument of each is the number of threads.
_ARGUMENTS: dict[str, tuple[object, ...]] = {
    "recurrence_forward": (_N, _F, _I, _F, _F, _F, _EITHER, _F, _F, _F, _F, _EITHER, _N, _N, _N, _N, _N),
    "recurrence_backward": (_N, _F, _F, _F, _F, _F, _F, _F, _EITHER, _F, _F, _F, _F, _EITHER, _N, _N, _N, _N, _N),
    "add_rows": (_F, _F, _I, _F, _H, _N, _N),
    "dropout": (_F, _F, ctypes.c_uint64, *[ctypes.c_int64] * 4, _N),
    "transpose": (_EITHER, _EITHER, _N, _N, _N),
    "cross_entropy": (_F, _H, _F, _I, _F, _F, _N, _N, _N),
    "output_loss": (_F, _EITHER_ORDER, _F, _I, *[_F] * 10, ctypes.c_float, *[_N] * 6),
    "output_loss_bf16": (_F, _EITHER_ORDER, _F, _I, _F, *[_H] * 4, _F, _H, *[_F] * 4, ctypes.c_float, *[_N] * 8),
    "descend": (*[ctypes.c_void_p] * 3, *[ctypes.c_float] * 2, _N),
    "squares": (ctypes.c_void_p, ctypes.c_void_p, _Numbers(torch.float64), _N),
    "step": (ctypes.c_void_p, ctypes.c_int64),
    "continue_text": (ctypes.c_void_p,),
}


@cache
def _library() -> ctypes.CDLL:
    found = compiled_library()
    assert isinstance(found, ctypes.CDLL)
    return found


@cache
def _function(name: str) -> Callable[..., None]:
    """A C function that takes arguments as they are.

    ctypes would convert them in the call, and make an ArgumentError of a ctrl+c that arrives meanwhile.
    """
    found = getattr(_library(), name)
    found.restype = None
    return found  # type: ignore[no-any-return]


class Prepared:
    """A call of a C function with torch's number of threads, or another. Its arguments are checked and converted once.

    It keeps its tensors, whose memory must stay where it is. A call releases the GIL.
    """

    def __init__(self, name: str, *arguments: Any) -> None:
        declared: tuple[Any, ...] = _ARGUMENTS[name]
        self._function, self._kept = _function(name), arguments
        self._arguments = [kind.from_param(given) for kind, given in zip(declared, arguments, strict=True)]

    def __call__(self, threads: int | None = None) -> None:
        self._function(*self._arguments, threads or torch.get_num_threads())


def call(name: str, *arguments: Any) -> None:
    """``Prepared``, once."""
    Prepared(name, *arguments)()


def require_ids(ids: Tensor, count: int, what: str) -> None:
    """Raise IndexError if one of ``ids``, int64 on the CPU, is not in [0, ``count``): C does not check it.

    Takes 7 us for a batch of 32 x 35.
    """
    if ids.dtype is not torch.int64:
        raise TypeError(f"{what} must be int64, got {ids.dtype}")
    if not ids.numel():
        return
    least, greatest = torch.aminmax(ids)
    if int(least) < 0 or int(greatest) >= count:
        raise IndexError(f"{what} must be between 0 and {count - 1:,}, got {int(least):,} to {int(greatest):,}")


def add_rows(table: Tensor, ids: Tensor, gradient: Tensor, total: Tensor | None = None) -> Tensor:
    """``table[ids[row]] += gradient[row]``: (vocabulary, columns), (rows,), (rows, columns) -> the table, changed.

    The gradient may be in bfloat16; the sums are not. ``total`` (columns,) gets all rows added.
    """
    prepared_add_rows(table, ids, gradient, total)()
    return table


def prepared_add_rows(table: Tensor, ids: Tensor, gradient: Tensor, total: Tensor | None) -> Prepared:
    """The call behind ``add_rows``."""
    gradient, narrow = gradient.contiguous(), gradient.dtype is torch.bfloat16
    pair = (None, gradient) if narrow else (gradient, None)
    return Prepared("add_rows", table, total, ids.contiguous(), *pair, *gradient.shape)


def sum_of_rows(X: Tensor) -> Tensor:
    """``X.sum(0)`` in single precision: (rows, columns) -> (columns,), as the gradient of looking up a single row."""
    nowhere = torch.zeros(X.shape[0], dtype=torch.int64, device="cpu")
    return add_rows(torch.zeros(1, X.shape[1], dtype=torch.float32, device="cpu"), nowhere, X)[0]


def dropout(X: Tensor, silenced: int, seed: int, part: Part | None = None) -> Tensor:
    """X without the units whose random number of 16 bits is below ``silenced``; the others are scaled up.

    With ``part``, X (num_steps, rows, width) gets the random numbers that its rows have in the whole batch.
    """
    Y = X.new_empty(X.shape)
    if part is None:
        pieces, length, stride, first = 1, X.numel(), X.numel(), 0
    else:
        pieces, (length, stride, first) = X.shape[0], (X.shape[2] * n for n in (X.shape[1], part.whole, part.first))
    call("dropout", X.contiguous(), Y, seed, pieces, length, stride, first, silenced)
    return Y


def transposed(X: Tensor) -> Tensor:
    """``X.t().contiguous()``: (rows, columns) in single precision or bfloat16 -> (columns, rows)."""
    rows, columns = X.shape
    Y = X.new_empty(columns, rows)
    call("transpose", X.contiguous(), Y, rows, columns, X.element_size())
    return Y


def cross_entropy(logits: Tensor, b: Tensor, targets: Tensor, weights: Tensor | None, *, differentiate: bool) -> Tensor:
    """The surprise of each target in nats, (rows,), for logits (rows, vocabulary).

    In bfloat16 they come without ``b``, which is added in single precision. With ``differentiate`` the gradient of the
    surprises' weighted sum overwrites the logits.
    """
    rows, columns = logits.shape
    narrow = logits.dtype is torch.bfloat16
    pair = (b.new_empty(rows, columns), logits) if narrow else (logits, None)
    surprises = b.new_empty(rows)
    given = (*pair, b.contiguous(), targets.contiguous(), _whole(weights), surprises)
    call("cross_entropy", *given, rows, columns, differentiate)
    return surprises


def output_loss(
    H: Tensor,
    W: Tensor,
    b: Tensor,
    targets: Tensor,
    weights: Tensor | None,
    scale: float,
    *,
    differentiate: bool,
    bf16: bool = False,
) -> tuple[Prepared, Tensor, tuple[Tensor, Tensor, Tensor] | None]:
    """The surprise of each target in nats, (rows,), and the gradients of ``scale`` times their weighted sum.

    Args:
        H: (rows, inner), W: (inner, vocabulary), b: (vocabulary,), targets and weights: (rows,); no weights are ones.
        bf16: round the factors of all products to bfloat16, for a processor with ``Arithmetic.BF16_TILES``.

    Returns:
        The call that computes them, and what it writes: the surprises; dH, dW and db, None unless ``differentiate``.
        Torch's number of threads must be the same at the call: its buffers are for that many.
    """
    (rows, inner), columns = H.shape, W.shape[1]
    for tensor, shape in ((W, (inner, columns)), (b, (columns,)), (targets, (rows,)), (weights, (rows,))):
        if tensor is not None and tuple(tensor.shape) != shape:
            raise ValueError(f"the output layer needs {shape} here, got {tuple(tensor.shape)}")
    piece = _NARROW_PIECE if bf16 else _PIECE
    padded, wide = (-(-count // piece) * piece for count in (columns, inner))
    if not W.is_contiguous() and not W.t().is_contiguous():
        W = W.contiguous()
    found = (H.new_empty(H.shape), W.new_empty(inner, columns), b.new_empty(b.shape)) if differentiate else None
    surprises = H.new_empty(rows)
    given = (H.contiguous(), W, b.contiguous(), targets.contiguous(), _whole(weights))
    if bf16:
        size = min(-(-rows // piece), max(4, _NARROW_LOGITS_AT_ONCE // padded // piece)) * piece  # rows of a block
        kept = padded * wide, size * padded, size * wide  # of the factors that only gradients need
        panels, turned, pairs, strips, left = (
            H.new_empty(count, dtype=torch.bfloat16)
            for count in (
                padded * wide, *(count if differentiate else 0 for count in kept),
                torch.get_num_threads() * _NARROW_ROWS * (wide + padded),
            )
        )  # fmt: skip
        logits = H.new_empty(torch.get_num_threads() * (_NARROW_ROWS + 1) * padded)
        compute = Prepared(
            "output_loss_bf16", *given, panels, turned, pairs, strips, logits, left, surprises, *(found or [None] * 3),
            scale, rows, inner, wide, columns, padded, *W.stride(), size,
        )  # fmt: skip
        return compute, surprises, found
    size = min(-(-rows // 64), max(1, _LOGITS_AT_ONCE // padded // 64)) * 64
    turned, strips = (H.new_empty(count if differentiate else 0) for count in (columns * wide, size * (inner + 7)))
    compute = Prepared(
        "output_loss", *given, H.new_empty(inner * padded), turned, H.new_empty((size + 1) * padded), H.new_empty(size),
        strips, surprises,
        *(found or [None] * 3), scale, rows, inner, columns, *W.stride(), size,
    )  # fmt: skip
    return compute, surprises, found


def _whole(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()
