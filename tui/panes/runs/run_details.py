"""The details of one run, beside the list: its text, the settings that differ from their defaults, and its curve."""

from __future__ import annotations

import asyncio
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from textual import work
from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from core.errors import RunError
from core.events import EpochFinished, event_from_json
from core.files import open_to_read
from core.runs.journal import parsed_line
from core.runs.metadata import RunMetadata
from core.runs.run import Run
from core.runs.summary import RunSummary, weights_of
from core.scales import LOG
from core.settings.run_config import settings, shown
from core.units import bytes_text, counted, date_text
from tui.charts import Drawing, Series, XAxis, YAxis, line_chart
from tui.charts.widget import Chart, Draw
from tui.panes.runs.columns import state_words
from tui.services import is_alive
from tui.text.cells import clip_cells
from tui.text.safe import shown_text
from tui.text.wrapping import wrapped_lines
from tui.themes import QUIET

# Read at this many places of a journal, whatever its length: enough for a thumbnail.
PLACES = 120
SHORT_JOURNAL = 1 << 18
NAME_WIDTH = 2 + max(len(setting.label) for setting in settings())


@dataclass(frozen=True)
class _Known:
    """What was read from the folder of a run."""

    facts: RunMetadata | None
    problem: str
    curve: tuple[EpochFinished, ...]


def sampled_epochs(path: Path, places: int = PLACES) -> list[EpochFinished]:
    """The epochs of a run: all of a short journal; of a long one, those at ``places`` places and at its end."""
    try:
        with open_to_read(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size <= SHORT_JOURNAL:
                epochs = [_epoch(line) for line in file.read(SHORT_JOURNAL).split(b"\n")]
            else:
                epochs = [_next_epoch(file, size * place // places) for place in range(places)]
                file.seek(size - 4096)
                epochs += [_epoch(line) for line in file.read(4096).split(b"\n")[1:]]
    except OSError:
        return []
    found = {epoch.epoch: epoch for epoch in epochs if epoch is not None}
    return [found[number] for number in sorted(found)]


def _next_epoch(file: BinaryIO, offset: int) -> EpochFinished | None:
    """The first whole epoch after ``offset``, if there is one nearby."""
    file.seek(offset)
    lines = file.read(2048).split(b"\n")[1 if offset else 0 : -1]
    return next((epoch for line in lines if (epoch := _epoch(line)) is not None), None)


def _epoch(line: bytes) -> EpochFinished | None:
    if b'"epoch"' not in line or (value := parsed_line(line)) is None:
        return None
    event = event_from_json(value)
    return event if isinstance(event, EpochFinished) else None


def curve_of(curve: tuple[EpochFinished, ...]) -> Draw:
    """The chart of perplexity by epoch on a logarithmic axis: of training, and held out if text is held out.

    Of the loss where every perplexity is beyond floating point.
    """
    has_perplexity = not curve or any(math.isfinite(epoch.perplexity) for epoch in curve)
    y = YAxis("perplexity", LOG) if has_perplexity else YAxis("loss in nats", LOG)
    epochs = [epoch.epoch for epoch in curve]
    held_out = [epoch.validation_perplexity if has_perplexity else epoch.validation_loss for epoch in curve]
    series = [Series("training", epochs, [epoch.perplexity if has_perplexity else epoch.loss for epoch in curve])]
    if any(value is not None for value in held_out):
        known = [math.nan if value is None else value for value in held_out]
        series.append(Series("held out", epochs, known))

    def draw(width: int, height: int) -> Drawing:
        return line_chart(series, width, height, XAxis("epoch", ticks="whole"), y, placeholder="no epoch yet")

    return draw


class RunDetails(Container):
    """Shows one run: its summary at once, the rest when a thread has read its folder."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._run: RunSummary | None = None
        self._known: _Known | None = None

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="run-details-scroll", can_focus=False):
            yield Static(id="run-details-text")
        yield Chart(id="run-details-chart")

    def show(self, run: RunSummary | None) -> None:
        if run == self._run:
            return
        if run is None or self._run is None or run.path != self._run.path:
            self._known = None
            self.query_one("#run-details-scroll").scroll_home(animate=False)
        self._run = run
        self._paint()
        if run is not None:
            self._read(run)

    def scroll_text(self, pages: int) -> None:
        """Scroll what does not fit by so many pages."""
        text = self.query_one("#run-details-scroll")
        text.scroll_relative(y=pages * max(1, text.size.height - 1), animate=False)

    def on_resize(self) -> None:
        self._paint()

    @work(exclusive=True, group="details")
    async def _read(self, run: RunSummary) -> None:
        if self._known is not None or run.problem:
            await asyncio.sleep(0.2)
        self._known = await asyncio.to_thread(_known, run.path)
        if not is_alive(self):
            return
        self._paint()
        chart = self.query_one(Chart)
        chart.set_class(not self._known.curve, "-empty")
        chart.show(curve_of(self._known.curve))

    def _paint(self) -> None:
        run = self._run
        self.border_title = Content(shown_text(run.name)) if run else None
        self.border_subtitle = Content(state_words(run)) if run else None
        self.query_one("#run-details-text", Static).update(self._content(run) if run else Content(""))

    def _content(self, run: RunSummary) -> Content:
        width = max(20, self.query_one("#run-details-scroll").content_size.width)
        if run.problem:
            return Content.assemble(
                (shown_text(run.problem), "$text-error"),
                "\n\nIts folder is left as it is: delete it, or mend it with a copy. ",
                (shown_text(str(run.path)), QUIET),
            )
        lines: list[Content] = []
        if run.remark:
            lines += [Content.styled(shown_text(run.remark), "$text-warning"), Content("")]
        known = self._known
        pairs = [("tags", ", ".join(run.tags))] if run.tags else []
        note = wrapped_lines(run.note, max(8, width - NAME_WIDTH)) if run.note else []
        pairs += [("" if number else "note", line) for number, line in enumerate(note)]
        pairs += [
            ("created", date_text(run.created)),
            ("weights", f"{run.parameters:,}, {bytes_text(run.bytes)} on disk"),
        ]
        if run.restored is not None:
            pairs.append(("", f"it diverged: {weights_of(run.restored)} again"))
        if known and known.facts:
            corpus = known.facts.corpus
            pairs += [
                ("text", corpus.name),
                ("", f"{counted(corpus.tokens, 'token')}, vocabulary {corpus.vocabulary:,}"),
                ("model", run.model),
                *_changed(known.facts),
                ("sha256", corpus.sha256[:16]),
            ]
        elif known:
            pairs.append(("problem", known.problem))
        for name, value in pairs:
            shown_value = clip_cells(shown_text(value), max(8, width - NAME_WIDTH))
            lines.append(Content.assemble((f"{name:<{NAME_WIDTH}}", QUIET), shown_value))
        return Content("\n").join(lines)


def _known(path: Path) -> _Known:
    run = Run(path)
    try:
        facts, problem = run.metadata(), ""
    except RunError as error:
        facts, problem = None, str(error)
    return _Known(facts, problem, tuple(sampled_epochs(run.journal_path)))


def _changed(facts: RunMetadata) -> list[tuple[str, str]]:
    """The settings that differ from their defaults, as label and value."""
    shown_above = {"corpus", "cell", "implementation", "num_hiddens", "num_layers", "num_epochs"}
    changed = []
    for setting in settings():
        value = getattr(facts.config, setting.name)
        if value != setting.default and setting.name not in shown_above and setting.relevant(facts.config):
            words = ("yes" if value else "no") if isinstance(value, bool) else shown(value)
            changed.append((setting.label, words))
    return changed
