"""The Runs pane: the list of saved runs and what can be done with them, and the trash, shown by ``t``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.notifications import Notification, Notify
from textual.widgets import Button, DataTable, Static
from textual.worker import Worker

from core.engine.requests import Save
from core.errors import EngineError, RunError, UserError
from core.events import State
from core.runs.run import Run
from core.runs.store import check_name, duplicate_run, list_runs, rename_run
from core.runs.summary import RunSummary
from core.runs.trash import (
    DAYS_KEPT,
    DeletedRun,
    delete_run,
    deleted_places,
    deleted_runs,
    empty_trash,
    remove_deleted,
    restore_run,
    restored_words,
    trash_folder,
)
from core.units import bytes_text, counted
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.name import NameDialog
from tui.messages import RunChosen, RunDeleted, RunRenamed, RunsChanged
from tui.panes.runs.actions import KEYS, LIST_ACTIONS, PURPOSES, TRASH_ACTIONS, action_button, refusal
from tui.panes.runs.run_details import RunDetails
from tui.panes.runs.run_table import RunTable, TrashTable
from tui.services import READ_ONLY, host, is_alive, listen
from tui.shell.lit_box import LitVertical
from tui.text.safe import shown_text

Answer = TypeVar("Answer")
REFRESH_SECONDS = 2.0
EMPTY = (
    "There are no runs yet.\n\n"
    "A run is one model with its settings, curve and weights. Choose a text in Data and press Train:\n"
    "the run is listed here, saved automatically, to open, to generate from, or to continue."
)
EMPTY_TRASH = f"The trash is empty.\n\nA run that is deleted stays here for {DAYS_KEPT} days, and can be restored."


class RunsPane(Vertical):
    """Lists the runs; opens, renames, duplicates and deletes them."""

    BINDINGS = KEYS

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._reading: Worker[None] | None = None
        self._act: Worker[None] | None = None
        self._select: Path | None = None  # the run that gets the cursor when the list is read next
        self._in_trash = False
        self._deleted: list[Path] = []  # folders in the trash of the runs deleted here, to be restored one by one
        self._notices: dict[Path, Notification] = {}  # the notice of each

    def compose(self) -> ComposeResult:
        with LitVertical(id="runs-list", classes="box"):
            yield Static("Reading the runs …", id="runs-notice", classes="notice", markup=False)
            yield RunTable(id="runs-table")
            yield TrashTable(id="trash-table")
            with Horizontal(id="runs-actions", classes="actions buttons"):
                for action in LIST_ACTIONS:
                    yield action_button(action, action.capitalize(), is_loud=action == "delete")
                yield action_button("trash", "Trash")
            with Horizontal(id="trash-actions", classes="actions buttons"):
                for action, label in TRASH_ACTIONS.items():
                    yield action_button(action, label, is_loud=action in ("remove", "empty"))
        yield RunDetails(id="run-details", classes="box")

    def on_mount(self) -> None:
        self._show_face()
        self.table.display = False
        self.set_interval(REFRESH_SECONDS, self._look_again)
        listen(self, {RunsChanged: self._runs_changed})
        self.reload()

    def on_show(self) -> None:
        self.reload()

    @property
    def table(self) -> RunTable:
        """The list that is shown: of the runs, or of the trash."""
        return self.query_one("#trash-table" if self._in_trash else "#runs-table", RunTable)

    def focus(self, scroll_visible: bool = True, from_app_focus: bool = False) -> RunsPane:
        """Put the focus where the keys of this pane work: an empty list is hidden and cannot have it."""
        where = (
            self.table if self.table.display else self.query_one("#trash-trash" if self._in_trash else "#runs-trash")
        )
        where.focus(scroll_visible)
        return self

    # ------------------------------------------------------------------ the list

    def _runs_changed(self, _event: RunsChanged) -> None:
        if self.display:  # a hidden pane reads the list when it is shown
            self.reload()

    def reload(self) -> None:
        """Read the list again; the cursor stays on its run."""
        self._reading = self._reload()

    def _look_again(self) -> None:
        # On a slow disk a reading that is restarted at every tick would never finish.
        if self.display and (self._reading is None or self._reading.is_finished):
            self.reload()

    @work(exclusive=True, group="list")
    async def _reload(self) -> None:
        saves, in_trash = host(self).saves, self._in_trash
        runs, deleted, places, problem = list[RunSummary](), list[DeletedRun](), 0, ""
        try:
            if in_trash:
                deleted = await asyncio.to_thread(deleted_runs, saves)
            else:
                runs = await asyncio.to_thread(list_runs, saves)
                places = len(await asyncio.to_thread(deleted_places, saves))
        except RunError as error:
            problem = shown_text(str(error))
        if not is_alive(self) or in_trash != self._in_trash:
            return
        if in_trash:
            self._show_trash(deleted, problem)
        else:
            self._show(runs, places, problem)
            if any(run.path == self._select for run in runs):
                assert self._select is not None
                self.table.move_to(self._select)
                self._select = None
        self._show_details()
        self.refresh_bindings()

    def _show(self, runs: list[RunSummary], deleted: int, problem: str) -> None:
        self.table.show(runs)
        in_trash = f"\n\n{counted(deleted, 'run')} in the trash: t shows them." if deleted and not runs else ""
        self._show_box(runs, problem or EMPTY + in_trash)
        box = self.query_one("#runs-list")
        training = sum(run.state == State.TRAINING for run in runs)
        box.border_title = Content(f"Runs · {len(runs)}" + (f" · {training} training" if training else ""))
        button = self.query_one("#runs-trash", Button)
        label = f"Trash {deleted}" if deleted else "Trash"
        if str(button.label) != label:
            button.label = label
            button.refresh(layout=True)

    def _show_trash(self, deleted: list[DeletedRun], problem: str) -> None:
        self.query_one(TrashTable).show_deleted(deleted)
        self._show_box([run.summary for run in deleted], problem or EMPTY_TRASH)
        self.query_one("#runs-list").border_title = Content(f"Trash · {len(deleted)}")

    def _show_box(self, runs: list[RunSummary], when_empty: str) -> None:
        """The shown list, its title and its buttons."""
        changed = self.table.display != bool(runs)
        self.table.display = bool(runs)
        if changed and self.display and self.has_focus_within:
            self.focus()
        notice = self.query_one("#runs-notice", Static)
        notice.display = not runs
        notice.update(Content(when_empty))
        saves = host(self).saves
        folder = trash_folder(saves) if self._in_trash else saves
        self.query_one("#runs-list").border_subtitle = Content(
            f"{bytes_text(sum(run.bytes for run in runs))} in {shown_text(str(folder))}"
        )
        for button in self.query(".actions Button").results(Button):
            button.disabled = not runs and not (button.id or "").endswith("trash")
        self.query_one(RunDetails).display = bool(runs)

    def _show_face(self) -> None:
        """Show one of the two lists, and its buttons."""
        self.query_one("#runs-table").display = not self._in_trash
        self.query_one(TrashTable).display = self._in_trash
        self.query_one("#runs-actions").display = not self._in_trash
        self.query_one("#trash-actions").display = self._in_trash
        self.query_one("#runs-list").border_title = "Trash" if self._in_trash else "Runs"

    @on(DataTable.RowHighlighted)
    def _show_details(self) -> None:
        self.query_one(RunDetails).show(self.table.selected)

    # ------------------------------------------------------------------ what can be done

    @on(DataTable.RowSelected, "#runs-table")
    def _opened(self) -> None:
        self.action_act("open")

    @on(Button.Pressed, ".actions Button")
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        action = (event.button.id or "").split("-")[-1]
        self.action_trash() if action == "trash" else self.action_act(action)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The trash has other actions than the list; restore needs a deleted run."""
        if action == "runs":
            return self._in_trash
        if action == "act":
            if self._in_trash:
                return parameters[0] in ("restore", "delete", "remove", "empty")
            return parameters[0] in LIST_ACTIONS or (parameters[0] == "restore" and bool(self._deleted))
        return super().check_action(action, parameters)

    def action_trash(self) -> None:
        had_focus = self.has_focus_within
        self._in_trash = not self._in_trash
        self._show_face()
        if had_focus:
            self.focus()
        self.reload()

    def action_runs(self) -> None:
        self.action_trash()

    def action_act(self, action: str) -> None:
        """Apply ``action`` to the run under the cursor, or say why it is not possible."""
        if self._act is not None and not self._act.is_finished:
            return  # keys typed before its dialog opened are not for the list
        if host(self).read_only and action not in ("open", "generate"):
            return self._complain(READ_ONLY)
        run = self.table.selected
        if action == "restore" and not self._in_trash:
            self._act = self._bring_back(self._deleted[-1])
        elif run is None:
            self._complain(str(self.query_one("#runs-notice", Static).content).split("\n")[0])  # why the list is empty
        elif self._in_trash:
            acts = {"restore": lambda: self._bring_back(run.path), "empty": self._empty}
            self._act = acts.get(action, lambda: self._remove(run))()
        elif reason := refusal(run, action):
            self._complain(reason)
        elif action in PURPOSES:
            self.post_message(RunChosen(run.path, PURPOSES[action]))
        else:
            self._act = {"rename": self._rename, "duplicate": self._duplicate, "delete": self._delete}[action](run)

    @work
    async def _rename(self, run: RunSummary) -> None:
        title = Content(f"Rename {shown_text(run.name)}")
        name = await self.app.push_screen_wait(NameDialog(title, run.name, "Rename", self._name_check(run.name)))
        if name is None or name == run.name:
            return
        with self._complaining():
            await self._try(lambda: rename_run(Run(run.path), name), leaving=run.path)
            path = run.path.with_name(name)
            self.post_message(RunRenamed(run.path, path))
            self._done(f"{run.name} is now {name}", path)

    @work
    async def _duplicate(self, run: RunSummary) -> None:
        title = Content(f"Duplicate {shown_text(run.name)}")
        dialog = NameDialog(title, self._copy_name(run.name), "Duplicate", self._name_check())
        name = await self.app.push_screen_wait(dialog)
        if name is None:
            return
        with self._complaining():
            if run.state in (State.TRAINING, State.PAUSED):
                # Its engine is writing: only the engine can make a consistent copy.
                client = await host(self).engines.client(run.path)
                await client.ask(Save(name))
            else:
                await self._try(lambda: duplicate_run(Run(run.path), name))
            self._done(f"{name} is a copy of {run.name}", run.path.with_name(name))

    @work
    async def _delete(self, run: RunSummary) -> None:
        what = f"{bytes_text(run.bytes)}, after {counted(run.epoch, 'epoch')} of training" if not run.problem else \
            "what is left in its folder"  # fmt: skip
        body = Content.assemble(
            (shown_text(run.name), "bold"),
            f" ({what}) will be moved to the trash and can be restored for {DAYS_KEPT} days.",
        )
        if not await self._sure(f"Delete {shown_text(run.name)}?", body, "Delete"):
            return
        with self._complaining():
            path = await self._try(lambda: delete_run(Run(run.path)), leaving=run.path)
            self._deleted.append(path)
            self.post_message(RunDeleted(run.path))
            # The name is in the title: a title is never markup.
            notice = self._notices[path] = Notification(
                f"[@click=app.restore_run('{path.parent.name}')]press u or click here to restore it[/]",
                title=shown_text(f"{run.name} is in the trash"), timeout=10, markup=True,
            )  # fmt: skip
            self.app.post_message(Notify(notice))
            self.post_message(RunsChanged())

    def action_restore(self, entry: str) -> None:
        """Restore the run that was deleted here into that folder of the trash, unless it is restored already."""
        for path in self._deleted:
            if path.parent.name == entry:
                self._bring_back(path)

    @work
    async def _bring_back(self, path: Path) -> None:
        with self._complaining():
            if path in self._deleted:
                self._deleted.remove(path)  # even if it was restored in another way
            restored = await self._try(lambda: restore_run(path))
            if path in self._notices:
                self._notices.pop(path).timeout = 0.0  # it disappears when the next notice appears
            self._done(restored_words(path.name, restored.name), restored.path)

    @work
    async def _remove(self, run: RunSummary) -> None:
        body = Content.assemble((shown_text(run.name), "bold"), " will be deleted permanently. This cannot be undone.")
        if await self._sure(f"Delete {shown_text(run.name)} permanently?", body, "Delete permanently"):
            with self._complaining():
                await self._try(lambda: remove_deleted(run.path))
                self._done(f"{run.name} is deleted permanently", None)

    @work
    async def _empty(self) -> None:
        runs = self.table.runs
        size = bytes_text(sum(run.bytes for run in runs))
        body = f"{counted(len(runs), 'run')}, {size}, in the trash will be deleted permanently. This cannot be undone."
        if await self._sure("Empty the trash?", Content(body), "Empty trash"):
            with self._complaining():
                deleted = await self._try(lambda: empty_trash(host(self).saves))
                self._done(f"{counted(len(deleted), 'run')} deleted permanently", None)

    async def _sure(self, title: str, body: Content, confirm: str) -> bool:
        """Ask before something is deleted."""
        answer: bool = await self.app.push_screen_wait(ConfirmDialog(title, body, confirm, danger=True))
        return answer

    @contextlib.contextmanager
    def _complaining(self) -> Iterator[None]:
        """Show the error of the block."""
        try:
            yield
        except (UserError, EngineError) as error:
            self._complain(str(error))

    async def _try(self, act: Callable[[], Answer], leaving: Path | None = None) -> Answer:
        """Call ``act``, which uses the disk, in a thread, after releasing the engine of ``leaving``."""
        if leaving is not None:
            await host(self).engines.release(leaving)
        return await asyncio.to_thread(act)

    def _done(self, sentence: str, select: Path | None) -> None:
        self.notify(shown_text(sentence), markup=False)
        self._select = select
        self.post_message(RunsChanged())

    def _complain(self, sentence: str) -> None:
        self.notify(shown_text(sentence), title="Not possible", severity="error", markup=False)

    def _name_check(self, own: str | None = None) -> Callable[[str], object]:
        """The check of a name dialog, called at every key: it uses the list and not the disk."""
        taken = {run.name for run in self.table.runs}

        def check(name: str) -> None:
            check_name(name)
            if name in taken and name != own:
                raise RunError(f"there is already a run {name!r}: choose another name")

        return check

    def _copy_name(self, name: str) -> str:
        taken = {run.name for run in self.table.runs}
        copy, number = f"{name[:90]}-copy", 2
        while copy in taken:
            copy, number = f"{name[:90]}-copy-{number}", number + 1
        return copy
