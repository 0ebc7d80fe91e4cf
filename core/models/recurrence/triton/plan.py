"""The recurrence in one launch on a GPU: whether it is available, its layout, and its proof.

Launched step by step, a small recurrence spends its time between kernels: 35 steps of 512 units need some 70 launches
forwards and as many backwards, 4 to 10 us each, for arithmetic of a few us. Here one Triton kernel runs over all steps
(``kernels.py``), with the equations of ``eager.py``. Two layouts were considered:

- A program keeps a few rows of the batch and runs alone through time. No program waits, but each has to read the whole
  recurrent matrix every step: 1 MB for 512 units in fp32 does not fit into the shared memory of a multiprocessor, and
  from the second-level cache it takes 10 us a step, no better than the launches.
- The programs divide the matrix: each keeps the columns of a few units in shared memory for all steps, and they
  exchange the states, 32 kB a step, at a barrier of their group of rows. This layout is used. Where a single program
  can hold all units it is the first layout, without a barrier.

Programs that wait for each other must all run at the same time: the grid has no more programs than the GPU has
multiprocessors and is launched as a cooperative one, which the driver refuses instead of letting it hang. Before a
shape is used, the kernel is proven on the same GPU: outputs, states and gradients of a few steps of random numbers
against ``eager.py``. If anything fails (the GPU is too old, Triton is missing, the shape does not fit, the numbers
differ), the plain scan is used, and ``choice`` says why.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from core.models.recurrence import eager
from core.models.recurrence.layer import RecurrentLayer, Shape
from core.models.recurrence.triton.launch import PersistentScan, Plan
from core.models.scratch import HiddenState
from core.settings.cells import CELLS

_LOG = logging.getLogger(__name__)
KERNELS = ("rnn", "gru", "lstm")  # the cells in kernels.py, whose tensors launch.py knows
_OLDEST = (8, 0)
# Steps of the proof: enough for the barrier to be passed both ways, and for an error to travel.
_PROOF_STEPS = 6
# By how much a proof may differ, as a share of the largest number: a wrong index or a missed barrier is far off.
TOLERANCE = {"tf32x3": 5e-4, "tf32": 2e-2, "bf16": 6e-2}
# Bytes a weight takes in shared memory; tf32x3 keeps what tf32 takes of it and what it leaves.
WEIGHT_BYTES = {"tf32x3": 8, "tf32": 4, "bf16": 2}
# What a block may have, where torch does not tell: the least of the capability.
_SHARED_BYTES = {(8, 0): 166_912, (9, 0): 232_448, (10, 0): 232_448}
_SHARED_AT_LEAST = 101_376
_LARGEST_INDEX = 2**31 - 1


@dataclass(frozen=True)
class Choice:
    """A plan, or None; ``reason`` says in words what was chosen and why."""

    plan: Plan | None
    reason: str


def plan_of(shape: Shape, *, precision: str, processors: int, shared_bytes: int, at_once: bool = True) -> Choice:
    """The layout for a recurrence on a GPU with ``processors`` multiprocessors and ``shared_bytes`` for a block.

    Args:
        precision: tf32x3 (what fp32 becomes), tf32 or bf16.

    Few rows a program come first, since every program reads all units of its rows each step; then 16 units, whose
    columns keep the tensor cores busy and the group small; then fewer, then more.
    """
    cell, hidden, batch = shape.cell, shape.hidden, shape.batch
    if cell not in KERNELS:
        return Choice(None, f"there is no persistent kernel for the cell {cell}")
    gates = len(CELLS[cell].gates)
    padded = max(16, 1 << (hidden - 1).bit_length())
    chunks = min(8, padded // 16)
    whole = (padded,) if padded <= 64 else ()  # one program for all units: no barrier
    for rows in (16, 32) if gates == 1 else (16,):
        for units in (*whole, 16, 8, 32):
            needed = padded * (gates * units * WEIGHT_BYTES[precision] + 4 * rows)
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

choices: dict[tuple[object, ...], Choice] = {}


def unavailable_reason(device: torch.device) -> str:
    """Why no shape can run in a persistent kernel on ``device``; empty if shapes can."""
    if device.type != "cuda":
        return f"persistent kernels run on CUDA devices, not on {device.type}"
    if torch.version.hip is not None:
        return "persistent kernels are written for NVIDIA's GPUs"
    capability = torch.cuda.get_device_capability(device)
    if capability < _OLDEST:
        return f"persistent kernels need compute capability 8.0, this GPU has {capability[0]}.{capability[1]}"
    return "" if has_triton() else "persistent kernels need the package triton, which is not installed"


@cache
def has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def choice(shape: Shape, device: torch.device) -> Choice:
    """Whether this shape runs in a persistent kernel on ``device``, proven there the first time it is asked for."""
    reason = unavailable_reason(device)
    if reason:
        return Choice(None, reason)
    precision = _precision(shape)
    key = (shape, device, precision)
    found = choices.get(key)
    if found is None:
        if torch.cuda.is_current_stream_capturing():
            return Choice(None, "nothing can be proven while a CUDA graph is captured")
        found = choices[key] = _proven(shape, device, precision)
        _LOG.info("%s of %s units: %s", shape.cell, shape.hidden, found.reason)
    return found


def _precision(shape: Shape) -> str:
    return "bf16" if shape.bf16 else "tf32" if torch.backends.cuda.matmul.allow_tf32 else "tf32x3"


def _proven(shape: Shape, device: torch.device, precision: str) -> Choice:
    facts = torch.cuda.get_device_properties(device)
    shared = getattr(facts, "shared_memory_per_block_optin", 0) or _SHARED_BYTES.get(
        (facts.major, facts.minor), _SHARED_AT_LEAST
    )
    found = plan_of(shape, precision=precision, processors=facts.multi_processor_count, shared_bytes=shared)
    if found.plan is None:
        return found
    try:
        difference = proof(found.plan, shape, device, precision=precision)
    except Exception as error:  # whatever a compiler or a driver raises: the plain recurrence is always available
        first = (str(error).strip().splitlines() or [""])[0][:200]
        return Choice(None, f"the persistent kernel failed its proof ({type(error).__name__}: {first})")
    if not difference <= TOLERANCE[precision]:
        return Choice(
            None, f"the persistent kernel failed its proof: it differs from the plain scan by {difference:.1%}"
        )
    return found


def proof(
    plan: Plan,
    shape: Shape,
    device: torch.device,
    *,
    precision: str = "tf32x3",
    num_steps: int = _PROOF_STEPS,
    dtype: torch.dtype = torch.float32,
) -> float:
    """The largest difference to ``eager.py``, of outputs, last states and all gradients, as a share of each.

    Random numbers come from a generator of its own: a run draws the same ones with and without a proof.
    """
    generator = torch.Generator(device).manual_seed(1)

    def leaf(*shape: int, scale: float = 1.0) -> Tensor:
        drawn = torch.randn(shape, generator=generator, device=device, dtype=dtype)
        return drawn.mul_(scale).requires_grad_()

    facts, hidden, batch = CELLS[shape.cell], shape.hidden, shape.batch
    width = len(facts.gates) * hidden
    A, W = leaf(num_steps, batch, width), leaf(hidden, width, scale=hidden**-0.5)
    extra = [leaf(hidden) for _ in facts.extra]
    state = tuple(leaf(batch, hidden, scale=0.5) for _ in range(facts.num_states))
    leaves = (A, W, *extra, *state)
    paths: tuple[Callable[[RecurrentLayer], tuple[Tensor, HiddenState]], ...] = (
        lambda layer: run(plan, layer, precision=precision),
        eager.run,
    )
    found = []
    with torch.enable_grad():
        charges = [leaf(num_steps, batch, hidden).detach(), *(leaf(batch, hidden).detach() for _ in state)]
        for path in paths:
            # a copy of A, which is overwritten
            layer = RecurrentLayer(shape.cell, A.clone(), W, extra, state, shape.relu, bf16=precision == "bf16")
            H, last = path(layer)
            found.append([H, *last, *torch.autograd.grad([H, *last], leaves, charges)])
    shares = torch.stack([
        (ours - theirs).detach().abs().max() / theirs.detach().abs().max().clamp_min(1e-6)
        for ours, theirs in zip(*found, strict=True)
    ])  # fmt: skip
    return float(shares.max()) if bool(torch.isfinite(shares).all()) else float("inf")


def run_if_chosen(layer: RecurrentLayer) -> tuple[Tensor, HiddenState] | None:
    """The layer in a persistent kernel, or None where that is not chosen."""
    A = layer.A
    assert isinstance(A, Tensor)
    if A.dtype is not torch.float32 or A.shape[0] < 2 or A.numel() + A[0].numel() > _LARGEST_INDEX:
        return None
    plan = choice(layer.shape, A.device).plan
    return None if plan is None else run(plan, layer, precision=_precision(layer.shape))


def run(plan: Plan, layer: RecurrentLayer, *, precision: str = "tf32x3") -> tuple[Tensor, HiddenState]:
    """See ``eager.run``; computed in the layout of ``plan``."""
    b_hn = layer.extra[0] if layer.extra else None
    given = (layer.cell, layer.relu, plan, precision, layer.A, layer.W_h, b_hn, *layer.state)
    H, *last = PersistentScan.apply(*given)  # type: ignore[no-untyped-call]
    return H, tuple(last)
