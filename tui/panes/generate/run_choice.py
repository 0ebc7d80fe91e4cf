"""The choice of the run that generates: a list of the runs in the saves folder."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Select, Static
from textual.worker import Worker

from core.events import NO_CHECKPOINT, State
from core.runs.run import Run
from core.runs.store import list_runs
from core.runs.summary import RunSummary, run_summary
from tui.forms.drop_down import DropDown
from tui.panes.generate.writer_facts import WriterFacts, writer_facts
from tui.services import host, is_alive
from tui.text.cells import distinct_labels
from tui.text.safe import shown_text
from tui.text.weights import UNTRAINED, weights_words

LIST_EVERY = 5  # the whole list is read at every fifth call of ``look``
AROUND = 6  # cells of a drop-down for its arrow and its edges
NARROWEST = 16
CANNOT = (
    "This model is bidirectional: it reads the text from both ends, so it would need the next token to predict it. "
    "It cannot generate text: choose another run."
)


class RunChoice(Vertical):
    """A label and a drop-down of the runs; its pane calls ``look`` at intervals."""

    @dataclass
    class Changed(Message):
        """Another run was chosen, or facts of the chosen run changed."""

        choice: RunChoice

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="field")
        self.facts = WriterFacts()
        self.has_facts = False  # whether ``facts`` are those of the chosen run
        self._runs: tuple[RunSummary, ...] = ()
        self._wanted: Path | None = None
        self._looks = 0
        self._cells = 0
        self._reading: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        yield Static("run", classes="field-label", markup=False)
        yield DropDown[str]((), prompt="no runs yet", compact=True, id="generate-run")

    @property
    def run(self) -> RunSummary | None:
        value = self.query_one(Select).value
        return next((run for run in self._runs if str(run.path) == value), None)

    @property
    def path(self) -> Path | None:
        return self.run.path if self.run is not None else None

    @property
    def weights(self) -> str:
        """The weights with which the run writes."""
        run = self.run
        return weights_words(run.state, run.epoch, run.restored, run.from_best, run.is_lost) if run is not None else ""

    @property
    def remark(self) -> str:
        """What one has to know of the run before it writes."""
        if self.run is None:
            return ""
        if self.facts.bidirectional:
            return CANNOT
        if self.run.is_lost:
            return f"{NO_CHECKPOINT.capitalize()}."
        return UNTRAINED if self.run.state == State.DIVERGED and self.run.restored == 0 else ""

    def on_resize(self) -> None:
        self.call_after_refresh(self._resized)

    def _resized(self) -> None:
        if is_alive(self) and self._runs and self._room != self._cells:
            options = self.query_one(OptionList)
            highlighted = options.highlighted
            self._show_names()
            options.highlighted = highlighted  # the list may be open

    @property
    def _room(self) -> int:
        """Cells for a name."""
        return max(NARROWEST, self.query_one(Select).size.width - AROUND)

    def _show_names(self) -> None:
        """Show the runs to choose from, with as much of their names as there is room for; the choice stays."""
        select, self._cells = self.query_one(Select), self._room
        names = distinct_labels([shown_text(run.name) for run in self._runs], self._cells)
        chosen = select.value
        with self.prevent(Select.Changed):
            select.prompt = "choose a run" if self._runs else "no runs yet"
            select.set_options((Content(name), str(run.path)) for name, run in zip(names, self._runs, strict=True))
            if any(str(run.path) == chosen for run in self._runs):
                select.value = chosen

    def choose(self, path: Path) -> None:
        self._wanted = path
        self.reload()

    def reload(self) -> None:
        self._reading = self._reload()

    def look(self) -> None:
        """Read the chosen run again; the whole list only at every fifth call."""
        # On a slow disk a reading that is restarted at every call would never finish.
        if not is_alive(self) or (self._reading is not None and not self._reading.is_finished):
            return
        self._looks += 1
        if self._looks % LIST_EVERY and self.run is not None:
            self._reading = self._look_at(self.run.path)
        else:
            self.reload()

    @work(exclusive=True, group="runs")
    async def _reload(self) -> None:
        runs = tuple(run for run in await asyncio.to_thread(list_runs, host(self).saves) if not run.problem)
        if not is_alive(self):
            return
        select = self.query_one(Select)
        # The choice is kept until a list that contains it has been read.
        choice, self._wanted = self._wanted, None
        shown = None if select.value is Select.NULL else str(select.value)
        wanted = str(choice) if choice else shown or str(host(self).current_run)
        before, others = self.run, [run.path for run in runs] != [run.path for run in self._runs]
        self._runs = runs
        if others or not runs:
            self._show_names()
        paths = [str(run.path) for run in runs]
        with self.prevent(Select.Changed):
            select.value = wanted if wanted in paths else paths[0] if paths else Select.NULL
        if self.run is not None and (before is None or before.path != self.run.path):
            self._ask_facts(self.run.path)
        self.post_message(self.Changed(self))

    @work(exclusive=True, group="runs")
    async def _look_at(self, path: Path) -> None:
        summary = await asyncio.to_thread(run_summary, Run(path))
        if not summary.problem and is_alive(self):
            self._runs = tuple(summary if run.path == path else run for run in self._runs)
            self.post_message(self.Changed(self))

    @on(Select.Changed)
    def _run_chosen(self, event: Select.Changed) -> None:
        event.stop()
        if self.run is not None:
            self._ask_facts(self.run.path)
        self.post_message(self.Changed(self))

    def _ask_facts(self, path: Path) -> None:
        self.facts, self.has_facts = WriterFacts(), False
        self._know(path)

    @work(exclusive=True, group="facts")
    async def _know(self, path: Path) -> None:
        facts = await asyncio.to_thread(writer_facts, path)
        if is_alive(self):
            self.facts, self.has_facts = facts, True
            self.post_message(self.Changed(self))
