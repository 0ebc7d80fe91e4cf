"""The Inspect pane: look inside the model at one place of a text."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input, Static
from textual.worker import Worker

from core.errors import EngineError, UserError
from core.events import EpochFinished, State, StateChanged
from core.inspection.answers import InspectionAnswer, TextView
from core.runs.run import Run
from core.runs.summary import run_summary
from tui.charts.drawing import Drawing
from tui.messages import EngineLost, JournalGrew, RunClosed, RunOpened, RunRenamed, RunStateChanged
from tui.panes.inspect.asking import Question, answer_to
from tui.panes.inspect.parts import Canvas, LineInput, ViewTabs, shown_lines, typed_lines
from tui.panes.inspect.step import Step
from tui.panes.inspect.token_text import TokenText
from tui.panes.inspect.view import Place, View
from tui.scheduling import schedule
from tui.services import host, listen, stands
from tui.shell.lit_box import LitVertical
from tui.text.cells import clipped_middle
from tui.text.safe import shown_text, token_name

REFRESH_SECONDS = 1.0  # at least, between two looks at weights that are being trained
SHARE = 0.03  # of the engine's time, at most, that these looks take
LONGEST_PAUSE = 60.0  # seconds between two looks, at most
NO_RUN = (
    "No run is open, so there is no model to look into.\n\n"
    "f3 and ctrl+t train one; f6 lists the runs that were saved, enter opens one.\n"
    "A model can be inspected from its first batch on, while it learns."
)
READING = "Reading the run …"
ASKING = "The engine is looking …"
CANCELLED = "Cancelled: r asks again."
WORKING = (State.TRAINING, State.PAUSED)


class InspectPane(Vertical):
    """A text with a cursor, and six views of what the model does there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "token(1)", "Token", key_display="← →", tooltip="The next token, or the one before"),
        Binding("left", "token(-1)", "Token before", show=False),
        Binding("down", "row(1)", "Row", key_display="↑ ↓", tooltip="The next row of the view, or the one before"),
        Binding("up", "row(-1)", "Row above", show=False),
        Binding("pagedown", "row(10)", "Ten rows", show=False),
        Binding("pageup", "row(-10)", "Ten rows back", show=False),
        Binding("home", "end_token(0)", "First token", show=False),
        Binding("end", "end_token(-1)", "Last token", show=False),
        Binding("shift+down", "line(1)", "Line", show=False, key_display="⇧ ↑ ↓",
                tooltip="The token in the next line of the text, or in the line before"),
        Binding("shift+up", "line(-1)", "Line before", show=False),
        *(
            Binding(str(number), f"view({number - 1})", kind.title, show=False, tooltip=f"{kind.title}: {kind.help}")
            for number, kind in enumerate((Step,), 1)
        ),
        Binding("enter", "enter", "Look", tooltip="Step: the numbers of the row, and back"),
        Binding("escape", "escape", "Back", tooltip="Back, or cancel what takes long"),
        Binding("e", "edit", "Text", tooltip="Type or paste a text to look at"),
        Binding("o", "own", "Own text", tooltip="A stretch of the run's own text, held out if there is one"),
        Binding("w", "written", "Written", tooltip="The text that Generate has just written with this run"),
        Binding("i", "identity", "Identity", tooltip="Step: both ways of X W_xh + H W_hh = [X H] [W_xh; W_hh]"),
        Binding("l", "layer", "Layer", tooltip="The next layer, or the other direction"),
        Binding("r", "again", "Again", show=False, tooltip="Ask the engine again"),
    ]  # fmt: skip

    number: reactive[int] = reactive(0, init=False)
    """The view that is shown, from 0."""

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.views: tuple[View, ...] = (Step(),)  # type: ignore[type-arg]
        self.source: str | None = None  # the text that was given; None for the run's own
        self.state = State.IDLE
        self.epoch = 0
        self.failure = ""
        self._run: Path | None = None
        self._text: TextView | None = None
        self._answered: dict[str, Question] = {}  # the question of each view's answer, or of its failure
        self._asking: Worker[None] | None = None
        self._question: Question | None = None  # in hand
        self._share: float | None = None  # of long work that is done
        self._weights = 0
        self._refreshing = False
        self._pause = REFRESH_SECONDS

    def compose(self) -> ComposeResult:
        with LitVertical(id="inspect-source"):
            yield TokenText(id="inspect-text")
            yield LineInput(placeholder="type or paste a text", compact=True, id="inspect-edit")
        yield ViewTabs([view.title for view in self.views], id="inspect-tabs")
        with LitVertical(id="inspect-view"):
            yield Static("", id="inspect-words", markup=False)
            yield Canvas(self._draw, id="inspect-canvas")
            yield LineInput(compact=True, id="inspect-search")

    def on_mount(self) -> None:
        listen(self, {
            JournalGrew: self._journal_grew, RunStateChanged: self._state_changed, RunClosed: self._run_closed,
            RunOpened: self._run_opened, EngineLost: self._engine_lost, RunRenamed: self._run_renamed,
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
        self._look()

    def focus(self, scroll_visible: bool = True, from_app_focus: bool = False) -> InspectPane:
        """Put the focus on the view."""
        self.query_one(Canvas).focus(scroll_visible)
        return self

    # ------------------------------------------------------------------ the run

    @property
    def view(self) -> View:  # type: ignore[type-arg]
        """The view that is shown."""
        return self.views[self.number]

    @property
    def text(self) -> TokenText:
        """The text with the cursor."""
        return self.query_one(TokenText)

    def _run_chosen(self, path: Path | None) -> None:
        """Another run is on screen."""
        if path == self._run:
            return
        self._run, self._text, self.source, self.failure = path, None, None, ""
        self.state, self.epoch = State.IDLE, 0
        self._answered.clear()
        for view in self.views:
            view.forget()
            view.place = Place()
        self.text.show(())
        if path is not None:
            self._read_summary(path)
        self._show()
        self._look()

    @work(exclusive=True, group="summary")
    async def _read_summary(self, path: Path) -> None:
        summary = await asyncio.to_thread(run_summary, Run(path))
        if stands(self) and path == self._run and not summary.problem:
            self.state, self.epoch = summary.state, max(self.epoch, summary.epoch)
            self._show()

    def _run_closed(self, _event: RunClosed) -> None:
        self._run_chosen(None)

    def _run_renamed(self, event: RunRenamed) -> None:
        self._show()

    def _run_opened(self, event: RunOpened) -> None:
        if event.path == self._run:
            self.state, self.epoch = event.answer.state, max(self.epoch, event.answer.epoch)
            self._show()

    def _engine_lost(self, event: EngineLost) -> None:
        if event.path == self._run:
            self.failure = event.reason
            self._show()

    def _state_changed(self, event: RunStateChanged) -> None:
        if event.path == self._run:
            self.state = event.state
            self._weights_moved()
            self._show()

    def _journal_grew(self, event: JournalGrew) -> None:
        if event.path != self._run:
            return
        for one in event.events:
            if isinstance(one, EpochFinished):
                self.epoch = one.epoch
            elif isinstance(one, StateChanged):
                self.state = one.state
        if any(isinstance(one, EpochFinished) for one in event.events):
            self._weights_moved()

    def _weights_moved(self) -> None:
        """Look at the weights again, in a while: each look takes some of the trainer's time."""
        if not self.display:
            self._weights += 1  # on_show asks
        elif not self._refreshing:
            self._refreshing = True
            schedule(self, self._pause, self._refresh_view)

    def _refresh_view(self) -> None:
        self._refreshing = False
        if stands(self):
            self._weights += 1
            self._show()
            self._look()

    # ------------------------------------------------------------------ asking

    def _wanted(self) -> Question | None:
        """What is to be asked next: how the text is read, or the view that is shown; None if all is known."""
        if self._run is None:
            return None
        given = () if self.source is None else (("text", self.source),)
        question = Question(self._run, "text", given)
        if self._answered.get("text") != question:
            return question
        if self._text is None:
            return None
        view = self.view
        options = {**dict(given), **view.options()}
        if view.follows_cursor:
            options["at"] = self.text.cursor
        kept = tuple((name, value) for name, value in options.items() if value is not None)
        question = Question(self._run, view.name, kept, self._weights if view.is_live else 0)
        return question if self._answered.get(view.name) != question else None

    def _look(self) -> None:
        """Ask for what is shown, unless it is known. What is asked already is waited for, unless it takes long."""
        if not self.display or not stands(self):
            return
        wanted, asked = self._wanted(), self._question
        if wanted is None:
            return
        is_quick = self._share is None and asked is not None and (asked.run, asked.view) == (wanted.run, wanted.view)
        if not (is_quick and self._asking is not None and not self._asking.is_finished):
            self._share = None
            self._asking = self._ask()

    @work(exclusive=True, group="inspect")
    async def _ask(self) -> None:
        """Ask until all that is shown is known."""
        while stands(self) and self.display and (question := self._wanted()) is not None:
            self._question = question
            began = time.monotonic()
            self._show_state()
            try:
                answer = await answer_to(question, host(self).engines, self._progress)
            except (UserError, EngineError) as error:
                self._take_failure(question, str(error))
            else:
                if stands(self) and question.run == self._run:
                    self._take(question, answer)
            self._share = None
            self._pause = min(LONGEST_PAUSE, max(REFRESH_SECONDS, (time.monotonic() - began) / SHARE))
        self._question = None
        if stands(self):
            self._show()

    def _progress(self, share: float) -> None:
        self._share = share
        self._show_state()

    def _take(self, question: Question, answer: InspectionAnswer) -> None:
        """Show an answer, unless the question is outdated."""
        self._answered[question.view] = question
        self.failure = ""
        if isinstance(answer, TextView):
            self._text = answer
            self.text.show(answer.tokens)
            self.text.cursor = answer.at
            self._place()
        else:
            view = next(view for view in self.views if view.name == question.view)
            view.take(answer)
        self._show()

    def _take_failure(self, question: Question, sentence: str) -> None:
        if not stands(self) or question.run != self._run:
            return
        self._answered[question.view] = question
        self.failure = sentence
        if question.view == "text":
            self._text = None
        for view in self.views:
            if view.name == question.view:
                view.answer = None
        self._show()

    def _place(self) -> None:
        for view in self.views:
            view.place = Place(self._text, self.text.cursor)

    # ------------------------------------------------------------------ showing

    def _draw(self, width: int, height: int) -> Drawing:
        return self.view.draw(width, height)

    def _show(self) -> None:
        """Show the sentence, the colours of the text, the picture and the state."""
        view, run = self.view, self._run
        if run is None:
            words = NO_RUN
        elif self.failure:
            words = self.failure
        elif view.answer is not None:
            words = view.words()
        else:
            words = ASKING if self._question or self._text else READING
        box = self.query_one("#inspect-words", Static)
        box.set_class(run is None, "-empty")
        box.set_class(bool(self.failure), "-wrong")
        if str(box.content) != words:
            box.update(Content(shown_sentences(words)))
        shades = view.shades()
        self.text.colour(shades.values, shades.scale)
        self.query_one(Canvas).display = run is not None
        self.query_one(Canvas).invalidate(at_once=True)
        self._show_source()
        self._show_state()
        self.refresh_bindings()

    def _show_source(self) -> None:
        source = self.query_one("#inspect-source")
        text = self._text
        source.border_title = Content(clipped_middle(shown_text(self._run.name), 40)) if self._run else "Inspect"
        origin = "" if text is None else {"given": "given text"}.get(text.origin, f"{text.origin} text")
        if text is not None and text.unknown:
            origin += f", unknown: {' '.join(token_name(token) for token in text.unknown[:5])}"
        place = f"token {self.text.cursor + 1:,} of {len(text.tokens):,}" if text else ""
        set_edge(source, ", ".join(part for part in (origin, place) if part))

    def _show_state(self) -> None:
        box, view = self.query_one("#inspect-view"), self.view
        if self._share is not None:
            cells = round(20 * self._share)
            words = f"{'█' * cells}{'░' * (20 - cells)} {100 * self._share:3.0f} %, esc cancels"
        else:
            words = " · ".join(part for part in (view.note(), self._weights_words()) if part)
        box.border_title = view.title
        set_edge(box, words)

    def _weights_words(self) -> str:
        if self._run is None:
            return ""
        if self.state in WORKING:
            return f"live weights, epoch {self.epoch:,}"
        return f"epoch {self.epoch:,}" if self.epoch else "untrained weights"

    # ------------------------------------------------------------------ keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Each key only where it has something to do."""
        view = self.view
        match action:
            case "token" | "end_token" | "line":
                return self._text is not None
            case "row":
                return view.answer is not None and view.rows() > 1
            case "enter" | "identity":
                return view.answer is not None and isinstance(view, Step)
            case "escape":
                return self._share is not None or (isinstance(view, Step) and view.zoomed)
            case "layer":
                return self._text is not None and self._text.layers * self._text.directions > 1
            case "written":
                return self._written is not None
            case "own":
                return self._run is not None and self.source is not None
            case "edit" | "again":
                return self._run is not None
            case _:
                return True

    @property
    def _written(self) -> str | None:
        """What Generate has written with this run."""
        written = host(self).written
        return written[1] if written is not None and written[0] == self._run else None

    def watch_number(self, number: int) -> None:
        self.query_one(ViewTabs).chosen = number
        self.failure = ""
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
        before, self.text.cursor = self.text.cursor, position
        if self.text.cursor != before:
            self._place()
            self._show_source()
            self._look()

    def action_token(self, by: int) -> None:
        """The next token, or the one before."""
        self.move_to(self.text.cursor + by)

    def action_end_token(self, place: int) -> None:
        """The first token, or the last one."""
        self.move_to(place % max(1, len(self.text.tokens)))

    def action_line(self, by: int) -> None:
        """The token in the next line of the text."""
        self.move_to(self.text.move_line(by))

    @on(TokenText.Clicked)
    def _token_clicked(self, event: TokenText.Clicked) -> None:
        self.move_to(event.token)
        self.focus()

    def action_row(self, by: int) -> None:
        """Select another row of the view."""
        self._acted(self.view.move(by))

    def action_enter(self) -> None:
        """Look closer at the row."""
        self._acted(self.view.enter())

    @on(Canvas.Clicked)
    def _canvas_clicked(self, event: Canvas.Clicked) -> None:
        self._acted(self.view.click(event.x, event.y))

    @on(Canvas.Scrolled)
    def _canvas_scrolled(self, event: Canvas.Scrolled) -> None:
        self._acted(self.view.move(event.by))

    def _acted(self, asks: bool) -> None:
        self._show()
        if asks:
            self._look()

    def action_escape(self) -> None:
        """Cancel long work, or go back from a detail."""
        if self._share is not None and self._asking is not None and self._question is not None:
            self._asking.cancel()
            question, self._question, self._share = self._question, None, None
            self._take_failure(question, CANCELLED)
        else:
            self._acted(self.view.leave())

    def action_again(self) -> None:
        """Ask again."""
        self._answered.clear()
        self.failure = ""
        self._look()

    def action_identity(self) -> None:
        """Show both ways of the identity, or not."""
        if isinstance(self.view, Step):
            self.view.identity = not self.view.identity
            self._show()

    def action_layer(self) -> None:
        """The next layer, or the other direction."""
        if isinstance(self.view, Step):
            self.view.next_layer()
            self._acted(True)

    # ------------------------------------------------------------------ the text

    def take_text(self, text: str | None) -> None:
        """Look at another text; None for the run's own."""
        if text != self.source:
            self.source = text
            self._look()

    def action_own(self) -> None:
        """Look at the run's own text."""
        self.take_text(None)

    def action_written(self) -> None:
        """Look at what Generate has written."""
        if self._written is not None:
            self.take_text(self._written)

    def action_edit(self) -> None:
        """Type a text."""
        line = self.query_one("#inspect-edit", LineInput)
        line.value = shown_lines(self.source or "")
        self.text.display, line.display = False, True
        line.focus()

    def on_paste(self, event: events.Paste) -> None:
        """Look at what is pasted."""
        event.stop()
        if self._run is not None and event.text:
            self.take_text(event.text.replace("\r\n", "\n").replace("\r", "\n"))

    @on(Input.Submitted, "#inspect-edit")
    def _text_typed(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value:
            self.take_text(typed_lines(event.value))
        self._close_lines()

    @on(LineInput.Closed)
    def _close_lines(self) -> None:
        self.text.display = True
        self.query_one("#inspect-edit").display = self.query_one("#inspect-search").display = False
        self.focus()


def set_edge(box: Widget, words: str) -> None:
    """The words in the lower edge of a box; set only when they change, since the whole box is then painted."""
    if str(box.border_subtitle or "") != words:
        box.border_subtitle = Content(words)


def shown_sentences(text: str) -> str:
    """Sentences made safe, their line ends kept."""
    return "\n".join(map(shown_text, text.split("\n")))
