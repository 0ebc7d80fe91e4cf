"""The description of a device. No torch in this module: the screen imports it; ``core.devices`` finds the devices."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """One device. Memory in bytes, None where unknown; ``remark`` says which fast path it lacks."""

    name: str
    label: str = ""
    memory_used: int | None = None
    memory_total: int | None = None
    precisions: tuple[str, ...] = ()
    remark: str = ""
