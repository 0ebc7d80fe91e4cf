"""Which path computes a recurrence: the textbook's page, by hand (``eager``), in C (``cpu``) or in Triton (``triton``).

The page is a model of its own (``TextbookLanguageModel``); between the other three it is decided here, layer by layer.
Each says with ``unavailable_reason`` why it cannot be used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from core.models.recurrence import eager
from core.models.recurrence.cpu import bindings, compiled
from core.models.recurrence.layer import RecurrentLayer, Rows, Shape
from core.models.recurrence.triton import plan
from core.models.scratch import HiddenState
from core.settings.run_config import RunConfig


def run(layer: RecurrentLayer) -> tuple[Tensor, HiddenState]:
    """One layer over time, in one direction.

    Returns:
        The hidden states of all steps, (num_steps, batch, hidden), and the state after the last one.
    """
    steps = layer.A.ids if isinstance(layer.A, Rows) else layer.A
    if steps.shape[0] == 0:
        return layer.state[0].new_empty(0, *layer.state[0].shape), layer.state
    if compiled.serves(layer):
        return compiled.run(layer)
    if layer.fused and steps.device.type == "cuda":
        layer = replace(layer, A=layer.inputs())
        found = plan.run_if_chosen(layer)
        if found is not None:
            return found
    return eager.run(layer)


def run_directions(layers: Sequence[RecurrentLayer]) -> tuple[Tensor, list[HiddenState]]:
    """One layer over time, forwards and, where there is a second direction, backwards.

    Returns:
        The hidden states of all steps, (num_steps, batch, directions * hidden), and the last state of each direction.
    """
    H, last = run(layers[0])
    if len(layers) == 1:
        return H, [last]
    H_reverse, last_reverse = run(layers[1].reversed())
    return torch.cat((H, H_reverse.flip(0)), dim=-1), [last, last_reverse]


def path_of(config: RunConfig, device: torch.device) -> tuple[str, str]:
    """The kernels that compute a run, as its record names them, and how its recurrence is computed, in words."""
    if config.cpu_path == "textbook":
        return "textbook", "the textbook's equations step by step, differentiated by autograd"
    bf16, stock = config.precision == "bf16", config.implementation == "torch.nn"
    if device.type == "cuda" and stock:
        return "cuDNN", "cuDNN"
    if device.type == "cuda":
        if config.gpu_path not in ("auto", "kernel"):
            return "plain", f"step by step, because gpu_path={config.gpu_path} leaves the persistent kernel out"
        relu = config.activation == "relu"
        chosen = plan.choice(Shape(config.cell, config.num_hiddens, config.batch_size, relu, bf16), device)
        if chosen.plan is not None:
            return "persistent", chosen.reason
        return "plain", f"step by step, because {chosen.reason}"
    if device.type != "cpu":
        return "plain", f"step by step, because there are no compiled kernels for {device.type}"
    used = "compiled" if config.cpu_path == "auto" and not bindings.unavailable_reason() else "plain"
    if stock and config.embedding_size:
        return used, "PyTorch's own kernels"
    if config.cpu_path == "plain":
        return used, "step by step, because cpu_path=plain leaves the compiled kernels out"
    if used == "plain":
        return used, f"step by step, because {bindings.unavailable_reason()}"
    if config.cell not in compiled.NUMBERS:
        return used, f"step by step, because the compiled kernels do not have the cell {config.cell}"
    tiles = bindings.arithmetic(bf16=bf16, inner=config.num_hiddens) is bindings.Arithmetic.BF16_TILES
    return used, "compiled kernels" + (", products in the processor's matrix unit (AMX)" if tiles else "")
