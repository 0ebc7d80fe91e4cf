"""The table of runs: fixed-width columns, as many as there is room for, and a cursor that stays on its run.

Only the rows on the screen are drawn, so that a list of 20,000 runs costs no more than one of twenty.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from core.events import State
from core.runs.summary import RunSummary
from core.runs.trash import DeletedRun, kept_words
from tui.panes.runs.columns import COLUMNS, GAP, RunColumn, layout, state_words
from tui.text.cells import cell_len, distinct_labels, pad_cells
from tui.text.safe import shown_text

LOUD = (State.FAILED, State.DIVERGED, State.INTERRUPTED)
MARK = "◆"
MARK_CELLS = 2
NAMES_AT_ONCE = 200  # rows whose names are told apart from each other


class RunTable(ScrollView, can_focus=True):
    """Shows summaries of runs. A click moves the cursor, a double click opens, one on a heading sorts."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", tooltip="Show the run's curve and follow it", id="runs.open"),
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "move_page(-1)", "Page up", show=False),
        Binding("pagedown", "move_page(1)", "Page down", show=False),
        Binding("home,ctrl+home", "move_to_row(0)", "First", show=False),
        Binding("end,ctrl+end", "move_to_row(-1)", "Last", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "run-table--active", "run-table--loud", "run-table--quiet", "run-table--header", "run-table--cursor",
        "run-table--mark",
    }  # fmt: skip
    columns_known: ClassVar[tuple[RunColumn, ...]] = COLUMNS

    cursor_row: reactive[int] = reactive(0, repaint=False)
    marked: reactive[Collection[Path]] = reactive(())
    order: reactive[tuple[str, bool]] = reactive(("created", False))
    """The key that the list is sorted by, and whether it is reversed: only shown here."""

    @dataclass
    class Highlighted(Message):
        """The cursor is on another run, or on none."""

    @dataclass
    class Opened(Message):
        """The run under the cursor was opened by a key or a double click."""

    @dataclass
    class SortAsked(Message):
        """A heading was clicked."""

        key: str

    @dataclass
    class MarkAsked(Message):
        """The place of the mark of a run was clicked."""

        path: Path

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._runs: tuple[RunSummary, ...] = ()
        self._columns: tuple[tuple[RunColumn, int], ...] = ()
        self._longest: dict[str, int] = {}
        self._names: dict[int, list[str]] = {}
        self._minute = 0

    @property
    def runs(self) -> tuple[RunSummary, ...]:
        return self._runs

    @property
    def selected(self) -> RunSummary | None:
        return self._runs[self.cursor_row] if 0 <= self.cursor_row < len(self._runs) else None

    @property
    def on_screen(self) -> tuple[RunSummary, ...]:
        """The runs whose rows are on the screen."""
        top = round(self.scroll_y)
        return self._runs[top : top + max(0, self.size.height - 1)]

    @property
    def sort_keys(self) -> list[str]:
        """The keys that the columns on the screen sort by, from the left."""
        return list(dict.fromkeys(column.sort for column, _ in self._columns if column.sort))

    def show(self, runs: Sequence[RunSummary]) -> None:
        """Show ``runs``. The cursor stays on its run, or in its row."""
        minute = datetime.datetime.now().minute
        if runs is self._runs and minute == self._minute:
            return
        before, old = self.selected, self.cursor_row
        self._runs, self._minute = tuple(runs) if not isinstance(runs, tuple) else runs, minute
        texts = {
            "name": [run.name for run in self._runs],
            "tag": [run.annotation for run in self._runs if run.tags or run.note],
            "state": {state_words(run) for run in self._runs},
            "model": {run.model for run in self._runs},
            "corpus": {run.corpus for run in self._runs},
        }
        self._longest = {key: max(map(_cells, found), default=0) for key, found in texts.items()}
        self._fit_columns()
        if before is None or not (old < len(self._runs) and self._runs[old].path == before.path):
            at = self._row_of(before.path) if before else None
            self.set_reactive(RunTable.cursor_row, max(0, min(old if at is None else at, len(self._runs) - 1)))
            if at is not None and at != old:  # the list keeps its place around the cursor
                self.scroll_to(y=self.scroll_y + at - old, animate=False, immediate=True)
        self.post_message(self.Highlighted())

    def move_to(self, path: Path) -> None:
        """Put the cursor on the run at ``path``, if it is shown."""
        row = self._row_of(path)
        if row is not None:
            self.cursor_row = row

    def _row_of(self, path: Path) -> int | None:
        # Comparing names is a tenth of the work of comparing paths.
        name = path.name
        return next((row for row, run in enumerate(self._runs) if run.name == name and run.path == path), None)

    # ------------------------------------------------------------------ keys and mouse

    def action_open(self) -> None:
        if self.selected is not None:
            self.post_message(self.Opened())

    def action_move(self, rows: int) -> None:
        self.cursor_row += rows

    def action_move_page(self, pages: int) -> None:
        self.cursor_row += pages * max(1, self.size.height - 2)

    def action_move_to_row(self, row: int) -> None:
        self.cursor_row = row if row >= 0 else len(self._runs) - 1

    def validate_cursor_row(self, row: int) -> int:
        return max(0, min(row, len(self._runs) - 1))

    def watch_cursor_row(self, old: int, row: int) -> None:
        self._show_row(row)
        self._refresh_row(old)
        self._refresh_row(row)
        self.post_message(self.Highlighted())

    def _show_row(self, row: int) -> None:
        top, rows = round(self.scroll_y), max(1, self.size.height - 1)
        if not top <= row < top + rows:
            self.scroll_to(y=row if row < top else row - rows + 1, animate=False, immediate=True)

    def _refresh_row(self, row: int) -> None:
        self.refresh(Region(0, 1 + row - round(self.scroll_y), self.size.width, 1))

    def on_click(self, event: events.Click) -> None:
        event.stop()
        place = event.get_content_offset(self)
        if place is None:
            return
        if place.y == 0:
            self._click_heading(place.x)
            return
        row = place.y - 1 + round(self.scroll_y)
        if row < len(self._runs):
            self.cursor_row = row
            if place.x < MARK_CELLS:
                self.post_message(self.MarkAsked(self._runs[row].path))
            elif event.chain == 2:
                self.action_open()

    def _click_heading(self, x: int) -> None:
        start = MARK_CELLS
        for column, width in self._columns:
            if start <= x < start + width + GAP and column.sort:
                self.post_message(self.SortAsked(column.sort))
            start += width + GAP

    # ------------------------------------------------------------------ drawing

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self.refresh())

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.refresh()

    def on_resize(self) -> None:
        self._fit_columns()
        self._show_row(self.cursor_row)

    def _fit_columns(self) -> None:
        """Choose the columns for the size and the runs, and draw."""
        width = self.scrollable_content_region.width or self.container_size.width
        room = width - MARK_CELLS - 1  # one for the arrow of the last column
        self._columns = layout(self.columns_known, room, self._longest)
        self._names = {}
        self.virtual_size = Size(self.size.width, len(self._runs) + 1)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        row = y - 1 + round(self.scroll_y)
        if y == 0:
            return Strip(self._heading()).adjust_cell_length(width, self._style_of("run-table--header"))
        if row >= len(self._runs):
            return Strip.blank(width, self.rich_style)
        run, cursor = self._runs[row], row == self.cursor_row
        base = self._style_of("run-table--cursor") if cursor else self.rich_style
        mark = MARK if run.path in self.marked else " "
        segments = [Segment(f"{mark} ", base if cursor else self._style_of("run-table--mark"))]
        now = datetime.datetime.now().astimezone()
        for column, cells in self._columns:
            style = base if cursor else self._style_of(_class_of(column.key, run))
            segments += [Segment(self._cell_text(column, cells, row, now), style), Segment(" " * GAP, base)]
        return Strip(segments).adjust_cell_length(width, base)

    def _heading(self) -> list[Segment]:
        style, (key, reverse) = self._style_of("run-table--header"), self.order
        segments = [Segment(" " * MARK_CELLS, style)]
        for column, cells in self._columns:
            label = pad_cells(column.label, cells, "right" if column.to_the_right else "left")
            is_sorted = bool(column.sort) and column.sort == key
            arrow = column.arrow(reverse) if is_sorted else " "
            if is_sorted and not column.to_the_right:  # beside the word, and not far away from it
                label = pad_cells(f"{column.label} {arrow}", cells)
                arrow = " "
            segments.append(Segment(f"{label}{arrow} ", style + Style(bold=True) if is_sorted else style))
        return segments

    def _cell_text(self, column: RunColumn, cells: int, row: int, now: datetime.datetime) -> str:
        text = self._cut_name(row, cells) if column.key == "name" else shown_text(column.text(self._runs[row], now))
        return pad_cells(text, cells, "right" if column.to_the_right else "left")

    def _cut_name(self, row: int, cells: int) -> str:
        """The name in a row, told apart from the others nearby where it is cut."""
        block, place = divmod(row, NAMES_AT_ONCE)
        if block not in self._names:
            runs = self._runs[block * NAMES_AT_ONCE : (block + 1) * NAMES_AT_ONCE]
            self._names[block] = distinct_labels([shown_text(run.name) for run in runs], cells)
        return self._names[block][place]

    def _style_of(self, name: str) -> Style:
        return self.get_component_rich_style(name) if name else self.rich_style


def _cells(text: str) -> int:
    return len(text) if text.isascii() else cell_len(shown_text(text))


def _class_of(key: str, run: RunSummary) -> str:
    if key == "state" and (run.problem or run.state in LOUD):
        return "run-table--loud"
    if key == "state" and run.state in (State.TRAINING, State.PAUSED):
        return "run-table--active"
    return "run-table--quiet" if key not in ("name", "ppl", "state", "tag") else ""


_LEFT = RunColumn("left", "in the trash", 12, 1, lambda *_: "")


class TrashTable(RunTable):
    """Shows deleted runs and how long each is kept. Enter does nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", "Open", show=False, id="trash.none")]
    columns_known = (COLUMNS[0], _LEFT, *(column for column in COLUMNS if column.key not in ("name", "state")))

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._left: dict[Path, str] = {}
        self.set_reactive(RunTable.order, ("", False))

    def show_deleted(self, deleted: Sequence[DeletedRun]) -> None:
        self._left = {run.path: kept_words(run.deleted) for run in deleted}
        self.show([run.summary for run in deleted])

    def _cell_text(self, column: RunColumn, cells: int, row: int, now: datetime.datetime) -> str:
        if column is _LEFT:
            return pad_cells(self._left.get(self._runs[row].path, ""), cells)
        return super()._cell_text(column, cells, row, now)
