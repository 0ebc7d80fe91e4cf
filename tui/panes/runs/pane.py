"""The Runs pane: what is saved, and what can be done with it; and the trash, which takes its place on ``t``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, TypeVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.timer import Timer
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
from core.units import counted
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.name import NameDialog
from tui.messages import RunChosen, RunDeleted, RunRenamed, RunsChanged
from tui.panes.runs.run_details import RunDetails
from tui.panes.runs.run_table import RunTable, TrashTable
from tui.services import host, listen, stands
from tui.shell.lit_box import LitVertical
from tui.text.quantities import bytes_text
from tui.text.safe import shown_text

Answer = TypeVar("Answer")
REFRESH_SECONDS = 2.0
EMPTY = (
    "There are no runs yet.\n\n"
    "A run is one model and all that it has learned. Choose a text in Data, press Train, and it stands here,\n"
    "saved by itself: to watch, to let it write, or to train it further."
)
EMPTY_TRASH = f"The trash is empty.\n\nA run that is deleted stays here for {DAYS_KEPT} days, and can be restored."
HELP = {
    "open": "Show this run's curve and follow it",
    "generate": "Let this run write",
    "resume": "Go on training this run",
    "rename": "Give this run another name",
    "duplicate": "Copy this run under another name",
    "delete": "Move this run into the trash; in the trash, delete it for good",
    "restore": "Bring back the run that was deleted last; in the trash, the one under the cursor",
    "remove": "Delete this run for good",
    "empty": "Delete for good all that is in the trash",
    "trash": "The runs that were deleted, or back to the others",
}
LIST_ACTIONS = ("open", "generate", "resume", "rename", "duplicate", "delete")
TRASH_ACTIONS = {"restore": "Restore", "remove": "Delete for good", "empty": "Empty trash", "trash": "Back"}


class RunsPane(Vertical):
    """Lists the runs; opens, renames, duplicates and deletes them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("g", "act('generate')", "Generate", tooltip=HELP["generate"], id="runs.generate"),
        Binding("r", "act('resume')", "Resume", tooltip=HELP["resume"], id="runs.resume"),
        Binding("n", "act('rename')", "Rename", tooltip=HELP["rename"], id="runs.rename"),
        Binding("d", "act('duplicate')", "Duplicate", tooltip=HELP["duplicate"], id="runs.duplicate"),
        # Not backspace: that is what one types after a mistake.
        Binding("delete", "act('delete')", "Delete", key_display="del", tooltip=HELP["delete"], id="runs.delete"),
        Binding("u", "act('restore')", "Restore", tooltip=HELP["restore"], id="runs.restore"),
        Binding("e", "act('empty')", "Empty trash", tooltip=HELP["empty"], id="runs.empty"),
        Binding("t", "trash", "Trash", show=False, tooltip=HELP["trash"], id="runs.trash"),
        Binding("escape", "runs", "Runs", key_display="esc", id="runs.list"),
    ]  # fmt: skip

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._timer: Timer | None = None
        self._reading: Worker[None] | None = None
        self._act: Worker[None] | None = None
        self._select: Path | None = None  # the run that gets the cursor when the list is read next
        self._in_trash = False
        self._deleted: list[Path] = []  # where the runs deleted here are now, to be brought back one by one

    def compose(self) -> ComposeResult:
        with LitVertical(id="runs-list"):
            yield Static("Reading the runs …", id="runs-notice", markup=False)
            yield RunTable(id="runs-table")
            yield TrashTable(id="trash-table")
            with Horizontal(id="runs-actions", classes="actions"):
                for action in LIST_ACTIONS:
                    yield _button(action, action.capitalize(), is_loud=action == "delete")
                yield _button("trash", "Trash")
            with Horizontal(id="trash-actions", classes="actions"):
                for action, label in TRASH_ACTIONS.items():
                    yield _button(action, label, is_loud=action in ("remove", "empty"))
        yield RunDetails(id="run-details")

    def on_mount(self) -> None:
        self._show_face()
        self.table.display = False
        self._timer = self.set_interval(REFRESH_SECONDS, self._look_again, pause=True)
        listen(self, {RunsChanged: self._runs_changed})
        self.reload()

    def on_show(self) -> None:
        if self._timer:
            self._timer.resume()
        self.reload()

    def on_hide(self) -> None:
        if self._timer:
            self._timer.pause()

    @property
    def table(self) -> RunTable:
        """The list that is shown: of the runs, or of the trash."""
        return self.query_one("#trash-table" if self._in_trash else "#runs-table", RunTable)

    def focus(self, scroll_visible: bool = True, from_app_focus: bool = False) -> RunsPane:
        """Put the focus where the keys of this pane work: an empty list is not shown, and takes none."""
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
        # A disk slower than the clock is let finish: begun anew at every tick, it never would.
        if self._reading is None or self._reading.is_finished:
            self.reload()

    @work(exclusive=True, group="list")
    async def _reload(self) -> None:
        saves, in_trash = host(self).saves, self._in_trash
        if in_trash:
            deleted = await asyncio.to_thread(deleted_runs, saves)
        else:
            places = await asyncio.to_thread(deleted_places, saves)
            runs = await asyncio.to_thread(list_runs, saves)
        if not stands(self) or in_trash != self._in_trash:
            return
        if in_trash:
            self._show_trash(deleted)
        else:
            self._show(runs, len(places))
            if any(run.path == self._select for run in runs):
                assert self._select is not None
                self.table.move_to(self._select)
                self._select = None
        self._show_details()
        self.refresh_bindings()

    def _show(self, runs: list[RunSummary], deleted: int) -> None:
        self.table.show(runs)
        in_trash = f"\n\n{counted(deleted, 'run')} in the trash: t shows them." if deleted and not runs else ""
        self._show_box(runs, EMPTY + in_trash)
        box = self.query_one("#runs-list")
        training = sum(run.state == State.TRAINING for run in runs)
        box.border_title = Content(f"Runs · {len(runs)}" + (f" · {training} training" if training else ""))
        button = self.query_one("#runs-trash", Button)
        label = f"Trash {deleted}" if deleted else "Trash"
        if str(button.label) != label:
            button.label = label
            button.refresh(layout=True)

    def _show_trash(self, deleted: list[DeletedRun]) -> None:
        self.query_one(TrashTable).show_deleted(deleted)
        self._show_box([run.summary for run in deleted], EMPTY_TRASH)
        self.query_one("#runs-list").border_title = Content(f"Trash · {len(deleted)}")

    def _show_box(self, runs: list[RunSummary], when_empty: str) -> None:
        """The list and what stands around it, for whichever of the two lists it is."""
        changed = self.table.display != bool(runs)
        self.table.display = bool(runs)
        if changed and self.display and self.has_focus_within:
            self.focus()
        notice = self.query_one("#runs-notice", Static)
        notice.display = not runs
        notice.update(when_empty)
        saves = host(self).saves
        folder = trash_folder(saves) if self._in_trash else saves
        self.query_one("#runs-list").border_subtitle = Content(
            f"{bytes_text(sum(run.bytes for run in runs))} in {shown_text(str(folder))}"
        )
        for button in self.query(".actions Button").results(Button):
            button.disabled = not runs and not (button.id or "").endswith("trash")
        self.query_one(RunDetails).display = bool(runs)

    def _show_face(self) -> None:
        """Which of the two lists, and its buttons."""
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
        """In the trash there is other things to do than in the list; what was deleted can be brought back."""
        if action == "runs":
            return self._in_trash
        if action == "act":
            if self._in_trash:
                return parameters[0] in ("restore", "delete", "remove", "empty")
            return parameters[0] in LIST_ACTIONS or (parameters[0] == "restore" and bool(self._deleted))
        return super().check_action(action, parameters)

    def action_trash(self) -> None:
        """The trash instead of the list, or the other way round."""
        had_focus = self.has_focus_within
        self._in_trash = not self._in_trash
        self._show_face()
        if had_focus:
            self.focus()
        self.reload()

    def action_runs(self) -> None:
        """Back from the trash."""
        self.action_trash()

    def action_act(self, action: str) -> None:
        """Do ``action`` with the run under the cursor, or say why not."""
        if self._act is not None and not self._act.is_finished:
            return  # keys that were typed before its dialog stood there are not for the list
        run = self.table.selected
        if action == "restore" and not self._in_trash:
            self._act = self._bring_back(self._deleted[-1])
        elif run is None:
            return
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
                # Its engine is writing: only it can make a copy that is of one moment.
                client = await host(self).engines.client(run.path)
                await client.ask(Save(name))
            else:
                await self._try(lambda: duplicate_run(Run(run.path), name))
            self._done(f"{name} is a copy of {run.name}", run.path.with_name(name))

    @work
    async def _delete(self, run: RunSummary) -> None:
        what = f"{bytes_text(run.bytes)}, after {counted(run.epoch, 'epoch')} of training" if not run.problem else \
            "all that is left in its folder"  # fmt: skip
        body = Content.assemble(
            (shown_text(run.name), "bold"), f" ({what}) goes into the trash. It can be restored for {DAYS_KEPT} days."
        )
        if not await self._sure(f"Delete {shown_text(run.name)}?", body, "Delete"):
            return
        with self._complaining():
            path = await self._try(lambda: delete_run(Run(run.path)), leaving=run.path)
            self._deleted.append(path)
            self.post_message(RunDeleted(run.path))
            # The name is in the title: a title is never markup.
            self.app.notify(
                f"[@click=app.restore_run('{path.parent.name}')]u or a click here brings it back[/]",
                title=shown_text(f"{run.name} is in the trash"), timeout=10,
            )  # fmt: skip
            self.post_message(RunsChanged())

    def action_restore(self, entry: str) -> None:
        """Bring back the run that was deleted here and is in that folder of the trash, unless it is back already."""
        for path in self._deleted:
            if path.parent.name == entry:
                self._bring_back(path)

    @work
    async def _bring_back(self, path: Path) -> None:
        with self._complaining():
            if path in self._deleted:
                self._deleted.remove(path)  # also where it has gone another way
            restored = await self._try(lambda: restore_run(path))
            self._done(restored_words(path.name, restored.name), restored.path)

    @work
    async def _remove(self, run: RunSummary) -> None:
        body = Content.assemble((shown_text(run.name), "bold"), " goes for good. This cannot be undone.")
        if await self._sure(f"Delete {shown_text(run.name)} for good?", body, "Delete for good"):
            with self._complaining():
                await self._try(lambda: remove_deleted(run.path))
                self._done(f"{run.name} is gone for good", None)

    @work
    async def _empty(self) -> None:
        runs = self.table.runs
        size = bytes_text(sum(run.bytes for run in runs))
        body = f"{counted(len(runs), 'run')}, {size}, in the trash will be gone for good. This cannot be undone."
        if await self._sure("Empty the trash?", Content(body), "Empty trash"):
            with self._complaining():
                gone = await self._try(lambda: empty_trash(host(self).saves))
                self._done(f"{counted(len(gone), 'run')} gone for good", None)

    async def _sure(self, title: str, body: Content, confirm: str) -> bool:
        """Ask before something is deleted."""
        answer: bool = await self.app.push_screen_wait(ConfirmDialog(title, body, confirm, danger=True))
        return answer

    @contextlib.contextmanager
    def _complaining(self) -> Iterator[None]:
        """Say what went wrong, instead of what would have come next."""
        try:
            yield
        except (UserError, EngineError) as error:
            self._complain(str(error))

    async def _try(self, act: Callable[[], Answer], leaving: Path | None = None) -> Answer:
        """Do what touches the disk, in a thread, after the engine at ``leaving`` has been left."""
        if leaving is not None:
            await host(self).engines.release(leaving)
        return await asyncio.to_thread(act)

    def _done(self, sentence: str, select: Path | None) -> None:
        self.notify(shown_text(sentence), markup=False)
        self._select = select
        self.post_message(RunsChanged())

    def _complain(self, sentence: str) -> None:
        self.notify(shown_text(sentence), title="Not done", severity="error", markup=False)

    def _name_check(self, own: str | None = None) -> Callable[[str], object]:
        """What a name dialog asks at every key: of the list as it stands, without touching the disk."""
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


def _button(action: str, label: str, is_loud: bool = False) -> Button:
    place = "trash" if action in ("remove", "empty", "restore") or label == "Back" else "runs"
    classes = "loud" if is_loud else ""
    return Button(label, id=f"{place}-{action}", compact=True, classes=classes, tooltip=HELP[action])


PURPOSES = {"open": "watch", "generate": "generate", "resume": "resume"}


def refusal(run: RunSummary, action: str) -> str:
    """Why ``action`` cannot be done with ``run``, in a sentence; empty where it can."""
    if run.problem and action in (*PURPOSES, "duplicate"):
        return run.problem
    if run.state in (State.TRAINING, State.PAUSED) and not run.problem and action in ("rename", "delete"):
        verb = {"rename": "renamed", "delete": "deleted"}[action]
        return f"{run.name} is {run.state}: stop it in Train first, then it can be {verb}"
    if run.state == State.TRAINING and action == "resume":
        return f"{run.name} is training already: open it to watch"
    return ""
