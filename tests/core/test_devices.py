"""Devices: which there are, which one is meant, and what one of them cannot do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from core.devices import at_home, chosen_device, computing, devices, main_memory, prepare
from core.errors import ConfigError
from core.process import cores
from core.record import record_as_json
from core.settings.run_config import RunConfig


def test_the_processor_is_always_there() -> None:
    found = {device.name: device for device in devices()}
    assert devices()[-1].name == "cpu"
    assert "fp32" in found["cpu"].precisions and f"{cores()} cores" in found["cpu"].label
    assert json.loads(json.dumps([record_as_json(device) for device in devices()]))
    used, total = main_memory()
    assert used is None or total is None or 0 < used < total


def test_auto_takes_the_first() -> None:
    assert chosen_device("auto") == torch.device(devices()[0].name)
    assert chosen_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "", "cpu:7", "\x1b[31m", "cuda:x", "CPU"])
def test_a_device_that_is_not_there_gets_the_names_of_those_that_are(name: str) -> None:
    with pytest.raises(ConfigError, match=r"there is no device .* here.*: choose auto.* or cpu$") as caught:
        chosen_device(name)
    assert caught.value.field == "device" and "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("quota", "wanted"), [("max 100000", 0), ("50000 100000", 1), ("100000 100000", 1), ("9e9", 0), ("", 0)]
)
def test_a_containers_quota_counts(monkeypatch: pytest.MonkeyPatch, quota: str, wanted: int) -> None:
    allowed = len(os.sched_getaffinity(0))
    monkeypatch.setattr(Path, "read_text", lambda path: quota)
    assert cores() == (wanted or allowed)


def test_preparing_a_run_settles_threads_and_precision(tiny: Callable[..., RunConfig], one_thread: None) -> None:
    assert prepare(tiny(threads=2)) == torch.device("cpu")
    assert torch.get_num_threads() == 2
    prepare(tiny(threads=0))
    assert torch.get_num_threads() == cores()
    with computing(tiny(threads=3), torch.device("cpu")):
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == cores()
    with pytest.raises(ConfigError, match="cpu has no tf32: choose a precision out of fp32, bf16") as caught:
        prepare(tiny(precision="tf32"))
    assert caught.value.field == "precision"


def test_denormal_numbers_are_zero_while_a_run_computes_and_only_then(tiny: Callable[..., RunConfig]) -> None:
    denormal, cpu = torch.tensor(1e-40), torch.device("cpu")
    with computing(tiny(threads=1), cpu):
        assert float(denormal * 2) == 0.0
        with computing(tiny(threads=1), cpu):
            pass
        assert float(denormal * 2) == 0.0
    assert float(denormal * 2) > 0.0


def test_a_run_from_another_machine_goes_on_with_what_is_here() -> None:
    elsewhere = RunConfig(device="cuda:7", precision="tf32")
    here = at_home(elsewhere)
    there = [device.name for device in devices()]
    assert "cuda:7" not in there
    assert here.device == "auto"
    prepare(here)
    assert at_home(RunConfig(device="cpu")) == RunConfig(device="cpu")
