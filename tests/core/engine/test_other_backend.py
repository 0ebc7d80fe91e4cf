"""A run that goes on where it would compute otherwise: said before it does, and computed as before on request."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from core.engine.description import describe
from core.engine.session import Session
from core.errors import RunError
from core.events import RunResumed
from core.models.recurrence.cpu import bindings
from core.runs.run import Run
from core.settings.run_config import RunConfig
from core.training.backend import change_of, record
from tests.core.outcomes import curve, notes, train_to_end
from tests.run_folders import read_journal

compiled = pytest.mark.skipif(bool(bindings.unavailable_reason()), reason=bindings.unavailable_reason() or "compiled")
WHY = "there is no C compiler today"


@pytest.fixture
def as_it_was() -> Iterator[None]:
    """Sessions settle the threads of the process."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def without_kernels(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(bindings, "unavailable_reason", lambda: WHY)


def half_trained(config: RunConfig, saves: Path, patch: pytest.MonkeyPatch, *, plain: bool = False) -> Run:
    """A run that was stopped in mid-training."""
    with patch.context() as here:
        if plain:
            without_kernels(here)
        session = Session.create(config, saves, "a")
        session.train()
        for _ in range(20):
            session.advance()
        session.close()
    return session.run


def resumed(run: Run) -> list[RunResumed]:
    return [event for event in read_journal(run.journal_path) if isinstance(event, RunResumed)]


def finished(run: Run, *, as_before: bool) -> Session:
    session = Session.open(run)
    session.train(as_before=as_before)
    while session.state == "training":
        session.advance()
    session.close()
    return session


@compiled
def test_a_plain_run_goes_on_plainly_where_that_is_asked(
    tiny: Callable[..., RunConfig], saves: Path, tmp_path: Path, as_it_was: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as here:
        without_kernels(here)
        whole = Session.create(tiny(), tmp_path / "whole")
        list(train_to_end(whole))
        whole.close()
    run = half_trained(tiny(), saves, monkeypatch, plain=True)
    assert run.metadata().backend["kernels"] == resumed(run)[0].backend["kernels"] == "plain"  # type: ignore[index]
    session = Session.open(run)
    change = describe(session).change
    assert change is not None
    assert "computed with plain kernels; here it is computed with compiled kernels" in change.words
    assert change.as_before and not change.remains
    session.close()
    assert run.metadata().backend["kernels"] == "plain"  # looking is not computing
    finished(run, as_before=True)
    assert curve(run) == curve(whole.run)
    assert not notes(run) and run.metadata().config.cpu_path == "plain"
    assert Session.open(run).change is None


@compiled
def test_where_it_goes_on_otherwise_it_says_so_before(
    tiny: Callable[..., RunConfig], saves: Path, as_it_was: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = half_trained(tiny(), saves, monkeypatch)
    with monkeypatch.context() as here:
        without_kernels(here)
        session = Session.open(run)
        assert session.change is not None and session.change.as_before is None and WHY in session.change.words
        with pytest.raises(RunError, match="this machine cannot compute as before"):
            session.train(as_before=True)
        assert session.state != "training"
        session.close()
        finished(run, as_before=False)
        assert Session.open(run).change is None  # said once: from here on it is how the run computes
    told = [type(event).__name__ for event in read_journal(run.journal_path)]
    assert told.index("Note") < len(told) - 1 - told[::-1].index("RunResumed")
    assert "its numbers will not be the same to the last bit" in notes(run)[0] and len(notes(run)) == 1
    assert [event.backend["kernels"] for event in resumed(run) if event.backend] == ["compiled", "plain"]


def test_threads_are_part_of_it(
    tiny: Callable[..., RunConfig], saves: Path, as_it_was: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.devices.cores", lambda: 1)  # a pool of threads in this process would stop later forks
    run = half_trained(tiny(threads=0), saves, monkeypatch)
    monkeypatch.setattr("core.devices.cores", lambda: 2)
    session = Session.open(run)
    assert session.change is not None and "threads: 1; here it is computed with threads: 2" in session.change.words
    session.train(as_before=True)
    assert torch.get_num_threads() == 1 and session.trainer is not None
    assert session.trainer.config.threads == 1 and session.trainer.config.device == "cpu"
    session.close()


def test_a_run_that_says_nothing_goes_on_without_a_word(
    tiny: Callable[..., RunConfig], saves: Path, as_it_was: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As versions before this one left it: no backend in run.json, none in the journal."""
    run = half_trained(tiny(), saves, monkeypatch)
    facts = json.loads(run.metadata_path.read_text("utf-8"))
    del facts["backend"]
    run.metadata_path.write_text(json.dumps(facts))
    lines = [json.loads(line) for line in run.journal_path.read_text("utf-8").splitlines()]
    for line in lines:
        line.pop("backend", None)
    run.journal_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    without_kernels(monkeypatch)
    session = finished(run, as_before=False)
    assert session.change is None and not notes(run)
    assert resumed(run)[0].backend is None and resumed(run)[-1].backend is not None
    assert run.metadata().backend == resumed(run)[-1].backend
    for wrong in ([], {"kernels": 3}, "plain", {str(number): "" for number in range(30)}):
        run.metadata_path.write_text(json.dumps({**facts, "backend": wrong}))
        with pytest.raises(RunError, match="damaged or foreign"):
            run.metadata()


def test_what_a_machine_has_and_lacks(as_it_was: None) -> None:
    config = RunConfig(device="cpu", cpu_path="plain", threads=2)
    here = record(config, torch.device("cpu"), "no graphs")
    cases: list[tuple[dict[str, str], bool]] = [
        ({**here, "device": "cuda:7", "step": "captured", "kernels": "persistent"}, False),
        ({**here, "device": "\x1b[2J"}, False),
        ({**here, "threads": "0" * 50}, False),
        ({**here, "threads": "²"}, False),
        ({**here, "precision": "fp7"}, False),
        ({**here, "torch": "1", "threads": "3"}, True),
        ({"threads": "3"}, True),
    ]
    for before, can in cases:
        change = change_of(before, config, config, here)
        assert change is not None and (change.as_before is not None) == can, before
    assert change_of({}, config, config, here) is None
    assert change_of({**here, "unheard of": "x"}, config, config, here) is None


def test_how_bf16_is_multiplied_is_recorded(as_it_was: None, monkeypatch: pytest.MonkeyPatch) -> None:
    config, cpu = RunConfig(device="cpu", cpu_path="plain", precision="bf16"), torch.device("cpu")
    records = []
    for is_fast in (True, False):
        monkeypatch.setattr("core.process.is_bf16_fast", lambda is_fast=is_fast: is_fast)
        records.append(record(config, cpu, "no graphs"))
    fast, slow = records
    change = change_of(fast, config, config, slow)
    assert change is not None and change.as_before is None
    assert (
        "computed with bf16; here it is computed with bf16 (factors rounded, multiplied in fp32): its" in change.words
    )
    assert change_of(slow, config, config, slow) is None


@compiled
def test_on_the_command_line(
    tiny: Callable[..., RunConfig], saves: Path, runtime: Path, as_it_was: None, monkeypatch: pytest.MonkeyPatch,
    fork_server: dict[str, str],
) -> None:  # fmt: skip
    run = half_trained(tiny(num_epochs=20), saves, monkeypatch, plain=True)

    def resume(*words: str, **environment: str) -> Any:
        command = [sys.executable, "-m", "core", "resume", "a", "--saves", str(saves), *words]
        environment = {"RNN_PLAYGROUND_RUNTIME": str(runtime), "PATH": "/usr/bin:/bin", "HOME": "/root",
                       **fork_server, **environment}  # fmt: skip
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)

    refused = resume("--as-before", "--epochs", "4", RNN_PLAYGROUND_COMPILED="0")
    assert refused.returncode == 0 and not refused.stderr  # it is plain here: nothing to say
    told = resume("--as-before", "--epochs", "5")
    assert told.returncode == 0 and "plain kernels" not in told.stdout + told.stderr
    assert run.metadata().config.cpu_path == "plain"
    facts = json.loads(run.metadata_path.read_text("utf-8"))
    facts["config"]["cpu_path"] = "auto"
    run.metadata_path.write_text(json.dumps(facts))
    told = resume("--epochs", "6")
    assert told.returncode == 0 and "hint: resume --as-before" in told.stderr
    assert "this run was computed with plain kernels" in told.stdout
    refused = resume("--as-before", "--epochs", "7", RNN_PLAYGROUND_COMPILED="0")
    assert refused.returncode == 2 and "cannot compute as before" in refused.stderr and not refused.stdout
