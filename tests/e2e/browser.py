"""A real browser for tests: headless Chromium, driven through its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pyte

from tests.e2e.terminal import AlternateScreen, screen_lines

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0",
    "--enable-unsafe-swiftshader", "--window-size=1200,800",
)  # fmt: skip
KEYS = {"f5": ("F5", "F5", 116), "f8": ("F8", "F8", 119), "enter": ("Enter", "Enter", 13), "ctrl+t": ("t", "KeyT", 84)}
COLOURS = """
new Promise((done) => {
  const image = new Image();
  image.onload = () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.width, image.height];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
    const counts = new Map();
    for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) || 0) + 1);
    done([...counts.values()].sort((a, b) => b - a).map((count) => count / pixels.length));
  };
  image.src = "data:image/png;base64,PICTURE";
})
"""


class Page:
    """One tab. What its web socket receives is fed to an emulator: the page itself draws on a canvas."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.screen = AlternateScreen(80, 24)
        self._stream = pyte.ByteStream(self.screen)
        self.statuses: dict[str, int] = {}
        self.refused: list[str] = []  # what the page's policy, or the network, did not let through
        self.sockets_closed = 0

    async def listen(self) -> None:
        """Take the browser's messages, until it ends."""
        async for message in self._connection:
            told = json.loads(message.data)
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told.get("result", told))
                continue
            facts = told["params"]
            match told["method"]:
                case "Network.responseReceived" if facts["response"]["url"].startswith("http"):
                    self.statuses[facts["response"]["url"]] = facts["response"]["status"]
                case "Network.webSocketFrameSent":
                    self._resize(facts["response"]["payloadData"])
                case "Network.webSocketFrameReceived" if facts["response"]["opcode"] == 2:
                    with contextlib.suppress(TypeError):  # private modes that pyte does not know; they draw nothing
                        self._stream.feed(base64.b64decode(facts["response"]["payloadData"]))
                case "Network.webSocketClosed":
                    self.sockets_closed += 1
                case "Network.loadingFailed":
                    self.refused.append(facts["errorText"])
                case "Log.entryAdded" if facts["entry"]["level"] == "error":
                    self.refused.append(facts["entry"]["text"])

    def _resize(self, payload: str) -> None:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            kind, size = json.loads(payload)
            if kind == "resize":
                self.screen.resize(size["height"], size["width"])

    async def call(self, method: str, **parameters: Any) -> Any:
        """A command of the protocol, and its result."""
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._connection.send_json({"id": number, "method": method, "params": parameters})
        return await asyncio.wait_for(self._answers[number], 30)

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        told = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def press(self, key: str) -> None:
        """Press a key: one of ``KEYS``, or a character."""
        name, code, number = KEYS.get(key, (key, "", ord(key.upper()[0])))
        same = {"key": name, "code": code, "windowsVirtualKeyCode": number, "modifiers": 2 * key.startswith("ctrl+")}
        text = {"text": name} if len(key) == 1 else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **same, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **same)

    async def colours(self) -> list[float]:
        """The share of each colour in a picture of the page, largest first."""
        picture = (await self.call("Page.captureScreenshot"))["data"]
        shares: list[float] = await self.evaluate(COLOURS.replace("PICTURE", picture))
        return shares

    @property
    def text(self) -> str:
        """What the terminal in the page shows."""
        return "\n".join(screen_lines(self.screen))

    async def wait(self, condition: str | Callable[[str], bool], seconds: float = 60.0) -> str:
        """Wait until the terminal has the text, or fulfils the condition; return its text. Fails with it."""
        try:
            async with asyncio.timeout(seconds):
                while not (condition in self.text if isinstance(condition, str) else condition(self.text)):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"waited {seconds} s for {condition!r} on\n{self.text}\n{self.refused}") from None
        return self.text


class Browser:
    """Chromium, with a profile of its own."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._port = port

    @asynccontextmanager
    async def page(self, address: str) -> AsyncIterator[Page]:
        """A new tab at an address; it is closed at the end."""
        at = f"http://127.0.0.1:{self._port}/json"
        async with self._session.put(f"{at}/new?about:blank") as response:
            tab = await response.json(content_type=None)
        async with self._session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=1 << 28) as connection:
            page = Page(connection)
            listening = asyncio.create_task(page.listen())
            for domain in ("Page", "Network", "Runtime", "Log"):
                await page.call(f"{domain}.enable")
            await page.call("Page.navigate", url=address)
            try:
                yield page
            finally:
                async with self._session.get(f"{at}/close/{tab['id']}"):
                    listening.cancel()


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Browser]:
    """Start Chromium; its profile is in ``folder``."""
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, *FLAGS, f"--user-data-dir={folder}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        told = folder / "DevToolsActivePort"
        async with asyncio.timeout(60):
            while not told.exists() or not told.read_text().strip():
                assert process.returncode is None, f"{CHROMIUM} ended with {process.returncode}"
                await asyncio.sleep(0.05)
        async with aiohttp.ClientSession() as session:
            yield Browser(session, int(told.read_text().split()[0]))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 10)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
