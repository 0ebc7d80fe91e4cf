"""One file from a server: every transfer ends, and every failure is a ``TransferError``.

urllib and http.client raise exceptions other than their own (a redirect to an invalid address, a chunk of negative
size), and wait for ever for a server that keeps sending headers and never the file.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, NoReturn

from core.settings.setting import shortened

_PIECE = 1 << 16
# Time without a byte of the file, as a multiple of the time that a server may be silent: look-ups of names, other
# addresses and redirects come first.
_PATIENCE = 3.0


class TransferError(Exception):
    """The transfer failed; the message is the reason. ``code`` is the HTTP status of a refusal, else 0."""

    def __init__(self, reason: str, code: int = 0) -> None:
        super().__init__(shortened(" ".join(reason.split())))
        self.code = code


class Transfer:
    """The answer to a request for the bytes of ``url`` from ``start`` on; ``start`` is 0 if the server sends all.

    A server may be silent for ``seconds``. Raises TransferError, also from ``read``.
    """

    def __init__(self, url: str, start: int, seconds: float) -> None:
        self._moved, self._is_over, self._is_late = threading.Event(), False, False
        self._socket: socket.socket | None = None
        threading.Thread(target=self._watch, args=(seconds * _PATIENCE,), name="download-watch", daemon=True).start()
        request = urllib.request.Request(url, headers={"User-Agent": "rnn-playground", "Accept-Encoding": "identity"})
        if start:
            request.add_header("Range", f"bytes={start}-")
        try:
            self._response: http.client.HTTPResponse = self._opener().open(request, timeout=seconds)
            is_rest = self._response.status == 206
            goes_on = (self._response.headers.get("Content-Range") or "").startswith(f"bytes {start}-")
        except Exception as error:
            self.close()
            self._fail(error)
        self.start = start if is_rest and goes_on else 0

    def read(self) -> bytes:
        """The next bytes; none at the end."""
        try:
            piece = self._response.read1(_PIECE)
        except Exception as error:
            self._fail(error)
        if not piece and self._is_late:
            self._fail(TimeoutError())
        self._moved.set()
        return piece

    def close(self) -> None:
        """Close the connection."""
        self._is_over = True
        self._moved.set()
        if hasattr(self, "_response"):
            with contextlib.suppress(Exception):
                self._response.close()

    def __enter__(self) -> Transfer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fail(self, error: Exception) -> NoReturn:
        """Raise TransferError for any exception: a server must not cause a traceback."""
        if self._is_late:
            raise TransferError("nothing of it came for too long") from None
        if isinstance(error, urllib.error.HTTPError):
            error.close()
            raise TransferError(f"{error.code} {error.reason}", error.code) from None
        reason = getattr(error, "reason", error)
        raise TransferError(str(reason) or type(error).__name__) from None

    def _opener(self) -> urllib.request.OpenerDirector:
        """http and https, through the proxy of the environment; a redirect to file or ftp is refused."""
        plain, secure = self._connecting(http.client.HTTPConnection), self._connecting(http.client.HTTPSConnection)

        class Plain(urllib.request.HTTPHandler):
            def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
                return self.do_open(plain, request)

        class Secure(urllib.request.HTTPSHandler):
            def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
                return self.do_open(secure, request, context=ssl.create_default_context())

        opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(), urllib.request.UnknownHandler(), urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPRedirectHandler(), urllib.request.HTTPErrorProcessor(), Plain(), Secure(),
        ):  # fmt: skip
            opener.add_handler(handler)
        return opener

    def _connecting(self, kind: Callable[..., http.client.HTTPConnection]) -> Any:
        """A subclass of ``kind`` that gives its socket to ``_watch``."""
        outer = self

        class Watched(kind):  # type: ignore[misc, valid-type]
            def connect(self) -> None:
                super().connect()
                outer._socket = self.sock
                if outer._is_late:
                    raise TimeoutError

        return Watched

    def _watch(self, seconds: float) -> None:
        """In a thread: shut the connection down after ``seconds`` without a byte of the file."""
        while self._moved.wait(seconds):
            if self._is_over:
                return
            self._moved.clear()
        self._is_late = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # of the socket below TLS
