"""The Inspect pane: look inside the model at one place of a text."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input, Static
from textual.worker import Worker

from core.errors import EngineError, UserError
from core.runs.run import Run
from core.runs.store import list_runs
from core.runs.summary import RunSummary, run_summary
from tui.charts.drawing import Drawing
from tui.messages import EngineLost, JournalGrew, RunOpened, RunsChanged, RunStateChanged
from tui.panes.inspect.asking import Question, answer_to
from tui.panes.inspect.keys import KEYS
from tui.panes.inspect.parts import Canvas, LineInput, ViewTabs, shown_lines, typed_lines
from tui.panes.inspect.subject import KINDS, Subject
from tui.panes.inspect.token_text import TokenText
from tui.scheduling import schedule
from tui.services import host, listen, stands
from tui.shell.lit_box import LitVertical
from tui.text.cells import clipped_middle
from tui.text.safe import shown_text

REFRESH_SECONDS = 1.0  # at least, between two looks at weights that are being trained
SHARE = 0.03  # of the engine's time, at most, that these looks take
LONGEST_PAUSE = 60.0  # seconds between two looks, at most
CANCELLED = "Cancelled: r asks again."


class InspectPane(Vertical):
    """A text with a cursor, and six views of what the model does there."""

    BINDINGS: ClassVar[list[BindingType]] = KEYS

    number: reactive[int] = reactive(0, init=False)
    """The view that is shown, from 0."""

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.subject = Subject()
        self._asking: Worker[None] | None = None
        self._question: Question | None = None  # in hand
        self._share: float | None = None  # of long work that is done
        self._refreshing = False
        self._pause = REFRESH_SECONDS

    def compose(self) -> ComposeResult:
        with LitVertical(id="inspect-source"):
            yield TokenText(id="inspect-text")
            yield LineInput(placeholder="type or paste a text", compact=True, id="inspect-edit")
        yield ViewTabs([kind.title for kind in KINDS], id="inspect-tabs")
        with LitVertical(id="inspect-view"):
            yield Static("", id="inspect-words", markup=False)
            yield Canvas(self._draw, id="inspect-canvas")
            yield LineInput(compact=True, id="inspect-search")

    def on_mount(self) -> None:
        listen(self, {
            JournalGrew: self._journal_grew, RunStateChanged: self._state_changed, RunOpened: self._run_opened,
            EngineLost: self._engine_lost, RunsChanged: self._runs_changed,
        })  # fmt: skip
        for line, tooltip in (
            ("#inspect-edit", "A text to look at; enter takes it"),
            ("#inspect-search", "What to find"),
        ):
            self.query_one(line).display = False
            self.query_one(line).tooltip = tooltip
        self.watch(self.app, "current_run", self._run_chosen)
        self._show()

    def on_show(self) -> None:
        self._show()
        self._look()

    def focus(self, scroll_visible: bool = True, from_app_focus: bool = False) -> InspectPane:
        """Put the focus on the view."""
        self.query_one(Canvas).focus(scroll_visible)
        return self

    @property
    def text(self) -> TokenText:
        """The text with the cursor."""
        return self.query_one(TokenText)

    # ------------------------------------------------------------------ the run

    def _run_chosen(self, path: Path | None) -> None:
        """Another run is on screen."""
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
            if stands(self) and path == self.subject.run:
                self.subject.know(*known)
                self._show_state()

    def _runs_changed(self, _event: RunsChanged) -> None:
        self._read_files()

    def _run_opened(self, event: RunOpened) -> None:
        if event.path == self.subject.run:
            self.subject.state, self.subject.epoch = event.answer.state, event.answer.epoch
            self._show_state()

    def _engine_lost(self, event: EngineLost) -> None:
        if event.path == self.subject.run:
            self.subject.failure = event.reason
            self._show()

    def _state_changed(self, event: RunStateChanged) -> None:
        if event.path == self.subject.run:
            self.subject.state = event.state
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
        if stands(self):
            self.subject.look_anew()
            self._show_state()
            self._look()

    # ------------------------------------------------------------------ asking

    def _look(self) -> None:
        """Ask for what is shown, unless it is known. What is asked already is waited for, unless it takes long."""
        if not self.display or not stands(self):
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
        while stands(self) and self.display and (question := self.subject.wanted()) is not None:
            self._question = question
            began = time.monotonic()
            self._show_state()
            try:
                answer = await answer_to(question, host(self).engines, self._progress)
            except (UserError, EngineError) as error:
                self.subject.fail(question, str(error))
            else:
                self.subject.take(question, answer)
            self._share = None
            self._pause = min(LONGEST_PAUSE, max(REFRESH_SECONDS, (time.monotonic() - began) / SHARE))
            if stands(self):
                self._show()
        self._question = None

    def _progress(self, share: float) -> None:
        self._share = share
        if stands(self):
            self._show_state()

    # ------------------------------------------------------------------ showing

    def _draw(self, width: int, height: int) -> Drawing:
        return self.subject.view.draw(width, height)

    def _show(self) -> None:
        """Show the text and its colours, the sentence, the picture and the state."""
        subject, text = self.subject, self.text
        text.show(subject.text.tokens if subject.text is not None else ())
        text.cursor = subject.cursor
        shades = subject.view.shades()
        text.colour(shades.values, shades.scale)
        words = "\n".join(map(shown_text, subject.words().split("\n")))
        box, canvas = self.query_one("#inspect-words", Static), self.query_one(Canvas)
        box.set_class(subject.run is None, "-empty")
        box.set_class(bool(subject.failure), "-wrong")
        if str(box.content) != words:
            box.update(Content(words))
        canvas.display = subject.run is not None
        canvas.invalidate(at_once=True)
        self._show_state()
        self.refresh_bindings()

    def _show_state(self) -> None:
        """Say in the frames what is looked at."""
        subject = self.subject
        source, box = self.query_one("#inspect-source"), self.query_one("#inspect-view")
        name = clipped_middle(shown_text(subject.run.name), 40) if subject.run is not None else "Inspect"
        set_edges(source, name, subject.text_words())
        words = " · ".join(part for part in (subject.view.note(), subject.weights_words()) if part)
        if self._share is not None:
            cells = round(20 * self._share)
            words = f"{'█' * cells}{'░' * (20 - cells)} {100 * self._share:3.0f} %, esc cancels"
        set_edges(box, subject.view.title, words)

    # ------------------------------------------------------------------ keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Each key only where it has something to do."""
        subject, view = self.subject, self.subject.view
        match action:
            case "token" | "end_token" | "far":
                return subject.text is not None
            case "row":
                return view.rows() > 1
            case "enter":
                return view.answer is not None and view.can("enter")
            case "do":
                return subject.text is not None and view.can(str(parameters[0]))
            case "search":
                return subject.text is not None and bool(view.sought)
            case "escape":
                return self._share is not None or view.can("leave")
            case "written":
                return self._written is not None
            case "own":
                return subject.source is not None
            case "edit" | "again":
                return subject.run is not None
            case _:
                return True

    @property
    def _written(self) -> str | None:
        """What Generate has written with this run."""
        written = host(self).written
        return written[1] if written is not None and written[0] == self.subject.run else None

    def watch_number(self, number: int) -> None:
        self.subject.show(number)
        self.query_one(ViewTabs).chosen = number
        self.set_class(self.subject.view.colours_text, "-coloured")
        self._show()
        self._look()

    def action_view(self, number: int) -> None:
        """Show another view."""
        self.number = number

    @on(ViewTabs.Clicked)
    def _tab_clicked(self, event: ViewTabs.Clicked) -> None:
        self.number = event.number

    def move_to(self, position: int) -> None:
        """Put the cursor on the token at ``position``."""
        if self.subject.move_to(position):
            self.text.cursor = self.subject.cursor
            self._show_state()
            self._look()

    def action_token(self, by: int) -> None:
        """The next token, or the one before."""
        self.move_to(self.subject.cursor + by)

    def action_end_token(self, place: int) -> None:
        """The first token, or the last one."""
        self.move_to(place % max(1, len(self.text.tokens)))

    def action_far(self, x: int, y: int) -> None:
        """Ten tokens or a line further; a plane is moved."""
        if self.subject.view.pan(x, y):
            self._show()
        else:
            self.move_to(self.text.move_line(y) if y else self.subject.cursor + 10 * x)

    @on(TokenText.Clicked)
    def _token_clicked(self, event: TokenText.Clicked) -> None:
        self.move_to(event.token)
        self.focus()

    def action_row(self, by: int) -> None:
        """Select another row of the view."""
        self._acted(self.subject.view.move(by))

    def action_enter(self) -> None:
        """Look closer at the row."""
        self._acted(self.subject.view.do("enter"))

    def action_do(self, name: str) -> None:
        """What the view itself can do."""
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
        """Ask again."""
        self.subject.again()
        self._show()
        self._look()

    # ------------------------------------------------------------------ the text

    def take_text(self, text: str | None) -> None:
        """Look at another text; None for the run's own."""
        if text != self.subject.source:
            self.subject.source = text
            self._look()

    def action_own(self) -> None:
        """Look at the run's own text."""
        self.take_text(None)

    def action_written(self) -> None:
        """Look at what Generate has written."""
        if self._written is not None:
            self.take_text(self._written)

    def on_paste(self, event: events.Paste) -> None:
        """Look at what is pasted."""
        event.stop()
        if self.subject.run is not None and event.text:
            self.take_text(typed_lines(shown_lines(event.text)))

    def action_edit(self) -> None:
        """Type a text."""
        self._open_line("#inspect-edit", shown_lines(self.subject.source or ""), "type or paste a text")
        self.text.display = False

    def action_search(self) -> None:
        """Type what to find."""
        self._open_line("#inspect-search", "", self.subject.view.sought)

    def _open_line(self, selector: str, value: str, placeholder: str) -> None:
        line = self.query_one(selector, LineInput)
        line.value, line.placeholder, line.display = value, placeholder, True
        line.focus()

    @on(Input.Submitted, "#inspect-edit")
    def _text_typed(self, event: Input.Submitted) -> None:
        event.stop()
        self._close_lines()
        if event.value:
            self.take_text(typed_lines(event.value))

    @on(Input.Submitted, "#inspect-search")
    def _searched(self, event: Input.Submitted) -> None:
        event.stop()
        self._close_lines()
        self.subject.view.search(typed_lines(event.value))
        self._acted(True)

    @on(LineInput.Closed)
    def _close_lines(self) -> None:
        lines = list(self.query(LineInput))
        had_focus = any(line.has_focus for line in lines)
        self.text.display = True
        for line in lines:
            line.display = False
        if had_focus:
            self.focus()


def set_edges(box: Widget, title: str, note: str) -> None:
    """The words in the edges of a box, set only when they change, since the whole box is then painted."""
    if str(box.border_title or "") != title:
        box.border_title = Content(title)
    if str(box.border_subtitle or "") != note:
        box.border_subtitle = Content(note)


def read_files(path: Path, saves: Path) -> tuple[RunSummary, list[RunSummary]]:
    """What the files of a run say, and the other runs. Reads the disk."""
    return run_summary(Run(path)), list_runs(saves)
