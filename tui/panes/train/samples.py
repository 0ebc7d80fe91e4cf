"""What the model writes while it learns: the newest first, each with its epoch."""

from __future__ import annotations

from collections.abc import Iterable

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from core.events import SampleWritten
from core.settings.run_config import RunConfig
from tui.panes.train.interpretation import nothing_written_words
from tui.text.safe import shown_text
from tui.text.wrapping import wrapped_lines
from tui.themes import QUIET

SHOWN = 40


class Samples(VerticalScroll):
    """A list of samples that scrolls. A long sample is wrapped below its own beginning, to the right of its epoch."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._samples: tuple[SampleWritten, ...] = ()
        self._nothing = nothing_written_words(None)

    def compose(self) -> ComposeResult:
        yield Static(Content(self._nothing), id="samples-text", classes="quiet")

    def on_resize(self) -> None:
        if self._samples:
            self.call_after_refresh(self._paint)

    def show(self, samples: Iterable[SampleWritten], config: RunConfig | None = None) -> None:
        """Show the latest of ``samples``, the last one first; or say why there are none."""
        self._nothing = nothing_written_words(config)
        self._samples = tuple(samples)[-SHOWN:][::-1]
        self._paint()

    def _paint(self) -> None:
        text = self.query_one("#samples-text", Static)
        text.set_class(not self._samples, "quiet")
        if not self._samples:
            text.update(Content(self._nothing))
            return
        digits = len(f"{self._samples[0].epoch:,}")
        margin = len("epoch ") + digits + 2
        width = max(10, self.scrollable_content_region.width - margin - 1)
        lines: list[Content] = []
        for index, sample in enumerate(self._samples):
            prefix = shown_text(sample.prefix)
            first, *more = wrapped_lines(prefix + shown_text(sample.text), width)
            bold = "bold" if index == 0 else ""
            label = f"epoch {sample.epoch:>{digits},}  "
            cut = min(len(prefix), len(first))
            lines.append(Content.assemble((label, QUIET), (first[:cut], bold), first[cut:]))
            lines += [Content(" " * margin + line) for line in more]
        # Blank lines below let the list grow eight lines at a time: another height is another layout of the screen.
        lines += [Content("")] * (-len(lines) % 8)
        text.update(Content("\n").join(lines), layout=len(lines) != text.size.height)
