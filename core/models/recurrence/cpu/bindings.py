"""The compiled recurrences and loss as functions of tensors.

Each computes what ``eager.py`` or ``feedforward.py`` computes, which is used wherever ``serves`` is false. The results
do not depend on the number of threads: a row of a batch is always computed alone.
"""

from __future__ import annotations

import ctypes
from functools import cache

import torch
from torch import Tensor

from core.models.recurrence.cpu.build import compiled_library

_WIDEST = 32  # two vectors of 16: panels are padded to whole ones


@cache
def unavailable_reason() -> str:
    """Why nothing is compiled here, in a sentence; empty where it is."""
    found = compiled_library()
    return found if isinstance(found, str) else ""


@cache
def multiplies_bf16() -> bool:
    """Whether the processor has the instructions for products in bfloat16 (AVX512-BF16)."""
    return not unavailable_reason() and bool(_library().has_bf16())


def serves(X: Tensor, hidden: int, *, bf16: bool, dtypes: tuple[torch.dtype, ...] = (torch.float32,)) -> bool:
    """Whether the compiled kernels can take such a tensor: single precision on a CPU, and pairs in bf16."""
    if X.device.type != "cpu" or X.dtype not in dtypes or unavailable_reason():
        return False
    return not bf16 or (hidden % 2 == 0 and multiplies_bf16())


class _Numbers:
    """A contiguous tensor of one type on the CPU, or None, as an argument: C gets the address of its first number."""

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


class _Count:
    """An argument that is an int in C, and has to fit one: ctypes would cut it off."""

    def from_param(self, given: int) -> ctypes.c_int:
        if not -(2**31) <= given < 2**31:
            raise OverflowError(f"the compiled kernels count up to {2**31 - 1:,}, got {given:,}")
        return ctypes.c_int(given)


_F, _H, _I, _N = _Numbers(torch.float32), _Numbers(torch.bfloat16), _Numbers(torch.int64), _Count()
_EITHER = _Numbers(torch.float32, torch.bfloat16)
# As the functions are declared in the C files beside this one; each ends with the number of threads.
_ARGUMENTS: dict[str, tuple[object, ...]] = {
    "rnn_forward": (_F, _I, _F, _F, _H, _F, _EITHER, _N, _N, _N, _N, _N),
    "rnn_backward": (_F, _F, _F, _F, _H, _F, _F, _EITHER, _N, _N, _N, _N, _N),
    "gru_forward": (_F, _I, _F, _F, _F, _F, _H, _F, _F, _EITHER, _N, _N, _N, _N),
    "gru_backward": (_F, _F, _F, _F, _F, _F, _H, _F, _F, _F, _EITHER, _N, _N, _N, _N),
    "lstm_forward": (_F, _I, _F, _F, _F, _F, _F, _H, _F, _EITHER, _N, _N, _N, _N),
    "lstm_backward": (_F, _F, _F, _F, _F, _F, _F, _H, _F, _F, _EITHER, _N, _N, _N, _N),
    "add_rows": (_F, _I, _F, _H, _N, _N),
    "dropout": (_F, _F, ctypes.c_uint64, ctypes.c_int64, _N),
    "transpose": (_EITHER, _EITHER, _N, _N, _N),
    "cross_entropy": (_F, _H, _I, _F, _F, _N, _N, _N),
}


@cache
def _library() -> ctypes.CDLL:
    found = compiled_library()
    assert isinstance(found, ctypes.CDLL)
    for name, arguments in _ARGUMENTS.items():
        function = getattr(found, name)
        function.restype, function.argtypes = None, (*arguments, _N)
    return found


def _call(name: str, *arguments: Tensor | int | None) -> None:
    """Call a C function with torch's number of threads. Releases the interpreter meanwhile."""
    getattr(_library(), name)(*arguments, torch.get_num_threads())


def require_ids(ids: Tensor, count: int, what: str) -> None:
    """Raise IndexError where one of ``ids``, int64 on the CPU, is not below ``count``: C reads and writes there.

    Takes 7 us for a batch of 32 x 35.
    """
    if ids.dtype is not torch.int64:
        raise TypeError(f"{what} must be int64, got {ids.dtype}")
    if not ids.numel():
        return
    least, greatest = torch.aminmax(ids)
    if int(least) < 0 or int(greatest) >= count:
        raise IndexError(f"{what} must be between 0 and {count - 1:,}, got {int(least):,} to {int(greatest):,}")


# Room is asked for beside a given tensor: a default dtype or device that somebody has set does not reach it.


def _panels(W: Tensor, inner: int, hidden: int, vectors: int, *, bf16: bool) -> Tensor:
    """Room for W as a packed right factor of ``inner`` rows and ``vectors`` gates or parts of ``hidden`` columns."""
    columns = -(-hidden // _WIDEST) * _WIDEST * vectors
    return W.new_empty(inner * columns, dtype=torch.bfloat16 if bf16 else torch.float32)


def _beginning_with(first: Tensor, num_steps: int) -> Tensor:
    """(num_steps + 1, batch, hidden) with the first step filled."""
    stack = first.new_empty(num_steps + 1, *first.shape)
    stack[0] = first
    return stack


def _sizes(
    A: Tensor, W: Tensor, states: tuple[Tensor, ...], ids: Tensor | None, biases: tuple[Tensor | None, ...], gates: int
) -> tuple[int, int, int]:
    """num_steps, batch and hidden. Raises ValueError for shapes that do not go together, IndexError for a wrong id."""
    num_steps, batch = (A if ids is None else ids).shape[:2]
    hidden = W.shape[0]
    if ids is not None:
        require_ids(ids, A.shape[0], "ids")
    wanted = [(A, (*A.shape[:-1], gates * hidden)), (W, (hidden, gates * hidden))]
    wanted += [(state, (batch, hidden)) for state in states]
    wanted += [(b, (width,)) for b, width in zip(biases, (gates * hidden, hidden), strict=False) if b is not None]
    for tensor, shape in wanted:
        if tuple(tensor.shape) != shape:
            raise ValueError(f"the recurrence needs {shape} here, for batches of {batch}, got {tuple(tensor.shape)}")
    return num_steps, batch, hidden


def _twin(stack: Tensor, *, bf16: bool) -> Tensor | None:
    """Room for the same numbers in bfloat16, the left factors of the products; with the first step filled."""
    if not bf16:
        return None
    twin = stack.new_empty(stack.shape, dtype=torch.bfloat16)
    twin[0] = stack[0]
    return twin


def _whole(*tensors: Tensor | None) -> list[Tensor | None]:
    return [None if tensor is None else tensor.contiguous() for tensor in tensors]


def _gradient_stacks(like: Tensor, ids: Tensor | None, *, bf16: bool) -> tuple[Tensor | None, Tensor | None]:
    """Room for the gradient of A, and for its twin in bfloat16; a look-up wants the twin alone where there is one."""
    twin = like.new_empty(like.shape, dtype=torch.bfloat16) if bf16 else None
    return None if bf16 and ids is not None else like.new_empty(like.shape), twin


# ---------------------------------------------------------------------------------------------------------------------
# Shapes and names as in eager.py. ``H16`` and ``dA16`` are in bfloat16, or None. With ``ids`` (num_steps, batch), ``A``
# is a table of which they pick the rows, and ``b`` is added to each.


def rnn_forward(
    A: Tensor, W: Tensor, H_0: Tensor, ids: Tensor | None, b: Tensor | None, *, relu: bool, bf16: bool
) -> tuple[Tensor, Tensor | None]:
    """H, H16: (num_steps + 1, batch, hidden)."""
    num_steps, batch, hidden = _sizes(A, W, (H_0,), ids, (b,), 1)
    H = _beginning_with(H_0, num_steps)
    H16 = _twin(H, bf16=bf16)
    panels = _panels(W, hidden, hidden, 1, bf16=bf16)
    given = (A.contiguous(), *_whole(ids, b), H, H16, W.contiguous(), panels)
    _call("rnn_forward", *given, num_steps, batch, hidden, relu, bf16)
    return H, H16


def rnn_backward(
    H: Tensor, dH: Tensor, dH_last: Tensor, W: Tensor, ids: Tensor | None, *, relu: bool, bf16: bool
) -> tuple[Tensor | None, Tensor | None, Tensor]:
    """dZ, dZ16: (num_steps, batch, hidden); dH_0: (batch, hidden)."""
    num_steps, batch, hidden = dH.shape
    dZ, dZ16 = _gradient_stacks(dH, ids, bf16=bf16)
    dH_0 = dH.new_empty(batch, hidden)
    given = (H, dH.contiguous(), dH_last.contiguous(), dZ, dZ16, dH_0, W.contiguous())
    _call("rnn_backward", *given, _panels(W, hidden, hidden, 1, bf16=bf16), num_steps, batch, hidden, relu, bf16)
    return dZ, dZ16, dH_0


def gru_forward(
    A: Tensor, W: Tensor, b_hn: Tensor, H_0: Tensor, ids: Tensor | None, b: Tensor | None, *, bf16: bool
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """H, H16: (num_steps + 1, batch, hidden); the gates, in the place of A; N: (num_steps, batch, hidden)."""
    num_steps, batch, hidden = _sizes(A, W, (H_0,), ids, (b, b_hn), 3)
    H, N = _beginning_with(H_0, num_steps), H_0.new_empty(num_steps, batch, hidden)
    A, H16 = A.contiguous(), _twin(H, bf16=bf16)
    gates = A if ids is None else H_0.new_empty(num_steps, batch, 3 * hidden)
    given = (
        A,
        *_whole(ids, b),
        gates,
        H,
        N,
        H16,
        b_hn.contiguous(),
        W.contiguous(),
        _panels(W, hidden, hidden, 3, bf16=bf16),
    )
    _call("gru_forward", *given, num_steps, batch, hidden, bf16)
    return H, H16, gates, N


def gru_backward(
    gates: Tensor, H: Tensor, N: Tensor, dH: Tensor, dH_last: Tensor, W: Tensor, *, bf16: bool
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """dP, dP16: (num_steps, batch, 3 * hidden); dA^h: (num_steps, batch, hidden); dH_0: (batch, hidden)."""
    num_steps, batch, hidden = dH.shape
    dP, dA_h, dH_0 = gates.new_empty(gates.shape), dH.new_empty(dH.shape), dH.new_empty(batch, hidden)
    dP16 = gates.new_empty(gates.shape, dtype=torch.bfloat16) if bf16 else None
    given = (gates, H, N, dH.contiguous(), dH_last.contiguous(), dP, dP16, dA_h, dH_0, W.contiguous())
    _call("gru_backward", *given, _panels(W, 3 * hidden, hidden, 1, bf16=bf16), num_steps, batch, hidden, bf16)
    return dP, dP16, dA_h, dH_0


def lstm_forward(
    A: Tensor, W: Tensor, H_0: Tensor, C_0: Tensor, ids: Tensor | None, b: Tensor | None, *, bf16: bool
) -> tuple[Tensor, Tensor | None, Tensor, Tensor, Tensor]:
    """H, H16, C: (num_steps + 1, batch, hidden); the gates, in the place of A; tanh C: (num_steps, batch, hidden)."""
    num_steps, batch, hidden = _sizes(A, W, (H_0, C_0), ids, (b,), 4)
    H, C = _beginning_with(H_0, num_steps), _beginning_with(C_0, num_steps)
    A, tanh_C, H16 = A.contiguous(), H_0.new_empty(num_steps, batch, hidden), _twin(H, bf16=bf16)
    gates = A if ids is None else H_0.new_empty(num_steps, batch, 4 * hidden)
    given = (A, *_whole(ids, b), gates, H, C, tanh_C, H16, W.contiguous(), _panels(W, hidden, hidden, 4, bf16=bf16))
    _call("lstm_forward", *given, num_steps, batch, hidden, bf16)
    return H, H16, C, gates, tanh_C


def lstm_backward(
    gates: Tensor,
    C: Tensor,
    tanh_C: Tensor,
    dH: Tensor,
    dH_last: Tensor,
    dC_last: Tensor,
    W: Tensor,
    ids: Tensor | None,
    *,
    bf16: bool,
) -> tuple[Tensor | None, Tensor | None, Tensor, Tensor]:
    """dA, dA16: (num_steps, batch, 4 * hidden); dH_0, dC_0: (batch, hidden)."""
    num_steps, batch, hidden = dH.shape
    dA, dA16 = _gradient_stacks(gates, ids, bf16=bf16)
    dH_0, E = dH.new_empty(batch, hidden), dC_last.clone(memory_format=torch.contiguous_format)
    given = (gates, C, tanh_C, dH.contiguous(), dH_last.contiguous(), E, dA, dA16, dH_0, W.contiguous())
    _call("lstm_backward", *given, _panels(W, 4 * hidden, hidden, 1, bf16=bf16), num_steps, batch, hidden, bf16)
    return dA, dA16, dH_0, E


def add_rows(table: Tensor, ids: Tensor, gradient: Tensor) -> Tensor:
    """``table[ids[row]] += gradient[row]``: (vocabulary, columns), (rows,), (rows, columns) -> the table, changed.

    The gradient may be in bfloat16; the sums are not.
    """
    gradient, narrow = gradient.contiguous(), gradient.dtype is torch.bfloat16
    pair = (None, gradient) if narrow else (gradient, None)
    _call("add_rows", table, ids.contiguous(), *pair, *gradient.shape)
    return table


def dropout(X: Tensor, silenced: int, seed: int) -> Tensor:
    """X without the units whose random number of 16 bits is below ``silenced``; the others are scaled up."""
    Y = X.new_empty(X.shape)
    _call("dropout", X.contiguous(), Y, seed, X.numel(), silenced)
    return Y


def transposed(X: Tensor) -> Tensor:
    """``X.t().contiguous()``: (rows, columns) in single precision or bfloat16 -> (columns, rows)."""
    rows, columns = X.shape
    Y = X.new_empty(columns, rows)
    _call("transpose", X.contiguous(), Y, rows, columns, X.element_size())
    return Y


def cross_entropy(
    logits: Tensor, targets: Tensor, weights: Tensor | None, *, differentiate: bool, bf16: bool
) -> tuple[Tensor, Tensor]:
    """The surprise of each target in nats, (rows,), and the gradient of their weighted sum, (rows, vocabulary).

    The gradient takes the logits' place, or is in bfloat16 beside it.
    """
    rows, columns = logits.shape
    surprises = logits.new_empty(rows)
    narrow = logits.new_empty(logits.shape, dtype=torch.bfloat16) if bf16 and differentiate else None
    given = (logits, narrow, *_whole(targets, weights), surprises)
    _call("cross_entropy", *given, rows, columns, differentiate)
    return surprises, logits if narrow is None else narrow
