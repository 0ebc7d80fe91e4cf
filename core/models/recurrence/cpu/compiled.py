"""The compiled recurrences as a function that autograd can differentiate: one C call each way for all steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.models.products import transposed_product
from core.models.recurrence.cpu import bindings
from core.models.recurrence.layer import RecurrentLayer, Rows
from core.models.scratch import HiddenState
from core.settings.cells import CELLS

NUMBERS = {"rnn": 0, "gru": 1, "lstm": 2}  # of the cells in recurrence.c
_WIDEST = 32  # two vectors of 16: panels are padded to whole ones


def serves(layer: RecurrentLayer) -> bool:
    """Whether the compiled kernels may compute this layer, and can."""
    A = layer.A.table if isinstance(layer.A, Rows) else layer.A
    return layer.fused and layer.cell in NUMBERS and bindings.serves(A, layer.W_h.shape[0], bf16=layer.bf16)


def run(layer: RecurrentLayer) -> tuple[Tensor, HiddenState]:
    """See ``eager.run``; rows of a table are picked step by step."""
    ids, A, b = (layer.A.ids.long(), *layer.A[1:]) if isinstance(layer.A, Rows) else (None, layer.A, None)
    b_hn = layer.extra[0] if layer.extra else None
    given = (layer.cell, layer.relu, layer.bf16, ids, A, b, layer.W_h, b_hn, *layer.state)
    H, *last = CompiledScan.apply(*given)  # type: ignore[no-untyped-call]
    return H, tuple(last)


class CompiledScan(torch.autograd.Function):
    """The scan of any cell. Shapes and names are those of ``eager.py``.

    A is (num_steps, batch, gates * hidden), or the table whose rows ``ids`` (num_steps, batch) pick, with ``b`` added.
    Memory is allocated like a given tensor, so that a default dtype or device does not apply to it.
    """

    @staticmethod
    def forward(
        ctx: Any, cell: str, relu: bool, bf16: bool,
        ids: Tensor | None, A: Tensor, b: Tensor | None, W: Tensor, b_hn: Tensor | None, *state: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        num_steps, batch = (A if ids is None else ids).shape[:2]
        hidden, gates_per_unit = W.shape[0], len(CELLS[cell].gates)
        _require_shapes(batch, hidden, gates_per_unit * hidden, ids, A, b, W, b_hn, state)
        ctx.cell, ctx.relu, ctx.bf16, ctx.table_shape = cell, relu, bf16, A.shape
        A = A.detach().contiguous()
        H, *C = (_beginning_with(first, num_steps) for first in state)
        memory = C[0] if C else None
        H16 = gates = inner = None
        if bf16:  # the left factors of the products
            H16 = H.new_empty(H.shape, dtype=torch.bfloat16)
            H16[0] = H[0]
        if cell != "rnn":
            gates = A if ids is None else H.new_empty(num_steps, batch, gates_per_unit * hidden)
            inner = H.new_empty(num_steps, batch, hidden)  # N of the GRU, tanh C of the LSTM
        bindings.call(
            "recurrence_forward", NUMBERS[cell], A, _whole(ids), _whole(b), gates, H, H16, memory, inner, _whole(b_hn),
            W.contiguous(), _panels(W, hidden, gates_per_unit, bf16), num_steps, batch, hidden,
            relu, bindings.arithmetic(bf16=bf16),
        )  # fmt: skip
        ctx.save_for_backward(ids, W, gates, H, H16, memory, inner)
        return H[1:], *(stack[-1].clone() for stack in (H, *C))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dH: Tensor, dH_last: Tensor, *dC_last: Tensor) -> tuple[Tensor | None, ...]:
        ids, W, gates, H, H16, memory, inner = ctx.saved_tensors
        (num_steps, batch, hidden), columns = dH.shape, W.shape[1]
        is_gru = ctx.cell == "gru"
        dP = dP16 = None
        if ctx.bf16:
            dP16 = dH.new_empty(num_steps, batch, columns, dtype=torch.bfloat16)
        if not ctx.bf16 or ids is None or is_gru:  # the gradient of a look-up is as good from the twin
            dP = dH.new_empty(num_steps, batch, columns)
        dH_0, dA_h = dH.new_empty(batch, hidden), dH.new_empty(dH.shape) if is_gru else None
        E = [gradient.clone(memory_format=torch.contiguous_format) for gradient in dC_last]
        bindings.call(
            "recurrence_backward", NUMBERS[ctx.cell], gates, H, memory, inner, dH.contiguous(), dH_last.contiguous(),
            dP, dP16, dH_0, dA_h, E[0] if E else None, W.contiguous(), _panels(W, columns, 1, ctx.bf16),
            num_steps, batch, hidden, ctx.relu, bindings.arithmetic(bf16=ctx.bf16),
        )  # fmt: skip
        left, right = (H, dP) if dP16 is None else (H16, dP16)
        assert right is not None
        dW = transposed_product(left[:-1].flatten(0, 1), right.flatten(0, 1)).to(H.dtype)
        db_hn, stack = None, right
        if dP is not None and dA_h is not None:
            dN, stack = dP[..., 2 * hidden :], dP
            db_hn = dN.sum((0, 1))
            dN.copy_(dA_h)  # dA differs from dP in the candidate alone
        if ids is None:
            return None, None, None, None, dP, None, dW, db_hn, dH_0, *E
        table = stack.new_zeros(ctx.table_shape, dtype=torch.float32)
        db = table.new_zeros(columns) if ctx.needs_input_grad[5] else None
        d_table = bindings.add_rows(table, ids.flatten(), stack.flatten(0, 1), db)
        return None, None, None, None, d_table, db, dW, db_hn, dH_0, *E


def _require_shapes(
    batch: int, hidden: int, columns: int,
    ids: Tensor | None, A: Tensor, b: Tensor | None, W: Tensor, b_hn: Tensor | None, state: tuple[Tensor, ...],
) -> None:  # fmt: skip
    """Raise ValueError for shapes that do not match, IndexError for a wrong id: C would read and write elsewhere."""
    if ids is not None:
        bindings.require_ids(ids, A.shape[0], "ids")
    wanted = [(A, (*A.shape[:-1], columns)), (W, (hidden, columns)), (b, (columns,)), (b_hn, (hidden,))]
    for tensor, shape in [*wanted, *((part, (batch, hidden)) for part in state)]:
        if tensor is not None and tuple(tensor.shape) != shape:
            raise ValueError(f"the recurrence needs {shape} here, for batches of {batch}, got {tuple(tensor.shape)}")


def _panels(W: Tensor, inner: int, vectors: int, bf16: bool) -> Tensor:
    """Room for W as a packed right factor of ``inner`` rows and ``vectors`` gates or parts of hidden columns."""
    columns = -(-W.shape[0] // _WIDEST) * _WIDEST * vectors
    return W.new_empty(inner * columns, dtype=torch.bfloat16 if bf16 else torch.float32)


def _beginning_with(first: Tensor, num_steps: int) -> Tensor:
    """(num_steps + 1, batch, hidden) with the first step filled."""
    stack = first.new_empty(num_steps + 1, *first.shape)
    stack[0] = first
    return stack


def _whole(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()
