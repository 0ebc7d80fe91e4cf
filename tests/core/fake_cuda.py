"""A CUDA device that is only played: torch's fake tensors know shapes and devices, and compute nothing.

An operation that mixes devices raises as it would on a GPU, so whole trainings, with what is done between batches, can
be run for their devices on a machine without one. It takes a torch that is built for CUDA.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.autograd.graph import Node, get_gradient_edge
from torch.utils._python_dispatch import TorchDispatchMode

from core import devices
from core.device import Device
from core.training import cuda_graph

GPU = Device("cuda:0", "a GPU that is only played", 0, 80 << 30, ("fp32", "tf32", "bf16"))


def gru_cell(A: Tensor, P: Tensor, H: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    return torch.empty_like(H), H.new_empty(H.shape[0], 5 * H.shape[1])


def gru_cell_backward(dH: Tensor, *_: object) -> tuple[Tensor, ...]:
    gates = dH.new_empty(dH.shape[0], 3 * dH.shape[1])
    return gates, gates, dH, gates[0], gates[0]


def unique(given: Tensor, *_: object) -> tuple[Tensor, ...]:
    numbers = given.new_empty(given.numel(), dtype=torch.int64)
    return given.flatten(), numbers.view(given.shape), numbers


# What torch has no fake kernels of: those of a step, those of the optimisers, which work in place, and those whose
# result has a shape that depends on numbers: all are different, and one is not zero.
STAND_INS: dict[str, Callable[..., Any]] = {
    "nonzero": lambda given: given.new_zeros(1, given.dim(), dtype=torch.int64),
    "_unique2": unique,
    "_thnn_fused_gru_cell": gru_cell,
    "_thnn_fused_gru_cell_backward": gru_cell_backward,
    **{f"_fused_{name}_": lambda *_: None for name in ("sgd", "adam", "adamw")},
}


class Answers(TorchDispatchMode):
    """Answers what the host asks of the device, and calls ``STAND_INS``."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(function)
        if name == "aten._local_scalar_dense.default":
            return answer(args[0])
        stand_in = STAND_INS.get(name.split(".")[1])
        if stand_in is not None:
            one_device([tensor for given in (*args, *(kwargs or {}).values()) for tensor in tensors_in(given)], name)
            return stand_in(*args)
        found = function(*args, **(kwargs or {}))
        if name.startswith(("aten.lt", "aten.gt")) and isinstance(found, Tensor):
            found.is_a_limit = True  # type: ignore[attr-defined]
        return found


def answer(tensor: Tensor) -> bool | int | float:
    """One, or yes; nothing is over or below a limit."""
    if tensor.dtype is torch.bool:
        return not hasattr(tensor, "is_a_limit")
    return 1.0 if tensor.is_floating_point() else 1


def tensors_in(given: object) -> list[Tensor]:
    if isinstance(given, Tensor):
        return [given]
    return [tensor for tensor in given if isinstance(tensor, Tensor)] if isinstance(given, (list, tuple)) else []


def one_device(tensors: Sequence[Tensor], name: str) -> None:
    found = {tensor.device for tensor in tensors}
    assert len(found) == 1, f"{name} mixes {found}"


def numbers_of(tensor: Tensor) -> np.ndarray[Any, Any]:
    """``Tensor.numpy`` of a tensor without numbers."""
    assert tensor.device.type == "cpu", "the numbers of a tensor on a GPU were asked for"
    return np.ones(tuple(tensor.shape), dtype=str(tensor.dtype).removeprefix("torch."))


# ---------------------------------------------------------------------------------------------------------------------
# autograd's engine asks the driver for its streams; its nodes do not


def walked(roots: Sequence[Tensor], charges: Sequence[Tensor | None]) -> dict[tuple[Node, int], Tensor]:
    """Call the backward functions of a graph by hand: the gradient that each of them gets at each of its inputs."""
    found: dict[tuple[Node, int], Tensor] = {}
    waiting: dict[Node, int] = {}
    edges = [get_gradient_edge(root) for root in roots]
    unseen = [edge.node for edge in edges]
    while unseen:
        node = unseen.pop()
        if node in waiting:
            continue
        waiting[node] = 0
        unseen += [after for after, _ in node.next_functions if after is not None]
    for node in waiting:
        for after, _ in node.next_functions:
            if after is not None:
                waiting[after] += 1

    def add(node: Node, place: int, gradient: Tensor) -> None:
        facts = node._input_metadata[place]
        assert gradient.device == facts.device, f"{node.name()} gets a gradient on {gradient.device}"
        gradient = gradient.sum_to_size(tuple(facts.shape)).to(facts.dtype)  # as autograd's engine does
        found[node, place] = found[node, place] + gradient if (node, place) in found else gradient

    with torch.no_grad():
        for edge, root, charge in zip(edges, roots, charges, strict=True):
            add(edge.node, edge.output_nr, torch.ones_like(root) if charge is None else charge)
        ready = [node for node, count in waiting.items() if count == 0]
        while ready:
            node = ready.pop()
            if node.next_functions:
                call(node, found, add)
            for after, _ in node.next_functions:
                if after is not None:
                    waiting[after] -= 1
                    if not waiting[after]:
                        ready.append(after)
    return found


def call(node: Node, found: dict[tuple[Node, int], Tensor], add: Callable[[Node, int, Tensor], None]) -> None:
    given = [found.get((node, place)) for place in range(len(node._input_metadata))]
    if all(gradient is None for gradient in given):
        return
    if hasattr(node, "apply"):  # a function of our own gets zeros in place of nothing
        facts = node._input_metadata
        given = [
            torch.zeros(tuple(fact.shape), dtype=fact.dtype, device=fact.device) if gradient is None else gradient
            for gradient, fact in zip(given, facts, strict=True)
        ]
        results = node.apply(*given)
    else:
        results = node(*given)  # type: ignore[operator]
    results = results if isinstance(results, tuple) else (results,)
    for (after, place), gradient in zip(node.next_functions, results, strict=False):
        if after is not None and gradient is not None:
            add(after, place, gradient)


def backward(loss: Tensor, *_: object, **__: object) -> None:
    """``Tensor.backward``."""
    for (node, _), gradient in walked([loss], [None]).items():
        weight = getattr(node, "variable", None)
        if weight is not None:
            weight.grad = gradient if weight.grad is None else weight.grad + gradient


def grad(
    outputs: Tensor | Sequence[Tensor], inputs: Sequence[Tensor], grad_outputs: Sequence[Tensor] | None = None,
    allow_unused: bool = False, materialize_grads: bool = False, **_: object,
) -> tuple[Tensor, ...]:  # fmt: skip
    """``torch.autograd.grad``."""
    roots = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else inputs
    found = walked(roots, [None] * len(roots) if grad_outputs is None else list(tensors_in(grad_outputs)))
    wanted = [found.get((edge.node, edge.output_nr)) for edge in map(get_gradient_edge, inputs)]
    assert materialize_grads or all(gradient is not None for gradient in wanted)
    return tuple(
        torch.zeros_like(given) if gradient is None else gradient
        for gradient, given in zip(wanted, inputs, strict=True)
    )


# ---------------------------------------------------------------------------------------------------------------------


def moved(module: torch.nn.Module, *given: Any) -> torch.nn.Module:
    """``Module.to``, which has no way to move fake weights that others know of."""
    kept: dict[int, tuple[Tensor, torch.nn.Parameter]] = {}  # tied weights stay one
    for part in module.modules():
        for name, weight in list(part.named_parameters(recurse=False)):
            if id(weight) not in kept:
                kept[id(weight)] = weight, torch.nn.Parameter(weight.detach().to(*given))
            setattr(part, name, kept[id(weight)][1])
    return module


class Event:
    """``torch.cuda.Event``."""

    def record(self) -> None:
        return

    def synchronize(self) -> None:
        return


@contextmanager
def played_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """From now on ``cuda`` is a device of this machine, and no tensor has numbers."""
    state = torch.zeros(16, dtype=torch.uint8)
    cpu = devices.devices()[-1]
    monkeypatch.setattr(devices, "names", lambda: [GPU.name, cpu.name])
    monkeypatch.setattr(devices, "facts_of", {GPU.name: GPU, cpu.name: cpu}.__getitem__)
    monkeypatch.setattr(torch.nn.Module, "to", moved)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(cuda_graph, "captured", lambda work, near: work)
    monkeypatch.setattr(cuda_graph, "run_beside", lambda work, near: work())
    for name, value in {
        "current_device": 0, "set_device": None, "get_rng_state": state, "set_rng_state": None, "manual_seed": None,
        "get_device_name": GPU.name, "get_device_capability": (7, 0), "synchronize": None, "device_count": 1,
        "mem_get_info": (GPU.memory_total, GPU.memory_total),
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    monkeypatch.setattr(torch.backends.cudnn, "enabled", False)  # it asks the driver
    monkeypatch.setattr(FakeTensor, "numpy", numbers_of, raising=False)
    monkeypatch.setattr(Tensor, "backward", backward)
    monkeypatch.setattr(torch.autograd, "grad", grad)
    with FakeTensorMode(allow_non_fake_inputs=True), Answers():
        yield
