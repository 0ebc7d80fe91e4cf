"""The server of the browser's windows: who gets in, what a window carries, and that no process stays behind."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import web

from tui.serving import window
from tui.serving.access import new_token
from tui.serving.server import PlaygroundServer

TOKEN = new_token()
# A playground that answers each packet with what it was, in brackets, and ends with standard input.
PLAYGROUND = """
import os, sys
def draw(data):
    os.write(1, b"D" + len(data).to_bytes(4, "big") + data)
os.write(1, b"__GANGLION__\\n")
draw(sys.argv[-1].encode() + b" %d" % os.getpid())
while head := sys.stdin.buffer.read(5):
    data = sys.stdin.buffer.read(int.from_bytes(head[1:], "big"))
    if data == b"fail":
        sys.exit("a mistake \\x1b[31mof ours")
    if data == b"flood":
        for _ in range(5000):
            draw(b"x" * 10000)
    if data == b"deaf":
        while True:
            import time
            time.sleep(1)
    draw(b"[" + head[:1] + data + b"]")
"""


class Server:
    """A server that listens: its port, and its end."""

    def __init__(self, *command: str) -> None:
        self._stack = AsyncExitStack()
        self._server = PlaygroundServer(command, TOKEN)

    async def start(self) -> Server:
        self.port = await self._stack.enter_async_context(self._server.listening(0))
        return self

    async def close(self) -> None:
        await self._stack.aclose()


Start = Callable[..., Awaitable[Server]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a server of that playground, or of another command."""
    started: list[Server] = []

    async def made(*command: str) -> Server:
        started.append(await Server(*(command or (sys.executable, "-c", PLAYGROUND))).start())
        return started[-1]

    yield made
    for server in started:
        await server.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


def origin(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


ROUTES = (
    "",
    "/",
    "/page.js",
    "/ws",
    "/static/js/textual.js",
    "/static/",
    "/static/css/xterm.css",
    "/none",
    "/static/no",
)
WRONG = "x" * len(TOKEN)


async def test_without_the_token_there_is_nothing(start: Start, session: aiohttp.ClientSession) -> None:
    server = await start()
    prefixes = ("", "/", f"/{WRONG}", f"/{TOKEN[:-1]}", f"/{TOKEN}x", f"/{TOKEN.swapcase()}", f"//{TOKEN}", "/%00",
                "/é", f"/static/{TOKEN}", f"/?{TOKEN}")  # fmt: skip
    for prefix in prefixes:
        for route in ROUTES:
            for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE"):
                asked = f"{origin(server)}{prefix}{route}"
                async with session.request(method, asked, headers={"Origin": origin(server)}) as response:
                    assert response.status == 403, (method, asked)
                    assert await response.text() in ("403: Forbidden", ""), asked
                    assert TOKEN not in str(response.headers), asked
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{origin(server)}{prefix}/ws", headers={"Origin": origin(server)})
        assert refused.value.status == 403, prefix


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "https://127.0.0.1:PORT"},
        {"Origin": "http://localhost:PORT"}, {"Origin": "http://127.0.0.1:1"}, {"Origin": "http://127.0.0.1"},
        {"Host": "evil.example:PORT"}, {"Host": "evil.example"}, {"Host": ""}, {"Host": "127.0.0.1.evil.example"},
        {"Host": "10.0.0.1:PORT"}, {"Host": "127.0.0.1:PORT@evil.example"}, {"Host": "evil.example#127.0.0.1"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
    ],
    ids=str,
)  # fmt: skip
async def test_no_page_of_another_site_gets_in(
    start: Start, session: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    """Neither with its own origin, nor by a name of its own that leads to loopback; with the right token."""
    server = await start()
    sent = {name: value.replace("PORT", str(server.port)) for name, value in headers.items()}
    for route in ROUTES:
        async with session.get(f"{origin(server)}/{TOKEN}{route}", headers=sent, allow_redirects=False) as response:
            assert response.status in (400, 403), route  # 400: no header of HTTP at all
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await session.ws_connect(f"{origin(server)}/{TOKEN}/ws", headers={"Origin": origin(server)} | sent)
    assert refused.value.status in (400, 403)


async def test_a_web_socket_needs_an_origin(start: Start, session: aiohttp.ClientSession) -> None:
    server = await start()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await session.ws_connect(f"{origin(server)}/{TOKEN}/ws")
    assert refused.value.status == 403


async def raw(server: Server, request: str) -> str:
    """The first line of the answer to a request as it is written."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request.replace("\n", "\r\n").encode())
    line = (await reader.readline()).decode()
    writer.close()
    return line


async def test_requests_that_no_browser_sends(start: Start) -> None:
    server = await start()
    for request in (
        f"GET http://evil.example/{WRONG}/ HTTP/1.1\nHost: 127.0.0.1\n\n",
        f"GET http://evil.example/{TOKEN}/ HTTP/1.1\nHost: evil.example\n\n",
        f"GET /{TOKEN}/ HTTP/1.1\nHost: 127.0.0.1\nHost: evil.example\n\n",
        f"GET /{TOKEN}/ HTTP/1.0\n\n",
        f"GET /{TOKEN}/ HTTP/1.1\nHost: 127.0.0.1\nOrigin: http://127.0.0.1\nOrigin: http://evil.example\n\n",
        f"GET /../{TOKEN}x/ HTTP/1.1\nHost: 127.0.0.1\n\n",
        "GET * HTTP/1.1\nHost: 127.0.0.1\n\n",
        "OPTIONS * HTTP/1.1\nHost: 127.0.0.1\n\n",
        "CONNECT 127.0.0.1:80 HTTP/1.1\nHost: 127.0.0.1\n\n",
    ):
        assert " 403 " in (line := await raw(server, request)) or " 400 " in line, request
    assert " 200 " in await raw(server, f"GET /{TOKEN}/ HTTP/1.1\nHost: 127.0.0.1:{server.port}\n\n")


async def test_with_the_token_the_page_is_whole_and_keeps_its_address(
    start: Start, session: aiohttp.ClientSession
) -> None:
    server = await start()
    for host in (f"127.0.0.1:{server.port}", "localhost:9000"):  # 9000: a port that ssh forwards
        async with session.get(f"{origin(server)}/{TOKEN}/", headers={"Host": host}) as response:
            page = await response.text()
            assert response.status == 200 and f"ws://{host}/{TOKEN}/ws" in page
            policy = response.headers["Content-Security-Policy"]
            assert response.headers["Referrer-Policy"] == "no-referrer" and "default-src 'none'" in policy
            assert f"connect-src ws://{host};" in policy
    assert page.count("http://") == page.count("https://") == 0, "nothing comes from elsewhere"
    for part in ("page.js", "static/css/xterm.css", "static/js/textual.js"):
        assert f'"{part}"' in page
        async with session.get(f"{origin(server)}/{TOKEN}/{part}") as response:
            assert response.status == 200 and len(await response.read()) > 100
    async with session.get(f"{origin(server)}/{TOKEN}") as response:
        assert response.status == 200 and str(response.url).endswith(f"/{TOKEN}/")
    for path in ("static/", "static/../server.py", "static/%2e%2e/server.py", "static/%2e%2e%2fserver.py"):
        async with session.get(f"{origin(server)}/{TOKEN}/{path}") as response:
            assert response.status in (403, 404), path


def connect(session: aiohttp.ClientSession, server: Server, query: str = "?width=100&height=30") -> Any:
    return session.ws_connect(f"{origin(server)}/{TOKEN}/ws{query}", headers={"Origin": origin(server)})


async def begun(socket: aiohttp.ClientWebSocketResponse) -> tuple[str, psutil.Process]:
    """The size that a window's playground was started with, and its process."""
    size, number = (await socket.receive_bytes()).split()
    return size.decode(), psutil.Process(int(number))


async def gone(process: psutil.Process) -> None:
    async with asyncio.timeout(20):
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.02)


async def test_a_window_carries_keys_and_sizes(start: Start, session: aiohttp.ClientSession) -> None:
    server = await start()
    async with connect(session, server) as one, connect(session, server, "?width=undefined&height=NaN") as two:
        size, process = await begun(one)
        other_size, other = await begun(two)
        assert (size, other_size) == ("100x30", "80x24") and process.pid != other.pid, "one playground a window"
        for sent, seen in (
            (["stdin", "é分\ud800"], "[Dé分?]".encode()),
            (["resize", {"width": 90, "height": 20}], b'[M{"type": "resize", "width": 90, "height": 20}]'),
            (["focus"], b'[M{"type": "focus"}]'),
            (["blur"], b'[M{"type": "blur"}]'),
        ):
            await one.send_json(sent)
            assert await one.receive_bytes() == seen
        await one.send_json(["ping", "7"])
        assert await one.receive_json() == ["pong", "7"]


async def test_what_is_no_message_is_passed_over(start: Start, session: aiohttp.ClientSession) -> None:
    server = await start()
    async with connect(session, server) as socket:
        await begun(socket)
        for text in (
            "", "{", "null", "[]", "3", '{"stdin": 1}', '["stdin"]', '["stdin", 3]', '["resize", {"width": "9"}]',
            '["resize", {"width": 0, "height": 5}]', '["resize", {"width": 1e9, "height": 5}]', '["quit"]', "[" * 20000,
            '["resize", null]', '["stdin", {"a": []}]', '["deliver_chunk_request", {"key": 1}]',
        ):  # fmt: skip
            await socket.send_str(text)
        await socket.send_bytes(b'["stdin", "bytes"]')
        await socket.send_json(["stdin", "on"])
        assert await socket.receive_bytes() == b"[Don]"


async def test_the_playground_ends_with_its_window(start: Start, session: aiohttp.ClientSession) -> None:
    server = await start()
    socket = await connect(session, server)
    _, process = await begun(socket)
    other = await connect(session, server)
    _, remaining = await begun(other)
    await socket.close()
    await gone(process)
    dropped = aiohttp.ClientSession()
    third = await connect(dropped, server)
    _, lost = await begun(third)
    assert dropped.connector is not None
    await dropped.connector.close()  # without a word, as a cable that is pulled
    await gone(lost)
    await dropped.close()
    await other.send_json(["stdin", "still here"])
    assert await other.receive_bytes() == b"[Dstill here]" and remaining.is_running()
    await server.close()
    await gone(remaining)


async def test_a_playground_that_does_not_quit_is_ended(
    start: Start, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "PATIENCE", 0.3)
    server = await start()
    for state in ("deaf", "flood"):
        socket = await connect(session, server)
        _, process = await begun(socket)
        await socket.send_json(["stdin", state])
        await asyncio.sleep(0.3)
        await socket.close()
        await gone(process)


async def test_a_cancelled_handler_leaves_no_playground(session: aiohttp.ClientSession) -> None:
    """With ``handler_cancellation``, aiohttp cancels the handler of a connection that is lost."""
    server = PlaygroundServer([sys.executable, "-c", PLAYGROUND], TOKEN)
    runner = web.AppRunner(server.application(), handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with session.ws_connect(f"{address}/{TOKEN}/ws", headers={"Origin": address}) as socket:
        _, process = await begun(socket)
        await socket.send_json(["stdin", "deaf"])
        await asyncio.sleep(0.3)
    await gone(process)
    await runner.cleanup()


async def test_the_window_closes_with_its_playground_and_says_why_it_failed(
    start: Start, session: aiohttp.ClientSession, capfd: pytest.CaptureFixture[str]
) -> None:
    server = await start()
    async with connect(session, server) as socket:
        await begun(socket)
        await socket.send_json(["stdin", "fail"])
        assert await socket.receive_bytes() == b"\r\na mistake \\x1b[31mof ours\r\n"
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    server = await start(sys.executable, "-c", "raise SystemExit('there is no such run')")
    async with connect(session, server) as socket:
        assert b"there is no such run" in await socket.receive_bytes()
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    await server.close()
    assert capfd.readouterr().err.splitlines() == ["a mistake \\x1b[31mof ours", "there is no such run"]


async def test_a_program_that_is_not_there(
    start: Start, session: aiohttp.ClientSession, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server = await start(str(tmp_path / "none"))
    async with connect(session, server) as socket:
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    await server.close()
    assert capfd.readouterr().err == "a playground cannot be started: No such file or directory\n"
