"""The server of ``python -m tui --serve``: on loopback only, behind a token in its address."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from aiohttp import web

from core.errors import UserError
from core.files import open_to_read
from tui.serving.access import add_headers, guard, new_token, socket_address
from tui.serving.window import is_size, show_playground

HOST = "127.0.0.1"
HEARTBEAT = 15.0  # seconds between two questions whether the browser is still there
CLOSE_PATIENCE = 2.0  # seconds for the browser to agree that a window is closed
SHUTDOWN_PATIENCE = 10.0  # seconds; a window's playground is ended by force before
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIZE = (80, 24)  # where a browser does not say


class PlaygroundServer:
    """Serves the playgrounds that ``command`` starts; each window has its own. ``token`` begins every path."""

    def __init__(self, command: Sequence[str], token: str) -> None:
        self.token = token
        self._command = list(command)
        self._html, self._javascript = _own_file("page.html"), _own_file("page.js")
        self._sockets: set[web.WebSocketResponse] = set()

    def application(self) -> web.Application:
        """The routes, behind the guard."""
        application = web.Application(middlewares=[guard(self.token)])
        application.add_routes([
            web.get(f"/{self.token}", self._redirect),
            web.get(f"/{self.token}/", self._page),
            web.get(f"/{self.token}/page.js", self._script),
            web.get(f"/{self.token}/ws", self._window),
            web.static(f"/{self.token}/static", str(files("textual_serve") / "static")),  # the terminal in the page
        ])  # fmt: skip
        application.on_response_prepare.append(add_headers)
        application.on_shutdown.append(self._close_windows)
        return application

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator[int]:
        """Listen on that port of loopback, or on a free one for 0; gives the port. Raises UserError if it is taken."""
        # No access log: it would have the token in it.
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=SHUTDOWN_PATIENCE)
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, HOST, port).start()
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else str(error)
                raise UserError(f"port {port} cannot be used ({reason}): name another, or leave --port out") from None
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()

    async def _redirect(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPPermanentRedirect(f"/{self.token}/")

    async def _page(self, request: web.Request) -> web.StreamResponse:
        page = self._html.replace("SOCKET", socket_address(request, self.token))
        return web.Response(text=page, content_type="text/html")

    async def _script(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=self._javascript, content_type="text/javascript")

    async def _window(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT, timeout=CLOSE_PATIENCE)
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            words = await show_playground(socket, self._window_command(request), _environment())
        except OSError as error:
            words = f"a playground cannot be started: {error.strerror or error}"
        finally:
            self._sockets.discard(socket)
            await socket.close()
        if words:
            print(words, file=sys.stderr)
        return socket

    def _window_command(self, request: web.Request) -> list[str]:
        width, height = SIZE
        with contextlib.suppress(KeyError, ValueError):
            asked = int(request.query["width"]), int(request.query["height"])
            width, height = asked if is_size(*asked) else SIZE
        return [*self._command, "--window", f"{width}x{height}"]

    async def _close_windows(self, application: web.Application) -> None:
        await asyncio.gather(*(socket.close(code=1001) for socket in self._sockets))


def serve(arguments: Sequence[str], port: int) -> None:
    """Serve playgrounds with these arguments until a signal. Raises UserError."""
    command = [sys.executable, "-m", "tui", *arguments]
    asyncio.run(_serve(PlaygroundServer(command, new_token()), port))


async def _serve(server: PlaygroundServer, port: int) -> None:
    stop = asyncio.Event()
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server.listening(port) as given:
        address = f"http://{HOST}:{given}/{server.token}/"
        print(f"The playground is at {address} until ctrl+c; trainings continue after it", flush=True)
        await stop.wait()


def _own_file(name: str) -> str:
    with open_to_read(HERE / name) as file:
        return file.read().decode()


def _environment() -> dict[str, str]:
    """The variables of a playground in a window, which is a terminal of all colours."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "TEXTUAL_COLOR_SYSTEM": "truecolor", "TERM_PROGRAM": "textual"}
