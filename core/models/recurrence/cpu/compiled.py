"""The compiled recurrences as a function that autograd can differentiate: one C call each way for all steps."""

from __future__ import annotations

from collections.abc import Sequence
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
# Of the factors of products, by their arithmetic.
_FORMATS = dict(zip(bindings.Arithmetic, (torch.float32, torch.float32, torch.bfloat16, torch.bfloat16), strict=True))


def serves(layer: RecurrentLayer) -> bool:
    """Whether the compiled kernels may compute this layer, and can."""
    A = layer.A.table if isinstance(layer.A, Rows) else layer.A
    return layer.fused and layer.cell in NUMBERS and bindings.serves(A, bf16=layer.bf16)


def run(layer: RecurrentLayer) -> tuple[Tensor, HiddenState]:
    """See ``eager.run``; rows of a table are picked step by step."""
    ids, A, b = (layer.A.ids.long(), *layer.A[1:]) if isinstance(layer.A, Rows) else (None, layer.A, None)
    b_hn = layer.extra[0] if layer.extra else None
    given = (layer.cell, layer.relu, layer.bf16, ids, A, b, layer.W_h, b_hn, *layer.state)
    H, *last = CompiledScan.apply(*given)  # type: ignore[no-untyped-call]
    return H, tuple(last)


class Scan:
    """The forward pass over all steps: its memory, and its C call. Shapes and names are those of ``eager.py``.

    A is (num_steps, batch, gates * hidden), or the table whose rows ``ids`` (num_steps, batch) pick, with ``b`` added.
    Memory is allocated like a given tensor, so that a default dtype or device does not apply to it.

    Attributes:
        H, C: the states, (num_steps + 1, batch, hidden), the first given; C is None but for the LSTM.
        kind: how products are computed.
        panels: room for W in the order of the products, which the backward pass may use again.
        twin: H rounded to bfloat16, in the format in which it is a left factor of products; None in single precision.
        kept: what the backward pass needs: ids, W, gates, H, its twin, C and what the cell keeps besides.
        compute: the call.
    """

    def __init__(
        self, cell: str, relu: bool, bf16: bool,
        ids: Tensor | None, A: Tensor, b: Tensor | None, W: Tensor, b_hn: Tensor | None, state: Sequence[Tensor],
    ) -> None:  # fmt: skip
        num_steps, batch = (A if ids is None else ids).shape[:2]
        hidden, gates_per_unit = W.shape[0], len(CELLS[cell].gates)
        _require_shapes(batch, hidden, gates_per_unit * hidden, ids, A, b, W, b_hn, state)
        A = A.detach().contiguous()
        self.H, *C = (state[0].new_empty(num_steps + 1, *part.shape) for part in state)
        self.C = C[0] if C else None
        gates = inner = None
        self.kind = kind = bindings.arithmetic(bf16=bf16, inner=hidden)
        self.twin = self.H.new_empty(self.H.shape, dtype=_FORMATS[kind]) if bf16 else None
        if cell != "rnn":
            gates = A if ids is None else self.H.new_empty(num_steps, batch, gates_per_unit * hidden)
            inner = self.H.new_empty(num_steps, batch, hidden)  # N of the GRU, tanh C of the LSTM
        self.panels = _panels(W, hidden, gates_per_unit, kind)
        self.kept = (ids, W, gates, self.H, self.twin, self.C, inner)
        self.compute = bindings.Prepared(
            "recurrence_forward", NUMBERS[cell], A, _whole(ids), _whole(b), gates, self.H, self.twin, self.C, inner,
            _whole(b_hn), W.contiguous(), self.panels, num_steps, batch, hidden,
            relu, kind,
        )  # fmt: skip

    def begin(self, state: Sequence[Tensor]) -> None:
        """Set the state before the first step."""
        self.H[0] = state[0]
        if self.twin is not None:
            self.twin[0] = state[0].bfloat16()
        if self.C is not None:
            self.C[0] = state[1]

    def last(self) -> HiddenState:
        """The state after the last step."""
        return tuple(stack[-1].clone() for stack in (self.H, self.C) if stack is not None)


class BackwardScan:
    """The backward pass: its memory, and its C call.

    Attributes:
        compute: the call.
        dH_0, dC_0: the gradients of the first state; dC_0 is None but for the LSTM.
        dA: the gradient of A once ``gradients`` has been asked for; of a table's rows rounded if factors are.
    """

    def __init__(
        self, cell: str, relu: bool, kind: bindings.Arithmetic, kept: Sequence[Tensor | None], dH: Tensor,
        dH_last: Tensor, dC_last: Tensor | None = None, panels: Tensor | None = None,
    ) -> None:  # fmt: skip
        ids, W, gates, H, twin, C, inner = kept
        assert W is not None and H is not None
        (num_steps, batch, hidden), columns = dH.shape, W.shape[1]
        self._dP = dP_twin = None
        if twin is not None:
            dP_twin = dH.new_empty(num_steps, batch, columns, dtype=twin.dtype)
        if dP_twin is None or ids is None or cell == "gru":
            self._dP = dH.new_empty(num_steps, batch, columns)
        elif dP_twin.dtype is dH.dtype:
            self._dP = dP_twin  # rounded in place: the gradient of a look-up is as good
        left, right = (H, self._dP) if twin is None else (twin, dP_twin)
        dA = dP_twin if self._dP is None else self._dP
        assert right is not None and dA is not None
        self._left, self._right, self.dA = left[:-1].flatten(0, 1), right.flatten(0, 1), dA
        self._dW = left.new_empty(hidden, columns)
        self.dH_0, self._dA_h = dH.new_empty(batch, hidden), dH.new_empty(dH.shape) if cell == "gru" else None
        self.dC_0 = None if dC_last is None else dC_last.clone(memory_format=torch.contiguous_format)
        self.compute = bindings.Prepared(
            "recurrence_backward", NUMBERS[cell], gates, H, C, inner, dH.contiguous(), dH_last.contiguous(),
            self._dP, dP_twin, self.dH_0, self._dA_h, self.dC_0, W.contiguous(),
            _panels(W, columns, 1, kind) if panels is None else panels,
            num_steps, batch, hidden, relu, kind,
        )  # fmt: skip

    def gradients(self) -> tuple[Tensor, Tensor | None]:
        """Those of W, in the format of the products, and of the GRU's b_hn; to be asked for once after each call."""
        dW = transposed_product(self._left, self._right, out=self._dW)
        if self._dP is None or self._dA_h is None:
            return dW, None
        dN = self._dP[..., 2 * self._dA_h.shape[2] :]
        db_hn = dN.sum((0, 1))
        dN.copy_(self._dA_h)  # dA differs from dP in the candidate alone
        return dW, db_hn


class CompiledScan(torch.autograd.Function):
    """The scan of any cell, see ``Scan``."""

    @staticmethod
    def forward(
        ctx: Any, cell: str, relu: bool, bf16: bool,
        ids: Tensor | None, A: Tensor, b: Tensor | None, W: Tensor, b_hn: Tensor | None, *state: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        scan = Scan(cell, relu, bf16, ids, A, b, W, b_hn, state)
        ctx.how, ctx.is_table, ctx.table_shape = (cell, relu, scan.kind), ids is not None, A.shape
        scan.begin(state)
        scan.compute()
        ctx.save_for_backward(*scan.kept)
        return scan.H[1:], *scan.last()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dH: Tensor, dH_last: Tensor, dC_last: Tensor | None = None) -> tuple[Tensor | None, ...]:
        cell, relu, kind = ctx.how
        back = BackwardScan(cell, relu, kind, ctx.saved_tensors, dH, dH_last, dC_last)
        back.compute()
        (dW, db_hn), dA = back.gradients(), back.dA
        d_state = (back.dH_0,) if back.dC_0 is None else (back.dH_0, back.dC_0)
        if not ctx.is_table:
            return None, None, None, None, dA, None, dW.to(dH.dtype), db_hn, *d_state
        d_table = dA.new_zeros(ctx.table_shape, dtype=torch.float32)
        db = d_table.new_zeros(dA.shape[2]) if ctx.needs_input_grad[5] else None
        bindings.add_rows(d_table, ctx.saved_tensors[0].flatten(), dA.flatten(0, 1), db)
        return None, None, None, None, d_table, db, dW.to(dH.dtype), db_hn, *d_state


def _require_shapes(
    batch: int, hidden: int, columns: int,
    ids: Tensor | None, A: Tensor, b: Tensor | None, W: Tensor, b_hn: Tensor | None, state: Sequence[Tensor],
) -> None:  # fmt: skip
    """Raise ValueError for shapes that do not match, IndexError for a wrong id: C would read and write elsewhere."""
    if ids is not None:
        bindings.require_ids(ids, A.shape[0], "ids")
    wanted = [(A, (*A.shape[:-1], columns)), (W, (hidden, columns)), (b, (columns,)), (b_hn, (hidden,))]
    for tensor, shape in [*wanted, *((part, (batch, hidden)) for part in state)]:
        if tensor is not None and tuple(tensor.shape) != shape:
            raise ValueError(f"the recurrence needs {shape} here, for batches of {batch}, got {tuple(tensor.shape)}")


def _panels(W: Tensor, inner: int, vectors: int, kind: bindings.Arithmetic) -> Tensor:
    """Room for W as a packed right factor of ``inner`` rows and ``vectors`` gates or parts of hidden columns."""
    columns = -(-W.shape[0] // _WIDEST) * _WIDEST * vectors
    return W.new_empty(inner * columns, dtype=_FORMATS[kind])


def _whole(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()
