"""The recurrences as one launch for all steps, in Triton: the kernels that ``plan.py`` plans.

A grid of ``PARTS`` x groups programs. The rows of a batch are independent, so each group takes ``BLOCK_B`` rows; within
a group, each program takes ``BLOCK_N`` hidden units with all their gates, and keeps their columns of the recurrent
matrix in shared memory from the first step to the last. A step is then one small product, ``(BLOCK_B, HIDDEN) @
(HIDDEN, BLOCK_N)`` for each gate, and what follows it element by element.

Between two steps every program needs the units of all others of its group: each writes its own to global memory and
adds one to the group's counter (release), and waits until the counter shows that all have arrived (acquire). The states
of different steps have different addresses, each written once, and are read past the first-level cache. A program that
waits for seconds gives up and writes NaN. There is no sum over programs and no atomic operation on data: the numbers
are the same every time.

The product over ``HIDDEN`` is cut into ``CHUNKS`` of ``SIZE`` that the warps compute side by side, a batched product,
and then added in a fixed order. ``FACTOR`` is the number format of the factors, ``PRECISION`` how tensor cores multiply
fp32: ``tf32x3`` makes up for what tf32 leaves out with two more products, and comes out as fp32 does.

Each kernel computes the steps ``first`` to ``last`` - 1 (backwards counted from the end), so that it can also be
launched once a step; then it never waits. Shapes are those of ``eager.py``, all tensors contiguous but the weights.
"""

# Triton compiles these functions from their source: they are no Python that a type checker could follow.
# mypy: ignore-errors
# ruff: noqa: E741

from __future__ import annotations

import triton
import triton.language as tl

# About seconds: a program polls some million times a second.
_PATIENCE = tl.constexpr(1 << 23)


@triton.jit
def _own(batch, HIDDEN: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_N: tl.constexpr):
    """This program's units and rows, which rows there are, the mask of both, and their places in (batch, hidden)."""
    unit = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    row = tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B)
    is_row = row < batch
    return unit, row, is_row, is_row[:, None] & (unit < HIDDEN)[None, :], row[:, None] * HIDDEN + unit[None, :]


@triton.jit
def _weights(
    W, k_stride, n_stride, unit, HIDDEN: tl.constexpr, CHUNKS: tl.constexpr, SIZE: tl.constexpr, FACTOR: tl.constexpr
):
    """The columns of one gate that make the units of this program: (CHUNKS, SIZE, BLOCK_N)."""
    k = (tl.arange(0, CHUNKS)[:, None] * SIZE + tl.arange(0, SIZE)[None, :])[:, :, None]
    n = unit[None, None, :]
    return tl.load(W + k * k_stride + n * n_stride, mask=(k < HIDDEN) & (n < HIDDEN), other=0.0).to(FACTOR)


@triton.jit
def _tile(X, row, is_row, stride, HIDDEN: tl.constexpr, CHUNKS: tl.constexpr, SIZE: tl.constexpr, FACTOR: tl.constexpr):
    """All units of the rows of this group, as the other programs left them: (CHUNKS, BLOCK_B, SIZE)."""
    k = (tl.arange(0, CHUNKS)[:, None] * SIZE + tl.arange(0, SIZE)[None, :])[:, None, :]
    mask = is_row[None, :, None] & (k < HIDDEN)
    return tl.load(X + row[None, :, None] * stride + k, mask=mask, other=0.0, cache_modifier=".cg").to(FACTOR)


@triton.jit
def _times(X, W, PRECISION: tl.constexpr):
    """(CHUNKS, BLOCK_B, SIZE) @ (CHUNKS, SIZE, BLOCK_N), summed over the chunks: (BLOCK_B, BLOCK_N)."""
    return tl.sum(tl.dot(X, W, input_precision=PRECISION), axis=0)


@triton.jit
def _arrive(counter, PARTS: tl.constexpr):
    """Signal to the group that this program's part of a step is written."""
    tl.debug_barrier()  # all threads of the program have stored
    if PARTS > 1:
        tl.atomic_add(counter, 1, sem="release", scope="gpu")


@triton.jit
def _wait(counter, steps, PARTS: tl.constexpr):
    """Wait until all programs of the group have written ``steps`` steps; 0, or NaN where they never did."""
    late = 0.0
    if PARTS > 1 and steps > 0:
        count = tl.atomic_add(counter, 0, sem="acquire", scope="gpu")
        polls = 0
        while (count < steps * PARTS) & (polls < _PATIENCE):
            count = tl.atomic_add(counter, 0, sem="acquire", scope="gpu")
            polls += 1
        late = tl.where(count < steps * PARTS, float("nan"), 0.0)
    return late


@triton.jit
def _sigmoid(Z):
    return 1.0 / (1.0 + tl.exp(-Z))


@triton.jit
def _tanh(Z):
    return 2.0 / (1.0 + tl.exp(-2.0 * Z)) - 1.0


# ---------------------------------------------------------------------------------------------------------------------
# RNN


@triton.jit
def rnn_forward(
    A, W, H, counters, first, last, batch, k_stride, n_stride, RELU: tl.constexpr,
    HIDDEN: tl.constexpr, PARTS: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_N: tl.constexpr,
    CHUNKS: tl.constexpr, SIZE: tl.constexpr, FACTOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """H_{t+1} = activation(A_t + H_t W); H: (num_steps + 1, batch, hidden), its first is given."""
    unit, row, is_row, mask, place = _own(batch, HIDDEN, BLOCK_B, BLOCK_N)
    counter, step = counters + tl.program_id(1), batch * HIDDEN
    w = _weights(W, k_stride, n_stride, unit, HIDDEN, CHUNKS, SIZE, FACTOR)
    for t in tl.range(first, last, num_stages=1):  # a pipeline would read a state before it is there
        Z = tl.load(A + t * step + place, mask=mask, other=0.0)
        Z += _wait(counter, t - first, PARTS)
        Z += _times(_tile(H + t * step, row, is_row, HIDDEN, HIDDEN, CHUNKS, SIZE, FACTOR), w, PRECISION)
        Z = tl.where(Z < 0, 0.0, Z) if RELU else _tanh(Z)
        tl.store(H + (t + 1) * step + place, Z, mask=mask)
        _arrive(counter, PARTS)


@triton.jit
def rnn_backward(
    dH, dH_last, H, W, dZ, counters, first, last, num_steps, batch, k_stride, n_stride, RELU: tl.constexpr,
    HIDDEN: tl.constexpr, PARTS: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_N: tl.constexpr,
    CHUNKS: tl.constexpr, SIZE: tl.constexpr, FACTOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dZ_t = K_t * (dH_t + dZ_{t+1} W^T); ``k_stride`` and ``n_stride`` are those of W transposed."""
    unit, row, is_row, mask, place = _own(batch, HIDDEN, BLOCK_B, BLOCK_N)
    counter, step = counters + tl.program_id(1), batch * HIDDEN
    w = _weights(W, k_stride, n_stride, unit, HIDDEN, CHUNKS, SIZE, FACTOR)
    for s in tl.range(first, last, num_stages=1):
        t = num_steps - 1 - s
        D = tl.load(dH + t * step + place, mask=mask, other=0.0)
        D += tl.load(dH_last + place, mask=mask & (s == 0), other=0.0)
        after = tl.load(H + (t + 1) * step + place, mask=mask, other=0.0)
        D += _wait(counter, s - first, PARTS)
        following = _tile(dZ + (t + 1) * step, row, is_row & (s > 0), HIDDEN, HIDDEN, CHUNKS, SIZE, FACTOR)
        D += _times(following, w, PRECISION)
        K = tl.where(after > 0, 1.0, 0.0) if RELU else 1.0 - after * after
        tl.store(dZ + t * step + place, D * K, mask=mask)
        _arrive(counter, PARTS)


# ---------------------------------------------------------------------------------------------------------------------
# GRU, gates in the order z, r, h


@triton.jit
def gru_forward(
    A, W, b_hn, H, N, counters, first, last, batch, k_stride, n_stride,
    HIDDEN: tl.constexpr, PARTS: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_N: tl.constexpr,
    CHUNKS: tl.constexpr, SIZE: tl.constexpr, FACTOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """``eager.GRUScan``'s forward pass: Z, R and H~ take the place of A; N: (num_steps, batch, hidden)."""
    unit, row, is_row, mask, place = _own(batch, HIDDEN, BLOCK_B, BLOCK_N)
    counter, step = counters + tl.program_id(1), batch * HIDDEN
    gate = row[:, None] * (3 * HIDDEN) + unit[None, :]
    across = HIDDEN * n_stride
    w_z = _weights(W, k_stride, n_stride, unit, HIDDEN, CHUNKS, SIZE, FACTOR)
    w_r = _weights(W + across, k_stride, n_stride, unit, HIDDEN, CHUNKS, SIZE, FACTOR)
    w_h = _weights(W + 2 * across, k_stride, n_stride, unit, HIDDEN, CHUNKS, SIZE, FACTOR)
    b = tl.load(b_hn + unit, mask=unit < HIDDEN, other=0.0)[None, :]
    for t in tl.range(first, last, num_stages=1):
        A_t = A + t * 3 * step + gate
        A_z = tl.load(A_t, mask=mask, other=0.0)
        A_r = tl.load(A_t + HIDDEN, mask=mask, other=0.0)
        A_h = tl.load(A_t + 2 * HIDDEN, mask=mask, other=0.0)
        A_h += _wait(counter, t - first, PARTS)
        before = tl.load(H + t * step + place, mask=mask, other=0.0, cache_modifier=".cg")
        X = _tile(H + t * step, row, is_row, HIDDEN, HIDDEN, CHUNKS, SIZE, FACTOR)
        Z = _sigmoid(A_z + _times(X, w_z, PRECISION))
        R = _sigmoid(A_r + _times(X, w_r, PRECISION))
        n = _times(X, w_h, PRECISION) + b
        C = _tanh(A_h + R * n)
        tl.store(A_t, Z, mask=mask)
        tl.store(A_t + HIDDEN, R, mask=mask)
        tl.store(A_t + 2 * HIDDEN, C, mask=mask)
        tl.store(N + t * step + place, n, mask=mask)
        tl.store(H + (t + 1) * step + place, C + Z * (before - C), mask=mask)
        _arrive(counter, PARTS)


@triton.jit
def gru_backward(
    dH, dH_last, H, gates, N, W, dP, D, counters, first, last, num_steps, batch, k_stride, n_stride,
    HIDDEN: tl.constexpr, PARTS: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_N: tl.constexpr,
    CHUNKS: tl.constexpr, SIZE: tl.constexpr, FACTOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """``eager.GRUScan``'s backward pass: dP: [dA^z dA^r dN], D: what each state is charged with."""
    unit, row, is_row, mask, place = _own(batch, HIDDEN, BLOCK_B, BLOCK_N)
    counter, step = counters + tl.program_id(1), batch * HIDDEN
    gate = row[:, None] * (3 * HIDDEN) + unit[None, :]
    across = HIDDEN * k_stride
    w_z = _weights(W, k_stride, n_stride, unit, HIDDEN, CHUNKS, SIZE, FACTOR)
    w_r = _weights(W + across, k_stride, n_stride, unit, HIDDEN, CHUNKS, SIZE, FACTOR)
    w_n = _weights(W + 2 * across, k_stride, n_stride, unit, HIDDEN, CHUNKS, SIZE, FACTOR)
    for s in tl.range(first, last, num_stages=1):
        t = num_steps - 1 - s
        follows = s > 0
        d = tl.load(dH + t * step + place, mask=mask, other=0.0)
        d += tl.load(dH_last + place, mask=mask & (s == 0), other=0.0)
        later = (t + 1) * 3 * step
        Z_later = tl.load(gates + later + gate, mask=mask & follows, other=0.0)
        d += tl.load(D + (t + 1) * step + place, mask=mask & follows, other=0.0) * Z_later
        Z = tl.load(gates + t * 3 * step + gate, mask=mask, other=0.0)
        R = tl.load(gates + t * 3 * step + gate + HIDDEN, mask=mask, other=0.0)
        C = tl.load(gates + t * 3 * step + gate + 2 * HIDDEN, mask=mask, other=0.0)
        n = tl.load(N + t * step + place, mask=mask, other=0.0)
        before = tl.load(H + t * step + place, mask=mask, other=0.0)
        d += _wait(counter, s - first, PARTS)
        there, wide = is_row & follows, 3 * HIDDEN
        d += _times(_tile(dP + later, row, there, wide, HIDDEN, CHUNKS, SIZE, FACTOR), w_z, PRECISION)
        d += _times(_tile(dP + later + HIDDEN, row, there, wide, HIDDEN, CHUNKS, SIZE, FACTOR), w_r, PRECISION)
        d += _times(_tile(dP + later + 2 * HIDDEN, row, there, wide, HIDDEN, CHUNKS, SIZE, FACTOR), w_n, PRECISION)
        dN = d * (1.0 - Z) * (1.0 - C * C) * R
        tl.store(D + t * step + place, d, mask=mask)
        tl.store(dP + t * 3 * step + gate, d * (before - C) * Z * (1.0 - Z), mask=mask)
        tl.store(dP + t * 3 * step + gate + HIDDEN, dN * n * (1.0 - R), mask=mask)
        tl.store(dP + t * 3 * step + gate + 2 * HIDDEN, dN, mask=mask)
        _arrive(counter, PARTS)


# ---------------------------------------------------------------------------------------------------------------------
# LSTM, gates in the order o, i, f, c


@triton.jit
def lstm_forward(
    A, W, H, C, tanh_C, counters, first, last, batch, k_stride, n_stride,
    HIDDEN: tl.constexpr, PARTS: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_N: tl.constexpr,
    CHUNKS: tl.constexpr, SIZE: tl.constexpr, FACTOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """``eager.LSTMScan``'s forward pass: O, I, F and C~ take the place of A; H, C: (num_steps + 1, batch, hidden)."""
    unit, row, is_row, mask, place = _own(batch, HIDDEN, BLOCK_B, BLOCK_N)
    counter, step = counters + tl.program_id(1), batch * HIDDEN
    gate = row[:, None] * (4 * HIDDEN) + unit[None, :]
    across = HIDDEN * n_stride
    w_o = _weights(W, k_stride, n_stride, unit, HIDDEN, CHUNKS, SIZE, FACTOR)
    w_i = _weights(W + across, k_stride, n_stride, unit, HIDDEN, CHUNKS, SIZE, FACTOR)
    w_f = _weights(W + 2 * across, k_stride, n_stride, unit, HIDDEN, CHUNKS, SIZE, FACTOR)
    w_c = _weights(W + 3 * across, k_stride, n_stride, unit, HIDDEN, CHUNKS, SIZE, FACTOR)
    for t in tl.range(first, last, num_stages=1):
        A_t = A + t * 4 * step + gate
        A_o = tl.load(A_t, mask=mask, other=0.0)
        A_i = tl.load(A_t + HIDDEN, mask=mask, other=0.0)
        A_f = tl.load(A_t + 2 * HIDDEN, mask=mask, other=0.0)
        A_c = tl.load(A_t + 3 * HIDDEN, mask=mask, other=0.0)
        memory = tl.load(C + t * step + place, mask=mask, other=0.0)
        A_c += _wait(counter, t - first, PARTS)
        X = _tile(H + t * step, row, is_row, HIDDEN, HIDDEN, CHUNKS, SIZE, FACTOR)
        O = _sigmoid(A_o + _times(X, w_o, PRECISION))
        I = _sigmoid(A_i + _times(X, w_i, PRECISION))
        F = _sigmoid(A_f + _times(X, w_f, PRECISION))
        candidate = _tanh(A_c + _times(X, w_c, PRECISION))
        memory = F * memory + I * candidate
        squashed = _tanh(memory)
        tl.store(H + (t + 1) * step + place, O * squashed, mask=mask)
        tl.store(C + (t + 1) * step + place, memory, mask=mask)
        tl.store(tanh_C + t * step + place, squashed, mask=mask)
        tl.store(A_t, O, mask=mask)
        tl.store(A_t + HIDDEN, I, mask=mask)
        tl.store(A_t + 2 * HIDDEN, F, mask=mask)
        tl.store(A_t + 3 * HIDDEN, candidate, mask=mask)
        _arrive(counter, PARTS)


@triton.jit
def lstm_backward(
    dH, dH_last, gates, C, tanh_C, W, dA, E, counters, first, last, num_steps, batch, k_stride, n_stride,
    HIDDEN: tl.constexpr, PARTS: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_N: tl.constexpr,
    CHUNKS: tl.constexpr, SIZE: tl.constexpr, FACTOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """``eager.LSTMScan``'s backward pass; E: (batch, hidden), dC_last before and dC_0 after."""
    unit, row, is_row, mask, place = _own(batch, HIDDEN, BLOCK_B, BLOCK_N)
    counter, step = counters + tl.program_id(1), batch * HIDDEN
    gate = row[:, None] * (4 * HIDDEN) + unit[None, :]
    across, wide = HIDDEN * k_stride, 4 * HIDDEN
    w_o = _weights(W, k_stride, n_stride, unit, HIDDEN, CHUNKS, SIZE, FACTOR)
    w_i = _weights(W + across, k_stride, n_stride, unit, HIDDEN, CHUNKS, SIZE, FACTOR)
    w_f = _weights(W + 2 * across, k_stride, n_stride, unit, HIDDEN, CHUNKS, SIZE, FACTOR)
    w_c = _weights(W + 3 * across, k_stride, n_stride, unit, HIDDEN, CHUNKS, SIZE, FACTOR)
    e = tl.load(E + place, mask=mask, other=0.0)
    for s in tl.range(first, last, num_stages=1):
        t = num_steps - 1 - s
        d = tl.load(dH + t * step + place, mask=mask, other=0.0)
        d += tl.load(dH_last + place, mask=mask & (s == 0), other=0.0)
        O = tl.load(gates + t * 4 * step + gate, mask=mask, other=0.0)
        I = tl.load(gates + t * 4 * step + gate + HIDDEN, mask=mask, other=0.0)
        F = tl.load(gates + t * 4 * step + gate + 2 * HIDDEN, mask=mask, other=0.0)
        candidate = tl.load(gates + t * 4 * step + gate + 3 * HIDDEN, mask=mask, other=0.0)
        squashed = tl.load(tanh_C + t * step + place, mask=mask, other=0.0)
        memory = tl.load(C + t * step + place, mask=mask, other=0.0)
        d += _wait(counter, s - first, PARTS)
        later, there = dA + (t + 1) * 4 * step, is_row & (s > 0)
        d += _times(_tile(later, row, there, wide, HIDDEN, CHUNKS, SIZE, FACTOR), w_o, PRECISION)
        d += _times(_tile(later + HIDDEN, row, there, wide, HIDDEN, CHUNKS, SIZE, FACTOR), w_i, PRECISION)
        d += _times(_tile(later + 2 * HIDDEN, row, there, wide, HIDDEN, CHUNKS, SIZE, FACTOR), w_f, PRECISION)
        d += _times(_tile(later + 3 * HIDDEN, row, there, wide, HIDDEN, CHUNKS, SIZE, FACTOR), w_c, PRECISION)
        e += d * O * (1.0 - squashed * squashed)
        tl.store(dA + t * 4 * step + gate, d * squashed * O * (1.0 - O), mask=mask)
        tl.store(dA + t * 4 * step + gate + HIDDEN, e * candidate * I * (1.0 - I), mask=mask)
        tl.store(dA + t * 4 * step + gate + 2 * HIDDEN, e * memory * F * (1.0 - F), mask=mask)
        tl.store(dA + t * 4 * step + gate + 3 * HIDDEN, e * I * (1.0 - candidate * candidate), mask=mask)
        e *= F
        _arrive(counter, PARTS)
    tl.store(E + place, e, mask=mask)
