"""The engines behind the app: standby, attach, follow, release. No screen."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from textual.message import Message

import tui.engines.clients as engines_module
from core.errors import EngineError, RunError
from core.events import EpochFinished, State, StateChanged
from core.runs.run import Run
from core.settings.run_config import RunConfig
from tests.run_folders import made_run, write_journal
from tests.tui.fake_engine import FakeEngines, scripted_epoch
from tests.tui.waiting import until
from tui.engines.clients import Engines
from tui.engines.loss import loss_in_words
from tui.messages import DevicesFound, EngineLost, JournalGrew, RunOpened, RunsChanged, RunStateChanged


class Heard(list[Message]):
    """The messages that were posted."""

    def of(self, kind: type[Message]) -> list[Message]:
        return [message for message in self if isinstance(message, kind)]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def engines(saves: Path, fakes: FakeEngines, heard: Heard) -> AsyncIterator[Engines]:
    made = Engines(heard.append, saves, None, fakes.standby, fakes.attach)
    yield made
    await made.close()


def epochs_of(heard: Heard) -> list[int]:
    grew = [message for message in heard if isinstance(message, JournalGrew)]
    return [event.epoch for message in grew for event in message.events if isinstance(event, EpochFinished)]


async def test_standby_tells_the_devices(engines: Engines, heard: Heard) -> None:
    engines.prepare()
    engines.prepare()
    await until(None, lambda: engines.ready)
    (found,) = heard.of(DevicesFound)
    assert isinstance(found, DevicesFound) and found.devices[0].name == "cuda:0"


async def test_create_uses_the_standby_and_another_is_made_ready(
    engines: Engines, fakes: FakeEngines, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines_module, "NEXT_STANDBY", 0.01)
    run = await engines.create(RunConfig(), "first")
    assert run.name == "first" and Run(run).is_held()
    assert heard.of(RunOpened) and heard.of(RunsChanged)
    client = await engines.client(run)
    assert client is await engines.client(run)
    await until(None, lambda: engines.ready and len(fakes.engines) == 2)


async def test_a_refused_run_leaves_no_engine_behind(engines: Engines, fakes: FakeEngines) -> None:
    fakes.refusals["create"] = "there is already a run 'first'"
    with pytest.raises(RunError, match="already a run"):
        await engines.create(RunConfig(), "first")
    await until(None, lambda: len(fakes.engines) == 1 and engines.ready)
    assert (await engines.create(RunConfig(), "first")).name == "first"


async def test_client_attaches_to_the_engine_that_holds_the_run(
    engines: Engines, fakes: FakeEngines, saves: Path
) -> None:
    other = Engines(lambda message: None, saves, None, fakes.standby, fakes.attach)
    run = await other.create(RunConfig())
    await (await other.client(run)).request("train")
    assert await engines.attached(run)
    await engines.client(run)
    assert len([engine for engine in fakes.engines if engine.run is not None]) == 1
    assert engines.state(run) == State.TRAINING and engines.training() == [run]
    await other.close()
    assert not (await engines.client(run)).closed


async def test_nobody_is_started_to_attach(engines: Engines, fakes: FakeEngines, saves: Path) -> None:
    run = made_run(saves, RunConfig())
    assert not await engines.attached(run.path)
    assert not fakes.engines


async def test_follow_gives_the_journal_in_order_and_once(engines: Engines, heard: Heard, saves: Path) -> None:
    run = made_run(saves, RunConfig())
    write_journal(run, *(scripted_epoch(epoch) for epoch in range(1, 51)))
    engines.follow(run.path)
    engines.follow(run.path)
    await until(None, lambda: len(epochs_of(heard)) == 50)
    write_journal(run, scripted_epoch(51))
    await until(None, lambda: len(epochs_of(heard)) == 51)
    assert epochs_of(heard) == list(range(1, 52))
    await engines.unfollow(run.path)
    write_journal(run, scripted_epoch(52))
    await asyncio.sleep(0.6)
    assert len(epochs_of(heard)) == 51


async def test_a_training_that_nobody_holds_was_interrupted(engines: Engines, heard: Heard, saves: Path) -> None:
    run = made_run(saves, RunConfig())
    write_journal(run, StateChanged(State.TRAINING, 0), scripted_epoch(1))
    engines.follow(run.path)
    await until(None, lambda: heard.of(RunStateChanged))
    (change,) = heard.of(RunStateChanged)
    assert isinstance(change, RunStateChanged) and change.state == State.INTERRUPTED


async def test_loss_is_told_with_the_log(engines: Engines, fakes: FakeEngines, heard: Heard) -> None:
    run = await engines.create(RunConfig())
    client = await engines.client(run)
    await client.request("train")
    engine = fakes.of(run)
    assert engine is not None
    await engine.end()
    await until(None, lambda: heard.of(EngineLost))
    (lost,) = heard.of(EngineLost)
    assert isinstance(lost, EngineLost)
    assert "during training" in lost.reason and "log" not in lost.reason  # it has none
    assert engines.state(run) == State.INTERRUPTED
    with pytest.raises(EngineError):
        await client.request("pause")
    assert not (await engines.client(run)).closed


async def test_the_end_of_a_training_that_a_command_ran_is_no_loss(
    fakes: FakeEngines, heard: Heard, saves: Path
) -> None:
    other = Engines(lambda message: None, saves, None, fakes.standby, fakes.attach)
    run = await other.create(RunConfig())
    await (await other.client(run)).request("train")
    engine = fakes.of(run)
    assert engine is not None
    engine.stays = False
    engines = Engines(heard.append, saves, None, fakes.standby, fakes.attach)
    client = await engines.client(run)
    await client.request("stop")
    await engine.end()
    await until(None, lambda: client.closed)
    assert engines.state(run) == State.STOPPED and not engines.has_client(run)
    assert not heard.of(EngineLost)
    await asyncio.gather(engines.close(), other.close())


async def test_release_lets_an_idle_engine_go_and_keeps_one_that_trains(engines: Engines, fakes: FakeEngines) -> None:
    run = await engines.create(RunConfig())
    await engines.release(run)
    assert not Run(run).is_held() and not engines.has_client(run)
    await (await engines.client(run)).request("train")
    await until(None, lambda: engines.state(run) == State.TRAINING)
    await engines.release(run)
    assert Run(run).is_held() and engines.has_client(run)


async def test_close_leaves_a_training_engine_alive_and_no_idle_one(
    engines: Engines, fakes: FakeEngines, heard: Heard
) -> None:
    run = await engines.create(RunConfig())
    await (await engines.client(run)).request("train")
    engines.prepare()
    await until(None, lambda: engines.ready)
    await engines.close()
    await until(None, lambda: len(fakes.engines) == 1)
    assert fakes.of(run) is not None
    heard.clear()
    await asyncio.sleep(0.2)
    assert not heard


@pytest.mark.parametrize(
    ("log", "state", "words"),
    [
        ("RuntimeError: DefaultCPUAllocator: can't allocate memory", State.TRAINING, "ran out of memory"),
        (
            "",
            State.TRAINING,
            "killed during training: Train continues from the last checkpoint",
        ),
        ("Segmentation fault", State.PAUSED, "ended during training"),
        ("terminate called after throwing an instance of 'std::bad_alloc'", State.TRAINING, "ran out of memory"),
        ("", State.IDLE, "starts another"),
    ],
)
def test_loss_in_words(tmp_path: Path, log: str, state: str, words: str) -> None:
    assert "log" not in loss_in_words(tmp_path, state)
    (tmp_path / "engine.log").write_text(log)
    found = loss_in_words(tmp_path, state)
    assert words in found and found.endswith(f" Its log is {tmp_path / 'engine.log'}.")


def test_an_old_log_is_not_why_an_engine_went(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text("out of memory")
    os.utime(log, (1e9, 1e9))
    assert "killed during training" in loss_in_words(tmp_path, State.TRAINING)
