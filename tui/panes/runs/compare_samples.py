"""The same sample of several runs side by side: one prefix, one seed; the runs write in turn."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from textual import work
from textual.containers import ItemGrid, VerticalScroll
from textual.content import Content
from textual.widgets import Static
from textual.worker import Worker

from core.engine.requests import Generate
from core.errors import EngineError, UserError
from core.generation.events import Piece, Written
from core.generation.options import GenerationRequest, Sampling
from core.runs.run import Run
from core.runs.summary import RunSummary, run_summary, weights_of
from tui.panes.runs.compare_runs import Line
from tui.services import host, is_alive
from tui.text.safe import shown_text, unknown_words
from tui.themes import QUIET

LENGTH = 200
"""Tokens of each text."""
NARROWEST = 30
"""Cells of a column."""


class RunsSamples(VerticalScroll, can_focus=False):
    """A text of each run, in columns."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._writing: Worker[None] | None = None

    def write(self, lines: Sequence[Line], prefix: str, seed: int) -> None:
        """Have the runs of ``lines`` continue ``prefix``, one after the other."""
        self.stop()
        self._writing = self._write(tuple(lines), prefix, seed)

    def stop(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    @work(exclusive=True, group="samples")
    async def _write(self, lines: tuple[Line, ...], prefix: str, seed: int) -> None:
        runs = await asyncio.to_thread(lambda: [run_summary(Run(line.path)) for line in lines])
        heads = [_head(line, run) for line, run in zip(lines, runs, strict=True)]
        texts = [Static(_text(head, prefix, "", "waits for its turn"), classes="sample") for head in heads]
        heading = Content.styled(f"{LENGTH} tokens each · temperature 1 · seed {seed}", QUIET)
        await self.remove_children()
        await self.mount(Static(heading), ItemGrid(*texts, min_column_width=NARROWEST, stretch_height=False))
        for line, head, text in zip(lines, heads, texts, strict=True):
            text.update(_text(head, prefix, "", "opens its weights …"))
            written, status = "", ""
            try:
                async with contextlib.aclosing(self._events(line, prefix, seed)) as events:
                    async for event in events:
                        if isinstance(event, Piece):
                            written += event.text
                            text.update(_text(head, prefix, written, "writes …"))
                        else:
                            status = unknown_words(event.unknown)
                        await asyncio.sleep(0)  # many pieces may be ready: the screen has its turn
            except (UserError, EngineError) as error:
                status = str(error)
            if not is_alive(self):
                return
            text.update(_text(head, prefix, written, status))

    async def _events(self, line: Line, prefix: str, seed: int) -> AsyncGenerator[Piece | Written, None]:
        """What the engine of a run answers. One that was not connected is released: only one more is in memory."""
        engines = host(self).engines
        was_open = engines.has_client(line.path)
        try:
            client = await engines.client(line.path)
            request = GenerationRequest(prefix, LENGTH, Sampling("temperature", seed=seed))
            # Closed as soon as we are cancelled, so that the engine stops too.
            async with contextlib.aclosing(client.job(Generate(request))) as events:
                async for event in events:
                    yield event
        finally:
            if not was_open and host(self).current_run != line.path:
                await engines.release(line.path)


def _head(line: Line, run: RunSummary) -> list[Any]:
    """The name of a run, and which weights write if it diverged."""
    parts: list[Any] = [(line.sign, line.style), (f" {shown_text(line.name)}\n", "bold")]
    if run.restored is not None:
        parts.append((f"It diverged: it writes with its {weights_of(run.restored)}.\n", "$text-warning"))
    return parts


def _text(head: list[Any], prefix: str, written: str, status: str) -> Content:
    parts = [*head, (shown_text(prefix), "underline"), "\n".join(map(shown_text, written.split("\n")))]
    if status:
        parts += ["\n" if written or prefix else "", (shown_text(status), QUIET)]
    return Content.assemble(*parts)
