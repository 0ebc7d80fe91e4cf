"""The table of runs: fixed-width columns, as many as there is room for, and a cursor that stays on its run."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from core.events import State
from core.runs.summary import RunSummary
from core.runs.trash import DeletedRun, kept_words
from core.settings.run_config import shown
from core.units import bytes_text, count_text, date_text, moment_of, perplexity_text
from tui.text.cells import cell_len, clip_cells, distinct_labels
from tui.text.safe import shown_text

# A sign beside the word, so that colour is never the only difference.
SIGNS = {
    State.IDLE: "○",
    State.TRAINING: "●",
    State.PAUSED: "‖",
    State.FINISHED: "✓",
    State.STOPPED: "■",
    State.FAILED: "✗",
    State.DIVERGED: "!",
    State.INTERRUPTED: "?",
}
LOUD = (State.FAILED, State.DIVERGED, State.INTERRUPTED)


def state_words(run: RunSummary) -> str:
    """The state of a run with its sign; ``damaged``, not ``failed``, for a folder that cannot be read."""
    if run.problem:
        return "✗ damaged"
    return f"{SIGNS.get(run.state, '?')} {run.state}"


def age_text(created: str, now: datetime.datetime) -> str:
    """``just now``, ``5 min``, ``3 h``, ``12 d``, ``2 y``: the time since an ISO date; empty for an invalid one."""
    moment = moment_of(created)
    if moment is None:
        return ""
    seconds = (now - moment).total_seconds()
    for size, unit in ((31_557_600, "y"), (86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "just now"


@dataclass(frozen=True)
class _Column:
    """A column of the table. On a narrow screen, the columns with the highest ``rank`` are left out first."""

    key: str
    label: str
    width: int
    rank: int
    text: Callable[[RunSummary, datetime.datetime], str]
    to_the_right: bool = False


def _epochs(run: RunSummary, _: datetime.datetime) -> str:
    return "" if run.problem else f"{shown(run.epoch)}/{shown(run.num_epochs)}"


COLUMNS = (
    _Column("name", "name", 16, 0, lambda run, _: run.name),
    _Column("state", "state", 13, 0, lambda run, _: state_words(run)),
    _Column("epochs", "epochs", 11, 1, _epochs, True),
    _Column("training", "ppl train", 9, 1, lambda run, _: perplexity_text(run.perplexity), True),
    _Column("held", "held out", 8, 4, lambda run, _: perplexity_text(run.validation_perplexity), True),
    _Column("model", "model", 22, 3, lambda run, _: run.model),
    _Column("corpus", "corpus", 12, 5, lambda run, _: run.corpus),
    _Column("parameters", "weights", 7, 6, lambda run, _: count_text(run.parameters) if run.parameters else "", True),
    _Column("size", "size", 8, 7, lambda run, _: bytes_text(run.bytes), True),
    _Column("age", "age", 8, 2, lambda run, now: age_text(run.created, now), True),
    _Column("created", "created", 16, 8, lambda run, _: date_text(run.created)),
)
LONGEST_NAME = 40


class RunTable(DataTable[Text]):
    """Shows summaries of runs. Rows are keyed by the run's path. A click moves the cursor, a double click opens."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Open", tooltip="Show the run's curve and follow it", id="runs.open"),
        # Textual's table scrolls sideways with them, where a cursor that is a row cannot go.
        Binding("home", "scroll_top", "First", show=False),
        Binding("end", "scroll_bottom", "Last", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"run-table--active", "run-table--loud", "run-table--quiet"}
    columns_known: ClassVar[tuple[_Column, ...]] = COLUMNS

    def __init__(self, id: str | None = None) -> None:
        super().__init__(cursor_type="row", id=id)
        self._runs: tuple[RunSummary, ...] = ()
        self._layout: tuple[tuple[str, int], ...] = ()
        self._ages: dict[Path, str] = {}
        self._names: dict[Path, str] = {}

    @property
    def runs(self) -> tuple[RunSummary, ...]:
        """What is shown, in the order of the rows."""
        return self._runs

    @property
    def selected(self) -> RunSummary | None:
        return self._runs[self.cursor_row] if 0 <= self.cursor_row < len(self._runs) else None

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self.show(self._runs, repaint=True))

    def on_click(self, event: events.Click) -> None:
        """Textual opens the row under the cursor at a single click, which is the first half of a double click."""
        row = event.style.meta.get("row", -1)
        if row >= 0:
            event.prevent_default().stop()
            self.move_cursor(row=row, scroll=False)
            if event.chain == 2:
                self.action_select_cursor()

    def on_resize(self, event: events.Resize) -> None:
        if self._chosen_layout() != self._layout:
            self.show(self._runs)

    def show(self, runs: Sequence[RunSummary], repaint: bool = False) -> None:
        """Show ``runs``, painting only what has changed. The cursor stays on its run, or in its row."""
        same_rows = [run.path for run in runs] == [run.path for run in self._runs]
        before, old_runs = self.cursor_row, self._runs
        self._runs = tuple(runs)
        layout, now = self._chosen_layout(), datetime.datetime.now().astimezone()
        if same_rows and layout == self._layout and self.row_count == len(runs) and not repaint:
            for run, old in zip(runs, old_runs, strict=True):
                if run != old or self._ages.get(run.path) != age_text(run.created, now):
                    self._update_row(run, self._cells(run, layout, now))
            return
        self._layout = layout
        shown_names = distinct_labels([shown_text(run.name) for run in runs], dict(layout)["name"])
        self._names = {run.path: name for run, name in zip(runs, shown_names, strict=True)}
        scroll = self.scroll_y
        with self.app.batch_update(), self.prevent(DataTable.RowHighlighted):
            self.clear(columns=True)
            labels = {column.key: column for column in self.columns_known}
            for key, width in layout:
                label = labels[key].label
                text = Text(label.rjust(width) if labels[key].to_the_right else label)
                self.add_column(text, key=key, width=width)
            for run in runs:
                self.add_row(*self._cells(run, layout, now), key=str(run.path))
            path = old_runs[before].path if 0 <= before < len(old_runs) else None
            self.move_cursor(row=self._row_of(path, before), scroll=False)
            self.scroll_to(y=scroll, animate=False)
        if self._runs:
            row = self.ordered_rows[self.cursor_row]
            self.post_message(DataTable.RowHighlighted(self, self.cursor_row, row.key))

    def move_to(self, path: Path) -> None:
        """Put the cursor on the run at ``path``, where it is shown."""
        self.move_cursor(row=self._row_of(path, self.cursor_row), animate=False)

    def _row_of(self, path: Path | None, otherwise: int) -> int:
        for index, run in enumerate(self._runs):
            if run.path == path:
                return index
        return max(0, min(otherwise, len(self._runs) - 1))

    def _update_row(self, run: RunSummary, cells: list[Text]) -> None:
        row = str(run.path)
        for (key, _), cell in zip(self._layout, cells, strict=True):
            old = self.get_cell(row, key)
            if old.plain != cell.plain or old.style != cell.style:
                self.update_cell(row, key, cell)

    def _chosen_layout(self) -> tuple[tuple[str, int], ...]:
        """The columns that fit, with their widths; what is left over goes to the name."""
        room = max(self.container_size.width, self.size.width) - 2
        columns = sorted(self.columns_known, key=lambda column: column.rank)
        total, kept = 0, set()
        for column in columns:
            total += column.width + 2 * self.cell_padding
            if total > room and column.rank > 1:
                total -= column.width + 2 * self.cell_padding
                break
            kept.add(column.key)
        longest = max((cell_len(shown_text(run.name)) for run in self._runs), default=0)
        name = min(16 + max(0, room - total), LONGEST_NAME, max(16, longest))
        return tuple((column.key, name if column.key == "name" else column.width)
                     for column in self.columns_known if column.key in kept)  # fmt: skip

    def _cells(self, run: RunSummary, layout: tuple[tuple[str, int], ...], now: datetime.datetime) -> list[Text]:
        columns = {column.key: column for column in self.columns_known}
        self._ages[run.path] = age_text(run.created, now)
        cells = []
        for key, width in layout:
            text = shown_text(self._text(columns[key], run, now))
            text = self._names[run.path] if key == "name" else clip_cells(text, width)
            cell = Text(text, no_wrap=True, end="", style=self._style(key, run))
            if columns[key].to_the_right:
                cell.pad_left(max(0, width - cell.cell_len))
            cells.append(cell)
        return cells

    def _text(self, column: _Column, run: RunSummary, now: datetime.datetime) -> str:
        return column.text(run, now)

    def _style(self, key: str, run: RunSummary) -> Style:
        name = ""
        if key == "state" and (run.problem or run.state in LOUD):
            name = "run-table--loud"
        elif key == "state" and run.state in (State.TRAINING, State.PAUSED):
            name = "run-table--active"
        elif key not in ("name", "training", "state"):
            name = "run-table--quiet"
        return Style(color=self.get_component_rich_style(name).color) if name else Style.null()


_LEFT = _Column("left", "in the trash", 12, 1, lambda *_: "")


class TrashTable(RunTable):
    """Shows deleted runs and how long each is kept. Enter does nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select_cursor", "Open", show=False, id="trash.none")]
    columns_known = (COLUMNS[0], _LEFT, *(column for column in COLUMNS if column.key not in ("name", "state")))

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._left: dict[Path, str] = {}

    def show_deleted(self, deleted: Sequence[DeletedRun]) -> None:
        """Show what is in the trash."""
        left = {run.path: kept_words(run.deleted) for run in deleted}
        changed, self._left = left != self._left, left
        self.show([run.summary for run in deleted], repaint=changed)

    def _text(self, column: _Column, run: RunSummary, now: datetime.datetime) -> str:
        return self._left.get(run.path, "") if column is _LEFT else super()._text(column, run, now)
