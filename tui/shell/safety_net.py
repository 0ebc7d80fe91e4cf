"""A net under the screen: what fails in a handler is logged and said in one sentence, and the screen goes on.

Textual ends an app at the first exception in any handler, and with it goes all that the screen shows of trainings that
run on. It has no public hook that keeps the app going: ``App._handle_exception`` hears of every exception (those of
timers, workers, layout and composing too), but the message loop in which it arose has ended by then, and the widget
is dead. Hence three seams: each message is dispatched under a guard, so that its widget's loop goes on to the next one;
``_handle_exception`` is where all that Textual catches by itself comes in; and a widget that cannot be painted is left
blank, for else nothing on its screen would be. Tests make apps without the net, and so fail at the first exception.
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

LIMIT = 20  # failures within WINDOW and without a key or click between them: a screen that only fails
WINDOW = 10.0  # seconds
SAY_EVERY = 5.0  # seconds between two sentences
LOG_BYTES = 1 << 20
ENTRY_CHARACTERS = 20_000


class SafetyNet:
    """Catches what fails in ``app``. ``sentence`` says why the screen was ended after all; ``leave`` ends it."""

    def __init__(self, app: App[Any], leave: Callable[[int], None], log: Path | None = None) -> None:
        self.log = log or default_log()
        self.sentence = ""
        self._app = app
        self._leave = leave
        self._failures: deque[float] = deque(maxlen=LIMIT)
        self._said = -SAY_EVERY
        self._stands = False  # what fails before the first screen stands leaves nothing to go on with
        self._writer: threading.Thread | None = None

    @contextlib.contextmanager
    def spread(self) -> Iterator[None]:
        """Be under the app inside the block."""
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
                if widget not in blank and not net._catch(error):  # once: it fails with each frame from now on
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
            self._stands = True
        elif isinstance(message, events.InputEvent):
            self._failures.clear()  # somebody is there, and may leave by a key

    def _take(self, error: Exception) -> None:
        if not self._catch(error):
            self._end(error)
            self._write(error)

    def _catch(self, error: Exception) -> bool:
        """Whether the app goes on after ``error``. Whatever fails in here is let go: it must not come back."""
        if not self._stands:
            return False
        with contextlib.suppress(Exception):
            self._failures.append(time.monotonic())
            self._write(error)
            if len(self._failures) == LIMIT and self._failures[-1] - self._failures[0] < WINDOW:
                self._end(error)
        return True

    def _end(self, error: Exception) -> None:
        if not self.sentence:
            how = f"failed {LIMIT} times in a row" if self._stands else "could not be built"
            self.sentence = (
                f"the screen {how} ({_kind(error)}); trainings go on in their engines. What failed is in {self.log}"
            )
            self._leave(1)

    def _write(self, error: Exception) -> None:
        """In a thread, after the one before: no file is worth a screen that waits."""
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
        where = f"its log could not be written: {problem}" if problem else f"what it was is in {self.log}"
        words = f"Something on the screen failed ({kind}), the rest goes on; {where}"
        self._app.notify(shown_text(words), severity="error", timeout=10, markup=False)


def default_log() -> Path:
    """The log in the user's folder for the state of programs; ``XDG_STATE_HOME`` is heeded."""
    from platformdirs import user_state_path

    return user_state_path("rnn-playground") / "screen.log"


def append(log: Path, entry: str) -> str:
    """Write one entry, in place of all before it where the log has become long; what went wrong, or nothing."""
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
