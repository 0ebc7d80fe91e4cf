"""The Inspect pane: look inside the model at one place of a text."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.reactive import reactive
from textual.worker import Worker

from core.errors import EngineError, UserError
from core.runs.run import Run
from core.runs.store import list_runs
from core.runs.summary import RunSummary, run_summary
from tui.messages import EngineLost, JournalGrew, RunOpened, RunsChanged, RunStateChanged
from tui.panes.inspect.asking import Question, answer_to
from tui.panes.inspect.boxes import TextBox, ViewBox
from tui.panes.inspect.keys import KEYS, is_useful
from tui.panes.inspect.parts import Canvas, LineInput, ViewTabs, shown_lines, typed_lines
from tui.panes.inspect.subject import KINDS, Subject
from tui.panes.inspect.token_text import TokenText
from tui.scheduling import schedule
from tui.services import NO_ENGINE, host, is_alive, listen
from tui.text.keys import key

REFRESH_SECONDS = 1.0  # at least, between two looks at weights that are being trained
SHARE = 0.02  # of the time of a processor, at most, that these looks take from the engine and to be painted
LONG_SECONDS = 0.4  # after which work is long: it shows its progress, and a newer question takes its place
LONGEST_PAUSE = 60.0  # seconds between two looks, at most
CANCELLED = "Cancelled: r asks again."


class InspectPane(Vertical):
    """A text with a cursor, and views of what the model does there."""

    BINDINGS: ClassVar[list[BindingType]] = KEYS

    number: reactive[int] = reactive(0, init=False)
    """The view that is shown, from 0."""

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.subject = Subject()
        self._asking: Worker[None] | None = None
        self._question: Question | None = None  # in hand
        self._asked_at = 0.0
        self._share: float | None = None  # of long work that is done
        self._refreshing = False
        self._pause = REFRESH_SECONDS

    def compose(self) -> ComposeResult:
        yield TextBox(id="inspect-source", classes="box")
        yield ViewTabs([kind.title for kind in KINDS], id="inspect-tabs")
        with Horizontal(id="inspect-views"):
            yield ViewBox(is_main=True, id="inspect-view")
            yield ViewBox(is_main=False, id="inspect-beside")

    def on_mount(self) -> None:
        if host(self).read_only:
            self.subject.no_run = f"{NO_ENGINE}."
        listen(self, {
            JournalGrew: self._journal_grew, RunStateChanged: self._state_changed, RunOpened: self._run_opened,
            EngineLost: self._engine_lost, RunsChanged: self._runs_changed,
        })  # fmt: skip
        self.watch(self.app, "current_run", self._run_chosen)
        self._show()

    def on_show(self) -> None:
        self._acted(True)

    def on_hide(self) -> None:
        """Cancel long work: the pane is hidden."""
        if self._share is not None and self._asking is not None:
            self._asking.cancel()
            self._share = None

    def on_resize(self) -> None:
        """Show a second view where there is room for it."""
        is_wide = self.screen.has_class("-wide")
        if is_wide != self.subject.is_wide:
            self.subject.is_wide = is_wide
            self._show()
            self._look()
        self.call_after_refresh(self._show_state)

    def focus(self, scroll_visible: bool = True, from_app_focus: bool = False) -> InspectPane:
        self.query_one(Canvas).focus(scroll_visible)
        return self

    @property
    def text(self) -> TokenText:
        return self.query_one(TokenText)

    @property
    def _box(self) -> TextBox:
        return self.query_one(TextBox)

    @property
    def _main(self) -> ViewBox:
        return self.query_one("#inspect-view", ViewBox)

    @property
    def _beside(self) -> ViewBox:
        return self.query_one("#inspect-beside", ViewBox)

    # ------------------------------------------------------------------ the run

    def _run_chosen(self, path: Path | None) -> None:
        if path != self.subject.run:
            self.subject.open(path)
            self._close_lines()
            self._read_files()
            self._show()
            self._look()

    @work(exclusive=True, group="summary")
    async def _read_files(self) -> None:
        path = self.subject.run
        if path is not None:
            known = await asyncio.to_thread(read_files, path, host(self).saves)
            if is_alive(self) and path == self.subject.run:
                self.subject.know(*known)
                self._show_state()

    def _runs_changed(self, _event: RunsChanged) -> None:
        self._read_files()

    def _run_opened(self, event: RunOpened) -> None:
        if event.path == self.subject.run:
            self.subject.reopen(event.answer.state, event.answer.epoch)
            self._show_state()

    def _engine_lost(self, event: EngineLost) -> None:
        if event.path == self.subject.run:
            self.subject.lose(event.reason)
            self._show()

    def _state_changed(self, event: RunStateChanged) -> None:
        if event.path == self.subject.run:
            self.subject.change_state(event.state, event.epoch)
            self._show_state()
            self._weights_moved()

    def _journal_grew(self, event: JournalGrew) -> None:
        if event.path == self.subject.run and self.subject.apply(event.events):
            self._weights_moved()

    def _weights_moved(self) -> None:
        """Look at the weights again, in a while: each look takes some of the trainer's time."""
        if not self.display:
            self.subject.look_anew()  # on_show asks
        elif not self._refreshing:
            self._refreshing = True
            schedule(self, self._pause, self._refresh_view)

    def _refresh_view(self) -> None:
        self._refreshing = False
        if is_alive(self):
            self.subject.look_anew()
            self._show_state()
            self._look()

    # ------------------------------------------------------------------ asking

    def _look(self) -> None:
        """Ask for what is shown, unless it is known. What is asked already is waited for, unless it takes long."""
        if not self.display or not is_alive(self):
            return
        wanted, asked = self.subject.wanted(), self._question
        if wanted is None:
            return
        is_quick = self._share is None and asked is not None and (asked.run, asked.view) == (wanted.run, wanted.view)
        if not (is_quick and self._asking is not None and not self._asking.is_finished):
            self._share = None
            self._asking = self._ask()

    @work(exclusive=True, group="inspect")
    async def _ask(self) -> None:
        """Ask until all that is shown is known."""
        spent, began, is_first = 0.0, time.thread_time(), self.subject.view.answer is None
        while is_alive(self) and self.display and (question := self.subject.wanted()) is not None:
            self._question, self._asked_at = question, time.monotonic()
            self._show_state()
            try:
                answer, seconds = await answer_to(question, host(self).engines, self._progress)
            except UserError as error:
                self._warn(self.subject.refuse(question, str(error)))
            except EngineError as error:
                self.subject.fail(question, str(error))
            else:
                self.subject.take(question, answer)
                spent += seconds
            self._share = None
            if is_alive(self):
                self._show()
        self._question = None
        self.call_after_refresh(self._set_pause, spent, None if is_first else began)

    def _set_pause(self, spent: float, began: float | None) -> None:
        """Look again when the last look, in the engine and here since ``began``, was a small share of the time.

        Without ``began``, of a first look, which prepares for the others: what it took in the engine.
        """
        spent += time.thread_time() - began if began is not None else 0.0
        self._pause = min(LONGEST_PAUSE, max(REFRESH_SECONDS, spent / SHARE))

    def _progress(self, share: float) -> None:
        if is_alive(self) and time.monotonic() - self._asked_at >= LONG_SECONDS:
            self._share = share
            self._show_state()

    # ------------------------------------------------------------------ showing

    def _show(self) -> None:
        """Show the text and its colours, the sentences, the pictures and the state."""
        subject = self.subject
        self._box.show(subject)
        self._main.show(subject, subject.view)
        self._beside.show(subject, subject.companion)
        self._show_state()
        self.refresh_bindings()

    def _show_state(self) -> None:
        subject, beside = self.subject, self.subject.companion
        self._box.show_state(subject)
        words = " · ".join(part for part in (subject.view.note(), subject.looked_at()) if part)
        self._main.show_state(subject.view.title, words, self._share)
        if beside is not None:
            self._beside.show_state(beside.title, beside.note())

    # ------------------------------------------------------------------ keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Each key only where it has something to do."""
        is_cancelling = action == "escape" and self._share is not None
        return is_cancelling or is_useful(action, str(next(iter(parameters), "")), self.subject)

    @property
    def _written(self) -> str | None:
        written = host(self).written
        return written[1] if written is not None and written[0] == self.subject.run else None

    def watch_number(self, number: int) -> None:
        self.subject.number = number
        self.query_one(ViewTabs).chosen = number
        self.set_class(self.subject.view.colours_text, "-coloured")
        self._acted(True)

    def action_view(self, by: int) -> None:
        self.number = (self.number + by) % len(KINDS)

    @on(ViewTabs.Clicked)
    def _tab_clicked(self, event: ViewTabs.Clicked) -> None:
        self.number = event.number

    def move_to(self, position: int) -> None:
        had_failed = bool(self.subject.failure())
        if self.subject.move_to(position):
            self.text.cursor = self.subject.cursor
            if had_failed:
                self._show()
            self._show_state()
            self._look()

    def action_token(self, by: int) -> None:
        self.move_to(self.subject.cursor + by)

    def action_end_token(self, place: int) -> None:
        self.move_to(place % max(1, len(self.text.tokens)))

    def action_far(self, x: int, y: int) -> None:
        if self.subject.view.pan(x, y):
            self._show()
        else:
            self.move_to(self.text.move_line(y) if y else self.subject.cursor + 10 * x)

    @on(TokenText.Clicked)
    def _token_clicked(self, event: TokenText.Clicked) -> None:
        self.move_to(event.token)
        self.focus()

    def action_row(self, by: int) -> None:
        self._acted(self.subject.view.move(by))

    def action_enter(self) -> None:
        self._acted(self.subject.view.do("enter"))

    def action_do(self, name: str) -> None:
        self._acted(self.subject.view.do(name))

    @on(Canvas.Clicked)
    def _canvas_clicked(self, event: Canvas.Clicked) -> None:
        self._acted(self.subject.view.click(event.x, event.y))

    @on(Canvas.Scrolled)
    def _canvas_scrolled(self, event: Canvas.Scrolled) -> None:
        self._acted(self.subject.view.scroll(event.by))

    def _acted(self, asks: bool) -> None:
        self._show()
        if asks:
            self._look()

    def action_escape(self) -> None:
        """Cancel long work, or go back from a detail."""
        if self._share is not None and self._asking is not None and self._question is not None:
            self._asking.cancel()
            question, self._question, self._share = self._question, None, None
            self.subject.fail(question, CANCELLED)
            self._show()
        else:
            self._acted(self.subject.view.do("leave"))

    def action_again(self) -> None:
        self.subject.again()
        self._acted(True)

    # ------------------------------------------------------------------ the text

    def take_text(self, text: str | None) -> None:
        """Look at another text; None for the run's own."""
        if text != self.subject.source:
            self.subject.source = text
            self._look()

    def action_own(self) -> None:
        self.take_text(None)

    def action_written(self) -> None:
        if self._written:
            self.take_text(self._written)
        else:
            self._warn(f"Generate has written nothing with this run yet: {key('app.generate')} opens it.")

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        if self.subject.run is not None and event.text:
            self.take_text(typed_lines(shown_lines(event.text)))

    def action_edit(self) -> None:
        self._box.edit(self.subject.source or "")

    @on(LineInput.Typed, "#inspect-edit")
    def _typed(self, event: LineInput.Typed) -> None:
        self._close_lines()
        if event.text:
            self.take_text(event.text)
        elif event.text is not None:
            self._warn("The line was empty: the text stays as it was.")

    def action_search(self) -> None:
        self._main.seek(self.subject.view.sought)

    @on(LineInput.Typed, "#inspect-search")
    def _sought(self, event: LineInput.Typed) -> None:
        self._close_lines()
        if event.text is not None:
            self._warn(self.subject.view.search(event.text))
            self._acted(True)

    def _warn(self, sentence: str) -> None:
        if sentence:
            self.notify(sentence, severity="warning", markup=False)

    def _close_lines(self) -> None:
        had_focus = any(line.has_focus for line in self.query(LineInput))
        self._box.close_line()
        self._main.close_line()
        if had_focus:
            self.focus()


def read_files(path: Path, saves: Path) -> tuple[RunSummary, list[RunSummary]]:
    """What the files of a run say, and the other runs. Reads the disk."""
    return run_summary(Run(path)), list_runs(saves)
