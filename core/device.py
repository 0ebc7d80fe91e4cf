"""The description of a device, as ``core.devices`` finds it. No torch in this module: the screen imports it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """One device. Memory in bytes, None if unknown; ``remark`` says which fast path is unavailable."""

    name: str
    label: str = ""
    memory_used: int | None = None
    memory_total: int | None = None
    precisions: tuple[str, ...] = ()
    remark: str = ""
