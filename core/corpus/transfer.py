"""One file from a server: every transfer ends, and every failure is a ``TransferError``.

urllib and http.client raise exceptions other than their own (a redirect to an invalid address, a chunk of negative
size), and wait for ever for a server that keeps sending headers and never the file. So a thread asks the server, and
is left behind if it has nothing for too long: it ends with the process, if not before.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import urllib.error
import urllib.request

from core.settings.setting import shortened

_PIECE = 1 << 16
_MOST_WAITING = 16
# Time without a byte of the file, as a multiple of the time that a server may be silent: look-ups of names, other
# addresses and redirects come first.
_PATIENCE = 3.0


class TransferError(Exception):
    """The transfer failed; the message is the reason. ``code`` is the HTTP status of a refusal, else 0."""

    def __init__(self, reason: str, code: int = 0) -> None:
        super().__init__(shortened(" ".join(reason.split())))
        self.code = code


class Transfer(contextlib.AbstractContextManager["Transfer"]):
    """The answer to a request for the bytes of ``url`` from ``start`` on; ``start`` is 0 if the server sends all.

    A server may be silent for ``seconds``. Raises TransferError, also from ``read``.
    """

    def __init__(self, url: str, start: int, seconds: float) -> None:
        self._arrived: queue.Queue[bytes | Exception] = queue.Queue(_MOST_WAITING)
        self._seconds, self._is_over = seconds, False
        self.start = start
        request = urllib.request.Request(url, headers={"User-Agent": "rnn-playground", "Accept-Encoding": "identity"})
        if start:
            request.add_header("Range", f"bytes={start}-")
        threading.Thread(target=self._receive, args=(request,), name="download", daemon=True).start()
        self.read()  # nothing, once the server has answered

    def read(self) -> bytes:
        """The next bytes; none at the end."""
        try:
            arrived = self._arrived.get(timeout=self._seconds * _PATIENCE)
        except queue.Empty:
            self._is_over = True
            raise TransferError("nothing of it came for too long") from None
        if isinstance(arrived, bytes):
            return arrived
        if isinstance(arrived, urllib.error.HTTPError):
            raise TransferError(f"{arrived.code} {arrived.reason}", arrived.code)
        raise TransferError(str(getattr(arrived, "reason", arrived)) or type(arrived).__name__)

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        with contextlib.suppress(queue.Empty):
            while True:  # the thread may be waiting for room
                self._arrived.get_nowait()

    def _receive(self, request: urllib.request.Request) -> None:
        """In a thread: an empty piece for the answer, the pieces of the file, and an empty one at its end."""
        try:
            with _opener().open(request, timeout=self._seconds) as response:
                goes_on = (response.headers.get("Content-Range") or "").startswith(f"bytes {self.start}-")
                self.start = self.start if response.status == 206 and goes_on else 0
                self._arrived.put(b"")
                while not self._is_over and (piece := response.read1(_PIECE)):
                    self._arrived.put(piece)
                self._arrived.put(b"")
        except Exception as error:  # any: a server must not cause a traceback
            with contextlib.suppress(AttributeError):
                error.close()  # type: ignore[attr-defined]
            self._arrived.put(error)


def _opener() -> urllib.request.OpenerDirector:
    """http and https, through the proxy of the environment; a redirect to file or ftp is refused."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler, urllib.request.UnknownHandler, urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler, urllib.request.HTTPErrorProcessor, urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
    ):  # fmt: skip
        opener.add_handler(handler())
    return opener
