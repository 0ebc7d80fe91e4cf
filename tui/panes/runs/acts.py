"""What the Runs pane does with runs: rename, duplicate, annotate, delete, restore. Each asks, does and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from textual.content import Content
from textual.notifications import Notification, Notify
from textual.widget import Widget
from textual.worker import Worker

from core.engine.requests import Annotate, Save
from core.errors import EngineError, RunError, UserError
from core.events import State
from core.runs.annotation import annotate
from core.runs.run import Run
from core.runs.store import check_name, duplicate_run, rename_run
from core.runs.summary import RunSummary
from core.runs.trash import DAYS_KEPT, delete_run, empty_trash, remove_deleted, restore_run, restored_words
from core.units import bytes_text, counted
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.name import NameDialog
from tui.messages import RunDeleted, RunRenamed, RunsChanged
from tui.panes.runs.annotation_dialog import Annotation, AnnotationDialog
from tui.services import host
from tui.text.keys import key
from tui.text.safe import shown_text

Answer = TypeVar("Answer")
MOST_NAMED = 8


class Acts:
    """One act at a time, in the background of a pane.

    Attributes:
        select: the run that gets the cursor when the list is read next.
        deleted: folders in the trash of the runs that were deleted here, act by act, to be restored.
    """

    def __init__(self, pane: Widget) -> None:
        self._pane = pane
        self._worker: Worker[None] | None = None
        self._notices: dict[Path, Notification] = {}  # of the runs deleted together: by the first one
        self.select: Path | None = None
        self.deleted: list[tuple[Path, ...]] = []

    @property
    def is_busy(self) -> bool:
        """Whether an act, or its dialog, has not ended."""
        return self._worker is not None and not self._worker.is_finished

    def do(self, act: Coroutine[Any, Any, None]) -> None:
        """Do ``act`` in the background, and show its error."""
        self._worker = self._pane.run_worker(self._guarded(act))

    async def _guarded(self, act: Coroutine[Any, Any, None]) -> None:
        try:
            await act
        except (UserError, EngineError) as error:
            self.complain(str(error))

    async def rename(self, run: RunSummary, taken: set[str]) -> None:
        """Ask for a name; ``taken`` are those of all runs."""
        title = Content(f"Rename {shown_text(run.name)}")
        name = await self._pane.app.push_screen_wait(
            NameDialog(title, run.name, "Rename", name_check(taken - {run.name}))
        )
        if name is None or name == run.name:
            return
        await self._try(lambda: rename_run(Run(run.path), name), leaving=run.path)
        path = run.path.with_name(name)
        self._pane.post_message(RunRenamed(run.path, path))
        self._done(f"{run.name} is now {name}", path)

    async def duplicate(self, run: RunSummary, taken: set[str]) -> None:
        """Ask for a name, and copy a run."""
        title = Content(f"Duplicate {shown_text(run.name)}")
        dialog = NameDialog(title, copy_name(run.name, taken), "Duplicate", name_check(taken))
        name = await self._pane.app.push_screen_wait(dialog)
        if name is None:
            return
        if run.state in (State.TRAINING, State.PAUSED):
            # Its engine is writing: only the engine can make a consistent copy.
            client = await host(self._pane).engines.client(run.path)
            await client.ask(Save(name))
        else:
            await self._try(lambda: duplicate_run(Run(run.path), name))
        self._done(f"{name} is a copy of {run.name}", run.path.with_name(name))

    async def annotate(self, runs: Sequence[RunSummary]) -> None:
        """Ask for the tags and the note of a run, or the tags of several."""
        typed = await self._pane.app.push_screen_wait(AnnotationDialog(runs))
        if typed is None:
            return
        try:
            for run in runs:
                await self._annotate(run, typed)
        finally:
            self._pane.post_message(RunsChanged())
        what = shown_text(runs[0].name) if len(runs) == 1 else counted(len(runs), "run")
        self._pane.notify(f"Tags {'and note ' if len(runs) == 1 else ''}of {what} are saved", markup=False)

    async def _annotate(self, run: RunSummary, typed: Annotation) -> None:
        tags = typed.tags_of(run)
        if await self._try(Run(run.path).is_held):
            client = await host(self._pane).engines.client(run.path)
            await client.ask(Annotate(tags, typed.note))
        else:
            await self._try(lambda: annotate(Run(run.path), tags, typed.note))

    async def delete(self, runs: Sequence[RunSummary]) -> None:
        """Ask, and move runs into the trash."""
        if not await self._sure(*_deletion_words(runs), "Delete"):
            return
        gone: list[Path] = []
        try:
            for run in runs:
                gone.append(await self._try(lambda run=run: delete_run(Run(run.path)), leaving=run.path))  # type: ignore[misc]
                self._pane.post_message(RunDeleted(run.path))
        finally:
            if gone:
                self.deleted.append(tuple(gone))
                self._tell_deleted(gone, runs[0].name)
            self._pane.post_message(RunsChanged())

    def _tell_deleted(self, gone: Sequence[Path], name: str) -> None:
        # The name is in the title: a title is never markup.
        what = f"{name} is" if len(gone) == 1 else f"{counted(len(gone), 'run')} are"
        notice = self._notices[gone[0]] = Notification(
            f"[@click=app.restore_run('{gone[0].parent.name}')]press {key('runs.restore')} or click here to restore "
            f"{'it' if len(gone) == 1 else 'them'}[/]",
            title=shown_text(f"{what} in the trash"), timeout=10, markup=True,
        )  # fmt: skip
        self._pane.app.post_message(Notify(notice))

    def restore_entry(self, entry: str) -> None:
        """Restore the runs that were deleted together with the one in that folder of the trash, if they are there."""
        for paths in self.deleted:
            if paths[0].parent.name == entry:
                self.do(self.restore(paths))

    async def restore(self, paths: Sequence[Path]) -> None:
        """Move runs out of the trash."""
        # Also if they were restored in another way.
        self.deleted = [left for group in self.deleted if (left := tuple(path for path in group if path not in paths))]
        words: list[str] = []
        for path in paths:
            restored = await self._try(lambda path=path: restore_run(path))  # type: ignore[misc]
            words.append(restored_words(path.name, restored.name))
            if path in self._notices:
                self._notices.pop(path).timeout = 0.0  # it disappears when the next notice appears
        self._done(words[0] if len(words) == 1 else f"{counted(len(words), 'run')} are back", restored.path)

    async def remove(self, run: RunSummary) -> None:
        """Ask, and delete a run in the trash permanently."""
        body = Content.assemble((shown_text(run.name), "bold"), " will be deleted permanently. This cannot be undone.")
        if await self._sure(f"Delete {shown_text(run.name)} permanently?", body, "Delete permanently"):
            await self._try(lambda: remove_deleted(run.path))
            self._done(f"{run.name} is deleted permanently", None)

    async def empty(self, runs: Sequence[RunSummary]) -> None:
        """Ask, and delete everything in the trash permanently; ``runs`` are in it."""
        size = bytes_text(sum(run.bytes for run in runs))
        body = f"{counted(len(runs), 'run')}, {size}, in the trash will be deleted permanently. This cannot be undone."
        if await self._sure("Empty the trash?", Content(body), "Empty trash"):
            deleted = await self._try(lambda: empty_trash(host(self._pane).saves))
            self._done(f"{counted(len(deleted), 'run')} deleted permanently", None)

    async def _sure(self, title: str, body: Content, confirm: str) -> bool:
        answer = await self._pane.app.push_screen_wait(ConfirmDialog(title, body, confirm, danger=True))
        return answer is not None

    async def _try(self, act: Callable[[], Answer], leaving: Path | None = None) -> Answer:
        """Call ``act``, which uses the disk, in a thread, after releasing the engine of ``leaving``."""
        if leaving is not None:
            await host(self._pane).engines.release(leaving)
        return await asyncio.to_thread(act)

    def _done(self, sentence: str, select: Path | None) -> None:
        self._pane.notify(shown_text(sentence), markup=False)
        self.select = select
        self._pane.post_message(RunsChanged())

    def complain(self, sentence: str) -> None:
        self._pane.notify(shown_text(sentence), title="Not possible", severity="error", markup=False)


def _deletion_words(runs: Sequence[RunSummary]) -> tuple[str, Content]:
    kept = f"will be moved to the trash and can be restored for {DAYS_KEPT} days."
    if len(runs) == 1:
        (run,) = runs
        what = f"{bytes_text(run.bytes)}, after {counted(run.epoch, 'epoch')} of training" if not run.problem else \
            "what is left in its folder"  # fmt: skip
        return f"Delete {shown_text(run.name)}?", Content.assemble((shown_text(run.name), "bold"), f" ({what}) {kept}")
    names = ", ".join(shown_text(run.name) for run in runs[:MOST_NAMED])
    more = f" and {len(runs) - MOST_NAMED:,} more" if len(runs) > MOST_NAMED else ""
    size = bytes_text(sum(run.bytes for run in runs))
    return f"Delete {counted(len(runs), 'run')}?", Content.assemble((names + more, "bold"), f" ({size}) {kept}")


def name_check(taken: set[str]) -> Callable[[str], object]:
    """The check of a name dialog, called at every key: it uses the list and not the disk."""

    def check(name: str) -> None:
        check_name(name)
        if name in taken:
            raise RunError(f"there is already a run {name!r}: choose another name")

    return check


def copy_name(name: str, taken: set[str]) -> str:
    copy, number = f"{name[:90]}-copy", 2
    while copy in taken:
        copy, number = f"{name[:90]}-copy-{number}", number + 1
    return copy
