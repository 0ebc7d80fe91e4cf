"""Ending: an engine that is asked to end saves and exits within seconds, whatever it is doing at that moment.

What it does falls into three kinds. Training and saving must not be broken off: they are done in small parts, and
between two of them the engine looks whether it was asked. What leaves nothing half done (reading a text, copying a
run, writing) is *breakable*: the signal's handler raises ``Ended`` in the midst of it. And for the part that is not
small after all, a batch of a minute's work on an old machine, there is a thread that waits some seconds and then ends
the process: the last checkpoint is whole, and training goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType

# Seconds from a SIGTERM to the end where the engine does not come to a place at which it can save.
PATIENCE = 3.5
# Seconds that it may take from there: a large checkpoint on a slow disk is worth more than being on time.
SAVING_PATIENCE = 25.0


class Ended(BaseException):
    """The engine was asked to end; raised in the midst of what may be broken off."""


class Ending:
    """Whether an engine was asked to end. ``wake`` is called when it is, ``give_up`` before it is ended by force."""

    def __init__(self, wake: Callable[[], None], give_up: Callable[[], None]) -> None:
        self.asked = False
        self._wake, self._give_up = wake, give_up
        self._is_breakable = False
        self._is_saving, self._is_done = threading.Event(), threading.Event()

    def ask(self) -> None:
        """Let the engine end as soon as it can."""
        self.asked = True
        self._wake()

    @contextlib.contextmanager
    def breakable(self) -> Iterator[None]:
        """What stands in here may be broken off by a signal. Raises Ended, also where one came before."""
        before, self._is_breakable = self._is_breakable, True
        try:
            if self.asked:
                raise Ended
            yield
        finally:
            self._is_breakable = before

    def saving(self) -> None:
        """The engine has come to its end and only has to save: from here on it has more time."""
        self._is_breakable = False
        self._is_saving.set()

    def done(self) -> None:
        """All is saved; nothing needs to be ended by force."""
        self._is_saving.set()
        self._is_done.set()

    # ------------------------------------------------------------------ signals

    def on_signals(self, *signals: signal.Signals) -> None:
        """End when one of ``signals`` comes; in any case, and soon, when it is SIGTERM. For the main thread."""
        numbers, sink = socket.socketpair()
        sink.setblocking(False)
        # Python's own handlers wait until the main thread comes back from whatever it computes; this does not.
        signal.set_wakeup_fd(sink.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(numbers, sink), name="engine-ending", daemon=True).start()
        for number in signals:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        was_asked, self.asked = self.asked, True
        self._wake()
        if self._is_breakable and not was_asked:
            raise Ended

    def _watch(self, numbers: socket.socket, sink: socket.socket) -> None:
        """In a thread: wait for SIGTERM, and see to it that the process ends. ``sink`` lives as long as this does."""
        while signal.SIGTERM not in numbers.recv(64):
            pass
        if self._is_saving.wait(PATIENCE) and self._is_done.wait(SAVING_PATIENCE):
            return
        with contextlib.suppress(Exception):
            self._give_up()
        os._exit(128 + signal.SIGTERM)
