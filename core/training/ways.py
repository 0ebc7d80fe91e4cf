"""How a run computes, and why not faster, in words: what was chosen has to be seen before it can be overridden."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from core.config import RunConfig
from core.models import persistent
from core.models.compiled import kernels
from core.models.scan import step_by_step


def ways(config: RunConfig, device: torch.device, no_graph: str) -> dict[str, str]:
    """What computes a run: ``device``, ``precision``, ``threads``, ``step`` and ``recurrence``.

    Args:
        no_graph: why the step is no CUDA graph; empty where it is one.

    On a GPU this may prove a persistent kernel, as the first batch would: a few seconds where Triton has to compile it.
    """
    return {
        "device": str(device),
        "precision": config.precision,
        "threads": str(torch.get_num_threads()),
        "step": f"call by call, because {no_graph}" if no_graph else "one CUDA graph",
        "recurrence": _recurrence(config, device),
    }


def words(chosen: Mapping[str, str]) -> str:
    """The same in a line. Of a CPU nobody expects a graph."""
    threads = "1 thread" if chosen["threads"] == "1" else f"{chosen['threads']} threads"
    step = f"; the step: {chosen['step']}" if chosen["device"].startswith("cuda") else ""
    return f"computed in {chosen['precision']} with {threads}{step}; the recurrence: {chosen['recurrence']}"


def _recurrence(config: RunConfig, device: torch.device) -> str:
    if config.implementation == "torch.nn" and (config.embedding_size or device.type != "cpu"):
        return "cuDNN" if device.type == "cuda" else "PyTorch's own kernels"
    bf16 = config.precision == "bf16"
    if device.type == "cuda" and config.gpu_path not in ("auto", "kernel"):
        return f"step by step, because gpu_path={config.gpu_path} leaves the persistent kernel out"
    if device.type == "cuda":
        relu = config.activation == "relu"
        chosen = persistent.choice(
            config.cell, config.num_hiddens, config.batch_size, device, step_by_step, relu=relu, bf16=bf16
        )
        return chosen.reason if chosen.plan is not None else f"step by step, because {chosen.reason}"
    if device.type == "cpu" and config.cpu_path == "plain":
        return "step by step, because cpu_path=plain leaves the compiled kernels out"
    if device.type == "cpu" and not kernels.why_not():
        if kernels.serves(torch.empty(0), config.num_hiddens, bf16=bf16):
            return "compiled kernels"
        return "step by step, because the compiled kernels have no bf16 here"
    return f"step by step, because {kernels.why_not() or f'there are no compiled kernels for {device.type}'}"
