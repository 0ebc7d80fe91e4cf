"""A text that can be downloaded: its facts and the progress of its download."""

from __future__ import annotations

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Static

from core.corpus.catalogue import Download
from core.units import bytes_text
from tui.services import host
from tui.text.safe import shown_text
from tui.themes import QUIET

BAR = 20


@dataclass(frozen=True)
class Fetch:
    """The progress of a download: bytes so far, whether it runs, and the error that ended it."""

    done: int = 0
    running: bool = True
    error: str = ""

    def share(self, entry: Download) -> float:
        """0 to 1."""
        return min(1.0, self.done / entry.bytes) if entry.bytes else 0.0


class DownloadCard(Vertical):
    """Its buttons are ``#download-go`` and ``#download-cancel``."""

    def compose(self) -> ComposeResult:
        yield Static(id="download-facts")
        yield Static(id="download-state")
        with Horizontal(id="download-buttons", classes="buttons changes"):
            yield Button("Download …", variant="primary", compact=True, id="download-go",
                         tooltip="Ask, then download this text")  # fmt: skip
            yield Button("Cancel", compact=True, id="download-cancel",
                         tooltip="Stop; the next download continues from there")  # fmt: skip

    def show(self, entry: Download, fetch: Fetch | None) -> None:
        self.query_one("#download-facts", Static).update(facts_of(entry))
        state = self.query_one("#download-state", Static)
        state.update(state_of(entry, fetch, host(self).read_only))
        running = fetch is not None and fetch.running
        go, cancel = self.query_one("#download-go", Button), self.query_one("#download-cancel", Button)
        go.label = "Try again …" if fetch is not None and fetch.error else "Download …"
        go.display, cancel.display = not running, running


def facts_of(entry: Download) -> Content:
    """What it is, its size, its licence note and its source."""
    rows = (
        ("size", bytes_text(entry.bytes)),
        ("licence", entry.licence),
        ("source", entry.source),
        ("checked", f"sha256 {entry.sha256[:16]}…"),
    )
    lines = [Content.styled(shown_text(entry.title), "bold"), Content("")]
    lines += [Content.assemble((f"{name:<9}", QUIET), shown_text(words)) for name, words in rows]
    return Content("\n").join([*lines, Content.styled(shown_text(entry.url), QUIET)])


def state_of(entry: Download, fetch: Fetch | None, read_only: bool) -> Content:
    """A progress bar, an error, or what enter does."""
    if fetch is None:
        how = "" if read_only else " Enter asks, then downloads it."
        return Content.styled(f"This text is not downloaded.{how}", QUIET)
    if fetch.error:
        return Content.styled(shown_text(fetch.error), "$text-error")
    filled = round(BAR * fetch.share(entry))
    return Content.assemble(
        ("━" * filled, "$accent"), ("─" * (BAR - filled), QUIET),
        f"  {bytes_text(fetch.done)} of {bytes_text(entry.bytes)}" if fetch.done else "  connecting …",
    )  # fmt: skip
