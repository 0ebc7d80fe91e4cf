"""The recurrence in one launch: its layout, when it is chosen, and its numbers, as far as that goes without a GPU.

Triton's interpreter runs the kernels on a CPU, one program after the other. Where programs share a recurrence, each
step is a launch there; the barrier between them is tried apart, with one process for each program. What the compiler
makes of the kernels for a GPU is looked at without one. What needs Triton is left out where it is not installed.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from core.models.recurrence import eager
from core.models.recurrence.layer import RecurrentLayer, Shape
from core.models.recurrence.triton.launch import Plan
from core.models.recurrence.triton.plan import TOLERANCE, Choice, choice, plan_of, proof, run
from core.settings.cells import CELLS

REPOSITORY = Path(__file__).resolve().parents[4]
PLAN = "core.models.recurrence.triton.plan"
CPU = torch.device("cpu")
H100 = {"processors": 132, "shared_bytes": 232_448}
RTX_3090 = {"processors": 82, "shared_bytes": 101_376}

# Before Triton is first imported: it decides there and then.
TOO_LATE = "triton" in sys.modules and os.environ.get("TRITON_INTERPRET") != "1"
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"


def _no_interpreter() -> str:
    if importlib.util.find_spec("triton") is None:
        return "needs the package triton"
    if TOO_LATE:
        return "triton was imported before anybody could ask for its interpreter"
    import numpy
    import triton

    version = tuple(int(part) for part in triton.__version__.split(".")[:2])
    if version < (3, 7) and tuple(int(part) for part in numpy.__version__.split(".")[:2]) >= (2, 4):
        return f"the interpreter of triton {triton.__version__} does not go with numpy {numpy.__version__}"
    return "" if os.environ.get("TRITON_INTERPRET") == "1" else "the kernels run on the GPU here: see test_cuda.py"


interpreted = pytest.mark.skipif(bool(_no_interpreter()), reason=_no_interpreter() or "it is there")
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs the package triton")


def laid_out(cell: str, hidden: int, batch: int, **changes: Any) -> Plan:
    plan = plan_of(Shape(cell, hidden, batch), precision="tf32x3", at_once=False, **H100).plan
    assert plan is not None
    return replace(plan, **changes)


# ---------------------------------------------------------------------------------------------------------------------
# the layout


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("precision", ["tf32x3", "tf32", "bf16"])
def test_a_plan_covers_all_and_fits(cell: str, precision: str) -> None:
    planned = 0
    for hidden, batch, machine in itertools.product(
        (1, 7, 16, 64, 65, 100, 256, 512, 1000, 1024, 4096), (1, 16, 32, 33, 128, 500), (H100, RTX_3090)
    ):
        plan = plan_of(Shape(cell, hidden, batch), precision=precision, **machine).plan
        if plan is None:
            continue
        planned += 1
        assert plan.parts * plan.units >= hidden > (plan.parts - 1) * plan.units
        assert plan.groups * plan.rows >= batch > (plan.groups - 1) * plan.rows
        assert plan.chunks * plan.size >= hidden and plan.size >= 16
        assert plan.programs <= machine["processors"]  # all of them run at once, or they wait for ever
        weights = {"tf32x3": 8, "tf32": 4, "bf16": 2}[precision] * len(CELLS[cell].gates) * plan.units
        assert plan.chunks * plan.size * (weights + 4 * plan.rows) <= machine["shared_bytes"]
    assert planned > 20


def test_the_shapes_of_the_goals_have_a_plan() -> None:
    for cell, hidden, precision in (
        ("rnn", 256, "tf32x3"), ("rnn", 512, "tf32x3"), ("rnn", 512, "bf16"), ("gru", 512, "bf16"),
        ("lstm", 256, "tf32x3"), ("lstm", 512, "tf32x3"), ("lstm", 512, "bf16"),
    ):  # fmt: skip
        assert plan_of(Shape(cell, hidden, 32), precision=precision, **H100).plan is not None, (cell, hidden, precision)


def test_small_layers_need_no_barrier_and_large_ones_are_refused_in_words() -> None:
    small = plan_of(Shape("rnn", 64, 32), precision="tf32x3", **H100)
    assert small.plan is not None and small.plan.parts == 1
    assert small.reason == "persistent kernel: 2 programs of 16 rows and 64 units, tf32x3"
    large = plan_of(Shape("lstm", 4096, 32), precision="bf16", **RTX_3090)
    assert large.plan is None
    assert large.reason == (
        "4,096 units of lstm with batches of 32 do not fit 82 multiprocessors with 99 kB of shared memory each"
    )


# ---------------------------------------------------------------------------------------------------------------------
# the choice


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """As if there were an H100: only the questions about it are answered."""
    facts = SimpleNamespace(
        major=9, minor=0, multi_processor_count=132, shared_memory_per_block_optin=232_448, capability=(9, 0)
    )
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: facts)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: facts.capability)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(PLAN + ".has_triton", lambda: True)
    monkeypatch.setattr(PLAN + ".choices", {})
    yield facts


def chosen(**changes: Any) -> Choice:
    wanted: dict[str, Any] = {"cell": "rnn", "hidden": 512, "batch": 32, "device": torch.device("cuda:0"), **changes}
    device = wanted.pop("device")
    return choice(Shape(**wanted), device)


def test_a_kernel_that_proves_itself_is_chosen_and_proven_once(
    gpu: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    proofs = []
    monkeypatch.setattr(PLAN + ".proof", lambda *args, **kwargs: proofs.append(args) or 1e-6)
    for _ in range(3):
        found = chosen()
        assert found.plan is not None and found.reason.startswith("persistent kernel: 64 programs")
    assert len(proofs) == 1


@pytest.mark.parametrize("difference", [0.01, float("inf"), float("nan")])
def test_a_kernel_that_differs_is_not_chosen(
    gpu: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, difference: float
) -> None:
    monkeypatch.setattr(PLAN + ".proof", lambda *args, **kwargs: difference)
    found = chosen()
    assert found.plan is None and "failed its proof: it differs from the plain scan by" in found.reason


def test_a_kernel_that_cannot_be_built_is_not_chosen(gpu: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any, **kwargs: Any) -> float:
        raise ValueError("ptxas: no\nand more of it")

    monkeypatch.setattr(PLAN + ".proof", fails)
    assert chosen() == Choice(None, "the persistent kernel failed its proof (ValueError: ptxas: no)")


def test_why_a_kernel_cannot_be_had(gpu: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PLAN + ".proof", lambda *args, **kwargs: 0.0)
    assert chosen(device=CPU).reason == "persistent kernels run on CUDA devices, not on cpu"
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
        assert chosen() == Choice(None, "nothing can be proven while a CUDA graph is captured")
    assert chosen().plan is not None
    gpu.capability = (7, 5)
    assert chosen().reason == "persistent kernels need compute capability 8.0, this GPU has 7.5"
    gpu.capability = (8, 0)
    monkeypatch.setattr(PLAN + ".has_triton", lambda: False)
    assert chosen().reason == "persistent kernels need the package triton, which is not installed"


# ---------------------------------------------------------------------------------------------------------------------
# the numbers

SHAPES = [(1, 1), (24, 3), (40, 17), (70, 3)]


@interpreted
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize(("hidden", "batch"), SHAPES)
def test_the_kernels_compute_what_the_scan_computes(cell: str, hidden: int, batch: int) -> None:
    plan = laid_out(cell, hidden, batch)
    double = proof(plan, Shape(cell, hidden, batch), CPU, dtype=torch.float64, num_steps=3)
    assert double < 1e-13
    if batch == 3:  # the interpreter multiplies neither bf16 nor fp16: those are for GPUs
        assert proof(plan, Shape(cell, hidden, batch), CPU, num_steps=3) < 1e-5


@interpreted
def test_relu_and_a_single_launch_over_all_steps() -> None:
    alone, many = laid_out("rnn", 40, 18), laid_out("rnn", 70, 3)
    assert (alone.parts, alone.groups, many.parts) == (1, 2, 5)
    for plan, hidden, batch, relu in (
        (alone, 40, 18, True), (replace(alone, at_once=True), 40, 18, False), (many, 70, 3, True)
    ):  # fmt: skip
        assert proof(plan, Shape("rnn", hidden, batch, relu), CPU, dtype=torch.float64) < 1e-13
    for cell in ("gru", "lstm"):
        plan = laid_out(cell, 24, 3, at_once=True)
        assert proof(plan, Shape(cell, 24, 3), CPU, dtype=torch.float64) < 1e-13


@interpreted
def test_a_proof_finds_a_wrong_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients included: the weights of the backward pass the wrong way round are seen."""
    from core.models.recurrence.triton import launch as module

    launch = module.launch_kernel

    def turned(name: str, plan: Plan, precision: str, num_steps: int, tensors: Any, scalars: Any) -> None:
        if name == "rnn_backward":
            steps, batch, k_stride, n_stride, *rest = scalars
            scalars = (steps, batch, n_stride, k_stride, *rest)
        launch(name, plan, precision, num_steps, tensors, scalars)

    monkeypatch.setattr(module, "launch_kernel", turned)
    assert proof(laid_out("rnn", 24, 3), Shape("rnn", 24, 3), CPU) > TOLERANCE["bf16"]


@interpreted
def test_weights_that_lie_transposed_and_gradients_that_are_slices() -> None:
    plan, generator = laid_out("gru", 24, 3), torch.Generator().manual_seed(3)

    def leaf(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    A, W, b_hn, H_0 = leaf(4, 3, 72), leaf(72, 24), leaf(24), leaf(3, 24)
    found = []
    for way in (
        lambda: run(plan, RecurrentLayer("gru", A.flip(0), W.t(), (b_hn,), (H_0,))),
        lambda: eager.run(RecurrentLayer("gru", A.flip(0), W.t(), (b_hn,), (H_0,))),
    ):
        H, (last,) = way()
        loss = (H.flip(0)[::2] ** 2).sum() + last.sum()
        found.append([H, last, *torch.autograd.grad(loss, (A, W, b_hn, H_0))])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


@interpreted
def test_programs_that_run_at_the_same_time_wait_for_one_another() -> None:
    """One process for each program, over shared memory: the whole recurrence in one launch, barriers and all."""
    answer = subprocess.run(
        [sys.executable, "-m", "tests.core.models.recurrence.persistent_programs"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert "all the same" in answer.stdout


# ---------------------------------------------------------------------------------------------------------------------
# what the compiler makes of them


@needs_triton
def test_they_compile_for_gpus_without_spilling(tmp_path: Path, trials: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    answer = subprocess.run(
        [sys.executable, "-m", "tests.core.models.recurrence.persistent_compiled", str(trials)], cwd=REPOSITORY,
        env={**environment, "TRITON_CACHE_DIR": str(tmp_path)}, capture_output=True, text=True, timeout=110 * trials,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert "compiled" in answer.stdout
