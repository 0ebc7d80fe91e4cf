"""The compiled recurrences and loss as functions of tensors.

Each has a plain twin in ``scan.py`` or ``feedforward.py``, which serves wherever ``serves`` says no. The results do not
depend on the number of threads: a row of a batch is always computed alone.
"""

from __future__ import annotations

import ctypes
from functools import cache

import torch
from torch import Tensor

from core.models.compiled.library import compiled_library

_WIDEST = 32  # two vectors of 16: panels are padded to whole ones


@cache
def why_not() -> str:
    """Why nothing is compiled here, in a sentence; empty where it is."""
    found = compiled_library()
    return found if isinstance(found, str) else ""


@cache
def multiplies_bf16() -> bool:
    """Whether the processor has the instructions for products in bfloat16 (AVX512-BF16)."""
    return not why_not() and bool(_library().has_bf16())


_allowed = True


def allow(allowed: bool) -> None:
    """Whether the compiled kernels may be used from now on; their plain twins serve where not."""
    global _allowed
    _allowed = allowed


def serves(X: Tensor, hidden: int, *, bf16: bool, dtypes: tuple[torch.dtype, ...] = (torch.float32,)) -> bool:
    """Whether the compiled kernels can take such a tensor: single precision on a CPU, and pairs in bf16."""
    if not _allowed or X.device.type != "cpu" or X.dtype not in dtypes or why_not():
        return False
    return not bf16 or (hidden % 2 == 0 and multiplies_bf16())


@cache
def _library() -> ctypes.CDLL:
    found = compiled_library()
    assert isinstance(found, ctypes.CDLL)
    return found


def _call(name: str, *arguments: Tensor | int | ctypes.c_int64 | ctypes.c_uint64 | None) -> None:
    """Call a C function: tensors go as addresses of their first number. Releases the interpreter meanwhile."""
    function = getattr(_library(), name)
    function.restype = None
    function(
        *(
            ctypes.c_void_p(argument.data_ptr())
            if isinstance(argument, Tensor)
            else ctypes.c_void_p(None)
            if argument is None
            else ctypes.c_int(argument)
            if isinstance(argument, int)
            else argument
            for argument in arguments
        ),
        ctypes.c_int(torch.get_num_threads()),
    )


def _panels(inner: int, hidden: int, vectors: int, *, bf16: bool) -> Tensor:
    """Room for a packed right factor of ``inner`` rows and ``vectors`` gates or parts of ``hidden`` columns."""
    columns = -(-hidden // _WIDEST) * _WIDEST * vectors
    return torch.empty(inner * columns, dtype=torch.bfloat16 if bf16 else torch.float32)


def _beginning_with(first: Tensor, num_steps: int) -> Tensor:
    """(num_steps + 1, batch, hidden) with the first step filled."""
    stack = first.new_empty(num_steps + 1, *first.shape)
    stack[0] = first
    return stack


def _twin(stack: Tensor, *, bf16: bool) -> Tensor | None:
    """Room for the same numbers in bfloat16, the left factors of the products; with the first step filled."""
    if not bf16:
        return None
    twin = torch.empty(stack.shape, dtype=torch.bfloat16)
    twin[0] = stack[0]
    return twin


def _whole(*tensors: Tensor | None) -> list[Tensor | None]:
    return [None if tensor is None else tensor.contiguous() for tensor in tensors]


def _gradient_stacks(shape: torch.Size, ids: Tensor | None, *, bf16: bool) -> tuple[Tensor | None, Tensor | None]:
    """Room for the gradient of A, and for its twin in bfloat16; a look-up wants the twin alone where there is one."""
    twin = torch.empty(shape, dtype=torch.bfloat16) if bf16 else None
    return None if bf16 and ids is not None else torch.empty(shape), twin


# ---------------------------------------------------------------------------------------------------------------------
# Shapes and names as in scan.py. ``H16`` and ``dA16`` are in bfloat16, or None. With ``ids`` (num_steps, batch), ``A``
# is a table of which they pick the rows, and ``b`` is added to each.


def rnn_forward(
    A: Tensor, W: Tensor, H_0: Tensor, ids: Tensor | None, b: Tensor | None, *, relu: bool, bf16: bool
) -> tuple[Tensor, Tensor | None]:
    """H, H16: (num_steps + 1, batch, hidden)."""
    num_steps, batch = (A if ids is None else ids).shape[:2]
    hidden = H_0.shape[1]
    H = _beginning_with(H_0, num_steps)
    H16 = _twin(H, bf16=bf16)
    panels = _panels(hidden, hidden, 1, bf16=bf16)
    given = (A.contiguous(), *_whole(ids, b), H, H16, W.contiguous(), panels)
    _call("rnn_forward", *given, num_steps, batch, hidden, relu, bf16)
    return H, H16


def rnn_backward(
    H: Tensor, dH: Tensor, dH_last: Tensor, W: Tensor, ids: Tensor | None, *, relu: bool, bf16: bool
) -> tuple[Tensor | None, Tensor | None, Tensor]:
    """dZ, dZ16: (num_steps, batch, hidden); dH_0: (batch, hidden)."""
    num_steps, batch, hidden = dH.shape
    dZ, dZ16 = _gradient_stacks(dH.shape, ids, bf16=bf16)
    dH_0 = torch.empty(batch, hidden)
    given = (H, dH.contiguous(), dH_last.contiguous(), dZ, dZ16, dH_0, W.contiguous())
    _call("rnn_backward", *given, _panels(hidden, hidden, 1, bf16=bf16), num_steps, batch, hidden, relu, bf16)
    return dZ, dZ16, dH_0


def gru_forward(
    A: Tensor, W: Tensor, b_hn: Tensor, H_0: Tensor, ids: Tensor | None, b: Tensor | None, *, bf16: bool
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """H, H16: (num_steps + 1, batch, hidden); the gates, in the place of A; N: (num_steps, batch, hidden)."""
    num_steps, batch = (A if ids is None else ids).shape[:2]
    hidden = H_0.shape[1]
    H, N = _beginning_with(H_0, num_steps), torch.empty(num_steps, batch, hidden)
    A, H16 = A.contiguous(), _twin(H, bf16=bf16)
    gates = A if ids is None else torch.empty(num_steps, batch, 3 * hidden)
    given = (
        A,
        *_whole(ids, b),
        gates,
        H,
        N,
        H16,
        b_hn.contiguous(),
        W.contiguous(),
        _panels(hidden, hidden, 3, bf16=bf16),
    )
    _call("gru_forward", *given, num_steps, batch, hidden, bf16)
    return H, H16, gates, N


def gru_backward(
    gates: Tensor, H: Tensor, N: Tensor, dH: Tensor, dH_last: Tensor, W: Tensor, *, bf16: bool
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """dP, dP16: (num_steps, batch, 3 * hidden); dA^h: (num_steps, batch, hidden); dH_0: (batch, hidden)."""
    num_steps, batch, hidden = dH.shape
    dP, dA_h, dH_0 = torch.empty(gates.shape), torch.empty(dH.shape), torch.empty(batch, hidden)
    dP16 = torch.empty(gates.shape, dtype=torch.bfloat16) if bf16 else None
    given = (gates, H, N, dH.contiguous(), dH_last.contiguous(), dP, dP16, dA_h, dH_0, W.contiguous())
    _call("gru_backward", *given, _panels(3 * hidden, hidden, 1, bf16=bf16), num_steps, batch, hidden, bf16)
    return dP, dP16, dA_h, dH_0


def lstm_forward(
    A: Tensor, W: Tensor, H_0: Tensor, C_0: Tensor, ids: Tensor | None, b: Tensor | None, *, bf16: bool
) -> tuple[Tensor, Tensor | None, Tensor, Tensor, Tensor]:
    """H, H16, C: (num_steps + 1, batch, hidden); the gates, in the place of A; tanh C: (num_steps, batch, hidden)."""
    num_steps, batch = (A if ids is None else ids).shape[:2]
    hidden = H_0.shape[1]
    H, C = _beginning_with(H_0, num_steps), _beginning_with(C_0, num_steps)
    A, tanh_C, H16 = A.contiguous(), torch.empty(num_steps, batch, hidden), _twin(H, bf16=bf16)
    gates = A if ids is None else torch.empty(num_steps, batch, 4 * hidden)
    given = (A, *_whole(ids, b), gates, H, C, tanh_C, H16, W.contiguous(), _panels(hidden, hidden, 4, bf16=bf16))
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
    dA, dA16 = _gradient_stacks(gates.shape, ids, bf16=bf16)
    dH_0, E = torch.empty(batch, hidden), dC_last.clone()
    given = (gates, C, tanh_C, dH.contiguous(), dH_last.contiguous(), E, dA, dA16, dH_0, W.contiguous())
    _call("lstm_backward", *given, _panels(4 * hidden, hidden, 1, bf16=bf16), num_steps, batch, hidden, bf16)
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
    Y = torch.empty(X.shape)
    _call("dropout", X.contiguous(), Y, ctypes.c_uint64(seed), ctypes.c_int64(X.numel()), silenced)
    return Y


def transposed(X: Tensor) -> Tensor:
    """``X.t().contiguous()``: (rows, columns) in single precision or bfloat16 -> (columns, rows)."""
    rows, columns = X.shape
    Y = torch.empty(columns, rows, dtype=X.dtype)
    _call("transpose", X.contiguous(), Y, rows, columns, X.element_size())
    return Y


def cross_entropy(
    logits: Tensor, targets: Tensor, weights: Tensor | None, *, differentiate: bool, bf16: bool
) -> tuple[Tensor, Tensor]:
    """The surprise of each target in nats, (rows,), and the gradient of their weighted sum, (rows, vocabulary).

    The gradient takes the logits' place, or is in bfloat16 beside it.
    """
    rows, columns = logits.shape
    surprises = torch.empty(rows)
    narrow = torch.empty(logits.shape, dtype=torch.bfloat16) if bf16 and differentiate else None
    given = (logits, narrow, targets.contiguous(), weights, surprises)
    _call("cross_entropy", *given, rows, columns, differentiate)
    return surprises, logits if narrow is None else narrow
