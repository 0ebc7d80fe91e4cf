"""The compiled recurrences as functions that autograd can differentiate: those of ``eager.py``, one C call each way."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.models.products import transposed_product
from core.models.recurrence.cpu import bindings
from core.models.recurrence.layer import RecurrentLayer, Rows
from core.models.scratch import HiddenState


def serves(layer: RecurrentLayer) -> bool:
    """Whether the compiled kernels may compute this layer, and can."""
    A = layer.A.table if isinstance(layer.A, Rows) else layer.A
    return layer.fused and bindings.serves(A, layer.W_h.shape[0], bf16=layer.bf16)


def run(layer: RecurrentLayer) -> tuple[Tensor, HiddenState]:
    """See ``eager.run``; rows of a table are picked step by step."""
    ids, A, b = (layer.A.ids.long(), *layer.A[1:]) if isinstance(layer.A, Rows) else (None, layer.A, None)
    W_h, state, options = layer.W_h, layer.state, (layer.bf16, ids, b)
    if layer.cell == "rnn":
        H, *last = CompiledRNN.apply(A, W_h, *state, layer.relu, *options)  # type: ignore[no-untyped-call]
    elif layer.cell == "gru":
        H, *last = CompiledGRU.apply(A, W_h, *layer.extra, *state, *options)  # type: ignore[no-untyped-call]
    else:
        H, *last = CompiledLSTM.apply(A, W_h, *state, *options)  # type: ignore[no-untyped-call]
    return H, tuple(last)


def _recurrent_gradient(H: Tensor, dA: Tensor | None, H16: Tensor | None, dA16: Tensor | None) -> Tensor:
    """dW_h = sum_t H_{t-1}^T dA_t, of the bfloat16 twins where there are such: (hidden, gates * hidden)."""
    if H16 is not None and dA16 is not None:
        return transposed_product(H16[:-1].flatten(0, 1), dA16.flatten(0, 1)).to(H.dtype)
    assert dA is not None
    return transposed_product(H[:-1].flatten(0, 1), dA.flatten(0, 1))


def _input_gradients(
    ctx: Any, ids: Tensor | None, dA: Tensor | None, dA16: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    """dA; or, where ``ids`` picked its rows, the gradients of the table and of what was added to each row."""
    if ids is None:
        return dA, None
    stack = dA if dA16 is None else dA16
    assert stack is not None
    d_table = bindings.add_rows(
        stack.new_zeros(ctx.table_shape, dtype=torch.float32), ids.flatten(), stack.flatten(0, 1)
    )
    return d_table, d_table.sum(0) if ctx.needs_input_grad[-1] else None


# In each of these: A is (num_steps, batch, gates * hidden), or the table whose rows ``ids`` pick, with ``b`` added.


class CompiledRNN(torch.autograd.Function):
    """See ``eager.RNNScan``."""

    @staticmethod
    def forward(
        ctx: Any, A: Tensor, W_hh: Tensor, H_0: Tensor, relu: bool, bf16: bool, ids: Tensor | None, b: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        ctx.relu, ctx.bf16, ctx.table_shape = relu, bf16, A.shape
        H, H16 = bindings.rnn_forward(A, W_hh, H_0, ids, b, relu=relu, bf16=bf16)
        ctx.save_for_backward(H, W_hh, H16, ids)
        return H[1:], H[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dH: Tensor, dH_last: Tensor) -> tuple[Tensor | None, ...]:
        H, W_hh, H16, ids = ctx.saved_tensors
        dZ, dZ16, dH_0 = bindings.rnn_backward(H, dH, dH_last, W_hh, ids, relu=ctx.relu, bf16=ctx.bf16)
        dW_hh = _recurrent_gradient(H, dZ, H16, dZ16)
        d_input, db = _input_gradients(ctx, ids, dZ, dZ16)
        return d_input, dW_hh, dH_0, None, None, None, db


class CompiledGRU(torch.autograd.Function):
    """See ``eager.GRUScan``."""

    @staticmethod
    def forward(
        ctx: Any, A: Tensor, W_h: Tensor, b_hn: Tensor, H_0: Tensor, bf16: bool, ids: Tensor | None, b: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        ctx.bf16, ctx.table_shape = bf16, A.shape
        H, H16, gates, N = bindings.gru_forward(A.detach(), W_h, b_hn, H_0, ids, b, bf16=bf16)
        ctx.save_for_backward(H, gates, N, W_h, H16, ids)
        return H[1:], H[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dH: Tensor, dH_last: Tensor) -> tuple[Tensor | None, ...]:
        H, gates, N, W_h, H16, ids = ctx.saved_tensors
        dP, dP16, dA_h, dH_0 = bindings.gru_backward(gates, H, N, dH, dH_last, W_h, bf16=ctx.bf16)
        dW_h, dN = _recurrent_gradient(H, dP, H16, dP16), dP[..., 2 * H.shape[-1] :]
        db_hn = dN.sum((0, 1))
        dN.copy_(dA_h)  # dA differs from dP in the candidate alone
        d_input, db = _input_gradients(ctx, ids, dP, None)
        return d_input, dW_h, db_hn, dH_0, None, None, db


class CompiledLSTM(torch.autograd.Function):
    """See ``eager.LSTMScan``."""

    @staticmethod
    def forward(
        ctx: Any, A: Tensor, W_h: Tensor, H_0: Tensor, C_0: Tensor, bf16: bool, ids: Tensor | None, b: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.bf16, ctx.table_shape = bf16, A.shape
        H, H16, C, gates, tanh_C = bindings.lstm_forward(A.detach(), W_h, H_0, C_0, ids, b, bf16=bf16)
        ctx.save_for_backward(H, C, gates, tanh_C, W_h, H16, ids)
        return H[1:], H[-1].clone(), C[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dH: Tensor, dH_last: Tensor, dC_last: Tensor) -> tuple[Tensor | None, ...]:
        H, C, gates, tanh_C, W_h, H16, ids = ctx.saved_tensors
        given = (gates, C, tanh_C, dH, dH_last, dC_last, W_h, ids)
        dA, dA16, dH_0, dC_0 = bindings.lstm_backward(*given, bf16=ctx.bf16)
        dW_h = _recurrent_gradient(H, dA, H16, dA16)
        d_input, db = _input_gradients(ctx, ids, dA, dA16)
        return d_input, dW_h, dH_0, dC_0, None, None, db
