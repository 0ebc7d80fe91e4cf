"""One text that a model has written, or is writing: how, what, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from tui.palette import QUIET
from tui.text import clip_cells, shown_text, token_name
from tui.widgets.written_text import WrittenText


def unknown_words(unknown: Sequence[str]) -> str:
    """``not in the vocabulary: 龘, read as <unk>``; empty where all is known. Each token is named once."""
    names = [token_name(str(token)[:40]) for token in dict.fromkeys(unknown)]
    if not names:
        return ""
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"not in the vocabulary: {shown}, read as <unk>"


class Generation(Vertical, can_focus=True):
    """A line of settings, the text, and a line that says how it stands. It can be focused, to be copied."""

    def __init__(self, run: str, settings: str, prefix: str) -> None:
        super().__init__()
        self._run = run
        self._settings = settings
        self._prefix = prefix
        self._text = WrittenText(prefix)
        self._begun = time.monotonic()
        self._first: float | None = None
        self._waiting: list[str] = []

    def compose(self) -> ComposeResult:
        yield Static(
            Content.assemble((shown_text(clip_cells(self._run, 60)), "bold"), (f" · {self._settings}", QUIET)),
            classes="generation-settings",
        )
        yield self._text
        yield Static("waiting for the engine …", classes="generation-status", markup=False)

    @property
    def text(self) -> str:
        """Prefix and continuation."""
        return self._text.text

    def add(self, piece: str) -> None:
        """Keep what has been written until the next ``flush``."""
        if self._first is None:
            self._first = time.monotonic()
        self._waiting.append(piece)

    def flush(self) -> None:
        """Show what has been written since the last time."""
        if self._waiting:
            self._text.append("".join(self._waiting))
            self._waiting.clear()
            self._say(f"writing · {len(self._text.continuation):,} characters")

    def finish(self, whole: str | None, unknown: Sequence[str]) -> None:
        """All is written; ``whole`` is prefix and continuation, where the engine says it."""
        self.flush()
        if whole is not None and whole.startswith(self._prefix):
            self._text.replace(whole[len(self._prefix) :])
        count = len(self._text.continuation)
        seconds = time.monotonic() - self._begun
        self._say(f"{count:,} characters in {seconds:.2f} s", unknown_words(unknown))

    def stop(self) -> None:
        """The person stopped it."""
        self.flush()
        self._say(f"stopped after {len(self._text.continuation):,} characters")

    def fail(self, sentence: str) -> None:
        """It went wrong."""
        self.flush()
        self.add_class("-failed")
        self._say(shown_text(sentence))

    def _say(self, words: str, warning: str = "") -> None:
        parts = [(words, "")] + ([("\n", ""), (warning, "$text-warning")] if warning else [])
        self.query_one(".generation-status", Static).update(Content.assemble(*parts))
