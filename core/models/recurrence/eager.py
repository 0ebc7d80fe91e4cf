"""The recurrences derived by hand: forward and backward through time, one ``torch.autograd.Function`` per cell.

What autograd does step by step is done here once for all steps where the mathematics allows it. The input part
``A_t = X_t W_x + b`` is given for all steps (a look-up or one product); only the product with ``W_h`` has to wait for
the step before. In the backward pass everything local to a step (the derivatives of its gates) is linear in the
incoming gradient, so its coefficients ``K`` are computed for all steps before the loop, and the loop keeps a few calls:
the gradient times ``K``, and the product with ``W_h`` transposed. The gradient of ``W_h`` is one product at the end,
the sum over t of ``H_{t-1}^T dP_t``.

Notation: ``dY`` is the gradient of the loss with respect to Y; time comes first in every stack; ``*`` is the product
element by element. ``scratch.unrolled`` computes the same from the equations alone.
"""

# ruff: noqa: E741  the gates are called I and O in every textbook

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.models.products import RightFactor, transposed_product
from core.models.recurrence.layer import RecurrentLayer
from core.models.scratch import HiddenState
from core.settings.cells import CELLS

_MINUS_ONE = torch.tensor(-1.0, dtype=torch.float32, device="cpu")


def _tanh(Z: Tensor, out: Tensor) -> None:
    """``out = tanh(Z)``; the two may be the same tensor."""
    if Z.dtype is torch.float32 and Z.device.type == "cpu":
        # tanh(z) = 2 sigmoid(2z) - 1: PyTorch's CPU tanh takes 11 to 17 us for 32 x 256 numbers, these three passes 5.
        torch.mul(Z, 2.0, out=out)
        torch.add(_MINUS_ONE, out.sigmoid_(), alpha=2, out=out)
    else:
        torch.tanh(Z, out=out)


# ---------------------------------------------------------------------------------------------------------------------
# RNN


def _rnn_step(Z: Tensor, H_next: Tensor, relu: bool) -> None:
    """``H_next = activation(Z)``: (batch, hidden); the two may be the same tensor."""
    if relu:
        torch.clamp_min(Z, 0.0, out=H_next)
    else:
        _tanh(Z, H_next)


class RNNScan(torch.autograd.Function):
    """H_t = activation(A_t + H_{t-1} W_hh) for all t.

    Backward, from the last step to the first, with K_t = 1 - H_t * H_t for tanh and K_t = [H_t > 0] for relu:

        dZ_t = K_t * (dH_t + dZ_{t+1} W_hh^T)
        dA_t = dZ_t,    dW_hh = sum_t H_{t-1}^T dZ_t,    dH_0 = dZ_1 W_hh^T
    """

    @staticmethod
    def forward(
        ctx: Any, A: Tensor, W_hh: Tensor, H_0: Tensor, relu: bool, bf16: bool, fused: bool = True
    ) -> tuple[Tensor, Tensor]:
        ctx.relu, ctx.bf16, ctx.fused = relu, bf16, fused
        num_steps, batch, hidden = A.shape
        H = A.new_empty(num_steps + 1, batch, hidden)
        H[0] = H_0
        recurrent = RightFactor(W_hh, batch, bf16=bf16)
        As, Hs = A.unbind(0), H.unbind(0)
        for t in range(num_steps):
            _rnn_step(recurrent.product_plus(Hs[t], As[t]), Hs[t + 1], relu)
        ctx.save_for_backward(H, W_hh)
        return H[1:], H[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dH: Tensor, dH_last: Tensor) -> tuple[Tensor | None, ...]:
        H, W_hh = ctx.saved_tensors
        num_steps, batch, hidden = dH.shape
        after = H[1:]
        K = (after > 0).to(H.dtype) if ctx.relu else torch.addcmul(H.new_ones(()), after, after, value=-1)
        recurrent = RightFactor(W_hh.t(), batch, bf16=ctx.bf16)
        D = dH[-1] + dH_last  # (batch, hidden)
        dHs, dZs = dH.contiguous().unbind(0), K.unbind(0)  # dZ takes the place of K
        for t in range(num_steps - 1, -1, -1):
            dZs[t].mul_(D)
            D = recurrent.product_plus(dZs[t], dHs[t - 1]) if t else recurrent.product(dZs[t])
        dW_hh = transposed_product(H[:-1].reshape(-1, hidden), K.view(-1, hidden), bf16=ctx.bf16, fused=ctx.fused)
        return K, dW_hh, D, None, None, None


# ---------------------------------------------------------------------------------------------------------------------
# GRU


def _gru_step(
    P_zr: Tensor, P_h: Tensor, b_hn: Tensor,
    ZR: Tensor, Z: Tensor, R: Tensor, H_tilda: Tensor, N: Tensor, H: Tensor, H_next: Tensor,
) -> None:  # fmt: skip
    """One step, on the parts of P_t and A_t: the gates take the place of A_t; N may be P_h."""
    ZR.add_(P_zr).sigmoid_()
    torch.add(P_h, b_hn, out=N)
    _tanh(H_tilda.addcmul_(R, N), H_tilda)
    torch.lerp(H_tilda, H, Z, out=H_next)


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
        ctx: Any, A: Tensor, W_h: Tensor, b_hn: Tensor, H_0: Tensor, bf16: bool, fused: bool = True
    ) -> tuple[Tensor, Tensor]:
        hidden = H_0.shape[-1]
        ctx.bf16, ctx.fused = bf16, fused
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
            _gru_step(P_zr, P_h, b_hn, ZR[t], Z[t], R[t], H_tilda[t], Ns[t], Hs[t], Hs[t + 1])
        ctx.save_for_backward(H, gates, N, W_h)
        return H[1:], H[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dH: Tensor, dH_last: Tensor) -> tuple[Tensor | None, ...]:
        H, gates, N, W_h = ctx.saved_tensors
        num_steps, batch, hidden = dH.shape
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
        return dP, dW_h, db_hn, D_0, None, None


# ---------------------------------------------------------------------------------------------------------------------
# LSTM


def _lstm_step(
    Z_oif: Tensor, Z_c: Tensor, OIF: Tensor, O: Tensor, I: Tensor, F: Tensor, C_tilda: Tensor,
    tanh_C: Tensor, C: Tensor, C_next: Tensor, H_next: Tensor,
) -> None:  # fmt: skip
    """One step, on the parts of Z_t = A_t + H_{t-1} W_h: the gates may take its place, H_next that of tanh_C."""
    torch.sigmoid(Z_oif, out=OIF)
    _tanh(Z_c, C_tilda)
    torch.mul(F, C, out=C_next)
    C_next.addcmul_(I, C_tilda)
    _tanh(C_next, tanh_C)
    torch.mul(O, tanh_C, out=H_next)


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
        ctx: Any, A: Tensor, W_h: Tensor, H_0: Tensor, C_0: Tensor, bf16: bool, fused: bool = True
    ) -> tuple[Tensor, Tensor, Tensor]:
        hidden = H_0.shape[-1]
        ctx.bf16, ctx.fused = bf16, fused
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
            gates_t = (OIF[t], O[t], I[t], F[t], C_tilda[t])
            _lstm_step(Z_oif, Z_c, *gates_t, tanh_Cs[t], Cs[t], Cs[t + 1], Hs[t + 1])
        ctx.save_for_backward(H, C, gates, tanh_C, W_h)
        return H[1:], H[-1].clone(), C[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dH: Tensor, dH_last: Tensor, dC_last: Tensor) -> tuple[Tensor | None, ...]:
        H, C, gates, tanh_C, W_h = ctx.saved_tensors
        num_steps, batch, hidden = dH.shape
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
        return dA, dW_h, D, E, None, None


# ---------------------------------------------------------------------------------------------------------------------
# A layer over time, and one step without gradients


SCANS = {"rnn": RNNScan, "gru": GRUScan, "lstm": LSTMScan}


def run(layer: RecurrentLayer) -> tuple[Tensor, HiddenState]:
    """The hidden states of all steps, (num_steps, batch, hidden), and the state after the last one."""
    options = ([layer.relu] if CELLS[layer.cell].has_activation else []) + [layer.bf16, layer.fused]
    given = (layer.inputs(), layer.W_h, *layer.extra, *layer.state, *options)
    H, *last = SCANS[layer.cell].apply(*given)  # type: ignore[no-untyped-call]
    return H, tuple(last)


def next_state(layer: RecurrentLayer) -> HiddenState:
    """The state one step later, for writing: A is (batch, gates * hidden), and no tensor has a gradient.

    Without stacks over time and packed matrices: they cost more than the arithmetic of a single step.
    """
    assert isinstance(layer.A, Tensor)
    return NEXT_STATES[layer.cell](layer, layer.A, layer.W_h, layer.state[0])


def _rnn_next(layer: RecurrentLayer, A: Tensor, W_h: Tensor, H: Tensor) -> HiddenState:
    H_next = torch.addmm(A, H, W_h)
    _rnn_step(H_next, H_next, layer.relu)
    return (H_next,)


def _gru_next(layer: RecurrentLayer, A: Tensor, W_h: Tensor, H: Tensor) -> HiddenState:
    hidden = H.shape[1]
    P_zr, P_h = torch.mm(H, W_h).split_with_sizes((2 * hidden, hidden), dim=1)
    ZR, H_tilda = A.split_with_sizes((2 * hidden, hidden), dim=1)
    Z, R = ZR.chunk(2, dim=1)
    H_next = torch.empty_like(H)
    _gru_step(P_zr, P_h, layer.extra[0], ZR, Z, R, H_tilda, P_h, H, H_next)
    return (H_next,)


def _lstm_next(layer: RecurrentLayer, A: Tensor, W_h: Tensor, H: Tensor) -> HiddenState:
    hidden = H.shape[1]
    OIF, C_tilda = torch.addmm(A, H, W_h).split_with_sizes((3 * hidden, hidden), dim=1)
    O, I, F = OIF.chunk(3, dim=1)
    C_next, H_next = torch.empty_like(H), torch.empty_like(H)
    _lstm_step(OIF, C_tilda, OIF, O, I, F, C_tilda, H_next, layer.state[1], C_next, H_next)
    return H_next, C_next


NEXT_STATES = {"rnn": _rnn_next, "gru": _gru_next, "lstm": _lstm_next}
