"""Shutdown: an engine that is asked to end saves and exits within seconds, whatever it is doing.

Training and saving must not be interrupted: they are done in small parts, and the engine checks between two parts
whether it was asked to end. Work that leaves nothing half done (reading a text, copying a run, generating) is
*interruptible*: the signal handler raises ``Ended`` inside it. If a part takes too long, such as a batch of a minute on
an old machine, a thread ends the process after some seconds: the last checkpoint is whole.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType

# Seconds from a SIGTERM until the process is ended, if the engine does not reach a point at which it can save.
PATIENCE = 3.5
# Seconds that saving may take: a large checkpoint on a slow disk is worth waiting for.
SAVING_PATIENCE = 25.0


class Ended(BaseException):
    """The engine was asked to end; raised inside interruptible work."""


class Ending:
    """Whether an engine was asked to end. ``wake`` is called then, ``give_up`` before the process is ended by force."""

    def __init__(self, wake: Callable[[], None], give_up: Callable[[], None]) -> None:
        self.asked = False
        self._wake, self._give_up = wake, give_up
        self._is_interruptible = False
        self._is_saving, self._is_done = threading.Event(), threading.Event()

    def ask(self) -> None:
        self.asked = True
        self._wake()

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """A signal interrupts the work inside. Raises Ended, at once if the engine was already asked to end."""
        before, self._is_interruptible = self._is_interruptible, True
        try:
            if self.asked:
                raise Ended
            yield
        finally:
            self._is_interruptible = before

    def saving(self) -> None:
        """The engine only has to save from here on, and has more time for it."""
        self._is_interruptible = False
        self._is_saving.set()

    def done(self) -> None:
        """All is saved; the process need not be ended by force."""
        self._is_saving.set()
        self._is_done.set()

    # ------------------------------------------------------------------ signals

    def on_signals(self, *signals: signal.Signals) -> None:
        """Ask the engine to end on ``signals``; after SIGTERM end the process in any case. For the main thread."""
        numbers, sink = socket.socketpair()
        sink.setblocking(False)
        # Python's signal handlers run only between bytecodes of the main thread; this works during a long batch too.
        signal.set_wakeup_fd(sink.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(numbers, sink), name="engine-ending", daemon=True).start()
        for number in signals:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        was_asked, self.asked = self.asked, True
        self._wake()
        if self._is_interruptible and not was_asked:
            raise Ended

    def _watch(self, numbers: socket.socket, sink: socket.socket) -> None:
        """In a thread: wake the main thread at each signal, and end the process some time after SIGTERM.

        Holds a reference to ``sink``.
        """
        is_term = False
        while not is_term:
            is_term = signal.SIGTERM in numbers.recv(64)
            # A signal that comes a moment before the main thread begins to wait does not interrupt that wait, and
            # Python calls its handler only when the wait is over.
            self._wake()
        if self._is_saving.wait(PATIENCE) and self._is_done.wait(SAVING_PATIENCE):
            return
        with contextlib.suppress(Exception):
            self._give_up()
        os._exit(128 + signal.SIGTERM)
