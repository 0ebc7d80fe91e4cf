"""How a run computes: in words, and as a record that shows whether a resumed run computes as before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from core.devices import hardware_of, threads_of, usable_device, workers_of
from core.errors import ConfigError
from core.models.products import factor_format
from core.models.recurrence.dispatch import path_of
from core.settings.run_config import RunConfig
from core.training.cuda_graph import unavailable_reason

# The entries of a record in the order of a sentence, and their phrases.
_PHRASES = {
    "device": "device {}",
    "hardware": "{}",
    "precision": "{}",
    "threads": "threads: {}",
    "step": "the step {}",
    "kernels": "{} kernels",
    "torch": "torch {}",
    "workers": "workers: {}",
}
_CPU_PATHS = {"compiled": "auto", "plain": "plain", "textbook": "textbook"}
_GPU_PATHS = {
    ("captured", "persistent"): "auto", ("captured", "plain"): "graph", ("in calls", "persistent"): "kernel",
    ("in calls", "plain"): "plain",
}  # fmt: skip


def report(config: RunConfig, device: torch.device, graph_unavailable_reason: str) -> dict[str, str]:
    """What computes a run, in words: ``device``, ``precision``, ``threads``, ``step`` and ``recurrence``.

    Args:
        graph_unavailable_reason: why the step is not a CUDA graph; empty if it is.

    On a GPU this may prove a persistent kernel, as the first batch would: a few seconds if Triton has to compile it.
    """
    return {
        "device": str(device),
        "precision": _precision(config, device),
        "threads": str(threads_of(config)),
        "step": f"call by call, because {graph_unavailable_reason}" if graph_unavailable_reason else "one CUDA graph",
        "recurrence": path_of(config, device)[1],
    }


def words(chosen: Mapping[str, str]) -> str:
    """The same in one line; on a CPU without the step, which is never a graph there."""
    threads = "1 thread" if chosen["threads"] == "1" else f"{chosen['threads']} threads"
    step = f"; the step: {chosen['step']}" if chosen["device"].startswith("cuda") else ""
    return f"computed in {chosen['precision']} with {threads}{step}; the recurrence: {chosen['recurrence']}"


def record(config: RunConfig, device: torch.device, graph_unavailable_reason: str, workers: int = 1) -> dict[str, str]:
    """What the numbers of a run depend on besides its settings, for run.json and the journal; as slow as ``report``."""
    return {
        "device": str(device),
        "hardware": hardware_of(device),
        "precision": _precision(config, device),
        "threads": str(threads_of(config)),
        "step": "in calls" if graph_unavailable_reason else "captured",
        "kernels": path_of(config, device)[0],
        "torch": torch.__version__,
        "workers": str(workers),
    }


def _precision(config: RunConfig, device: torch.device) -> str:
    is_single = config.precision == "bf16" and factor_format(device) is torch.float32
    return "bf16 (factors rounded, multiplied in fp32)" if is_single else config.precision


def arithmetic(backend: Mapping[str, str]) -> dict[str, str]:
    """The part of a record in which all workers of a team must agree."""
    return {name: backend[name] for name in ("precision", "step", "kernels", "torch")}


@dataclass(frozen=True)
class Change:
    """A run would compute differently than before.

    Attributes:
        words: a sentence that says how.
        as_before: the configuration with which it computes as before, or nearly so; None if there is none.
        remains: what differs even with ``as_before``; may be empty.
    """

    words: str
    as_before: RunConfig | None
    remains: str


def change_of(before: Mapping[str, str], wanted: RunConfig, config: RunConfig, now: Mapping[str, str]) -> Change | None:
    """What differs, or None if nothing does.

    Args:
        before: the record of how the run has computed; entries that it lacks are not compared.
        wanted: the run's settings as they were saved.
        config, now: the settings with which it would continue here, and their record.
    """
    if before:
        before = {"workers": "1", **before}
    changed = _different(before, now)
    if not changed:
        return None
    reason = path_of(config, torch.device(now["device"]))[1] if "kernels" in changed else ""
    why = f" ({reason})" if " because " in reason else ""
    sentence = (
        f"this run was computed with {_phrases(before, changed)}; here it is computed with {_phrases(now, changed)}"
        f"{why}: its numbers will not be the same to the last bit"
    )
    old = _as_before(before, changed, wanted)
    if old is None:
        return Change(sentence, None, "")
    device = usable_device(old)
    then = record(old, device, unavailable_reason(device, old), workers_of(old))
    remaining = _different(before, then)
    if not set(remaining) < set(changed):
        return Change(sentence, None, "")
    remains = f"{_phrases(then, remaining)} instead of {_phrases(before, remaining)} remains" if remaining else ""
    return Change(sentence, old, remains)


def _different(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [name for name in _PHRASES if name in before and before[name] != now[name]]


def _phrases(found: Mapping[str, str], names: list[str]) -> str:
    return ", ".join(_PHRASES[name].format(found[name]) for name in names)


def _as_before(before: Mapping[str, str], changed: list[str], config: RunConfig) -> RunConfig | None:
    """The settings that ask for what is recorded; None if this machine does not have it."""
    device, used = before.get("device", config.device), before.get("kernels", "")
    changes: dict[str, object] = {name: before[name] for name in ("device", "precision") if name in changed}
    for name in ("threads", "workers"):
        if name in changed and before[name].isdecimal():
            changes[name] = int(before[name])
    if "kernels" in changed or "step" in changed:
        if used in _CPU_PATHS and (device == "cpu" or used == "textbook"):
            changes["cpu_path"] = _CPU_PATHS[used]
        path = _GPU_PATHS.get((before.get("step", ""), used))
        if device.startswith("cuda") and path is not None:
            changes["gpu_path"] = path
    try:
        found = config.replace(**changes)
        usable_device(found)
    except ConfigError:
        return None
    return found
