"""One window of the browser: a playground in a process of its own, and the web socket that carries its screen.

textual-serve has classes for this, of which we use only the terminal for the page. Its server offers no way to check
each request before it is handled; its page loads a font from the internet; its processes are started through a shell,
and one that hangs, or that writes while the browser does not read, is waited for without end. What remains is the
protocol of ``textual.drivers.web_driver``: packets of a type (1 byte), a length (4 bytes, big endian), a payload.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import WSMsgType, web

from tui.text.safe import shown_text

PATIENCE = 6.0  # seconds that a playground may take to quit
BEGINNING = b"__GANGLION__\n"  # after it the packets begin
LAST_BYTES = 4096  # of what a playground says on standard error
MOST_CELLS = 1000  # in one direction


async def show_playground(socket: web.WebSocketResponse, command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run ``command``, a playground, until it ends or its window closes; return its last words if it failed, else ''.

    Raises OSError if it cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment,
        start_new_session=True,  # ctrl+c in the server's terminal is for the server
    )  # fmt: skip
    screen = asyncio.create_task(_follow(process, socket))
    try:
        await _copy_input(socket, process)
    finally:
        await _end(process)
        await asyncio.wait((screen,), timeout=1.0)
        screen.cancel()
    return screen.result() if screen.done() else ""


async def _follow(process: Process, socket: web.WebSocketResponse) -> str:
    """Send the screen until the playground ends, and its last words if it failed; then close the web socket."""
    _, words = await asyncio.gather(_copy_screen(process, socket), _last_words(process))
    failed = await process.wait() != 0 and not socket.closed
    if failed:
        await _show(socket, f"\r\n{words}\r\n".encode())
    await socket.close()
    return words if failed else ""


async def _copy_screen(process: Process, socket: web.WebSocketResponse) -> None:
    """Send what the playground draws to the browser.

    It is read to the end even if the browser has gone: a playground that cannot write cannot quit.
    """
    assert process.stdout is not None
    with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        await process.stdout.readuntil(BEGINNING)
        while True:
            kind = await process.stdout.readexactly(1)
            length = int.from_bytes(await process.stdout.readexactly(4), "big")
            payload = await process.stdout.readexactly(length)
            if kind == b"D":
                await _show(socket, payload)


async def _show(socket: web.WebSocketResponse, data: bytes) -> None:
    with contextlib.suppress(ConnectionError, RuntimeError):  # the window has been closed
        await socket.send_bytes(data)


async def _copy_input(socket: web.WebSocketResponse, process: Process) -> None:
    """Send what the person types to the playground, until the web socket is closed."""
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            continue
        match _decoded(message.data):
            case ["stdin", str(text)]:
                await _send(process, b"D", text.encode("utf-8", "replace"))
            case ["resize", {"width": int(width), "height": int(height)}] if is_size(width, height):
                await _send_meta(process, type="resize", width=width, height=height)
            case ["focus" | "blur" as kind, *_]:
                await _send_meta(process, type=kind)
            case ["ping", value]:
                await socket.send_json(["pong", value])


def is_size(width: int, height: int) -> bool:
    """Whether a window can have that many cells."""
    return 1 <= width <= MOST_CELLS and 1 <= height <= MOST_CELLS


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


async def _send_meta(process: Process, **facts: object) -> None:
    await _send(process, b"M", json.dumps(facts).encode())


async def _send(process: Process, kind: bytes, payload: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError, RuntimeError):  # it has ended
        process.stdin.write(kind + len(payload).to_bytes(4, "big") + payload)
        await process.stdin.drain()


async def _last_words(process: Process) -> str:
    """The last line on standard error, once it has ended."""
    assert process.stderr is not None
    last = b""
    while data := await process.stderr.read(LAST_BYTES):
        last = (last + data)[-LAST_BYTES:]
    lines = last.decode("utf-8", "replace").strip().splitlines()
    return shown_text(lines[-1]) if lines else ""


async def _end(process: Process) -> None:
    """Have the playground quit, by force if it does not, or if this is cancelled."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), PATIENCE)
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    await process.wait()
