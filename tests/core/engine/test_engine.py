"""Real engine processes, and clients that come, ask, leave and come back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.engine.client import EngineClient, start_engine
from core.engine.description import describe
from core.engine.protocol import run_socket, standby_socket
from core.engine.requests import REQUESTS
from core.engine.session import Session
from core.errors import EngineError, RunError
from core.events import State, StateChanged
from core.runs.run import Run
from core.runs.summary import run_summary
from core.settings.run_config import RunConfig
from tests.processes import processes_of
from tests.run_folders import epochs, read_journal

Tiny = Callable[..., RunConfig]
ENDLESS = {"num_epochs": 10**6, "checkpoint_seconds": 0.2}


@pytest.fixture(autouse=True)
async def _nothing_is_left(runtime: Path, forked_programs: None, saves: Path) -> AsyncIterator[None]:
    """Every engine of a test is gone at its end, and its socket and its hold on the run with it."""
    yield
    mine = [process for process in processes_of(runtime) if process.pid != os.getpid()]
    for process in mine:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = await asyncio.to_thread(psutil.wait_procs, mine, 10)
    assert not alive


async def until(happened: Callable[[], object], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not happened():
            await asyncio.sleep(0.01)


async def created(tiny: Tiny, saves: Path, name: str = "one", **changes: Any) -> tuple[EngineClient, Run]:
    """A standby engine that has just made a run."""
    client = await EngineClient.standby()
    facts = await client.request("create", config=tiny(**changes).to_dict(), saves=str(saves), name=name)
    return client, Run(Path(str(facts["run"])))


async def answer(awaited: Awaitable[dict[str, Any]]) -> str:
    """The sentence of an error."""
    with pytest.raises((RunError, EngineError)) as caught:
        await awaited
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_a_whole_life(tiny: Tiny, saves: Path, runtime: Path) -> None:
    client = await EngineClient.standby()
    hello = await client.request("hello")
    assert hello["devices"][-1]["name"] == "cpu" and hello["run"] is None and hello["state"] == State.IDLE
    assert hello["versions"]["torch"] and standby_socket(hello["pid"]).exists()
    assert await answer(client.request("train")) == "this engine has no run yet: open one or create one"

    facts = await client.request("create", config=tiny(num_epochs=4).to_dict(), saves=str(saves), name="one")
    run = Run(Path(str(facts["run"])))
    assert (facts["state"], facts["epoch"], facts["batches_per_epoch"], facts["name"]) == (State.IDLE, 0, 13, "one")
    assert facts["parameters"] == sum(_product(shape) for _, shape in facts["shapes"])
    assert list(runtime.iterdir()) == [run_socket(run.path)] and run.is_held()

    heard: list[dict[str, Any]] = []
    client.listen(heard.append, lambda: heard.append({"event": "lost"}))
    step = await client.request("step", count=3)
    assert (step["event"], step["batch"], step["num_batches"], step["epoch"]) == ("done", 3, 13, 1)
    assert step["state"] == State.PAUSED and step["perplexity"] > 1 and step["loss"] > 0
    assert (await client.request("set", name="learning_rate", value=0.5))["value"] == 0.5
    texts = [event async for event in client.stream("generate", prefix="ab", length=30, strategy="greedy")]
    assert [event["event"] for event in texts[-1:]] == ["done"] and texts[-1]["text"].startswith("ab")
    assert len(texts[-1]["text"]) == 32

    saved = await client.request("save", name="copy")
    assert run_summary(Run(Path(saved["path"]))).state == State.STOPPED
    assert "there is already a run 'copy'" in await answer(client.request("save", name="copy"))
    assert "'' cannot be the name of a run" in await answer(client.request("save", name=""))
    assert (await client.request("train"))["state"] == State.TRAINING
    await until(lambda: heard and heard[-1].get("state") == State.FINISHED)
    assert [event["state"] for event in heard] == [State.TRAINING, State.PAUSED, State.TRAINING, State.FINISHED]
    assert "4 epochs are done" in await answer(client.request("train"))
    assert (await client.request("train", num_epochs=5))["state"] == State.TRAINING
    await until(lambda: heard[-1].get("state") == State.FINISHED)
    assert {event.epoch: event.learning_rate for event in epochs(read_journal(run.journal_path))} == dict.fromkeys(
        range(1, 6), 0.5
    )

    await client.close()
    await until(lambda: not run.is_held())
    await until(lambda: not list(runtime.iterdir()))
    assert (run_summary(run).state, run_summary(run).epoch, run_summary(run).num_epochs) == (State.FINISHED, 5, 5)
    assert run.log_path.read_text() == ""


def _product(shape: list[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


async def test_several_clients_of_one_training(tiny: Tiny, saves: Path) -> None:
    client, run = await created(tiny, saves, **ENDLESS)
    await client.request("train")
    second = await EngineClient.attach(run.path)
    heard: list[str] = []
    second.listen(lambda message: heard.append(message["state"]), lambda: heard.append("lost"))
    facts = await second.request("open", run=str(run.path))
    assert facts["state"] == State.TRAINING
    assert "this engine holds 'one': each run has an engine" in await answer(second.request("open", run=str(saves)))

    # Writing with the live weights does not stop the training, and two texts do not mix.
    before = (await client.request("open", run=str(run.path)))["epoch"]
    texts = await asyncio.gather(
        client.request("generate", prefix="ab", length=200, seed=1),
        second.request("generate", prefix="cd", length=200, seed=1),
    )
    assert texts[0]["text"].startswith("ab") and texts[1]["text"].startswith("cd")
    await until(lambda: len(epochs(read_journal(run.journal_path))) > before)

    # A text that nobody waits for any more is given up.
    stream = second.stream("generate", prefix="a", length=1_000_000)
    assert (await anext(stream))["event"] == "text"
    await stream.aclose()
    assert (await client.request("pause"))["state"] == State.PAUSED
    paused = epochs(read_journal(run.journal_path))[-1].epoch
    assert "there is nothing to pause: the run is paused" in await answer(second.request("pause"))
    assert epochs(read_journal(run.journal_path))[-1].epoch == paused
    assert (await second.request("resume"))["state"] == State.TRAINING
    assert (await client.request("stop"))["state"] == State.STOPPED
    await until(lambda: heard == [State.PAUSED, State.TRAINING, State.STOPPED])

    await client.close()
    assert (await second.request("train"))["state"] == State.TRAINING
    assert (await second.request("quit"))["event"] == "done"
    await until(lambda: heard[-2:] == [State.STOPPED, "lost"])
    assert second.closed and not run.is_held(), "whoever hears that it stopped may open it at once"
    assert "the engine has gone" in await answer(second.request("hello"))
    await second.close()
    with pytest.raises(EngineError, match="no engine listens at"):
        await EngineClient.attach(run.path)


async def test_requests_that_are_wrong(tiny: Tiny, saves: Path) -> None:
    client, run = await created(tiny, saves)
    refused = {
        "fly": "there is no request 'fly': there are " + ", ".join(REQUESTS),
        "signal": "there is no request 'signal'",
        "_after": "there is no request '_after'",
    }
    for name, sentence in refused.items():
        assert (await answer(client.request(name))).startswith(sentence)
    for name, fields, sentence in (
        ("set", {"name": "learning_rate", "value": "fast"}, "learning_rate must be above 0"),
        ("set", {"name": "learning_rate"}, "set needs value, a number, a text, true or false, got nothing"),
        ("set", {"name": "num_hiddens", "value": 3}, "num_hiddens cannot change after a run is created"),
        ("set", {"value": 3}, "set needs name, a text"),
        ("train", {"num_epochs": "many"}, "train needs num_epochs, a whole number, got 'many'"),
        ("train", {"num_epochs": True}, "train needs num_epochs, a whole number, got True"),
        ("train", {"num_epochs": 10**100}, "num_epochs must be between"),
        ("step", {"count": 0}, "count must be between 1 and 1,000 batches"),
        ("step", {"count": "x"}, "step needs count, a whole number, got 'x'"),
        ("step", {"steps": 2}, "step has no field 'steps', only: count"),
        ("save", {"name": "../x"}, "cannot be the name of a run"),
        ("save", {"name": 5}, "save needs name, a text"),
        ("open", {}, "open needs run, a text"),
        ("create", {"config": {}, "saves": str(saves)}, "this engine holds 'one'"),
        ("generate", {"length": 0}, "length must be between 1"),
        ("generate", {"length": "long"}, "length must be"),
        ("generate", {"strategy": "magic"}, "strategy must be one of"),
        ("generate", {"prefix": 5}, "prefix must be"),
        ("pause", {}, "there is nothing to pause: the run is idle"),
    ):
        assert sentence in await answer(client.request(name, **fields)), (name, fields)
    assert (await client.request("cancel", target=99))["event"] == "done"
    assert (await client.request("stop"))["state"] == State.IDLE
    assert (await client.request("hello"))["state"] == State.IDLE

    # What no client of ours would send, in one go; the engine answers what can be answered and goes on.
    raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    raw.settimeout(20)
    raw.connect(str(run_socket(run.path)))
    raw.sendall(
        b"nonsense\n[1]\n"
        b'{"id": 1e999, "request": "hello"}\n{"id": [1], "request": "hello"}\n{"id": {"a": 1}, "request": "generate"}\n'
        b'{"id": NaN, "request": "hello"}\n{"request": "stop"}\n{"id": "text", "request": ["hello"]}\n'
        b'{"id": "last", "request": "set", "name": "learning_rate", "value": 1e999}\n'
    )
    with raw, raw.makefile("rb") as lines:
        answers = [json.loads(lines.readline()) for _ in range(9)]
    # The refusals of the socket's thread may overtake those of the engine's.
    messages = sorted(str(value.get("message", value["event"])) for value in answers)
    assert messages == sorted(
        ["a message must be one JSON object on one line"] * 3
        + ["the id of a request must be a whole number or a text of up to 100 characters"] * 3
        + ["done", f"there is no request 'a list': there are {', '.join(REQUESTS)}"]
        + ["learning_rate must be above 0 and at most 1,000,000, got inf"]
    )
    assert all(value["id"] in ("text", "last", None) for value in answers if "id" in value)

    await client.request("train")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as flood, contextlib.suppress(OSError):
        flood.connect(str(run_socket(run.path)))
        for _ in range(20):
            flood.sendall(b"x" * (1 << 20))
    await until(lambda: run_summary(run).state == State.FINISHED)
    assert (await client.request("hello"))["state"] == State.FINISHED
    await client.close()


async def test_a_run_that_cannot_be_opened_leaves_the_engine_free(tiny: Tiny, saves: Path) -> None:
    client, run = await created(tiny, saves)
    second = await EngineClient.standby()
    assert "run 'one' is open in another engine" in await answer(second.request("open", run=str(run.path)))
    assert "there is no run 'two'" in await answer(second.request("open", run=str(saves / "two")))
    for config, sentence in (
        ({"num_steps": 0}, "num_steps must be between 1 and 10,000, got 0"),
        ({"num_stepz": 1}, "did you mean num_steps"),
        (None, "create needs config"),
        (tiny(batch_size=500).to_dict(), "the text has 801 tokens"),
        (tiny(device="cuda:5").to_dict(), "there is no device 'cuda:5' here"),
        (tiny(corpus="/nowhere").to_dict(), "there is no file '/nowhere'"),
    ):
        assert sentence in await answer(second.request("create", config=config, saves=str(saves), name="two"))
    assert [path.name for path in saves.iterdir()] == ["one"]
    await client.close()
    await until(lambda: not run.is_held())
    assert (await second.request("open", run=str(run.path)))["state"] == State.IDLE
    await second.close()


async def test_a_training_outlives_its_client(
    tiny: Tiny, saves: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is a process of its own that ends as a screen does: its event loop closes."""
    program = (
        "import asyncio, json, sys\n"
        "from core.engine.client import EngineClient\n"
        "async def main():\n"
        "    client = await EngineClient.standby()\n"
        "    facts = await client.request('create', config=json.loads(sys.argv[1]), saves=sys.argv[2], name='one')\n"
        "    await client.request('train')\n"
        "asyncio.run(main())\n"
    )
    monkeypatch.setenv("RNN_PLAYGROUND_FORK_PACE", "0.01")  # seconds a batch: it trains for half a second
    config = json.dumps(tiny(num_epochs=4).to_dict())
    ended = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program, config, str(saves)], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    run = Run(saves / "one")
    assert run_summary(run).state in (State.TRAINING, State.FINISHED)
    await until(lambda: run_summary(run).state == State.FINISHED and not run.is_held())
    await until(lambda: not list(runtime.iterdir()))
    assert len(epochs(read_journal(run.journal_path))) == 4


async def test_signals(tiny: Tiny, saves: Path, runtime: Path, one_thread: None) -> None:
    client, run = await created(tiny, saves, **ENDLESS)
    pid = (await client.request("hello"))["pid"]
    await client.request("train")
    for number in (signal.SIGHUP, signal.SIGINT):
        os.kill(pid, number)
    assert (await client.request("hello"))["state"] == State.TRAINING
    await until(lambda: len(epochs(read_journal(run.journal_path))) > 3)
    began = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    await until(lambda: not psutil.pid_exists(pid))
    assert time.monotonic() - began < 5
    assert list(runtime.iterdir()) == [] and not run.is_held()
    states = [event.state for event in read_journal(run.journal_path) if isinstance(event, StateChanged)]
    assert states[-1] == State.STOPPED
    await until(lambda: client.closed)
    await client.close()
    # What it did up to the signal is saved: nothing is undone when it goes on.
    done = epochs(read_journal(run.journal_path))[-1].epoch
    again = Session.open(run)
    assert describe(again).epoch == done
    again.close()


async def test_a_killed_engine_is_noticed_and_its_run_goes_on(tiny: Tiny, saves: Path, runtime: Path) -> None:
    client, run = await created(tiny, saves, **ENDLESS)
    lost: list[str] = []
    client.listen(lambda message: None, lambda: lost.append("lost"))
    pid = (await client.request("hello"))["pid"]
    await client.request("train")
    await until(lambda: len(epochs(read_journal(run.journal_path))) > 3)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: lost == ["lost"] and client.closed and not run.is_held())
    await client.close()
    assert run_summary(run).state == State.INTERRUPTED and list(runtime.iterdir()) == [run_socket(run.path)]
    again = await EngineClient.standby()
    assert (await again.request("open", run=str(run.path)))["state"] == State.INTERRUPTED
    assert list(runtime.iterdir()) == [run_socket(run.path)], "the dead engine's socket is replaced"
    assert (await again.request("train"))["state"] == State.TRAINING
    await again.request("quit")
    await again.close()


async def test_an_engine_that_does_not_start_says_why(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runtime.chmod(0o755)
    with pytest.raises(
        EngineError, match=r"the engine did not start: error: .* must be a folder of yours that only you"
    ):
        await start_engine()
    runtime.chmod(0o700)
    with pytest.raises(EngineError, match="the engine did not start: error: there is no run 'one' in"):
        await start_engine("one", "--saves", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/bin/sleep")
    with pytest.raises(EngineError, match="the engine did not start"):
        await start_engine(timeout=0.1)
    assert list(runtime.iterdir()) == []
