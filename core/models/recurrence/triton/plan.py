"""The recurrence in one launch on a GPU: whether it can be had, how it is laid out, and its gradients.

Launched step by step, a small recurrence spends its time between kernels: 35 steps of 512 units need some 70 launches
forwards and as many backwards, 4 to 10 us each, for arithmetic that would take a few. Here one Triton kernel runs over
all steps (``kernels.py``). Two layouts were weighed:

- A program keeps a few rows of the batch and walks alone through time. No program ever waits, but each has to read
  the whole recurrent matrix every step: 1 MB for 512 units in fp32 does not fit beside one multiprocessor, and from
  the second-level cache it takes 10 us a step, no better than the launches.
- The programs share the matrix out: each keeps the columns of a few units in shared memory for all steps, and they
  exchange the states, 32 kB a step, at a barrier of their group of rows. This one is here. Where a single program can
  hold all units it is the first layout, and no barrier is needed.

The mathematics is that of ``scan.py``: the forward equations as they stand there, and backwards for the RNN

    dZ_t = K_t * (dH_t + dZ_{t+1} W_hh^T),    dW_hh = sum_t H_{t-1}^T dZ_t,    dH_0 = dZ_1 W_hh^T

where a program that owns the units n reads all of dZ_{t+1} and needs the rows n of W_hh. For the GRU and the LSTM the
sum over the gates runs inside the same step. What waits for nobody (dW, db) is one product after the kernel, as there.

Programs that wait for each other must all run at once: the grid has no more programs than the GPU has multiprocessors
and is launched as a cooperative one, which the driver refuses rather than letting it hang. Before a shape is used, the
kernel is proven on the spot: a few steps of random numbers, outputs, states and gradients, against ``scan.py`` on the
same GPU. Whatever goes wrong, too old a GPU, no Triton, a shape that does not fit, numbers that differ, the plain scan
is taken, and ``choice`` says why.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from core.models.recurrence.triton.launch import PersistentGRU, PersistentLSTM, PersistentRNN, Plan
from core.models.scratch import CELLS, HiddenState

Plain = Callable[..., tuple[Tensor, HiddenState]]
"""``scan.py``'s own way: (cell, A, W_h, extra, state, relu=, bf16=) -> outputs, last state."""

_LOG = logging.getLogger(__name__)
_OLDEST = (8, 0)
# Steps of the proof: enough for the barrier to be passed both ways, and for an error to travel.
_PROOF_STEPS = 6
# By how much a proof may differ, as a share of the largest number: a wrong index or a missed barrier is far off.
_TOLERANCE = {"tf32x3": 5e-4, "tf32": 2e-2, "bf16": 6e-2}
# Bytes a weight takes in shared memory; tf32x3 keeps what tf32 takes of it and what it leaves.
_WEIGHT_BYTES = {"tf32x3": 8, "tf32": 4, "bf16": 2}
# What a block may have, where torch does not tell: the least of the capability.
_SHARED_BYTES = {(8, 0): 166_912, (9, 0): 232_448, (10, 0): 232_448}
_SHARED_AT_LEAST = 101_376
_LARGEST_INDEX = 2**31 - 1


@dataclass(frozen=True)
class Choice:
    """A plan, or None; ``reason`` says in words what was chosen and why."""

    plan: Plan | None
    reason: str


def plan_of(
    cell: str, hidden: int, batch: int, *, precision: str, processors: int, shared_bytes: int, at_once: bool = True
) -> Choice:
    """The layout for a recurrence on a GPU with so many multiprocessors and so much shared memory for a block.

    Args:
        cell: rnn, gru or lstm.
        precision: tf32x3 (what fp32 becomes), tf32 or bf16.

    Few rows a program come first, since every program reads all units of its rows each step; then 16 units, whose
    columns keep the tensor cores busy and the group small; then fewer, then more.
    """
    gates = len(CELLS[cell].gates)
    padded = max(16, 1 << (hidden - 1).bit_length())
    chunks = min(8, padded // 16)
    whole = (padded,) if padded <= 64 else ()  # one program for all units: nobody to wait for
    for rows in (16, 32) if gates == 1 else (16,):
        for units in (*whole, 16, 8, 32):
            needed = padded * (gates * units * _WEIGHT_BYTES[precision] + 4 * rows)
            plan = Plan(
                rows, units, chunks, padded // chunks, -(-hidden // units), -(-batch // rows), max(4, chunks), at_once
            )
            # 255 registers a thread hold no more of the states: beyond, they spill to slow memory.
            fits = needed <= shared_bytes and rows * padded <= 16_384 and gates * units * padded <= 65_536
            if fits and plan.programs <= processors:
                words = f"{plan.programs} programs of {rows} rows and {min(units, hidden)} units"
                return Choice(plan, f"persistent kernel: {words}, {precision}")
    return Choice(
        None,
        f"{hidden:,} units of {cell} with batches of {batch:,} do not fit {processors} multiprocessors with "
        f"{shared_bytes // 1024} kB of shared memory each",
    )


# ---------------------------------------------------------------------------------------------------------------------
# the choice

_choices: dict[tuple[object, ...], Choice] = {}


def unfit(device: torch.device) -> str:
    """Why no shape at all can run in a persistent kernel on ``device``; empty where nothing speaks against it."""
    if device.type != "cuda":
        return f"persistent kernels run on CUDA devices, not on {device.type}"
    if torch.version.hip is not None:
        return "persistent kernels are written for NVIDIA's GPUs"
    capability = torch.cuda.get_device_capability(device)
    if capability < _OLDEST:
        return f"persistent kernels need compute capability 8.0, this GPU has {capability[0]}.{capability[1]}"
    return "" if _has_triton() else "persistent kernels need the package triton, which is not installed"


@cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def choice(
    cell: str, hidden: int, batch: int, device: torch.device, plain: Plain, *, relu: bool = False, bf16: bool = False
) -> Choice:
    """Whether this shape runs in a persistent kernel on ``device``, proven there the first time it is asked for."""
    why_not = unfit(device)
    if why_not:
        return Choice(None, why_not)
    precision = "bf16" if bf16 else "tf32" if torch.backends.cuda.matmul.allow_tf32 else "tf32x3"
    key = (cell, hidden, batch, device, relu, precision)
    found = _choices.get(key)
    if found is None:
        if torch.cuda.is_current_stream_capturing():
            return Choice(None, "nothing can be proven while a CUDA graph is captured")
        found = _choices[key] = _proven(cell, hidden, batch, device, plain, relu, precision)
        _LOG.info("%s of %s units: %s", cell, hidden, found.reason)
    return found


def _proven(
    cell: str, hidden: int, batch: int, device: torch.device, plain: Plain, relu: bool, precision: str
) -> Choice:
    facts = torch.cuda.get_device_properties(device)
    shared = getattr(facts, "shared_memory_per_block_optin", 0) or _SHARED_BYTES.get(
        (facts.major, facts.minor), _SHARED_AT_LEAST
    )
    found = plan_of(
        cell, hidden, batch, precision=precision, processors=facts.multi_processor_count, shared_bytes=shared
    )
    if found.plan is None:
        return found
    try:
        difference = proof(found.plan, cell, hidden, batch, device, plain, relu=relu, precision=precision)
    except Exception as error:  # whatever a compiler or a driver says: the plain scan is always there
        first = (str(error).strip().splitlines() or [""])[0][:200]
        return Choice(None, f"the persistent kernel failed its proof ({type(error).__name__}: {first})")
    if not difference <= _TOLERANCE[precision]:
        return Choice(
            None, f"the persistent kernel failed its proof: it differs from the plain scan by {difference:.1%}"
        )
    return found


def proof(
    plan: Plan,
    cell: str,
    hidden: int,
    batch: int,
    device: torch.device,
    plain: Plain,
    *,
    relu: bool = False,
    precision: str = "tf32x3",
    num_steps: int = _PROOF_STEPS,
    dtype: torch.dtype = torch.float32,
) -> float:
    """The largest difference to the plain scan, of outputs, last states and all gradients, as a share of each.

    Random numbers come from a generator of its own: a run draws the same ones with and without a proof.
    """
    generator = torch.Generator(device).manual_seed(1)

    def leaf(*shape: int, scale: float = 1.0) -> Tensor:
        drawn = torch.randn(shape, generator=generator, device=device, dtype=dtype)
        return drawn.mul_(scale).requires_grad_()

    facts = CELLS[cell]
    width = len(facts.gates) * hidden
    A, W = leaf(num_steps, batch, width), leaf(hidden, width, scale=hidden**-0.5)
    extra = [leaf(hidden) for _ in facts.extra]
    state = tuple(leaf(batch, hidden, scale=0.5) for _ in range(facts.num_states))
    leaves = (A, W, *extra, *state)
    ways: tuple[Callable[[Tensor], tuple[Tensor, HiddenState]], ...] = (
        lambda X: run(plan, cell, X, W, extra, state, relu=relu, precision=precision),
        lambda X: plain(cell, X, W, extra, state, relu=relu, bf16=precision == "bf16"),
    )
    found = []
    with torch.enable_grad():
        charges = [leaf(num_steps, batch, hidden).detach(), *(leaf(batch, hidden).detach() for _ in state)]
        for way in ways:
            H, last = way(A.clone())  # A is used up
            found.append([H, *last, *torch.autograd.grad([H, *last], leaves, charges)])
    shares = torch.stack([
        (ours - theirs).detach().abs().max() / theirs.detach().abs().max().clamp_min(1e-6)
        for ours, theirs in zip(*found, strict=True)
    ])  # fmt: skip
    return float(shares.max()) if bool(torch.isfinite(shares).all()) else float("inf")


def scan(
    cell: str,
    A: Tensor,
    W_h: Tensor,
    extra: Sequence[Tensor],
    state: HiddenState,
    plain: Plain,
    *,
    relu: bool,
    bf16: bool,
) -> tuple[Tensor, HiddenState] | None:
    """``scan.scan`` in a persistent kernel, or None where that is not chosen."""
    if A.dtype is not torch.float32 or A.shape[0] < 2 or A.numel() + A[0].numel() > _LARGEST_INDEX:
        return None
    hidden, batch = W_h.shape[0], A.shape[1]
    plan = choice(cell, hidden, batch, A.device, plain, relu=relu, bf16=bf16).plan
    if plan is None:
        return None
    precision = "bf16" if bf16 else "tf32" if torch.backends.cuda.matmul.allow_tf32 else "tf32x3"
    return run(plan, cell, A, W_h, extra, state, relu=relu, precision=precision)


def run(
    plan: Plan,
    cell: str,
    A: Tensor,
    W_h: Tensor,
    extra: Sequence[Tensor],
    state: HiddenState,
    *,
    relu: bool = False,
    precision: str = "tf32x3",
) -> tuple[Tensor, HiddenState]:
    """One layer over time as ``plan`` has it; arguments and results as ``scan.scan`` has them."""
    if cell == "rnn":
        H, *last = PersistentRNN.apply(A, W_h, *state, relu, plan, precision)  # type: ignore[no-untyped-call]
    elif cell == "gru":
        H, *last = PersistentGRU.apply(A, W_h, *extra, *state, plan, precision)  # type: ignore[no-untyped-call]
    else:
        H, *last = PersistentLSTM.apply(A, W_h, *state, plan, precision)  # type: ignore[no-untyped-call]
    return H, tuple(last)
