"""Clients that behave badly, and what they cost: the engine lives, training goes on, others get their answers."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.cli.main import main
from core.engine.answers import HelloAnswer
from core.engine.client import EngineClient
from core.engine.jobs import MOST_JOBS
from core.engine.protocol import CANCELLED, encoded
from core.engine.requests import LONGEST_ID
from core.engine.server import MOST_CLIENTS, MOST_WAITING, Server
from core.engine.session import Session
from core.runs.run import Run
from core.settings.run_config import RunConfig
from tests.run_folders import epochs, read_journal
from tests.waiting import wait_for

Tiny = Callable[..., RunConfig]


@pytest.fixture
def engine(tiny: Tiny, saves: Path, forked: Any) -> Any:
    """One that trains without end, in epochs of 3 batches."""
    made = forked(lambda: Session.create(tiny(num_epochs=10**6, num_steps=60), saves, "one"))
    made.talk.ask("train")
    return made


def epochs_of(saves: Path) -> int:
    return len(epochs(read_journal(Run(saves / "one").journal_path)))


# --- every request has a last event --------------------------------------------------------------------------------


def test_what_is_cancelled_is_told(engine: Any) -> None:
    talk = engine.talk
    asked = [
        talk.send("generate", prefix="ab", length=500_000),
        talk.send("generate", prefix="ab", length=20_000, strategy="beam", beam=4),
        talk.send("lab", settings={"num_epochs": 500}),
    ]
    told = {}
    for number in asked:
        assert talk.ask("cancel", target=number)["event"] == "done"
    for message in talk.others:
        told.setdefault(message.get("id"), []).append(message["event"])
    for number in asked:
        assert told[number][-1] == CANCELLED["event"] and told[number].count("cancelled") == 1
    talk.others.clear()
    assert talk.ask("cancel", target=asked[0])["event"] == "done", "that it has gone already is no mistake"
    assert not any(message.get("id") in asked for message in talk.others)


def test_nobody_cancels_anothers_request(engine: Any) -> None:

    other = type(engine.talk)(engine.path)
    number = engine.talk.send("generate", prefix="ab", length=3_000)
    other.ask("cancel", target=number)
    assert engine.talk.last(number)["event"] == "done"
    other.close()


def test_two_requests_of_one_id(engine: Any) -> None:
    request = encoded({"id": 77, "request": "generate", "prefix": "ab", "length": 500_000})
    engine.talk.socket.sendall(request + request)
    assert "the id '77' is in use" in engine.talk.last(77)["message"]
    engine.talk.ask("cancel", target=77)
    engine.talk.ask("hello")
    assert [message["event"] for message in engine.talk.others if message.get("id") == 77][-1] == "cancelled"


def test_too_many_texts_at_once(engine: Any) -> None:
    asked = [engine.talk.send("generate", prefix="ab", length=500_000) for _ in range(MOST_JOBS)]
    refused = engine.talk.ask("generate", prefix="ab", length=5)
    assert refused["message"] == "16 requests are being answered: wait for one of them, or cancel it"
    for number in asked:
        engine.talk.ask("cancel", target=number)
    assert engine.talk.ask("generate", prefix="ab", length=5)["event"] == "done"


def test_an_id_as_long_as_a_book(engine: Any) -> None:
    engine.talk.socket.sendall(encoded({"id": "x" * (LONGEST_ID + 1), "request": "hello"}))
    while True:
        message = engine.talk.receive()
        if message["event"] == "error":
            break
    assert "id" not in message or message["id"] is None
    assert "must be a whole number or a text of up to 100 characters" in message["message"]


async def test_a_client_hears_of_its_cancelled_request(engine: Any) -> None:
    client = await EngineClient.connect(engine.path)
    stream = client.stream("generate", prefix="ab", length=500_000)
    assert (await anext(stream))["event"] == "text"
    await client.request("cancel", target=1)
    *_, last = [event async for event in stream]
    assert last["event"] == "cancelled"
    await client.close()


# --- clients that are none -----------------------------------------------------------------------------------------


def test_one_that_never_reads(engine: Any, saves: Path, trials: int) -> None:
    """It asks for all that it can get, and reads none of it."""
    stalled = socket.socket(socket.AF_UNIX)
    stalled.connect(str(engine.path))
    for number in range(8 * trials):
        stalled.sendall(encoded({"id": number, "request": "generate", "prefix": "ab", "length": 500_000}))
    before = epochs_of(saves)
    wait_for(lambda: epochs_of(saves) > before + 3 * trials)
    assert engine.talk.ask("hello")["state"] == "training"
    stalled.close()


@pytest.mark.parametrize("kind", ["garbage", "a line without end", "half a line", "requests without end", "knocking"])
def test_hostile_clients(engine: Any, saves: Path, trials: int, kind: str) -> None:
    stop = threading.Event()
    attacker = threading.Thread(target=ATTACKS[kind], args=(engine.path, stop), daemon=True)
    attacker.start()
    try:
        for _ in range(2 * trials):
            before = epochs_of(saves)
            wait_for(lambda before=before: epochs_of(saves) > before + 3)  # type: ignore[misc]
            assert engine.talk.ask("generate", prefix="ab", length=10)["event"] == "done"
    finally:
        stop.set()
        attacker.join(30)
    assert not attacker.is_alive()
    assert engine.talk.ask("quit")["event"] == "done" and engine.wait() == 0


def _sent(path: Path, stop: threading.Event, data: bytes) -> None:
    """Send the same again and again over one connection, over a new one where that is taken away; read nothing."""
    while not stop.is_set():
        with socket.socket(socket.AF_UNIX) as attacker:
            attacker.settimeout(0.2)
            try:
                attacker.connect(str(path))
                while not stop.is_set():
                    attacker.sendall(data)
            except OSError:
                continue


def garbage(path: Path, stop: threading.Event) -> None:
    _sent(path, stop, bytes(range(256)) * 100)


def endless_line(path: Path, stop: threading.Event) -> None:
    """A hundred megabytes and more without a line end."""
    _sent(path, stop, b"x" * (1 << 20))


def half_a_line(path: Path, stop: threading.Event) -> None:
    halves = []
    for _ in range(20):
        half = socket.socket(socket.AF_UNIX)
        half.connect(str(path))
        half.sendall(b'{"id": 1, "request": "sto')
        halves.append(half)
    stop.wait()
    for half in halves:
        half.close()


def flood(path: Path, stop: threading.Event) -> None:
    _sent(path, stop, b"".join(encoded({"id": number, "request": "hello"}) for number in range(500)))


def knocking(path: Path, stop: threading.Event) -> None:
    """More connections than there may be, held and dropped."""
    held: list[socket.socket] = []
    while not stop.is_set():
        held.append(socket.socket(socket.AF_UNIX))
        try:
            held[-1].settimeout(0.2)
            held[-1].connect(str(path))
        except OSError:
            pass
        if len(held) > MOST_CLIENTS + 50:
            for one in held[::2]:
                one.close()
            held = held[1::2]
        time.sleep(0.001)
    for one in held:
        one.close()


ATTACKS = {
    "garbage": garbage, "a line without end": endless_line, "half a line": half_a_line,
    "requests without end": flood, "knocking": knocking,
}  # fmt: skip


def test_no_more_requests_are_read_than_are_answered(runtime: Path) -> None:
    """A flood waits with its sender, not in the memory of the engine; it is heard when there is room again."""
    server = Server()
    server.start()
    assert server.path is not None
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(0.3)
    client.connect(str(server.path))
    line, sent = encoded({"id": 1, "request": "hello", "padding": "x" * 1000}), 0
    with pytest.raises(TimeoutError):
        while sent < 100_000:
            client.sendall(line)
            sent += 1
    assert server.inbox.qsize() == MOST_WAITING < sent
    other = socket.socket(socket.AF_UNIX)
    other.connect(str(server.path))
    other.sendall(encoded({"id": 2, "request": "stop"}))
    wait_for(lambda: server.inbox.qsize() == MOST_WAITING + 1)
    heard = 0
    while heard < sent:  # the last one was sent in part, and is no line
        request = server.inbox.get(timeout=10)
        if request is not None:
            server.taken(request)
            heard += request.message["id"] == 1
    client.close()
    other.close()
    server.close()


def test_more_clients_than_there_may_be(runtime: Path) -> None:
    server = Server()
    server.start()
    clients = []
    for _ in range(MOST_CLIENTS + 20):
        clients.append(socket.socket(socket.AF_UNIX))
        clients[-1].connect(str(server.path))
    wait_for(lambda: server.num_clients == MOST_CLIENTS)
    clients[-1].settimeout(10)
    assert clients[-1].recv(1) == b"", "the last ones are shown the door"
    for client in clients:
        client.close()
    wait_for(lambda: server.num_clients == 0)
    last = socket.socket(socket.AF_UNIX)
    last.connect(str(server.path))
    wait_for(lambda: server.num_clients == 1)
    last.close()
    server.close()


def test_a_training_run_is_annotated_by_its_engine(engine: Any, saves: Path) -> None:
    run = Run(saves / "one")
    assert main(["runs", "--saves", str(saves), "tag", "one", "--add", "best"]) == 0
    assert engine.talk.ask("annotate", note="it rhymes")["event"] == "done"
    wanted = (("best",), "it rhymes")
    assert (run.metadata().tags, run.metadata().note) == wanted
    engine.talk.ask("set", name="learning_rate", value=0.5)
    assert engine.talk.ask("save")["event"] == "done" and engine.talk.ask("save", name="copy")["event"] == "done"
    for name in ("one", "copy"):  # a checkpoint, which writes run.json again, keeps them
        metadata = Run(saves / name).metadata()
        assert (metadata.config.learning_rate, metadata.tags, metadata.note) == (0.5, *wanted)
    for fields, sentence in (
        ({"tags": ["a b"]}, "cannot be a tag"), ({"tags": "best"}, "annotate needs tags, a list of texts"),
        ({"tags": [5]}, "annotate needs tags"), ({"note": "a\nb"}, "must be one line"),
    ):  # fmt: skip
        answer = engine.talk.ask("annotate", **fields)
        assert answer["event"] == "error" and sentence in answer["message"], fields
    assert (run.metadata().tags, run.metadata().note) == wanted


def test_an_answer_that_is_no_json_is_an_error(engine: Any, tiny: Tiny, saves: Path, forked: Any) -> None:
    def baselines_that_are_none() -> None:
        Session.baselines = lambda self: HelloAnswer(1, versions={"torch": object()})  # type: ignore

    other = forked(lambda: Session.create(tiny(), saves, "two"), baselines_that_are_none)
    answer = other.talk.ask("baselines")
    assert answer["event"] == "error" and answer["message"].startswith("the engine failed (TypeError: Object of type")
    assert other.talk.ask("hello")["event"] == "done"
    assert json.dumps(answer)
