"""The devices of this machine: names, memory and precisions, and the process-wide state of torch."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch

from core.device import Device
from core.errors import ConfigError
from core.models.recurrence.triton import plan
from core.process import cores, processor_name, torchrun_size
from core.settings.run_config import RunConfig
from core.units import counted


def devices() -> tuple[Device, ...]:
    """The devices of this machine, the best first."""
    return tuple(map(facts_of, names()))


def names() -> list[str]:
    """The names of ``devices``, without a look at their memory."""
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return [*(cuda_names() if torch.cuda.is_available() else []), *mps, "cpu"]


def facts_of(name: str) -> Device:
    """The facts of the device of that name."""
    if name.startswith("cuda"):
        return _cuda_device(int(name.removeprefix("cuda:")))
    if name == "mps":
        return Device(name, "Apple GPU", None, None, ("fp32",))
    used, total = main_memory()
    return Device(name, f"{processor_name()} · {counted(cores(), 'core')}", used, total, ("fp32", "bf16"))


def cuda_names() -> list[str]:
    """The names of the CUDA devices. Unlike ``devices`` it takes no memory on them: it creates no context."""
    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]


def no_cuda() -> str:
    """Why there is no CUDA device, in words; empty if there is one."""
    if torch.cuda.is_available():
        return ""
    if torch.version.cuda is None:
        return "there is no CUDA device here, since this torch is built without CUDA"
    return "there is no CUDA device here, since no NVIDIA driver shows one"


def chosen_device(name: str) -> torch.device:
    """The device of that name; ``auto`` is the best one. Raises ConfigError with the names of those present."""
    there = names()
    wanted = there[0] if name == "auto" else "cuda:0" if name == "cuda" else name
    if wanted not in there:
        reason = "" if name.startswith(("cuda", "mps", "cpu")) else " (a device is called cpu, cuda, cuda:1 or mps)"
        *first, last = ["auto", *there]
        raise ConfigError(f"there is no device {name!r} here{reason}: choose {', '.join(first)} or {last}", "device")
    return torch.device(wanted)


def device_facts(device: torch.device) -> Device:
    """The facts of one of this machine's devices."""
    return next(facts_of(name) for name in names() if torch.device(name) == device)


def at_home(config: RunConfig) -> RunConfig:
    """``config`` for this machine: a device that it lacks becomes ``auto``, and a precision that it lacks ``fp32``.

    More workers than it has GPUs become one for each.
    """
    try:
        device = chosen_device(config.device)
    except ConfigError:
        config = config.replace(device="auto")
        device = chosen_device("auto")
    if device.type == "mps" or (device.type == "cuda" and config.workers > torch.cuda.device_count()):
        config = config.replace(workers=0)
    return config if config.precision in device_facts(device).precisions else config.replace(precision="fp32")


def usable_device(config: RunConfig) -> torch.device:
    """The device that a run computes on. Raises ConfigError for a missing device, or a precision that it lacks."""
    device = chosen_device(config.device)
    facts = device_facts(device)
    if config.precision not in facts.precisions:
        raise ConfigError(
            f"{facts.name} has no {config.precision}: choose a precision out of {', '.join(facts.precisions)}",
            "precision",
        )
    # cuBLAS reads it when it is first used; sums on the GPU are reproducible only with it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return device


def prepare(config: RunConfig) -> torch.device:
    """Set torch up as ``config`` says, in a process with one run. Returns the device. Raises ConfigError."""
    device = usable_device(config)
    tf32 = config.precision == "tf32"
    _switch(threads_of(config), (tf32, tf32), device)
    return device


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread of the processor, then restore their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def computing(config: RunConfig, device: torch.device, threads: int | None = None) -> Iterator[None]:
    """Set torch's process-wide state (threads, tf32, current GPU, default dtype) as ``config`` says, then restore it.

    So two trainings in one process do not affect each other. Denormal numbers are taken as zero, by this thread, by the
    compiled kernels, and by torch's threads if they start meanwhile: a diverging model has so many of them that a batch
    took 35 times as long. ``threads``: those of ``threads_of``, if known: it reads the quota of a container, 40 us.
    """
    tf32, on_gpu = config.precision == "tf32", device.type == "cuda"
    threads_before, dtype = torch.get_num_threads(), torch.get_default_dtype()
    are_flushed = sys.float_info.min / 2 == 0.0
    before = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
    current = torch.device("cuda", torch.cuda.current_device()) if on_gpu else device
    # What is so already is not set again: of a small model's batches this is a part.
    is_as_before = before == (tf32, tf32) and dtype is torch.float32
    _switch(threads_of(config) if threads is None else threads, None if is_as_before else (tf32, tf32), device)
    if not is_as_before:
        torch.set_default_dtype(torch.float32)
    torch.set_flush_denormal(True)
    try:
        # A default device set by the caller must not receive these tensors.
        with torch.device("cpu") if torch.empty(0).device.type != "cpu" else contextlib.nullcontext():
            yield
    finally:
        torch.set_flush_denormal(are_flushed)
        if not is_as_before:
            torch.set_default_dtype(dtype)
        _switch(threads_before, None if is_as_before else before, current)


@cache
def hardware_of(device: torch.device) -> str:
    """The hardware that numbers depend on: a processor with the instruction set that torch uses, or a GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    instructions = torch.backends.cpu.get_cpu_capability()
    return f"{processor_name()} ({instructions})" if device.type == "cpu" else device.type


def threads_of(config: RunConfig) -> int:
    """The number of CPU threads that a run computes with, in each of its workers."""
    if config.threads:
        return config.threads
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if torchrun_size() else workers_of(config)
    return max(1, cores() // max(1, here))


def workers_of(config: RunConfig) -> int:
    """How many processes train a run together: as many as torchrun has started, else as ``config`` says."""
    if torchrun_size() or config.workers:
        return torchrun_size() or config.workers
    if config.device not in ("auto", "cuda") or not torch.cuda.is_available():
        return 1
    return max(1, min(torch.cuda.device_count(), config.batch_size))


def require_workers(config: RunConfig) -> None:
    """Raise ConfigError if the workers of a run have too few rows or devices."""
    count = workers_of(config)
    if count > config.batch_size:
        words = "{batch_size} must be at least the number of {workers}, {count}: each trains on its rows, got {given}"
        raise RunConfig.refusal("batch_size", words, count=count, given=config.batch_size)
    if count > 1 and (config.device.startswith("cuda:") or chosen_device(config.device).type == "mps"):
        raise RunConfig.refusal(
            "device", "{device} must be auto, cuda or cpu for {count} {workers}, got {given}", count=count,
            given=config.device,
        )  # fmt: skip
    gpus = torch.cuda.device_count()
    if not torchrun_size() and chosen_device(config.device).type == "cuda" and count > gpus:
        words = "{workers} must be at most {gpus}, one for each GPU, got {given}"
        raise RunConfig.refusal("workers", words, gpus=gpus, given=count)


def _switch(threads: int, tf32: tuple[bool, bool] | None, device: torch.device) -> None:
    torch.set_num_threads(threads)
    if tf32 is not None:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
    if device.type == "cuda":
        torch.cuda.set_device(device)  # Triton launches on the current one


def _cuda_device(index: int) -> Device:
    facts = torch.cuda.get_device_properties(index)
    used, total = _nvml_memory(index)
    precisions = ("fp32", "tf32", "bf16") if facts.major >= 8 else ("fp32",)
    remark = plan.unavailable_reason(torch.device("cuda", index))
    return Device(f"cuda:{index}", facts.name, used, total or facts.total_memory, precisions, remark)


def _nvml_memory(index: int) -> tuple[int | None, int | None]:
    """From the driver, without a CUDA context; None without a driver."""
    with contextlib.suppress(Exception):
        import pynvml

        pynvml.nvmlInit()
        try:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
            number = int(visible[index]) if visible[0] and visible[index].isdigit() else index
            memory = pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(number))
            return int(memory.used), int(memory.total)
        finally:
            pynvml.nvmlShutdown()
    return None, None


def main_memory() -> tuple[int | None, int | None]:
    """Bytes of memory used and in all: from /proc on Linux, or the limit of the container if that is lower."""
    facts: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, rest = line.partition(":")
            facts[name] = int(rest.split()[0]) * 1024
    if "MemTotal" not in facts or "MemAvailable" not in facts:
        return None, None
    total, used = facts["MemTotal"], facts["MemTotal"] - facts["MemAvailable"]
    with contextlib.suppress(OSError, ValueError):
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        if limit < total:
            return int(Path("/sys/fs/cgroup/memory.current").read_text()), limit
    return used, total
