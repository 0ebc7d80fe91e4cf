"""One request and its result: its settings, one or several texts side by side, and its status."""

from __future__ import annotations

import time
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import ItemGrid, Vertical
from textual.content import Content
from textual.widgets import Static

from core.generation.events import Copied, Piece, Written, WrittenSample, WrittenToken
from core.generation.options import GenerationRequest
from core.units import counted
from tui.panes.generate.token_details import SHADINGS
from tui.panes.generate.written_text import WrittenText
from tui.shell.lit_box import LitVertical
from tui.text.cells import clipped_middle
from tui.text.safe import shown_text, unknown_words
from tui.themes import QUIET

NARROWEST = 21
"""Cells of a column of samples."""
_ENDED = {
    "stop": "stopped at the stop token",
    "end": "ended by the model",
    "verses": "all verses written",
}


def copy_words(copied: Copied, tokens: int, noun: str) -> str:
    """``42 of 200 characters, underlined, occur literally in the training text, from character 1,203``."""
    length, start = copied.length, copied.text_start
    if not length:
        return f"none of its {noun}s occurs in the training text"
    what = f"all {length:,}" if length == tokens else f"{length:,} of {tokens:,}"
    occur = "occurs" if length == 1 else "occur"
    return f"{what} {noun}s, underlined, {occur} literally in the training text, from {noun} {start + 1:,}"


def short_copy_words(copied: Copied, tokens: int, noun: str) -> str:
    """``42 of 200 copied, from character 1,203``: the line below a text."""
    length, start = copied.length, copied.text_start
    return f"{length:,} of {tokens:,} copied, from {noun} {start + 1:,}" if length else "nothing copied"


def heads_of(request: GenerationRequest, kind: str) -> tuple[str, ...]:
    """The initials of an acrostic, one for each verse."""
    heads = request.heads.split() if kind == "word" else [head for head in request.heads if not head.isspace()]
    return tuple(heads)


class SampleText(Vertical):
    """One text, with its number if there are several, and a note below it."""

    def __init__(self, caption: str, prefix: str, heads: Sequence[str] = (), shading: str = SHADINGS[0]) -> None:
        super().__init__(classes="sample")
        self._caption = caption
        self.written = WrittenText(prefix, heads)
        self.written.set_reactive(WrittenText.shading, shading)
        self._waiting: list[str] = []

    def compose(self) -> ComposeResult:
        if self._caption:
            yield Static(Content(self._caption), classes="sample-caption")
        yield self.written
        note = Static("", classes="sample-note", markup=False)
        note.display = False
        yield note

    def add(self, piece: str, tokens: Sequence[WrittenToken]) -> None:
        """Keep what has been written until the next ``flush``."""
        self.written.details.add(tokens)
        self._waiting.append(piece)

    def flush(self) -> bool:
        """Show what has been written since the last time. Returns whether there was anything."""
        if not self._waiting:
            return False
        self.written.append("".join(self._waiting))
        self._waiting.clear()
        return True

    def finish(self, sample: WrittenSample, noun: str) -> None:
        """Show the facts of the finished text in short; the token view shows them in full."""
        self.flush()
        if sample.continuation is not None:
            self.written.replace(sample.continuation)
        words = [_ENDED[sample.ended]] if sample.ended in _ENDED else []
        if sample.copy is not None:
            self.written.mark_copied(*sample.copy.span)
            words.append(short_copy_words(sample.copy, sample.tokens, noun))
            self.written.copied_words = copy_words(sample.copy, sample.tokens, noun)
        note = self.query_one(".sample-note", Static)
        note.tooltip = self.written.copied_words or None
        note.update(Content(" · ".join(words)))
        note.display = bool(words)


class Generation(LitVertical):
    """A line of settings, the texts, and a status line."""

    def __init__(
        self, run: str, settings: str, request: GenerationRequest, kind: str = "char", shading: str = SHADINGS[0]
    ) -> None:
        """``kind`` is the kind of the run's tokens: ``char`` or ``word``."""
        super().__init__()
        self._run, self._settings = run, settings
        self.request = request
        self._noun = "word" if kind == "word" else "character"
        self._heads = heads_of(request, kind)
        self._begun = time.monotonic()
        self._ended = False  # the status then no longer changes
        several = request.count > 1
        self.samples = [self._sample(f"sample {number}" if several else "", shading)
                        for number in range(1, request.count + 1)]  # fmt: skip

    def _sample(self, caption: str, shading: str) -> SampleText:
        return SampleText(caption, self.request.prefix, self._heads, shading)

    def compose(self) -> ComposeResult:
        yield Static(
            Content.assemble((clipped_middle(shown_text(self._run), 60), "bold"), (f" · {self._settings}", QUIET)),
            classes="generation-settings",
        )
        yield ItemGrid(*self.samples, min_column_width=NARROWEST, stretch_height=False, classes="samples")
        yield Static("waiting for the engine …", classes="generation-status", markup=False)

    @property
    def is_beam(self) -> bool:
        """Whether this is a beam search: its texts come at the end."""
        return self.request.sampling.is_search

    @property
    def title(self) -> str:
        return f"{self._run} · {self._settings}"

    @property
    def text(self) -> str:
        return "\n\n".join(sample.written.text for sample in self.samples)

    def _count(self) -> int:
        return sum(len(sample.written.continuation) for sample in self.samples)

    def add(self, piece: Piece) -> None:
        """Keep what has been written until the next ``flush``."""
        self.samples[piece.sample].add(piece.text, piece.tokens)

    def flush(self) -> None:
        """Show what has been written since the last time."""
        if any([sample.flush() for sample in self.samples]):
            self._say(f"writing · {counted(self._count(), 'character')}")
        elif self.is_beam and not self._ended and (seconds := time.monotonic() - self._begun) > 0.5:
            self._say(f"searching {counted(self.request.sampling.width, 'text')} at once · {seconds:.0f} s")

    async def finish(self, result: Written) -> None:
        """Show the results."""
        self.flush()
        self._ended = True
        if self.is_beam and result.samples:
            await self._show_results(result.samples)
        for shown, sample in zip(self.samples, result.samples, strict=False):
            shown.finish(sample, self._noun)
        seconds = time.monotonic() - self._begun
        texts = f"{counted(len(self.samples), 'text')}, " if len(self.samples) > 1 else ""
        words = f"{texts}{counted(self._count(), 'character')} in {seconds:.2f} s"
        problem = f"no copy meter: {shown_text(result.copy_problem)}" if result.copy_problem else ""
        warning = [unknown_words(result.unknown), problem]
        self._say(words, "\n".join(filter(None, warning)))

    async def _show_results(self, results: Sequence[WrittenSample]) -> None:
        """The results of a beam search, the best first, each with its score."""
        first = self.samples[0]
        await first.mount(Static(Content(_score_words(1, results[0])), classes="sample-caption"), before=0)
        more = [self._sample(_score_words(number, sample), first.written.shading)
                for number, sample in enumerate(results[1:], 2)]  # fmt: skip
        self.samples += more
        await self.query_one(ItemGrid).mount_all(more)

    def stop(self) -> None:
        self.flush()
        self._ended = True
        self._say(f"stopped after {counted(self._count(), 'character')}")

    def fail(self, sentence: str) -> None:
        self.flush()
        self._ended = True
        self.add_class("-failed")
        self._say(shown_text(sentence))

    def _say(self, words: str, warning: str = "") -> None:
        parts = [(words, "")] + ([("\n", ""), (warning, "$text-warning")] if warning else [])
        self.query_one(".generation-status", Static).update(Content.assemble(*parts))


def _score_words(number: int, sample: WrittenSample) -> str:
    # A minus sign and not a hyphen, as wide as a digit.
    shown = "" if sample.score is None else f" · {sample.score:.3f} nats/token".replace("-", "−")
    return f"{number}{shown}"
