"""Runs the programs of a persistent kernel at the same time, one process each.

By hand: ``python -m tests.core.models.recurrence.persistent_programs``.

Triton's interpreter runs one program after the other, and a barrier would wait for ever. Its atomic operations are real
ones, though: so each process runs one program of the grid on tensors in shared memory, all of them at once. What comes
out must be what the plain scan gives; a program that went on too soon would read a state that is not there yet (NaN).
"""

from __future__ import annotations

import os
import signal
import traceback
import warnings
from dataclasses import replace

os.environ["TRITON_INTERPRET"] = "1"

import torch
import triton.language as tl
from triton.runtime import interpreter

from core.models.recurrence import eager
from core.models.recurrence.layer import RecurrentLayer, Shape
from core.models.recurrence.triton import kernels
from core.models.recurrence.triton.plan import plan_of

NUM_STEPS, BATCH, HIDDEN = 4, 18, 65  # two groups of rows, three programs each


def shared(*shape: int, fill: float | None = None) -> torch.Tensor:
    tensor = torch.empty(shape).share_memory_()
    return tensor.normal_() if fill is None else tensor.fill_(fill)


def take_place(part: int, group: int) -> None:
    """From now on, this process is that program of the grid."""
    builder = interpreter.interpreter_builder
    builder.set_grid_idx = lambda x, y, z: setattr(builder, "grid_idx", (part, group, 0))


def all_at_once(name: str, tensors: tuple[torch.Tensor, ...], scalars: tuple[object, ...]) -> None:
    plan = plan_of(Shape("rnn", HIDDEN, BATCH), precision="tf32x3", processors=132, shared_bytes=232_448).plan
    assert plan is not None and plan.at_once
    plan = replace(plan, units=32, parts=3)
    assert plan.groups == 2
    counters = torch.zeros(plan.groups, dtype=torch.int32).share_memory_()
    children = []
    for part in range(plan.parts):
        for group in range(plan.groups):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    take_place(part, group)
                    getattr(kernels, name)[(1, 1)](
                        *tensors, counters, 0, NUM_STEPS, *scalars, PARTS=plan.parts, BLOCK_B=plan.rows,
                        BLOCK_N=plan.units, CHUNKS=plan.chunks, SIZE=plan.size, FACTOR=tl.float32, PRECISION="ieee",
                    )  # fmt: skip
                    code = 0
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(code)
            children.append(child)
    for _ in tuple(children):
        child, status = os.wait()
        children.remove(child)
        if status != 0:  # the others would wait for it
            for other in children:
                os.kill(other, signal.SIGKILL)
            raise SystemExit(f"a program of {name} failed")
    assert counters.tolist() == [plan.parts * NUM_STEPS] * plan.groups, counters


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(1)
    warnings.simplefilter("ignore")
    unset = float("nan")
    A, W, H = shared(NUM_STEPS, BATCH, HIDDEN), shared(HIDDEN, HIDDEN), shared(NUM_STEPS + 1, BATCH, HIDDEN, fill=unset)
    W.mul_(HIDDEN**-0.5)
    H[0].normal_()
    leaves = [tensor.clone().requires_grad_() for tensor in (A, W, H[0])]
    expected, (last,) = eager.run(RecurrentLayer("rnn", leaves[0] * 1, leaves[1], (), (leaves[2],)))
    all_at_once("rnn_forward", (A, W, H), (BATCH, HIDDEN, 1, False, HIDDEN))
    torch.testing.assert_close(H[1:], expected, rtol=1e-4, atol=1e-5)

    dH, dH_last, dZ = (
        shared(NUM_STEPS, BATCH, HIDDEN),
        shared(BATCH, HIDDEN),
        shared(NUM_STEPS, BATCH, HIDDEN, fill=unset),
    )
    wanted, *_ = torch.autograd.grad([expected, last], leaves, [dH, dH_last])
    all_at_once("rnn_backward", (dH, dH_last, H, W, dZ), (NUM_STEPS, BATCH, 1, HIDDEN, False, HIDDEN))
    torch.testing.assert_close(dZ, wanted, rtol=1e-4, atol=1e-5)
    print("all the same")


if __name__ == "__main__":
    main()
