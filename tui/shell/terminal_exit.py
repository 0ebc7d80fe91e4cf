"""Quitting at a signal: the app quits as with its key and restores the terminal; training continues in the engines.

An app that cannot quit like that, because its terminal accepts no more output, is ended by force after some seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
PATIENCE = 3.0  # seconds from a signal to the end by force
# No mouse, no pasting in brackets, no Kitty keyboard, the shell's own screen, a cursor.
_BACK = b"\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?2004l\x1b[?1004l\x1b[<u\x1b[?1049l\x1b[?25h"


class TerminalExit:
    """Created while the terminal still has the settings of the shell."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None
        with contextlib.suppress(termios.error, OSError, ValueError):
            self._before = termios.tcgetattr(sys.stdin.fileno())

    def on_signals(self, leave: Callable[[], object]) -> None:
        """Call ``leave`` on the running event loop at a hang-up, a termination or an interrupt. For the main thread.

        Nothing happens without a terminal. Python's own handlers and not the loop's: those wait until the loop comes
        to its turn, which it does not where the terminal takes no more.
        """
        if self._before is None:
            return
        loop = asyncio.get_running_loop()

        def handle(number: int, frame: FrameType | None) -> None:
            threading.Thread(target=self._force, args=(number,), name="leaving", daemon=True).start()
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                loop.call_soon_threadsafe(leave)

        for number in SIGNALS:
            signal.signal(number, handle)

    def _force(self, number: int) -> None:
        """In a thread: end the process if it is still there after ``PATIENCE``, with the terminal as it was."""
        time.sleep(PATIENCE)
        with contextlib.suppress(termios.error, OSError, ValueError):
            if self._before is not None:
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, self._before)
            with open(os.open("/dev/tty", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY), "wb", buffering=0) as terminal:
                terminal.write(_BACK)
        os._exit(128 + number)
