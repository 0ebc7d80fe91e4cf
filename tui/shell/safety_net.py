"""A net under the screen: an exception in a handler is logged and reported in one sentence, and the screen continues.

Textual ends an app at the first exception in any handler, and with it the view of trainings that continue. It has no
public hook that prevents that. ``App._handle_exception`` gets every exception (also those of timers, workers, layout
and composing), but the message loop in which it was raised has ended by then, and its widget is dead. Hence three
seams: each message is dispatched under a guard, so that the loop of its widget continues; ``_handle_exception`` gets
what Textual catches itself; a widget that cannot be painted is left blank. Tests run apps without the net, so they fail
at the first exception.
"""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from weakref import WeakSet

from textual import events
from textual.app import App
from textual.geometry import Region
from textual.message import Message
from textual.message_pump import MessagePump
from textual.strip import Strip
from textual.widget import Widget
from textual.worker import WorkerFailed

from core import files
from tui.text.safe import shown_text

LIMIT = 20  # failures within WINDOW, without a key or click between them, that end the screen
WINDOW = 10.0  # seconds
SAY_EVERY = 5.0  # seconds between two notices
LOG_BYTES = 1 << 20
ENTRY_CHARACTERS = 20_000


class SafetyNet:
    """Catches exceptions in ``app``. ``leave`` ends the screen if it only fails; ``sentence`` is the reason."""

    def __init__(self, app: App[Any], leave: Callable[[int], None], log: Path | None = None) -> None:
        self.log = log or default_log()
        self.sentence = ""
        self._app = app
        self._leave = leave
        self._failures: deque[float] = deque(maxlen=LIMIT)
        self._said = -SAY_EVERY
        self._is_ready = False  # before the first screen is ready there is nothing to continue with
        self._writer: threading.Thread | None = None

    @contextlib.contextmanager
    def spread(self) -> Iterator[None]:
        """Catch exceptions inside the block."""
        net, dispatch, paint = self, MessagePump._dispatch_message, Widget.render_lines
        blank: WeakSet[Widget] = WeakSet()

        async def guarded(pump: MessagePump, message: Message) -> None:
            if pump is net._app:
                net._watch(message)
            try:
                await dispatch(pump, message)
            except Exception as error:
                if not net._catch(error):
                    raise

        def painted(widget: Widget, crop: Region) -> list[Strip]:
            try:
                strips = paint(widget, crop)
            except Exception as error:
                if widget not in blank and not net._catch(error):  # log it once: it fails with every frame from now on
                    raise
                blank.add(widget)
                return [Strip.blank(crop.width)] * crop.height
            blank.discard(widget)
            return strips

        self._app._handle_exception = self._take  # type: ignore[method-assign]
        MessagePump._dispatch_message = guarded  # type: ignore[method-assign, assignment]
        Widget.render_lines = painted  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            MessagePump._dispatch_message = dispatch  # type: ignore[method-assign]
            Widget.render_lines = paint  # type: ignore[method-assign]
            if self._writer is not None:
                self._writer.join(2.0)

    def _watch(self, message: Message) -> None:
        if isinstance(message, events.Ready):
            self._is_ready = True
        elif isinstance(message, events.InputEvent):
            self._failures.clear()  # the user is there and can quit

    def _take(self, error: Exception) -> None:
        if not self._catch(error):
            self._end(error)
            self._write(error)

    def _catch(self, error: Exception) -> bool:
        """Whether the app continues after ``error``. Exceptions in here are dropped: they would come back."""
        if not self._is_ready:
            return False
        with contextlib.suppress(Exception):
            self._failures.append(time.monotonic())
            self._write(error)
            if len(self._failures) == LIMIT and self._failures[-1] - self._failures[0] < WINDOW:
                self._end(error)
        return True

    def _end(self, error: Exception) -> None:
        if not self.sentence:
            how = f"failed {LIMIT} times in a row" if self._is_ready else "could not be built"
            self.sentence = (
                f"the screen {how} ({_kind(error)}); trainings continue in their engines. The error is in {self.log}"
            )
            self._leave(1)

    def _write(self, error: Exception) -> None:
        """Log the error in a thread, after the previous one, so that the screen does not wait for a file."""
        error = error.error if isinstance(error, WorkerFailed) and isinstance(error.error, Exception) else error
        entry = "".join(traceback.format_exception(error))[-ENTRY_CHARACTERS:]
        now = time.monotonic()
        say = now - self._said >= SAY_EVERY
        self._said = now if say else self._said
        before, kind = self._writer, _kind(error)

        def write() -> None:
            if before is not None:
                before.join()
            problem = append(self.log, entry)
            if say and not self.sentence:
                self._app.call_later(self._say, kind, problem)

        self._writer = threading.Thread(target=write, name="safety net", daemon=True)
        self._writer.start()

    def _say(self, kind: str, problem: str) -> None:
        where = f"the log could not be written: {problem}" if problem else f"the error is in {self.log}"
        words = f"Part of the screen failed ({kind}), the rest continues; {where}"
        self._app.notify(shown_text(words), severity="error", timeout=10, markup=False)


def default_log() -> Path:
    """The log in the user's folder for the state of programs; ``XDG_STATE_HOME`` is heeded."""
    from platformdirs import user_state_path

    return user_state_path("rnn-playground") / "screen.log"


def append(log: Path, entry: str) -> str:
    """Append one entry; a long log is emptied first. Returns the reason of a failure, or an empty text."""
    try:
        files.make_folders(log.parent)
        descriptor = files.open_to_append(log)
        with open(descriptor, "ab") as file:
            if file.tell() > LOG_BYTES:
                file.truncate(0)
            file.write(f"{datetime.now().astimezone().isoformat()}\n{entry}\n".encode(errors="backslashreplace"))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _kind(error: Exception) -> str:
    """``NoMatches``, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {frames[-1].name}" if frames else type(error).__name__
