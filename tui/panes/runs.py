"""The Runs pane: what is saved, and what can be done with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Button, DataTable, Static
from textual.worker import Worker

from core.errors import EngineError, RunError, UserError
from core.events import State
from core.runs.run import Run, RunSummary, check_name, delete_run, duplicate_run, list_runs, rename_run
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.name import NameDialog
from tui.host import host, stands
from tui.messages import RunChosen, RunDeleted, RunRenamed, RunsChanged
from tui.quantities import bytes_text
from tui.text import shown_text
from tui.widgets.lit_box import LitVertical
from tui.widgets.run_details import RunDetails
from tui.widgets.run_table import RunTable

REFRESH_SECONDS = 2.0
EMPTY = (
    "There are no runs yet.\n\n"
    "A run is one model and all that it has learned. Choose a text in Data, press Train, and it stands here,\n"
    "saved by itself: to watch, to let it write, or to train it further."
)


class RunsPane(Vertical):
    """Lists the runs; opens, renames, duplicates and deletes them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("g", "act('generate')", "Generate", tooltip="Let this run write", id="runs.generate"),
        Binding("r", "act('resume')", "Resume", tooltip="Go on training this run", id="runs.resume"),
        Binding("n", "act('rename')", "Rename", tooltip="Give this run another name", id="runs.rename"),
        Binding("d", "act('duplicate')", "Duplicate", tooltip="Copy this run under another name", id="runs.duplicate"),
        Binding("delete,backspace", "act('delete')", "Delete", key_display="del", tooltip="Delete this run for good",
                id="runs.delete"),
    ]  # fmt: skip

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._timer: Timer | None = None
        self._reading: Worker[None] | None = None
        self._select: Path | None = None  # the run that gets the cursor when the list is read next

    def compose(self) -> ComposeResult:
        with LitVertical(id="runs-list"):
            yield Static("Reading the runs …", id="runs-notice", markup=False)
            yield RunTable(id="runs-table")
            with Horizontal(id="runs-actions"):
                for action, label in (
                    ("open", "Open"), ("generate", "Generate"), ("resume", "Resume"), ("rename", "Rename"),
                    ("duplicate", "Duplicate"), ("delete", "Delete"),
                ):  # fmt: skip
                    yield Button(
                        label, id=f"runs-{action}", compact=True, variant="error" if action == "delete" else "default"
                    )
        yield RunDetails(id="run-details")

    def on_mount(self) -> None:
        self.query_one("#runs-list").border_title = "Runs"
        self.table.display = False
        self._timer = self.set_interval(REFRESH_SECONDS, self._look_again, pause=True)
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
        """The list."""
        return self.query_one(RunTable)

    def focus(self, scroll_visible: bool = True, from_app_focus: bool = False) -> RunsPane:
        """Put the focus where the keys of this pane work."""
        self.table.focus(scroll_visible)
        return self

    # ------------------------------------------------------------------ the list

    @on(RunsChanged)
    def reload(self) -> None:
        """Read the list again; the cursor stays on its run."""
        self._reading = self._reload()

    def _look_again(self) -> None:
        # A disk slower than the clock is let finish: begun anew at every tick, it never would.
        if self._reading is None or self._reading.is_finished:
            self.reload()

    @work(exclusive=True, group="list")
    async def _reload(self) -> None:
        runs = await asyncio.to_thread(list_runs, host(self).saves)
        if not stands(self):
            return
        self._show(runs)
        if any(run.path == self._select for run in runs):
            assert self._select is not None
            self.table.move_to(self._select)
            self._select = None

    def _show(self, runs: list[RunSummary]) -> None:
        self.table.show(runs)
        self.table.display = bool(runs)
        notice = self.query_one("#runs-notice", Static)
        notice.display = not runs
        notice.update(EMPTY)
        box = self.query_one("#runs-list")
        training = sum(run.state == State.TRAINING for run in runs)
        box.border_title = Content(f"Runs · {len(runs)}" + (f" · {training} training" if training else ""))
        box.border_subtitle = Content(
            f"{bytes_text(sum(run.bytes for run in runs))} in {shown_text(str(host(self).saves))}"
        )
        for button in self.query("#runs-actions Button").results(Button):
            button.disabled = not runs
        self.query_one(RunDetails).display = bool(runs)
        self._show_details()

    @on(DataTable.RowHighlighted)
    def _show_details(self) -> None:
        self.query_one(RunDetails).show(self.table.selected)

    # ------------------------------------------------------------------ what can be done

    @on(DataTable.RowSelected)
    def _opened(self) -> None:
        self.action_act("open")

    @on(Button.Pressed, "#runs-actions Button")
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.action_act((event.button.id or "").removeprefix("runs-"))

    def action_act(self, action: str) -> None:
        """Do ``action`` with the run under the cursor, or say why not."""
        run = self.table.selected
        if run is None:
            return
        reason = refusal(run, action)
        if reason:
            self._complain(reason)
        elif action in PURPOSES:
            self.post_message(RunChosen(run.path, PURPOSES[action]))
        else:
            {"rename": self._rename, "duplicate": self._duplicate, "delete": self._delete}[action](run)

    @work
    async def _rename(self, run: RunSummary) -> None:
        title = Content(f"Rename {shown_text(run.name)}")
        name = await self.app.push_screen_wait(NameDialog(title, run.name, "Rename", self._name_check(run.name)))
        if name is None or name == run.name:
            return
        if await self._try(lambda: rename_run(Run(run.path), name), leaving=run.path):
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
        if run.state in (State.TRAINING, State.PAUSED):
            # Its engine is writing: only it can make a copy that is of one moment.
            try:
                client = await host(self).engines.client(run.path)
                await client.request("save", name=name)
            except (UserError, EngineError) as error:
                self._complain(str(error))
                return
        elif not await self._try(lambda: duplicate_run(Run(run.path), name)):
            return
        self._done(f"{name} is a copy of {run.name}", run.path.with_name(name))

    @work
    async def _delete(self, run: RunSummary) -> None:
        body = Content.assemble(
            ("its weights, its curve and its copy of the text"
             f", {bytes_text(run.bytes)}, after {run.epoch:,} epochs of training.\nThis cannot be undone."),
        ) if not run.problem else Content("all that is left in its folder.\nThis cannot be undone.")  # fmt: skip
        body = Content.assemble((shown_text(run.name), "bold"), " goes for good: ", body)
        title = Content(f"Delete {shown_text(run.name)}?")
        if not await self.app.push_screen_wait(ConfirmDialog(title, body, "Delete", danger=True)):
            return
        if await self._try(lambda: delete_run(Run(run.path)), leaving=run.path):
            self.post_message(RunDeleted(run.path))
            self._done(f"{run.name} is deleted", None)

    async def _try(self, act: Callable[[], object], leaving: Path | None = None) -> bool:
        """Do what touches the disk, in a thread, after the engine at ``leaving`` has been left; say what goes wrong."""
        try:
            if leaving is not None:
                await host(self).engines.release(leaving)
            await asyncio.to_thread(act)
        except (UserError, EngineError) as error:
            self._complain(str(error))
            return False
        return True

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
