"""The Runs pane: the list of saved runs and what can be done with them, and the trash, shown by ``t``."""

from __future__ import annotations

import asyncio
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Button, Static
from textual.worker import Worker

from core.errors import RunError
from core.runs.trash import DAYS_KEPT, DeletedRun, deleted_runs, trash_folder
from core.units import bytes_text, counted
from tui.dialogs.export import ask_to_export, exportable_runs
from tui.messages import RunChosen, RunRenamed, RunsChanged
from tui.panes.runs.actions import KEYS, LIST_ACTIONS, PURPOSES, TRASH_ACTIONS, WIDE_ACTIONS, action_button, refusal
from tui.panes.runs.acts import Acts
from tui.panes.runs.compare import Compare
from tui.panes.runs.filter_line import FilterLine
from tui.panes.runs.overlays import Overlays
from tui.panes.runs.run_details import RunDetails
from tui.panes.runs.run_list import LONG_LOOK, NEWEST_FIRST, SHORT_LOOK, RunList, RunListReader, Selection, longer
from tui.panes.runs.run_table import RunTable, TrashTable
from tui.panes.runs.sweep import SweepView
from tui.scheduling import ShownTimers
from tui.services import READ_ONLY, host, is_alive, listen
from tui.shell.lit_box import LitVertical
from tui.text.keys import key
from tui.text.safe import shown_text

REFRESH_SECONDS = 2.0
EMPTY = (
    "There are no runs yet.\n\n"
    "A run is one model with its settings, curve and weights. Choose a text in Data and press Train:\n"
    "the run is listed here, saved automatically, to open, to generate from, or to continue."
)
EMPTY_TRASH = f"The trash is empty.\n\nA run that is deleted stays here for {DAYS_KEPT} days, and can be restored."


class RunsPane(Overlays, ShownTimers):
    """Lists the runs; opens, renames, duplicates, annotates and deletes them."""

    BINDINGS = KEYS

    marked: reactive[tuple[Path, ...]] = reactive(())
    """The marked runs, in the order of marking, whether the filter shows them or not: for whatever acts on several."""
    order: reactive[tuple[str, bool]] = reactive(NEWEST_FIRST)
    """The key of ``core.runs.filter.sorted_runs`` by which the list is sorted, and whether it is reversed."""

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.acts = Acts(self)
        self._reader: RunListReader
        self._list = RunList()
        self._reading: Worker[None] | None = None
        self._in_trash = self._waits_for_list = False

    def compose(self) -> ComposeResult:
        with LitVertical(id="runs-list", classes="box"):
            yield FilterLine(id="runs-filter-line")
            yield Static("Reading the runs …", id="runs-notice", classes="notice", markup=False)
            yield RunTable(id="runs-table")
            yield TrashTable(id="trash-table")
            with Horizontal(id="runs-actions", classes="actions buttons"):
                for action in LIST_ACTIONS:
                    yield action_button(action, action.capitalize(), is_loud=action == "delete")
                yield action_button("trash", "Trash")
                for action, label in WIDE_ACTIONS.items():
                    yield action_button(action, label)
            with Horizontal(id="trash-actions", classes="actions buttons"):
                for action, label in TRASH_ACTIONS.items():
                    yield action_button(action, label, is_loud=action in ("remove", "empty"))
        yield RunDetails(id="run-details", classes="box")
        yield Compare(id="compare")
        yield SweepView(id="sweep-view")

    def on_mount(self) -> None:
        self._reader = RunListReader(host(self).saves)
        self._show_face()
        self.table.display = False
        self.every(REFRESH_SECONDS, self._look_again)
        self.watch(self.filter_line, "text", lambda: self.reload(SHORT_LOOK), init=False)
        listen(self, {RunsChanged: self._runs_changed, RunRenamed: self._run_renamed})
        self.reload()

    def on_show(self) -> None:
        self.reload()

    @property
    def table(self) -> RunTable:
        """The list that is shown: of the runs, or of the trash."""
        return self.query_one("#trash-table" if self._in_trash else "#runs-table", RunTable)

    @property
    def filter_line(self) -> FilterLine:
        return self.query_one(FilterLine)

    def focus(self, scroll_visible: bool = True, from_app_focus: bool = False) -> RunsPane:
        """Put the focus where the keys of this pane work: an empty list is hidden and cannot have it."""
        if (overlay := self.overlay) is not None:
            overlay.focus(scroll_visible)
        elif self.table.display:
            self.table.focus(scroll_visible)
        elif self.filter_line.display:
            self.filter_line.open()
        else:
            self._waits_for_list = True  # the list may be there before the button has the focus
            self.query_one("#trash-trash" if self._in_trash else "#runs-trash").focus(scroll_visible)
        return self

    # ------------------------------------------------------------------ the list

    def _runs_changed(self, _event: RunsChanged) -> None:
        if self.display:  # a hidden pane reads the list when it is shown
            self.reload()

    def _run_renamed(self, event: RunRenamed) -> None:
        self.marked = tuple(event.new_path if path == event.path else path for path in self.marked)

    def reload(self, seconds: float = LONG_LOOK) -> None:
        """Read the list again; the cursor stays on its run."""
        self._reading = self._reload(seconds)

    def _look_again(self) -> None:
        # On a slow disk a reading that is restarted at every tick would never finish.
        if self._reading is None or self._reading.is_finished:
            self.reload(SHORT_LOOK)

    @work(exclusive=True, group="list")
    async def _reload(self, seconds: float) -> None:
        in_trash = self._in_trash
        while True:
            found, deleted, problem = self._list, list[DeletedRun](), ""
            if in_trash:
                try:
                    deleted = await asyncio.to_thread(deleted_runs, host(self).saves)
                except RunError as error:
                    problem = shown_text(str(error))
            else:
                selection = Selection(self.filter_line.text, self.order)
                first = [run.name for run in self.table.on_screen]
                found = await asyncio.to_thread(self._reader.read, selection, seconds, first)
            if not is_alive(self) or in_trash != self._in_trash:
                return
            if in_trash:
                self._show_trash(deleted, problem)
            else:
                self._show(found)
            if in_trash or (not found.unread and found.is_checked):
                return
            seconds = longer(seconds)

    def _show(self, found: RunList) -> None:
        is_new, self._list = found is not self._list, found
        self.table.show(found.shown)
        if self.acts.select is not None and any(run.path == self.acts.select for run in found.shown):
            self.table.move_to(self.acts.select)
            self.acts.select = None
        if not is_new:
            return
        if not found.unread and self.marked:
            there = {run.path for run in found.every}
            self.marked = tuple(path for path in self.marked if path in there)
        notice = f"None of {counted(len(found.every), 'run')} matches the filter: {key('runs.end_filter')} ends it."
        if not found.every:
            deleted = f"\n\n{counted(found.deleted, 'run')} in the trash: {key('runs.trash')} shows them."
            notice = shown_text(found.problem) or EMPTY + (deleted if found.deleted else "")
        self._show_box(len(found.shown), found.bytes, notice)
        self.show_title()
        button = self.query_one("#runs-trash", Button)
        label = f"Trash {found.deleted}" if found.deleted else "Trash"
        if str(button.label) != label:
            button.label = label
            button.refresh(layout=True)

    def show_title(self) -> None:
        if self._in_trash:
            return
        found = self._list
        count = f"{len(found.every):,}"
        if found.unread:
            count = f"{count} of {len(found.every) + found.unread:,} read"
        elif len(found.shown) < len(found.every):
            count = f"{len(found.shown):,} of {count}"
        training = f" · {found.training} training" if found.training else ""
        marked = f" · {len(self.marked):,} marked" if self.marked else ""
        self.query_one("#runs-list").border_title = Content(f"Runs · {count}{training}{marked}{self.sweep_words}")

    def _show_trash(self, deleted: list[DeletedRun], problem: str) -> None:
        self.query_one(TrashTable).show_deleted(deleted)
        self._show_box(len(deleted), sum(run.summary.bytes for run in deleted), problem or EMPTY_TRASH)
        self.query_one("#runs-list").border_title = Content(f"Trash · {len(deleted)}")

    def _show_box(self, count: int, size: int, when_empty: str) -> None:
        """The shown list, its title and its buttons."""
        changed = self.table.display != bool(count)
        self.table.display = bool(count)
        if changed and self.display and (self._waits_for_list or self.has_focus_within):
            self._waits_for_list = False
            if not self.filter_line.has_focus_within:
                self.focus()
        notice = self.query_one("#runs-notice", Static)
        notice.display = not count
        notice.update(Content(when_empty))
        saves = host(self).saves
        folder = trash_folder(saves) if self._in_trash else saves
        self.query_one("#runs-list").border_subtitle = Content(f"{bytes_text(size)} in {shown_text(str(folder))}")
        for button in self.query(".actions Button").results(Button):
            is_needed = (
                count or (button.id or "").endswith("trash") or (self._list.every and button.id == "runs-filter")
            )
            button.disabled = not is_needed
        self.query_one(RunDetails).display = bool(count)
        self._show_details()
        self.refresh_bindings()

    def _show_face(self) -> None:
        """Show one of the two lists, and its buttons."""
        self.query_one("#runs-table").display = not self._in_trash
        self.query_one(TrashTable).display = self._in_trash
        self.query_one("#runs-actions").display = not self._in_trash
        self.query_one("#trash-actions").display = self._in_trash
        self.filter_line.show(not self._in_trash and self.filter_line.is_typed)
        self.query_one("#runs-list").border_title = "Trash" if self._in_trash else "Runs"

    @on(RunTable.Highlighted)
    def _show_details(self) -> None:
        self.query_one(RunDetails).show(self.table.selected)

    def action_details(self, pages: int) -> None:
        self.query_one(RunDetails).scroll_text(pages)

    # ------------------------------------------------------------------ filter, order, marks

    def action_filter(self) -> None:
        self.filter_line.open()

    @on(FilterLine.Finished)
    def _filter_finished(self) -> None:
        self.filter_line.close_empty()
        self.focus()
        self.refresh_bindings()

    @on(RunTable.SortAsked)
    def _heading_clicked(self, event: RunTable.SortAsked) -> None:
        key, reverse = self.order
        self.order = (event.key, not reverse if event.key == key else False)

    def action_sort(self) -> None:
        keys = self.query_one("#runs-table", RunTable).sort_keys
        at = keys.index(self.order[0]) + 1 if self.order[0] in keys else 0
        self.order = (keys[at % len(keys)], False)

    def action_sort_reverse(self) -> None:
        self.order = (self.order[0], not self.order[1])

    def watch_order(self, order: tuple[str, bool]) -> None:
        if self.is_mounted:
            self.query_one("#runs-table", RunTable).order = order
            self.reload(SHORT_LOOK)

    def action_mark(self) -> None:
        if self.table.selected is not None:
            self._mark(self.table.selected.path)

    @on(RunTable.MarkAsked)
    def _mark_clicked(self, event: RunTable.MarkAsked) -> None:
        if not self._in_trash:
            self._mark(event.path)

    def _mark(self, path: Path) -> None:
        self.marked = tuple(old for old in self.marked if old != path) if path in self.marked else (*self.marked, path)

    def action_mark_all(self) -> None:
        """Mark all runs that are shown, or none if they are marked already."""
        shown, marked = [run.path for run in self._list.shown], set(self.marked)
        others = tuple(path for path in self.marked if path not in set(shown))
        self.marked = others if marked.issuperset(shown) else (*self.marked, *(p for p in shown if p not in marked))

    def watch_marked(self, marked: tuple[Path, ...]) -> None:
        if self.is_mounted:
            self.query_one("#runs-table", RunTable).marked = frozenset(marked)
            self.show_title()
            self.refresh_bindings()

    @property
    def _chosen(self) -> tuple[Path, ...]:
        """The marked runs, or else the one under the cursor."""
        selected = self.table.selected
        return self.marked or ((selected.path,) if selected is not None else ())

    def action_compare(self) -> None:
        self.compare(self._chosen)

    # ------------------------------------------------------------------ what can be done

    @work
    async def action_export(self) -> None:
        if paths := self._chosen:
            await ask_to_export(self, exportable_runs(paths))

    @on(RunTable.Opened)
    def _opened(self) -> None:
        if not self._in_trash:
            self.action_act("open")

    @on(Button.Pressed, ".actions Button")
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        action = (event.button.id or "").split("-")[-1]
        plain = {"trash": self.action_trash, "filter": self.action_filter, "export": self.action_export}
        plain[action]() if action in plain else self.action_act(action)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The trash has other actions than the list, an empty one none; restore needs a deleted run."""
        if self.overlay is not None:
            return False
        if action in ("back", "end_filter", "unmark"):
            has_filter = self.filter_line.display
            return action == (
                "back" if self._in_trash else "end_filter" if has_filter else "unmark" if self.marked else ""
            )
        if action in ("filter", "sort", "sort_reverse", "mark", "mark_all", "compare", "export", "sweeps"):
            return not self._in_trash
        if action == "act":
            if self._in_trash:
                return bool(self.table.runs) and parameters[0] in ("restore", "delete", "remove", "empty")
            is_deleted = parameters[0] == "restore" and bool(self.acts.deleted)
            return parameters[0] in (*LIST_ACTIONS, "annotate") or is_deleted
        return super().check_action(action, parameters)

    def action_trash(self) -> None:
        had_focus = self.has_focus_within
        self._in_trash = not self._in_trash
        self._show_face()
        if had_focus:
            self.focus()
        self._list = RunList()
        self.reload()

    action_back = action_trash

    def action_end_filter(self) -> None:
        self.filter_line.clear()
        self.focus()
        self.refresh_bindings()

    def action_unmark(self) -> None:
        self.marked = ()

    def action_act(self, action: str) -> None:
        """Apply ``action`` to the run under the cursor, or the marked ones, or say why it is not possible."""
        if self.acts.is_busy:
            return  # keys typed before its dialog opened are not for the list
        if host(self).read_only and action != "open":
            return self.acts.complain(READ_ONLY)
        run = self.table.selected
        taken = {other.name for other in self._list.every}
        if action == "restore" and not self._in_trash:
            self.acts.do(self.acts.restore(self.acts.deleted[-1]))
        elif action in ("delete", "annotate") and self.marked and not self._in_trash:
            self._act_on_marked(action)
        elif run is None:
            words = str(self.query_one("#runs-notice", Static).content)  # why the list is empty
            self.acts.complain(words.split("\n")[0])
        elif self._in_trash:
            acts = {"restore": lambda: self.acts.restore([run.path]), "empty": lambda: self.acts.empty(self.table.runs)}
            self.acts.do(acts.get(action, lambda: self.acts.remove(run))())
        elif reason := refusal(run, action):
            self.acts.complain(reason)
        elif action in PURPOSES:
            self.post_message(RunChosen(run.path, PURPOSES[action]))
        elif action in ("rename", "duplicate"):
            self.acts.do((self.acts.rename if action == "rename" else self.acts.duplicate)(run, taken))
        else:
            self.acts.do((self.acts.delete if action == "delete" else self.acts.annotate)([run]))

    def _act_on_marked(self, action: str) -> None:
        by_path = {run.path: run for run in self._list.every}
        runs = [by_path[path] for path in self.marked if path in by_path]
        if reason := next(filter(None, (refusal(run, action) for run in runs)), ""):
            self.acts.complain(reason)
        elif runs:
            self.acts.do((self.acts.delete if action == "delete" else self.acts.annotate)(runs))

    def action_restore(self, entry: str) -> None:
        """Restore what was deleted here with the run in that folder of the trash, unless it is restored already."""
        self.acts.restore_entry(entry)
