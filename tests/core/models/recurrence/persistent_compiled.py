"""Compiles the persistent kernels for GPUs, without one.

``python -m tests.core.models.recurrence.persistent_compiled N`` compiles N times three shapes.

Looked at is what decides whether they can work at all: the barrier has a release and an acquire, no thread spills its
registers to slow memory, no step is read ahead of its barrier, and shared memory takes what the plan reckons with.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from core.models.recurrence.layer import Shape
from core.models.recurrence.triton import kernels
from core.models.recurrence.triton.launch import Plan
from core.models.recurrence.triton.plan import WEIGHT_BYTES, plan_of
from core.settings.cells import CELLS

H100 = {"processors": 132, "shared_bytes": 232_448}
INTEGERS = {"first", "last", "num_steps", "batch", "k_stride", "n_stride"}
CASES = [
    ("rnn", 512, "tf32x3", 90), ("lstm", 512, "bf16", 90), ("gru", 256, "tf32x3", 80),
    ("rnn", 512, "bf16", 80), ("rnn", 1024, "tf32x3", 90), ("lstm", 512, "tf32x3", 90), ("gru", 512, "bf16", 90),
    ("lstm", 1024, "bf16", 90), ("rnn", 256, "tf32", 80), ("rnn", 256, "tf32x3", 100),
]  # fmt: skip


def compiled(name: str, hidden: int, plan: Plan, precision: str, capability: int) -> Any:
    kernel = getattr(kernels, name)
    constants = {
        "HIDDEN": hidden, "PARTS": plan.parts, "BLOCK_B": plan.rows, "BLOCK_N": plan.units, "CHUNKS": plan.chunks,
        "SIZE": plan.size, "FACTOR": tl.bfloat16 if precision == "bf16" else tl.float32,
        "PRECISION": "ieee" if precision == "bf16" else precision, "RELU": False,
    }  # fmt: skip
    constants = {key: value for key, value in constants.items() if key in kernel.arg_names}
    kinds = {
        key: "constexpr" if key in constants else "i32" if key in INTEGERS else "*i32" if key == "counters" else "*fp32"
        for key in kernel.arg_names
    }
    aligned = {(number,): [["tt.divisibility", 16]] for number, kind in enumerate(kinds.values()) if kind[0] == "*"}
    source = ASTSource(fn=kernel, signature=kinds, constexprs=constants, attrs=aligned)
    options = {"num_warps": plan.warps, "num_stages": 1, "launch_cooperative_grid": True}
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


def stack_bytes(program: Any) -> int:
    """What each thread spills."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(program.asm["cubin"])
        file.flush()
        told = subprocess.run([str(tool), "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    found = re.search(r"STACK:(\d+)", told)
    assert found is not None, told
    return int(found[1])


def check(cell: str, hidden: int, precision: str, capability: int) -> None:
    plan = plan_of(Shape(cell, hidden, 32), precision=precision, **H100).plan
    assert plan is not None and plan.parts > 1, (cell, hidden, precision)
    for name in (f"{cell}_forward", f"{cell}_backward"):
        program = compiled(name, hidden, plan, precision, capability)
        code = program.asm["ptx"]
        assert re.search(r"(atom|red)\.global\.gpu\.release\.add", code), name
        acquire = re.search(r"\.global\.gpu\.acquire\.", code)
        shared_states = [found.start() for found in re.finditer(r"ld\.global\.cg\.", code)]
        assert acquire is not None and shared_states, name
        assert "cp.async" not in code, name  # nothing is fetched ahead
        spilled = stack_bytes(program)
        assert spilled <= 64, f"{name} of {hidden} units spills {spilled} bytes"
        padded = plan.chunks * plan.size
        weights = len(CELLS[cell].gates) * plan.units * WEIGHT_BYTES[precision]
        reckoned = padded * (weights + 4 * plan.rows)
        assert program.metadata.shared <= reckoned + 4096, f"{name}: {program.metadata.shared} for {reckoned}"


def main() -> None:
    cases = CASES[: 3 * int(sys.argv[1])]
    for case in cases:
        check(*case)
    print(f"compiled {2 * len(cases)} kernels")


if __name__ == "__main__":
    main()
