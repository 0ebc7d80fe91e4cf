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


def launch_kernel(
    name: str, plan: Plan, precision: str, num_steps: int, tensors: Sequence[Any], scalars: Sequence[Any]
) -> None:
    """Run a kernel over all steps. ``tensors`` come before ``counters, first, last``, ``scalars`` behind."""
    import triton.language as tl

    from core.models.recurrence.triton import kernels

    H = tensors[0]
    counters = torch.zeros(plan.groups, dtype=torch.int32, device=H.device)
    factor = {torch.float64: tl.float64, torch.float32: tl.float32}[H.dtype]
    kernel = getattr(kernels, name)[(plan.parts, plan.groups)]
    # A single program, or a launch of one step, has nothing to wait for.
    options = {"launch_cooperative_grid": True} if plan.at_once and plan.parts > 1 else {}
    for first, last in [(0, num_steps)] if plan.at_once else [(step, step + 1) for step in range(num_steps)]:
        kernel(
            *tensors, counters, first, last, *scalars, PARTS=plan.parts, BLOCK_B=plan.rows, BLOCK_N=plan.units,
            CHUNKS=plan.chunks, SIZE=plan.size, FACTOR=tl.bfloat16 if precision == "bf16" else factor,
            PRECISION="ieee" if precision == "bf16" or H.dtype is torch.float64 else precision,
            num_warps=plan.warps, num_stages=1, **options,
        )  # fmt: skip


class PersistentScan(torch.autograd.Function):
    """The scan of any cell in one launch each way. Shapes and names are those of ``eager.py``."""

    @staticmethod
    def forward(
        ctx: Any, cell: str, relu: bool, plan: Plan, precision: str,
        A: Tensor, W: Tensor, b_hn: Tensor | None, *state: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        num_steps, batch, _ = A.shape
        hidden = W.shape[0]
        stacks = A.new_empty(len(state), num_steps + 1, batch, hidden)  # H and, for the LSTM, C
        stacks[:, 0] = torch.stack(state)
        gates = A.detach().contiguous()  # the gates take the place of A
        scalars: tuple[object, ...] = (batch, W.stride(0), W.stride(1), hidden)
        if cell == "rnn":
            kept, scalars = (*stacks,), (*scalars[:3], relu, hidden)
            tensors = (gates, W, *stacks)
        else:
            inner = A.new_empty(num_steps, batch, hidden)  # N of the GRU, tanh C of the LSTM
            kept = (*stacks, gates, inner)
            tensors = (gates, W, *([] if b_hn is None else [b_hn.contiguous()]), *stacks, inner)
        launch_kernel(f"{cell}_forward", plan, precision, num_steps, tensors, scalars)
        ctx.save_for_backward(W, *kept)
        ctx.cell, ctx.relu, ctx.plan, ctx.precision = cell, relu, plan, precision
        return stacks[0, 1:], *(stack[-1].clone() for stack in stacks)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dH: Tensor, dH_last: Tensor, *dC_last: Tensor) -> tuple[Tensor | None, ...]:
        W, H, *kept = ctx.saved_tensors
        (num_steps, batch, hidden), columns = dH.shape, W.shape[1]
        bf16, carried = ctx.precision == "bf16", []
        dP = dH.new_empty(num_steps, batch, columns)
        scalars: tuple[object, ...] = (num_steps, batch, W.stride(1), W.stride(0), hidden)
        if ctx.cell == "rnn":
            scalars, tensors = (*scalars[:4], ctx.relu, hidden), (H, W, dP)
        elif ctx.cell == "gru":
            carried = [dH.new_empty(dH.shape)]  # D
            tensors = (H, *kept, W, dP, *carried)
        else:
            carried = [dC_last[0].clone(memory_format=torch.contiguous_format)]  # E
            C, gates, tanh_C = kept
            tensors = (gates, C, tanh_C, W, dP, *carried)
        given = (dH.contiguous(), dH_last.contiguous(), *tensors)
        launch_kernel(f"{ctx.cell}_backward", ctx.plan, ctx.precision, num_steps, given, scalars)
        dW = transposed_product(H[:-1].reshape(-1, hidden), dP.view(-1, columns), bf16=bf16)
        dH_0 = product(dP[0], W.t(), bf16=bf16)
        if ctx.cell != "gru":
            return None, None, None, None, dP, dW, None, dH_0, *carried
        (D,), (Z, _, H_tilda) = carried, kept[0].chunk(3, dim=-1)
        dH_0.addcmul_(D[0], Z[0])
        dN = dP[..., 2 * hidden :]
        db_hn = dN.sum((0, 1))
        torch.mul((1 - H_tilda * H_tilda).mul_(1 - Z), D, out=dN)  # dA differs from dP in the candidate alone
        return None, None, None, None, dP, dW, db_hn, dH_0
