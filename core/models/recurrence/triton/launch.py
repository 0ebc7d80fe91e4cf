"""The launches of the persistent kernels, and what autograd needs of them; ``plan.py`` decides when they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.models.products import product, transposed_product


@dataclass(frozen=True)
class Plan:
    """How a recurrence is laid out over a GPU.

    Attributes:
        rows, units: of the batch and of the layer that one program computes.
        chunks, size: the product over the hidden units is cut into ``chunks`` of ``size``, computed side by side.
        parts, groups: the grid: programs that share a group of rows, and groups.
        warps: of a program.
        at_once: whether one launch runs over all steps, else each step is one.
    """

    rows: int
    units: int
    chunks: int
    size: int
    parts: int
    groups: int
    warps: int
    at_once: bool = True

    @property
    def programs(self) -> int:
        return self.parts * self.groups


def _launch(
    name: str, plan: Plan, precision: str, num_steps: int, tensors: Sequence[Any], scalars: Sequence[Any]
) -> None:
    """Run a kernel over all steps. ``tensors`` come before ``counters, first, last``, ``scalars`` behind."""
    import triton.language as tl

    from core.models.recurrence.triton import kernels

    H = tensors[0]
    counters = torch.zeros(plan.groups, dtype=torch.int32, device=H.device)
    factor = {torch.float64: tl.float64, torch.float32: tl.float32}[H.dtype]
    kernel = getattr(kernels, name)[(plan.parts, plan.groups)]
    # One program needs nobody, and a launch of one step waits for nobody.
    options = {"launch_cooperative_grid": True} if plan.at_once and plan.parts > 1 else {}
    for first, last in [(0, num_steps)] if plan.at_once else [(step, step + 1) for step in range(num_steps)]:
        kernel(
            *tensors,
            counters,
            first,
            last,
            *scalars,
            PARTS=plan.parts,
            BLOCK_B=plan.rows,
            BLOCK_N=plan.units,
            CHUNKS=plan.chunks,
            SIZE=plan.size,
            FACTOR=tl.bfloat16 if precision == "bf16" else factor,
            PRECISION="ieee" if precision == "bf16" or H.dtype is torch.float64 else precision,
            num_warps=plan.warps,
            num_stages=1,
            **options,
        )


class PersistentRNN(torch.autograd.Function):
    """``eager.RNNScan`` in one launch each way."""

    @staticmethod
    def forward(
        ctx: Any, A: Tensor, W_hh: Tensor, H_0: Tensor, relu: bool, plan: Plan, precision: str
    ) -> tuple[Tensor, Tensor]:
        num_steps, batch, hidden = A.shape
        H = A.new_empty(num_steps + 1, batch, hidden)
        H[0] = H_0
        scalars = (batch, W_hh.stride(0), W_hh.stride(1), relu, hidden)
        _launch("rnn_forward", plan, precision, num_steps, (A.detach().contiguous(), W_hh, H), scalars)
        ctx.save_for_backward(H, W_hh)
        ctx.relu, ctx.plan, ctx.precision = relu, plan, precision
        return H[1:], H[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dH: Tensor, dH_last: Tensor) -> tuple[Tensor | None, ...]:
        H, W_hh = ctx.saved_tensors
        num_steps, batch, hidden = dH.shape
        bf16 = ctx.precision == "bf16"
        dZ = torch.empty_like(dH, memory_format=torch.contiguous_format)
        tensors = (dH.contiguous(), dH_last.contiguous(), H, W_hh, dZ)
        scalars = (num_steps, batch, W_hh.stride(1), W_hh.stride(0), ctx.relu, hidden)
        _launch("rnn_backward", ctx.plan, ctx.precision, num_steps, tensors, scalars)
        dW_hh = transposed_product(H[:-1].reshape(-1, hidden), dZ.view(-1, hidden), bf16=bf16)
        return dZ, dW_hh, product(dZ[0], W_hh.t(), bf16=bf16), None, None, None


class PersistentGRU(torch.autograd.Function):
    """``eager.GRUScan`` in one launch each way."""

    @staticmethod
    def forward(
        ctx: Any, A: Tensor, W_h: Tensor, b_hn: Tensor, H_0: Tensor, plan: Plan, precision: str
    ) -> tuple[Tensor, Tensor]:
        num_steps, batch, _ = A.shape
        hidden = H_0.shape[-1]
        H = A.new_empty(num_steps + 1, batch, hidden)
        H[0] = H_0
        gates, N = A.detach().contiguous(), A.new_empty(num_steps, batch, hidden)
        scalars = (batch, W_h.stride(0), W_h.stride(1), hidden)
        _launch("gru_forward", plan, precision, num_steps, (gates, W_h, b_hn.contiguous(), H, N), scalars)
        ctx.save_for_backward(H, gates, N, W_h)
        ctx.plan, ctx.precision = plan, precision
        return H[1:], H[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dH: Tensor, dH_last: Tensor) -> tuple[Tensor | None, ...]:
        H, gates, N, W_h = ctx.saved_tensors
        num_steps, batch, hidden = dH.shape
        bf16 = ctx.precision == "bf16"
        dP, D = torch.empty_like(gates), torch.empty_like(N)
        tensors = (dH.contiguous(), dH_last.contiguous(), H, gates, N, W_h, dP, D)
        scalars = (num_steps, batch, W_h.stride(1), W_h.stride(0), hidden)
        _launch("gru_backward", ctx.plan, ctx.precision, num_steps, tensors, scalars)
        Z, _, H_tilda = gates.chunk(3, dim=-1)
        dH_0 = product(dP[0], W_h.t(), bf16=bf16).addcmul_(D[0], Z[0])
        dW_h = transposed_product(H[:-1].reshape(-1, hidden), dP.view(-1, 3 * hidden), bf16=bf16)
        candidate = dP.view(num_steps, batch, 3, hidden)[:, :, 2]
        db_hn = candidate.sum((0, 1))
        # dA differs from dP in the candidate alone
        torch.mul((1 - H_tilda * H_tilda).mul_(1 - Z), D, out=candidate)
        return dP, dW_h, db_hn, dH_0, None, None


class PersistentLSTM(torch.autograd.Function):
    """``eager.LSTMScan`` in one launch each way."""

    @staticmethod
    def forward(
        ctx: Any, A: Tensor, W_h: Tensor, H_0: Tensor, C_0: Tensor, plan: Plan, precision: str
    ) -> tuple[Tensor, Tensor, Tensor]:
        num_steps, batch, _ = A.shape
        hidden = H_0.shape[-1]
        H, C = A.new_empty(2, num_steps + 1, batch, hidden)
        H[0], C[0] = H_0, C_0
        gates, tanh_C = A.detach().contiguous(), A.new_empty(num_steps, batch, hidden)
        scalars = (batch, W_h.stride(0), W_h.stride(1), hidden)
        _launch("lstm_forward", plan, precision, num_steps, (gates, W_h, H, C, tanh_C), scalars)
        ctx.save_for_backward(H, C, gates, tanh_C, W_h)
        ctx.plan, ctx.precision = plan, precision
        return H[1:], H[-1].clone(), C[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dH: Tensor, dH_last: Tensor, dC_last: Tensor) -> tuple[Tensor | None, ...]:
        H, C, gates, tanh_C, W_h = ctx.saved_tensors
        num_steps, batch, hidden = dH.shape
        bf16 = ctx.precision == "bf16"
        dA, E = torch.empty_like(gates), dC_last.clone(memory_format=torch.contiguous_format)
        tensors = (dH.contiguous(), dH_last.contiguous(), gates, C, tanh_C, W_h, dA, E)
        scalars = (num_steps, batch, W_h.stride(1), W_h.stride(0), hidden)
        _launch("lstm_backward", ctx.plan, ctx.precision, num_steps, tensors, scalars)
        dW_h = transposed_product(H[:-1].reshape(-1, hidden), dA.view(-1, 4 * hidden), bf16=bf16)
        return dA, dW_h, product(dA[0], W_h.t(), bf16=bf16), E, None, None
