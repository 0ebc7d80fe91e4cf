"""Who may use the server: those who know the token, from the server's own page.

Loopback is open to every user of the machine and to every web page in a browser on it. Hence three checks of each
request: a random token in the path; the Host header, which a page that has its own name resolved to 127.0.0.1 cannot
forge; the Origin header, which a browser adds to what another page requests. The token is no cookie, because browsers
send a cookie to every port of a machine.
"""

from __future__ import annotations

import hmac
import re
import secrets

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

# Any port: one that ssh forwards may have another number on this side.
_HOST = re.compile(r"(127\.0\.0\.1|localhost)(:[0-9]{1,5})?")
# The terminal in the page sets styles, and nothing else that is not a file of the server.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; img-src 'self' data:; "
    "connect-src {socket}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def new_token() -> str:
    """A random token of 256 bits, which is valid in an address."""
    return secrets.token_urlsafe(32)


def is_allowed(request: web.Request, token: str) -> bool:
    """Whether the request has the token, and comes from nowhere else than a page of this server."""
    given = request.path.split("/")[1] if request.path.startswith("/") else ""
    if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode()):
        return False
    hosts, origins = request.headers.getall("Host", []), request.headers.getall("Origin", [])
    if len(hosts) != 1 or _HOST.fullmatch(hosts[0]) is None:
        return False
    # A browser always names the origin of a web socket, and leaves it out where a person follows an address.
    is_socket = "Upgrade" in request.headers
    return origins == [f"http://{hosts[0]}"] or (not origins and not is_socket)


def guard(token: str) -> Middleware:
    """Middleware that answers every other request with 403, whatever it asks for."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_allowed(request, token):
            return web.Response(status=403, text="403: Forbidden")
        return await handler(request)

    return guarded


def socket_address(request: web.Request, token: str) -> str:
    """The address of the web socket as the browser that sent ``request`` reaches it."""
    return f"ws://{request.headers['Host']}/{token}/ws"


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Tell the browser to keep the address to itself, and to load and to run nothing from elsewhere."""
    host = request.headers.get("Host", "")
    socket = f"ws://{host}" if _HOST.fullmatch(host) else "'none'"
    response.headers.update({
        "Content-Security-Policy": _POLICY.format(socket=socket),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    })  # fmt: skip
