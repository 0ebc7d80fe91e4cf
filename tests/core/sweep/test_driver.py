"""What a run gets that is trained beside others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import core.devices
from core.process import cores
from core.sweep.driver import Place, places
from core.sweep.sweep import PlannedRun, Sweep


def test_cores_are_divided_and_gpus_taken_in_turn(swept: Callable[..., Sweep], monkeypatch: pytest.MonkeyPatch) -> None:
    threads = max(1, cores() // 3)
    assert places(swept(device="auto"), 1) == [Place()]
    monkeypatch.setattr(core.devices, "cuda_names", lambda: ["cuda:0", "cuda:1"])
    on = ["cuda:0", "cuda:1", "cuda:0"]
    assert places(swept(device="auto"), 3) == [Place(threads, device) for device in on]
    assert places(swept(device="cpu"), 3) == [Place(threads)] * 3
    assert places(swept(device="cuda:1"), 3) == [Place(threads)] * 3, "as the settings say"
    monkeypatch.setattr(core.devices, "cuda_names", lambda: ["cuda:0"])
    assert places(swept(device="cuda"), 2) == [Place(max(1, cores() // 2), "cuda:0")] * 2, "one is shared"


def test_settings_of_a_run_itself_are_not_overruled(swept: Callable[..., Sweep]) -> None:
    for threads, device, workers, wanted in (
        (0, "auto", 0, (4, "cuda:1")), (5, "cpu", 0, (5, "cpu")), (0, "cuda", 2, (2, "cuda")),
        (0, "cpu", 4, (1, "cpu")),
    ):  # fmt: skip
        config = swept(threads=threads, device=device, workers=workers).config
        placed = Place(4, "cuda:1").settings_of(PlannedRun("a", {}, config)).config
        assert (placed.threads, placed.device) == wanted
