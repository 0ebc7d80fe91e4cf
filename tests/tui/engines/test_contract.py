"""The fake engine of these tests against the real one: one script, the same events with the same fields and types."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.engine.client import EngineClient, start_engine
from core.engine.protocol import LAST_EVENTS, encoded
from core.engine.requests import Quit
from core.events import State, event_from_json
from core.settings.run_config import RunConfig

SETTINGS = RunConfig(
    corpus="lyrics-zh", num_hiddens=8, batch_size=2, num_steps=5, max_tokens=300, num_epochs=10**6, device="cpu",
    threads=1, sample_every=0,
)  # fmt: skip
# Tables whose keys are not part of the contract: versions of libraries, the backend report.
TABLES = ("versions", "backend_report", "backend")


@pytest.fixture
async def real_engine(forked_programs: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    """The socket of a real engine process; the script ends it."""
    with tempfile.TemporaryDirectory(prefix="rnn-") as runtime:
        sockets = Path(runtime) / "sockets"
        monkeypatch.setenv("RNN_PLAYGROUND_RUNTIME", str(sockets))
        yield await start_engine()
        for path in sockets.glob("*.sock"):  # the script was interrupted
            client = await EngineClient.connect(path)
            await client.ask(Quit())
            await client.close()


class Conversation:
    """Runs the script against the engine at a socket; ``shapes`` has the events of each request, without values."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.shapes: list[tuple[str, list[Any]]] = []
        self.states: list[str] = []
        self.broadcasts: set[Any] = set()

    async def ask(self, request: str, number: int | str = 1, /, **fields: Any) -> dict[str, Any]:
        """Send a request and take all events up to the last."""
        self._writer.write(encoded({"id": number, "request": request, **fields}))
        shapes: list[Any] = []
        while True:
            message: dict[str, Any] = json.loads(await self._reader.readline())
            if "id" not in message:
                self.states.append(message["state"])
                self.broadcasts.add(shape(message))
                continue
            assert message["id"] == number, message
            if shape(message) not in shapes:  # a text comes in as many pieces as the engine likes
                shapes.append(shape(message))
            if message["event"] in LAST_EVENTS:
                self.shapes.append((request, shapes))
                return message

    async def run(self, saves: Path, data: Path) -> dict[str, Any]:
        """The script; returns the kinds of the journal's events and their fields."""
        await self.ask("hello")
        await self.ask("pause")  # an error: there is no run
        await self.ask("train", num_epochs="many")  # an error: not a number
        await self.ask("write")  # an error: no such request
        created = await self.ask("create", config=SETTINGS.to_dict(), saves=str(saves), name="one", data=str(data))
        await self.ask("hello")
        await self.ask("open", run=created["run"])
        await self.ask("pause")  # an error: it does not train
        await self.ask("step", "first", count=1)
        await self.ask("set", name="learning_rate", value=0.5)
        await self.ask("set", name="num_steps", value=7)  # an error: not a live setting
        await self.ask("baselines")
        await self.ask("train", num_epochs=10**6 + 1)
        await self.ask("pause")
        await self.ask("generate", prefix="分开", length=5)
        await self.ask("cancel", target="generate-1")
        await self.ask("resume")
        await self.ask("stop")
        await self.ask("save")
        await self.ask("save", name="two")
        await self.ask("quit")
        assert await asyncio.wait_for(self._reader.read(), 60) in (b"", None) and Path(saves / "two").is_dir()
        lines = [json.loads(line) for line in (saves / "one" / "metrics.jsonl").read_text("utf-8").splitlines()]
        assert all(event_from_json(line) for line in lines)
        return {line["event"]: shape(line) for line in lines if line["event"] not in ("epoch", "sample", "note")}


def shape(value: Any, name: str = "") -> Any:
    """The types of a JSON value, without its values; of a list, those of its items."""
    if isinstance(value, dict):
        if name in TABLES:
            return "table", frozenset(shape(item) for item in value.values())
        return tuple(sorted((key, shape(item, key)) for key, item in value.items()))
    if isinstance(value, list):
        return "list", frozenset(shape(item) for item in value)
    return value if name == "event" else type(value).__name__


async def conversation(socket: Path, saves: Path, data: Path) -> tuple[Conversation, dict[str, Any]]:
    reader, writer = await asyncio.open_unix_connection(str(socket), limit=1 << 23)
    talk = Conversation(reader, writer)
    async with asyncio.timeout(90):
        journal = await talk.run(saves, data)
    writer.close()
    return talk, journal


async def test_the_fake_engine_speaks_as_the_real_one(
    real_engine: Path, fakes: Any, tmp_path: Path, data_dir: Path
) -> None:
    real, real_journal = await conversation(real_engine, tmp_path / "real", data_dir)
    fake_socket = await fakes.start()
    fake, fake_journal = await conversation(fake_socket, tmp_path / "fake", data_dir)
    for (name, expected), (_, found) in zip(real.shapes, fake.shapes, strict=True):
        assert found == expected, name
    assert fake.states == real.states
    assert State.TRAINING in real.states and fake.broadcasts == real.broadcasts
    assert fake_journal == real_journal
