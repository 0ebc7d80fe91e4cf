"""The socket side of an engine: who may come in, what is no message, who does not read, what is left over."""

from __future__ import annotations

import json
import os
import queue
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.engine import server as module
from core.engine.protocol import decoded, encoded, run_socket, runtime_folder, standby_socket
from core.engine.server import Server
from core.errors import RunError
from tests.waiting import wait_for


@pytest.fixture
def server(runtime: Path) -> Iterator[Server]:
    made = Server()
    made.start()
    yield made
    made.close()


def connected(server: Server) -> socket.socket:
    assert server.path is not None
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(10)
    client.connect(str(server.path))
    return client


def lines(client: socket.socket, count: int) -> list[dict[str, Any]]:
    data = b""
    while data.count(b"\n") < count:
        received = client.recv(1 << 16)
        assert received, "the server has gone"
        data += received
    return [json.loads(line) for line in data.splitlines()]


def is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1 << 16) == b""
    except ConnectionError:
        return True


# --- places --------------------------------------------------------------------------------------------------------


def test_only_the_user_can_come_in(server: Server, runtime: Path) -> None:
    assert server.path == standby_socket(os.getpid())
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(runtime.stat().st_mode) == 0o700


def test_the_folder_of_sockets_is_made_private(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNN_PLAYGROUND_RUNTIME", str(runtime / "a/b"))
    assert runtime_folder() == runtime / "a/b"
    assert stat.S_IMODE((runtime / "a/b").stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_that_others_can_enter_is_refused(runtime: Path, mode: int) -> None:
    runtime.chmod(mode)
    with pytest.raises(
        RunError, match=r"must be a folder of yours that only you can enter \(mode 0700\): remove it, or"
    ):
        runtime_folder()
    with pytest.raises(RunError):
        Server().start()
    assert list(runtime.iterdir()) == []
    runtime.chmod(0o700)


def test_what_is_no_folder_is_refused(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (runtime / "file").write_text("x")
    (runtime / "real").mkdir(mode=0o700)
    (runtime / "link").symlink_to(runtime / "real")
    for name in ("file", "link"):
        monkeypatch.setenv("RNN_PLAYGROUND_RUNTIME", str(runtime / name))
        with pytest.raises(RunError, match="must be a folder of yours"):
            runtime_folder()
    monkeypatch.setenv("RNN_PLAYGROUND_RUNTIME", str(runtime / "file/below"))
    with pytest.raises(RunError, match="cannot be made"):
        runtime_folder()
    monkeypatch.setenv("RNN_PLAYGROUND_RUNTIME", str(runtime / ("x" * 90)))
    with pytest.raises(RunError, match="is too long for sockets: set RNN_PLAYGROUND_RUNTIME to a shorter path"):
        runtime_folder()


def test_somebody_elses_folder_is_refused(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: runtime.stat().st_uid + 1)
    with pytest.raises(RunError, match="must be a folder of yours"):
        runtime_folder()


def test_a_run_is_found_under_any_of_its_names(runtime: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    place = run_socket(run)
    (tmp_path / "link").symlink_to(run)
    assert run_socket(tmp_path / "link") == place
    run.rename(tmp_path / "renamed")
    assert run_socket(tmp_path / "renamed") == place and len(str(place)) < 100
    with pytest.raises(RunError, match="there is no run at"):
        run_socket(run)


def test_moving_and_hiding(server: Server, runtime: Path, tmp_path: Path) -> None:
    client = connected(server)
    server.move(tmp_path)
    assert list(runtime.iterdir()) == [run_socket(tmp_path)] == [server.path]
    connected(server).close()
    server.hide()
    assert list(runtime.iterdir()) == []
    client.sendall(encoded({"id": 1}))
    request = server.inbox.get(timeout=10)
    while request is None:  # somebody left
        request = server.inbox.get(timeout=10)
    server.send(request.client, {"id": 1, "event": "done"})
    assert lines(client, 1) == [{"id": 1, "event": "done"}], "who is connected stays so"
    client.close()


def test_closing_leaves_the_next_ones_socket_alone(runtime: Path, tmp_path: Path) -> None:
    first, second = Server(), Server()
    first.start(tmp_path)
    first.hide()
    second.start(tmp_path)
    first.close()
    connected(second).close()
    second.close()
    assert list(runtime.iterdir()) == []


def test_leftover_sockets_are_swept_and_living_ones_are_not(server: Server, runtime: Path) -> None:
    for name in ("dead.sock", "standby-1.sock", "new-2.sock"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
            dead.bind(str(runtime / name))
    (runtime / "file.sock").write_text("no socket at all")
    (runtime / "notes.txt").write_text("mine")
    other = Server()
    other.path = None
    assert other.start(runtime)
    assert {path.name for path in runtime.iterdir()} == {
        server.path.name, run_socket(runtime).name, "notes.txt",  # type: ignore[union-attr]
    }  # fmt: skip
    other.close()
    connected(server).close()


def test_many_start_at_once(runtime: Path, tmp_path: Path) -> None:
    servers = [Server() for _ in range(8)]
    failures: list[BaseException] = []

    def start(number: int) -> None:
        run = tmp_path / str(number)
        run.mkdir()
        try:
            servers[number].start(run)
        except BaseException as error:
            failures.append(error)

    # One process, one pid: what their sockets are called in the making is the same, as for no two engines.
    for number in range(8):
        start(number)
    threads = [threading.Thread(target=module.clear_leftovers, args=(runtime,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for server in servers:
        connected(server).close()
        server.close()
    assert list(runtime.iterdir()) == []


def test_a_stopped_engine_holds_up_no_other(runtime: Path) -> None:
    with module.exclusive_folder(runtime):
        began = time.monotonic()
        with module.exclusive_folder(runtime, patience=0.1):
            assert 0.1 <= time.monotonic() - began < 5


# --- messages ------------------------------------------------------------------------------------------------------


def test_requests_arrive_and_answers_go_back(server: Server) -> None:
    first, second = connected(server), connected(server)
    first.sendall(encoded({"id": 1, "request": "a"}) + encoded({"id": 2, "request": "b"})[:7])
    one = server.inbox.get(timeout=10)
    assert one is not None and one.message == {"id": 1, "request": "a"}
    first.sendall(encoded({"id": 2, "request": "b"})[7:])
    two = server.inbox.get(timeout=10)
    assert two is not None and two.message == {"id": 2, "request": "b"} and two.client == one.client
    server.send(one.client, {"id": 1, "event": "done", "text": "分开\n"})
    assert lines(first, 1) == [{"id": 1, "event": "done", "text": "分开\n"}]
    wait_for(lambda: server.num_clients == 2)
    server.broadcast({"event": "state"})
    assert lines(first, 1) == lines(second, 1) == [{"event": "state"}]
    first.close()
    assert server.inbox.get(timeout=10) is None, "the owner of torch hears that somebody left"
    assert not server.is_connected(one.client) and server.num_clients == 1
    server.send(one.client, {"id": 1})
    second.close()


@pytest.mark.parametrize(
    "line", [b"", b"hello", b"[1]", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000, b'{"id":NaN}', b"1" * 10_000]
)
def test_what_is_no_message_gets_a_sentence(server: Server, line: bytes) -> None:
    client = connected(server)
    client.sendall(line + b"\n" + encoded({"id": 1, "request": "hello"}))
    (answer,) = lines(client, 1)
    assert answer == {
        "event": "error", "message": "a message must be one JSON object on one line", "mendable": True,
    }  # fmt: skip
    request = server.inbox.get(timeout=10)
    assert request is not None and request.message["id"] == 1, "and the next message is heard"
    client.close()


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
def test_numbers_that_json_has_not_stay_outside(number: str) -> None:
    if number.startswith(("1", "-")):
        assert decoded(f'{{"id": {number}}}'.encode())
    else:
        with pytest.raises(ValueError, match="a message must be one JSON object"):
            decoded(f'{{"id": {number}}}'.encode())


def test_a_line_without_end_is_refused(server: Server) -> None:
    good, bad = connected(server), connected(server)
    try:
        for _ in range(20):
            bad.sendall(b"x" * (1 << 20))
        bad.sendall(b"\n" + encoded({"id": 1}))
    except OSError:
        pass
    assert is_closed(bad)
    good.sendall(encoded({"id": 2}))
    requests = [server.inbox.get(timeout=10), server.inbox.get(timeout=10)]
    assert [request.message for request in requests if request is not None] == [{"id": 2}]
    good.close()


def test_a_client_that_reads_nothing_is_dropped_and_delays_nobody(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_UNREAD", 1 << 20)
    stalled, reader = connected(server), connected(server)
    wait_for(lambda: server.num_clients == 2)
    began = time.process_time()
    for number in range(300):
        server.broadcast({"event": "text", "text": "x" * 10_000, "number": number})
        assert lines(reader, 1)[0]["number"] == number
    assert time.process_time() - began < 5
    wait_for(lambda: server.num_clients == 1)
    stalled.close()
    reader.close()


def test_what_is_said_last_still_arrives(server: Server) -> None:
    client = connected(server)
    wait_for(lambda: server.num_clients == 1)
    server.broadcast({"event": "state", "text": "x" * 3_000_000})
    closing = threading.Thread(target=server.close, args=(10.0,))
    closing.start()
    assert len(lines(client, 1)[0]["text"]) == 3_000_000
    closing.join()
    assert is_closed(client)
    client.close()


def test_closing_does_not_wait_for_one_who_does_not_read(server: Server) -> None:
    client = connected(server)
    wait_for(lambda: server.num_clients == 1)
    server.broadcast({"event": "state", "text": "x" * 3_000_000})
    began = time.monotonic()
    server.close(timeout=0.2)
    assert time.monotonic() - began < 5
    client.close()


def test_coming_and_going(server: Server) -> None:
    def visit() -> None:
        for number in range(50):  # the backlog holds them all
            client = connected(server)
            client.sendall(encoded({"id": number, "request": "hello"}))
            client.close()

    threads = [threading.Thread(target=visit) for _ in range(2)]
    for thread in threads:
        thread.start()
    stop = time.monotonic() + 20
    while any(thread.is_alive() for thread in threads) and time.monotonic() < stop:
        server.broadcast({"event": "state"})
    for thread in threads:
        thread.join()
    wait_for(lambda: server.num_clients == 0)
    with pytest.raises(queue.Empty):
        while True:
            request = server.inbox.get_nowait()
            assert request is None or request.message["request"] == "hello"
    connected(server).close()
