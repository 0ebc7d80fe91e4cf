"""The playground in a browser's window: painted and played in a real headless Chromium, and what the server tells."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from core.runs.run import Run
from core.runs.store import list_runs
from core.runs.summary import run_summary
from tests.e2e.browser import CHROMIUM, browser
from tests.e2e.conftest import PROJECT
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/([\w-]{43})/")


class Server:
    """``python -m tui --serve``, with its output in a file."""

    def __init__(self, folder: Path, environment: dict[str, str], *arguments: str) -> None:
        self.saves = folder / "saves"
        self._log = folder / "server.log"
        with self._log.open("wb") as log:
            self.process = psutil.Popen(
                [sys.executable, "-m", "tui", "--serve", "--saves", str(self.saves), *arguments],
                cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        wait_for(lambda: "\n" in self.output, "its address")
        self.address = self.output.split()[4]

    @property
    def output(self) -> str:
        return self._log.read_text()

    def windows(self) -> list[psutil.Process]:
        """The playgrounds of its windows."""
        found = []
        for child in self.process.children():
            with contextlib.suppress(psutil.Error):  # it has just ended
                found += [child] if "--window" in child.cmdline() else []
        return found


@pytest.fixture
def serve(tmp_path: Path, environment: dict[str, str]) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(*arguments: str) -> Server:
        started.append(Server(tmp_path, environment, *arguments))
        return started[-1]

    yield start
    for server in started:
        if server.process.is_running():
            server.process.kill()
        server.process.wait()


def training(saves: Path) -> bool:
    return any(run.state == "training" and run.epoch > 1 for run in list_runs(saves))


@needs_chromium
async def test_a_window_paints_and_trains(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve()
    async with browser(tmp_path / "profile") as chromium:
        async with chromium.page(server.address) as page:
            await page.wait("No run is open")
            async with asyncio.timeout(30):
                while sum(share > 0.0005 for share in await page.colours()) < 5:  # a blank page has one
                    await asyncio.sleep(0.2)
            await page.press("f8")
            await page.wait(lambda text: re.search(r"training · epoch +[1-9]", text) is not None)
            assert page.refused == [], "the page may load all that it needs"
            assert set(page.statuses.values()) == {200}
            assert all(address.startswith(server.address) for address in page.statuses)
            columns = page.screen.columns
            await page.call(
                "Emulation.setDeviceMetricsOverride", width=800, height=500, deviceScaleFactor=1, mobile=False
            )
            await page.wait(lambda text: page.screen.columns < columns and "training · epoch" in text and "│" in text)
            (window,) = server.windows()
            async with chromium.page(
                server.address
            ) as other:  # a second window is a second playground, on the same run
                await other.wait("training · epoch")
                assert len(server.windows()) == 2
        await asyncio.to_thread(wait_for, lambda: not server.windows(), "the end of the playgrounds")
    assert not window.is_running()
    (run,) = list_runs(server.saves)
    wait_for(lambda: run_summary(Run(run.path)).epoch > run.epoch + 2, "epochs without a window")


@needs_chromium
async def test_quitting_in_a_window(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve()
    async with browser(tmp_path / "profile") as chromium, chromium.page(server.address) as page:
        await page.wait("No run is open")
        await page.press("q")
        async with asyncio.timeout(30):
            while not page.sockets_closed:
                await asyncio.sleep(0.05)
        assert not server.windows()
        link = "document.querySelector('#ended a')"
        assert await page.evaluate(f"getComputedStyle({link}.parentElement).display") == "block"
        page.screen.reset()
        await page.evaluate(f"{link}.click()")
        await page.wait("No run is open")
        assert server.process.is_running() and "Traceback" not in server.output


@needs_chromium
async def test_no_other_site_learns_the_address(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve()
    heard: list[str] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.close()

    elsewhere = await asyncio.start_server(hear, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{elsewhere.sockets[0].getsockname()[1]}/"
    async with elsewhere, browser(tmp_path / "profile") as chromium, chromium.page(server.address) as page:
        await page.wait("No run is open")
        loaded = f"new Promise((done) => {{ const i = new Image(); i.onload = i.onerror = done; i.src = '{address}' }})"
        await page.evaluate(f"{loaded}.then(() => fetch('{address}')).catch(() => 0).then(() => 0)")
        assert heard == [], "the page's policy lets nothing through"
        await page.call("Page.navigate", url=server.address)
        await page.evaluate(f"location = '{address}'; 1")
        async with asyncio.timeout(30):
            while not heard:
                await asyncio.sleep(0.05)
    assert server.address not in heard[0] and "referer" not in heard[0].lower()


@needs_chromium
async def test_a_wrong_token_gets_nothing(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve()
    port, token = ADDRESS.fullmatch(server.address).groups()  # type: ignore[union-attr]
    async with browser(tmp_path / "profile") as chromium:
        for address in (f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{port}/{token[::-1]}/"):
            async with chromium.page(address) as page:
                async with asyncio.timeout(30):
                    while (
                        await page.evaluate("document.readyState + document.body.innerText") != "complete403: Forbidden"
                    ):
                        await asyncio.sleep(0.05)
                socket_of = address.replace("http", "ws") + "ws"
                opened = f"new Promise((done) => {{ const s = new WebSocket('{socket_of}'); s.onopen = () => done(1); "
                assert await page.evaluate(opened + "s.onclose = () => done(0) })") == 0
        # A page of another site, or of another user's server on this machine, that has learnt the address.
        async with chromium.page("data:text/html,<p>elsewhere") as page:
            opened = f"new Promise((done) => {{ const s = new WebSocket('ws://127.0.0.1:{port}/{token}/ws'); "
            opened += "s.onopen = () => done(1); s.onclose = () => done(0) })"
            assert await page.evaluate(opened) == 0
            assert await page.evaluate(f"fetch('{server.address}').then(() => 1, () => 0)") == 0
    assert not server.windows()


def test_it_listens_on_loopback_and_keeps_the_token_to_itself(serve: Callable[..., Server]) -> None:
    server = serve()
    port = int(ADDRESS.fullmatch(server.address).group(1))  # type: ignore[union-attr]
    addresses = {(at.laddr.ip, at.laddr.port) for at in server.process.net_connections() if at.status == "LISTEN"}
    assert addresses == {("127.0.0.1", port)}
    assert server.output == f"The playground is at {server.address} until ctrl+c; trainings continue after it\n"
    token = server.address.split("/")[3]
    assert token not in " ".join(server.process.cmdline()) + str(server.process.environ())
    assert serve().address.split("/")[3] != token


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_server(serve: Callable[..., Server], number: int) -> None:
    server = serve()
    server.process.send_signal(number)
    assert server.process.wait(10) == 0
    assert server.output.count("\n") == 1


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_a_server_that_is_killed_leaves_no_playground(serve: Callable[..., Server], is_stopped: bool) -> None:
    """Also where the playground was stopped meanwhile, and goes on later."""
    server = serve()
    origin = server.address[: server.address.index("/", 7)]
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server.address}ws", headers={"Origin": origin}) as socket,
    ):
        while (await socket.receive()).type is not aiohttp.WSMsgType.BINARY:
            pass
        (window,) = server.windows()
        if is_stopped:
            window.suspend()
        server.process.kill()
        if is_stopped:
            await asyncio.sleep(0.5)
            window.resume()
        await asyncio.to_thread(wait_for, lambda: not window.is_running(), "the end of the playground", 20)


def tui(*arguments: str, **options: Any) -> tuple[int, str, str]:
    told = subprocess.run(
        [sys.executable, "-m", "tui", *arguments], cwd=PROJECT, capture_output=True, text=True, timeout=60, **options
    )
    return told.returncode, told.stdout, told.stderr


def test_what_cannot_be_served(tmp_path: Path, environment: dict[str, str]) -> None:
    saves = f"--saves={tmp_path}"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out, words = tui("--serve", f"--port={port}", saves)
        sentence = f"port {port} cannot be used (Address already in use): name another, or leave --port out"
        assert (code, out, words) == (2, "", f"python -m tui: {sentence}\n")
    for arguments, sentence in (
        (["--port=8000"], "--port is the port of --serve: give both"),
        (["--serve", "--run=none"], f"there is no run 'none' in {tmp_path}; there are no runs yet"),
        (["--run=none"], f"there is no run 'none' in {tmp_path}; there are no runs yet"),
    ):
        assert tui(*arguments, saves) == (2, "", f"python -m tui: {sentence}\n")
    for port in ("70000", "-1", "x"):
        code, _, words = tui("--serve", f"--port={port}", saves)
        assert code == 2 and "--port" in words and "Traceback" not in words
    without = "import sys, importlib.util as util; found = util.find_spec; "
    without += "util.find_spec = lambda name, *rest: None if name == 'aiohttp' else found(name, *rest); "
    without += "from tui.__main__ import main; sys.exit(main(sys.argv[1:]))"
    told = subprocess.run(
        [sys.executable, "-c", without, "--serve", saves], cwd=PROJECT, capture_output=True, text=True
    )
    assert told.returncode == 2 and told.stderr == (
        "python -m tui: --serve needs packages that are not installed: run pip install -e '.[serve]' in the project\n"
    )


def test_a_closed_standard_output(tmp_path: Path) -> None:
    for redirection in (">&-", "> /dev/full"):
        line = f"exec {sys.executable} -m tui --serve --saves {tmp_path} {redirection}"
        told = subprocess.run(
            ["bash", "-c", line], cwd=PROJECT, capture_output=True, text=True, timeout=60, env=os.environ
        )
        assert told.returncode == 2 and "standard output cannot be written" in told.stderr, redirection
        assert told.stderr.count("\n") == 1
