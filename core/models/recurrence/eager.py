"""The recurrences made fast: forward and backward through time by hand, one ``torch.autograd.Function`` per cell.

What autograd would do step by step is done here once for all steps wherever the mathematics allows. The input part
``A_t = X_t W_x + b`` comes in ready for all steps (a look-up or one product); only the product with ``W_h`` has to wait
for the step before. In the backward pass everything local to a step (the derivatives of its gates) is linear in the
incoming gradient, so its coefficients ``K`` are computed for all steps before the loop, and the loop keeps a few calls:
the gradient times ``K``, and the product with ``W_h`` transposed. The gradient of ``W_h`` is one product at the end,
the sum over t of ``H_{t-1}^T dP_t``.

Notation: ``dY`` is the gradient of the loss with respect to Y; time comes first in every stack; ``*`` is the product
element by element. ``scratch.unrolled`` is the plain twin.
"""

# ruff: noqa: E741  the gates are called I and O in every textbook

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.models.feedforward import look_up
from core.models.products import RightFactor, transposed_product
from core.models.recurrence.cpu import bindings
from core.models.recurrence.triton import plan as persistent
from core.models.scratch import HiddenState

_MINUS_ONE = torch.tensor(-1.0, dtype=torch.float32, device="cpu")


def _tanh(Z: Tensor, out: Tensor) -> None:
    """``out = tanh(Z)``; the two may be the same tensor."""
    if Z.dtype is torch.float32 and Z.device.type == "cpu":
        # tanh(z) = 2 sigmoid(2z) - 1: PyTorch's CPU tanh takes 11 to 17 us for 32 x 256 numbers, these three passes 5.
        torch.mul(Z, 2.0, out=out)
        torch.add(_MINUS_ONE, out.sigmoid_(), alpha=2, out=out)
    else:
        torch.tanh(Z, out=out)


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


# ---------------------------------------------------------------------------------------------------------------------
# RNN


class RNNScan(torch.autograd.Function):
    """H_t = activation(A_t + H_{t-1} W_hh) for all t.

    Backward, from the last step to the first, with K_t = 1 - H_t * H_t for tanh and K_t = [H_t > 0] for relu:

        dZ_t = K_t * (dH_t + dZ_{t+1} W_hh^T)
        dA_t = dZ_t,    dW_hh = sum_t H_{t-1}^T dZ_t,    dH_0 = dZ_1 W_hh^T
    """

    @staticmethod
    def forward(
        ctx: Any,
        A: Tensor,
        W_hh: Tensor,
        H_0: Tensor,
        relu: bool,
        bf16: bool,
        fused: bool = True,
        ids: Tensor | None = None,
        b: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        ctx.relu, ctx.bf16, ctx.fused = relu, bf16, fused
        ctx.compiled = fused and bindings.serves(A, H_0.shape[-1], bf16=bf16)
        if ctx.compiled:
            H, H16 = bindings.rnn_forward(A, W_hh, H_0, ids, b, relu=relu, bf16=bf16)
            ctx.save_for_backward(H, W_hh, H16, ids)
            ctx.table_shape = A.shape
            return H[1:], H[-1].clone()
        num_steps, batch, hidden = A.shape
        H = A.new_empty(num_steps + 1, batch, hidden)
        H[0] = H_0
        recurrent = RightFactor(W_hh, batch, bf16=bf16)
        As, Hs = A.unbind(0), H.unbind(0)
        for t in range(num_steps):
            Z_t = recurrent.product_plus(Hs[t], As[t])  # (batch, hidden)
            if relu:
                torch.clamp_min(Z_t, 0.0, out=Hs[t + 1])
            else:
                _tanh(Z_t, Hs[t + 1])
        ctx.save_for_backward(H, W_hh, None, None)
        return H[1:], H[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dH: Tensor, dH_last: Tensor) -> tuple[Tensor | None, ...]:
        H, W_hh, H16, ids = ctx.saved_tensors
        num_steps, batch, hidden = dH.shape
        if ctx.compiled:
            dZ, dZ16, dH_0 = bindings.rnn_backward(H, dH, dH_last, W_hh, ids, relu=ctx.relu, bf16=ctx.bf16)
            dW_hh = _recurrent_gradient(H, dZ, H16, dZ16)
            d_input, db = _input_gradients(ctx, ids, dZ, dZ16)
            return d_input, dW_hh, dH_0, None, None, None, None, db
        after = H[1:]
        K = (after > 0).to(H.dtype) if ctx.relu else torch.addcmul(H.new_ones(()), after, after, value=-1)
        recurrent = RightFactor(W_hh.t(), batch, bf16=ctx.bf16)
        D = dH[-1] + dH_last  # (batch, hidden)
        dHs, dZs = dH.contiguous().unbind(0), K.unbind(0)  # dZ takes the place of K
        for t in range(num_steps - 1, -1, -1):
            dZs[t].mul_(D)
            D = recurrent.product_plus(dZs[t], dHs[t - 1]) if t else recurrent.product(dZs[t])
        dW_hh = transposed_product(H[:-1].reshape(-1, hidden), K.view(-1, hidden), bf16=ctx.bf16, fused=ctx.fused)
        return K, dW_hh, D, None, None, None, None, None


# ---------------------------------------------------------------------------------------------------------------------
# GRU


class GRUScan(torch.autograd.Function):
    """The GRU of ``scratch.gru_step`` for all t; gates in the order z, r, h.

        P_t = H_{t-1} [W_hz W_hr W_hh],    N_t = P^h_t + b_hn
        Z_t = sigmoid(A^z_t + P^z_t),    R_t = sigmoid(A^r_t + P^r_t),    H~_t = tanh(A^h_t + R_t * N_t)
        H_t = H~_t + Z_t * (H_{t-1} - H~_t)

    Backward: every gradient of a step is a multiple of D_t = dH_t + what comes from step t + 1:

        dA^z_t = D_t * K^z,   K^z = (H_{t-1} - H~_t) * Z_t * (1 - Z_t)
        dA^h_t = D_t * K^h,   K^h = (1 - Z_t) * (1 - H~_t * H~_t)
        dA^r_t = D_t * K^r,   K^r = K^h * N_t * R_t * (1 - R_t)
        dN_t   = D_t * K^n,   K^n = K^h * R_t
        D_{t-1} = dH_{t-1} + D_t * Z_t + [dA^z_t dA^r_t dN_t] [W_hz W_hr W_hh]^T
    """

    @staticmethod
    def forward(
        ctx: Any,
        A: Tensor,
        W_h: Tensor,
        b_hn: Tensor,
        H_0: Tensor,
        bf16: bool,
        fused: bool = True,
        ids: Tensor | None = None,
        b: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        hidden = H_0.shape[-1]
        ctx.bf16, ctx.fused = bf16, fused
        ctx.compiled = fused and bindings.serves(A, hidden, bf16=bf16)
        if ctx.compiled:
            H, H16, gates, N = bindings.gru_forward(A.detach(), W_h, b_hn, H_0, ids, b, bf16=bf16)
            ctx.save_for_backward(H, gates, N, W_h, H16, ids)
            ctx.table_shape = A.shape
            return H[1:], H[-1].clone()
        num_steps, batch, _ = A.shape
        H = A.new_empty(num_steps + 1, batch, hidden)
        H[0] = H_0
        gates = A.detach().contiguous()  # Z, R, H~ take the place of their inputs
        N = A.new_empty(num_steps, batch, hidden)
        recurrent = RightFactor(W_h, batch, bf16=bf16)
        ZR, H_tilda = (part.unbind(0) for part in gates.split_with_sizes((2 * hidden, hidden), dim=-1))
        Z, R = (part.unbind(0) for part in gates[..., : 2 * hidden].chunk(2, dim=-1))
        Hs, Ns = H.unbind(0), N.unbind(0)
        for t in range(num_steps):
            P_zr, P_h = recurrent.product(Hs[t]).split_with_sizes((2 * hidden, hidden), dim=-1)
            ZR[t].add_(P_zr).sigmoid_()
            torch.add(P_h, b_hn, out=Ns[t])
            _tanh(H_tilda[t].addcmul_(R[t], Ns[t]), H_tilda[t])
            torch.lerp(H_tilda[t], Hs[t], Z[t], out=Hs[t + 1])
        ctx.save_for_backward(H, gates, N, W_h, None, None)
        return H[1:], H[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dH: Tensor, dH_last: Tensor) -> tuple[Tensor | None, ...]:
        H, gates, N, W_h, H16, ids = ctx.saved_tensors
        num_steps, batch, hidden = dH.shape
        if ctx.compiled:
            dP, dP16, dA_h, D_0 = bindings.gru_backward(gates, H, N, dH, dH_last, W_h, bf16=ctx.bf16)
            dW_h, dN = _recurrent_gradient(H, dP, H16, dP16), dP[..., 2 * hidden :]
            db_hn = dN.sum((0, 1))
            dN.copy_(dA_h)  # dA differs from dP in the candidate alone
            d_input, db = _input_gradients(ctx, ids, dP, None)
            return d_input, dW_h, db_hn, D_0, None, None, None, db
        Z, R, H_tilda = gates.chunk(3, dim=-1)  # each (num_steps, batch, hidden)
        K = torch.empty_like(gates).view(num_steps, batch, 3, hidden)  # K^z, K^r, K^n
        K_h = (1 - Z).mul_(1 - H_tilda * H_tilda)
        torch.mul((1 - Z).mul_(Z), H[:-1] - H_tilda, out=K[:, :, 0])
        torch.mul(K_h, R, out=K[:, :, 2])
        torch.mul((1 - R).mul_(N), K[:, :, 2], out=K[:, :, 1])

        recurrent = RightFactor(W_h.t(), batch, bf16=ctx.bf16)
        D = torch.empty_like(N)
        torch.add(dH[-1], dH_last, out=D[-1])
        dHs, Zs, Ds, D_wide = dH.contiguous().unbind(0), Z.unbind(0), D.unbind(0), D.unsqueeze(2).unbind(0)
        dP = K.view(num_steps, batch, 3 * hidden)  # [dA^z dA^r dN], takes the place of K
        Ks, dPs = K.unbind(0), dP.unbind(0)
        for t in range(num_steps - 1, 0, -1):
            Ks[t].mul_(D_wide[t])  # one call serves three gates
            Ds[t - 1].copy_(recurrent.product_plus(dPs[t], torch.addcmul(dHs[t - 1], Ds[t], Zs[t])))
        Ks[0].mul_(D_wide[0])
        D_0 = recurrent.product_plus(dPs[0], Ds[0] * Zs[0])
        dW_h = transposed_product(H[:-1].reshape(-1, hidden), dP.view(-1, 3 * hidden), bf16=ctx.bf16, fused=ctx.fused)
        db_hn = K[:, :, 2].sum((0, 1))
        torch.mul(D, K_h, out=K[:, :, 2])  # dA differs from dP in the candidate alone
        return dP, dW_h, db_hn, D_0, None, None, None, None


# ---------------------------------------------------------------------------------------------------------------------
# LSTM


class LSTMScan(torch.autograd.Function):
    """The LSTM of ``scratch.lstm_step`` for all t; gates in the order o, i, f, c.

        [O_t I_t F_t C~_t] = activation(A_t + H_{t-1} W_h)
        C_t = F_t * C_{t-1} + I_t * C~_t,    H_t = O_t * tanh(C_t)

    Backward: D_t = dH_t + what comes through W_h, E_t = dC_t + what comes through the memory:

        dA^o_t = D_t * K^o,   K^o = tanh(C_t) * O_t * (1 - O_t)
        E_t   += D_t * K^m,   K^m = O_t * (1 - tanh(C_t) * tanh(C_t))
        dA^i_t = E_t * K^i,   K^i = C~_t * I_t * (1 - I_t)
        dA^f_t = E_t * K^f,   K^f = C_{t-1} * F_t * (1 - F_t)
        dA^c_t = E_t * K^c,   K^c = I_t * (1 - C~_t * C~_t)
        E_{t-1} = E_t * F_t,  D_{t-1} = dH_{t-1} + dA_t W_h^T
    """

    @staticmethod
    def forward(
        ctx: Any,
        A: Tensor,
        W_h: Tensor,
        H_0: Tensor,
        C_0: Tensor,
        bf16: bool,
        fused: bool = True,
        ids: Tensor | None = None,
        b: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        hidden = H_0.shape[-1]
        ctx.bf16, ctx.fused = bf16, fused
        ctx.compiled = fused and bindings.serves(A, hidden, bf16=bf16)
        if ctx.compiled:
            H, H16, C, gates, tanh_C = bindings.lstm_forward(A.detach(), W_h, H_0, C_0, ids, b, bf16=bf16)
            ctx.save_for_backward(H, C, gates, tanh_C, W_h, H16, ids)
            ctx.table_shape = A.shape
            return H[1:], H[-1].clone(), C[-1].clone()
        num_steps, batch, _ = A.shape
        H, C = A.new_empty(2, num_steps + 1, batch, hidden)
        H[0], C[0] = H_0, C_0
        gates = A.detach().contiguous()  # O, I, F, C~ take the place of their inputs
        tanh_C = A.new_empty(num_steps, batch, hidden)
        recurrent = RightFactor(W_h, batch, bf16=bf16)
        OIF = gates[..., : 3 * hidden].unbind(0)
        O, I, F, C_tilda = (part.unbind(0) for part in gates.chunk(4, dim=-1))
        As, Hs, Cs, tanh_Cs = gates.unbind(0), H.unbind(0), C.unbind(0), tanh_C.unbind(0)
        for t in range(num_steps):
            Z_oif, Z_c = recurrent.product_plus(Hs[t], As[t]).split_with_sizes((3 * hidden, hidden), dim=-1)
            torch.sigmoid(Z_oif, out=OIF[t])
            _tanh(Z_c, C_tilda[t])
            torch.mul(F[t], Cs[t], out=Cs[t + 1])
            Cs[t + 1].addcmul_(I[t], C_tilda[t])
            _tanh(Cs[t + 1], tanh_Cs[t])
            torch.mul(O[t], tanh_Cs[t], out=Hs[t + 1])
        ctx.save_for_backward(H, C, gates, tanh_C, W_h, None, None)
        return H[1:], H[-1].clone(), C[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dH: Tensor, dH_last: Tensor, dC_last: Tensor) -> tuple[Tensor | None, ...]:
        H, C, gates, tanh_C, W_h, H16, ids = ctx.saved_tensors
        num_steps, batch, hidden = dH.shape
        if ctx.compiled:
            given = (gates, C, tanh_C, dH, dH_last, dC_last, W_h, ids)
            dA, dA16, D_0, dC_0 = bindings.lstm_backward(*given, bf16=ctx.bf16)
            dW_h = _recurrent_gradient(H, dA, H16, dA16)
            d_input, db = _input_gradients(ctx, ids, dA, dA16)
            return d_input, dW_h, D_0, dC_0, None, None, None, db
        O, I, F, C_tilda = gates.chunk(4, dim=-1)  # each (num_steps, batch, hidden)
        K = torch.empty_like(gates).view(num_steps, batch, 4, hidden)
        torch.mul((1 - O).mul_(O), tanh_C, out=K[:, :, 0])
        torch.mul((1 - I).mul_(I), C_tilda, out=K[:, :, 1])
        torch.mul((1 - F).mul_(F), C[:-1], out=K[:, :, 2])
        torch.addcmul(I, I * C_tilda, C_tilda, value=-1, out=K[:, :, 3])
        K_m = torch.addcmul(O, O * tanh_C, tanh_C, value=-1)

        recurrent = RightFactor(W_h.t(), batch, bf16=ctx.bf16)
        dA = K.view(num_steps, batch, 4 * hidden)  # takes the place of K
        K_os, K_ifcs, K_ms = K[:, :, 0].unbind(0), K[:, :, 1:].unbind(0), K_m.unbind(0)
        dAs, dHs, Fs = dA.unbind(0), dH.contiguous().unbind(0), F.unbind(0)
        D, E = dH[-1] + dH_last, dC_last.clone()  # (batch, hidden)
        for t in range(num_steps - 1, -1, -1):
            E.addcmul_(D, K_ms[t])
            K_os[t].mul_(D)
            K_ifcs[t].mul_(E.unsqueeze(1))  # one call serves three gates
            D = recurrent.product_plus(dAs[t], dHs[t - 1]) if t else recurrent.product(dAs[t])
            E.mul_(Fs[t])
        dW_h = transposed_product(H[:-1].reshape(-1, hidden), dA.view(-1, 4 * hidden), bf16=ctx.bf16, fused=ctx.fused)
        return dA, dW_h, D, E, None, None, None, None


# ---------------------------------------------------------------------------------------------------------------------


class Rows(NamedTuple):
    """The input part of tokens, row ``ids_t`` of a table plus ``b``, which need not stand in memory for all steps.

    Shapes: ids (num_steps, batch) integers, table (vocabulary, gates * hidden), b (gates * hidden,) or None.
    """

    ids: Tensor
    table: Tensor
    b: Tensor | None = None

    def backwards(self) -> Rows:
        """The same, the last step first."""
        return self._replace(ids=self.ids.flip(0))

    def picked(self, *, fused: bool = True) -> Tensor:
        """(num_steps, batch, gates * hidden)."""
        return look_up(self.ids.reshape(-1), self.table, self.b, fused=fused).view(*self.ids.shape, -1)


def scan(
    cell: str,
    A: Tensor | Rows,
    W_h: Tensor,
    extra: Sequence[Tensor],
    state: HiddenState,
    *,
    relu: bool = False,
    bf16: bool = False,
    fused: bool = True,
) -> tuple[Tensor, HiddenState]:
    """One layer over time.

    Args:
        cell: rnn, gru or lstm.
        A: the input part of all gates with its bias, (num_steps, batch, gates * hidden). It is used up: the gates take
            its place in memory, as nobody else needs it.
        W_h: (hidden, gates * hidden).
        extra: (b_hn,) for the GRU, else empty.
        state: each tensor (batch, hidden).
        relu: the RNN's activation, else tanh.
        bf16: multiply in bfloat16; gates and states keep their format.
        fused: whether our kernels may serve, compiled on a CPU and persistent on a GPU; PyTorch's calls where not.

    Returns:
        The hidden states of all steps, (num_steps, batch, hidden), and the state after the last one.
    """
    if isinstance(A, Rows) and not (fused and bindings.serves(A.table, state[0].shape[-1], bf16=bf16)):
        A = A.picked(fused=fused)
    if (A.ids if isinstance(A, Rows) else A).shape[0] == 0:
        return state[0].new_empty(0, *state[0].shape), state
    if fused and isinstance(A, Tensor) and A.device.type == "cuda":
        found = persistent.scan(cell, A, W_h, extra, state, step_by_step, relu=relu, bf16=bf16)
        if found is not None:
            return found
    return step_by_step(cell, A, W_h, extra, state, relu=relu, bf16=bf16, fused=fused)


def step_by_step(
    cell: str,
    A: Tensor | Rows,
    W_h: Tensor,
    extra: Sequence[Tensor],
    state: HiddenState,
    *,
    relu: bool = False,
    bf16: bool = False,
    fused: bool = True,
) -> tuple[Tensor, HiddenState]:
    """``scan`` by the functions of this file: the only way on a CPU, the plain twin of the persistent kernels."""
    ids, A, b = (A.ids.long(), A.table, A.b) if isinstance(A, Rows) else (None, A, None)
    if cell == "rnn":
        H, *last = RNNScan.apply(A, W_h, *state, relu, bf16, fused, ids, b)  # type: ignore[no-untyped-call]
    elif cell == "gru":
        H, *last = GRUScan.apply(A, W_h, *extra, *state, bf16, fused, ids, b)  # type: ignore[no-untyped-call]
    else:
        H, *last = LSTMScan.apply(A, W_h, *state, bf16, fused, ids, b)  # type: ignore[no-untyped-call]
    return H, tuple(last)


def scan_layer(
    cell: str,
    directions: Sequence[tuple[Tensor | Rows, Tensor, Sequence[Tensor]]],
    state: HiddenState,
    *,
    relu: bool = False,
    bf16: bool = False,
    fused: bool = True,
) -> tuple[Tensor, list[HiddenState]]:
    """One layer over time, forwards and, where there is a second direction, backwards.

    Args:
        cell, relu, bf16, fused: see ``scan``.
        directions: (A, W_h, extra) of each, as ``scan`` takes them.
        state: each tensor (directions, batch, hidden).

    Returns:
        The hidden states of all steps, (num_steps, batch, directions * hidden), and the last state of each direction.
    """
    found, lasts = [], []
    for direction, (A, W_h, extra) in enumerate(directions):
        begin = tuple(tensor[direction] for tensor in state)
        if direction:
            A = A.backwards() if isinstance(A, Rows) else A.flip(0)
        H, last = scan(cell, A, W_h, extra, begin, relu=relu, bf16=bf16, fused=fused)
        found.append(H.flip(0) if direction else H)
        lasts.append(last)
    return found[0] if len(found) == 1 else torch.cat(found, dim=-1), lasts
