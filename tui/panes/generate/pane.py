"""The Generate pane: a model continues a prefix."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Region
from textual.reactive import reactive
from textual.widgets import Button, Static
from textual.worker import Worker

from core.engine.requests import Generate
from core.errors import EngineError, UserError
from core.generation.events import Piece, Written
from core.generation.options import GenerationRequest
from core.runs.summary import RunSummary
from core.units import counted
from tui.dialogs.export import Exportable, ask_to_export
from tui.messages import RunChosen, RunsChanged, TextWritten
from tui.panes.generate.form import GenerateForm
from tui.panes.generate.generation import Generation
from tui.panes.generate.request_texts import request_words, with_seed
from tui.panes.generate.run_choice import RunChoice
from tui.panes.generate.token_details import SHADINGS
from tui.panes.generate.token_view import TokenView, legend
from tui.panes.generate.written_text import WrittenText
from tui.scheduling import ShownTimers
from tui.services import NO_ENGINE, host, is_alive, listen
from tui.shell.frame import FrameEdge, name_for_edge
from tui.shell.lit_box import LitVertical
from tui.text.keys import keyed
from tui.text.safe import unknown_words

REFRESH_SECONDS = 1.0  # between two readings of the chosen run
PAINTS_PER_SECOND = 15
KEPT = 40
NO_RUNS = (
    "There is no model yet.\n\n"
    "Choose a text in Data and press Train: after its first epoch the model can write here,\n"
    "while it continues to learn."
)
HINT = (
    "Type a prefix and press enter: the model continues it.\n\n"
    "A model in training writes with its current weights. Texts stay here, one below the other, for comparison.\n\n"
    "Strategies range from greedy to beam search; below are several samples, an acrostic 藏头, a mood.\n\n"
    "{generate.read} goes into a text: the arrow keys select a token, beside the text is the distribution it was drawn "
    "from, and {generate.shading} shows the surprise of all tokens."
)


class GeneratePane(Horizontal, ShownTimers):
    """Generates text with a run, keeps the texts, and shows the distribution of each token."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop", tooltip="Stop writing", id="generate.stop"),
        Binding("ctrl+o", "read", "Read", tooltip="Go to the newest text: the arrow keys select its tokens",
                id="generate.read"),
        Binding("escape,e,ctrl+o", "settings", "Settings", tooltip="Back from a text to the settings",
                id="generate.settings"),
        Binding("b", "shading", "Surprise", tooltip="Show the surprise of tokens as colour, as marks, or not at all",
                id="generate.shading"),
        Binding("ctrl+y", "copy", "Copy", tooltip="Copy the focused text, or else the newest", id="generate.copy"),
        Binding("ctrl+s", "export", "Export", tooltip="Save what was written, or export the weights of the run",
                id="generate.export"),
        Binding("ctrl+l", "clear", "Clear", tooltip="Remove all texts", id="generate.clear"),
    ]  # fmt: skip

    reading: reactive[bool] = reactive(False, init=False)
    """Whether a text has the focus. On a narrow screen the token view then replaces the settings."""
    shading: reactive[str] = reactive(SHADINGS[0], init=False)
    """How the texts show surprise."""
    has_details: reactive[bool] = reactive(False, init=False)
    """Whether a text has the details of its tokens: a very long one has none."""

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._writing: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        form = GenerateForm(id="generate-form")
        form.border_title = "Generate"
        yield form
        with LitVertical(id="generate-box"):
            with Vertical(id="generate-texts", classes="box"):
                yield Static(id="generate-remark", classes="failure", markup=False)
                with VerticalScroll(id="generate-history", can_focus=False):
                    yield Static("Reading the runs …", id="generate-notice", classes="notice", markup=False)
                yield Static("", id="generate-legend", markup=False)
            yield FrameEdge("bottom", id="generate-weights")
        yield TokenView(id="generate-token")

    def on_mount(self) -> None:
        self.query_one("#generate-texts").border_title = "Texts"
        self.every(REFRESH_SECONDS, self._look)
        self.watch(self.app, "current_run", self._current_run_changed, init=False)
        listen(self, {RunChosen: self._run_chosen, RunsChanged: self._runs_changed})
        self.reload()

    def on_show(self) -> None:
        self.reload()

    def focus(self, scroll_visible: bool = True, from_app_focus: bool = False) -> GeneratePane:
        self.reading = False
        self.query_one("#generate-prefix").focus(scroll_visible)
        return self

    # ------------------------------------------------------------------ which run

    @property
    def run(self) -> RunSummary | None:
        return self._choice.run

    @property
    def _choice(self) -> RunChoice:
        return self.query_one(RunChoice)

    @property
    def generations(self) -> list[Generation]:
        history = self.query_one_optional("#generate-history")
        return [child for child in history.children if isinstance(child, Generation)] if history else []

    @property
    def form(self) -> GenerateForm:
        return self.query_one(GenerateForm)

    def choose(self, path: Path) -> None:
        self._choice.choose(path)

    def reload(self) -> None:
        self._choice.reload()

    def _runs_changed(self, _event: RunsChanged) -> None:
        if self.display:  # a hidden pane reads the list when it is shown
            self.reload()

    def _run_chosen(self, event: RunChosen) -> None:
        if event.purpose == "generate":  # the run on screen may be another one than was chosen here
            self.choose(event.path)

    def _look(self) -> None:
        if is_alive(self):
            self._choice.look()

    def _current_run_changed(self, path: Path | None) -> None:
        if path is not None:
            self.choose(path)

    @on(RunChoice.Changed)
    def _run_changed(self, event: RunChoice.Changed) -> None:
        event.stop()
        path = self._choice.path
        if path is not None and event.choice.has_facts:
            self.form.turn_to(path, event.choice.facts)
        self._show_run()

    def _show_run(self) -> None:
        """Show which run writes and with which weights. While it trains that is every second, so only what differs."""
        run = self.run
        texts = self.query_one("#generate-texts")
        title = name_for_edge(texts, run.name) if run is not None else "Texts"
        if Content.from_markup(texts.border_title or "").plain != title:
            texts.border_title = Content(title)
        self.query_one(FrameEdge).note = self._choice.weights
        remark, about = self.query_one("#generate-remark", Static), self._choice.remark
        if remark.content != about:
            remark.update(about)
        remark.display = bool(about)
        self.query_one("#generate-write", Button).disabled = not self._may_write
        notice, words = self.query_one("#generate-notice", Static), keyed(HINT) if run else NO_RUNS
        if host(self).read_only:
            words = f"{NO_ENGINE}."
        if notice.content != words:
            notice.update(words)
        notice.display = not self.generations

    @property
    def _may_write(self) -> bool:
        return self.run is not None and not self.writing and not self._choice.facts.bidirectional

    # ------------------------------------------------------------------ writing

    @property
    def writing(self) -> bool:
        return self._writing is not None and not self._writing.is_finished

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "stop":
            return self.writing
        if action == "settings":
            return self.reading and not self.writing
        if (action == "read" and self.reading) or (action == "clear" and self.writing):
            return False
        if action == "shading":
            return self.has_details
        if action in ("copy", "clear", "read"):
            return bool(self.generations)
        return True

    @on(GenerateForm.Submitted)
    def action_write(self) -> None:
        run, request = self.run, self.form.value
        if request is None:
            self.call_later(self.form.focus_error)
        if run is None or request is None or not self._may_write:
            return
        request = with_seed(request, random.randrange(10**6))
        words = f"{self._choice.weights} · {request_words(request)}"
        generation = Generation(run.name, words, request, self._choice.facts.token_kind, self.shading)
        self._writing = self._write(run, generation, request)
        self._show_activity()

    @work(exclusive=True, group="write")
    async def _write(self, run: RunSummary, generation: Generation, request: GenerationRequest) -> None:
        history = self.query_one("#generate-history", VerticalScroll)
        self.query_one("#generate-notice").display = False
        await history.mount(generation)
        for old in self.generations[:-KEPT]:
            old.remove()
        if not self.reading:
            self._inspect(generation.samples[0].written)
        history.scroll_end(animate=False)
        # The layout of many texts side by side is slow: paint less often.
        seconds = (1 + request.count // 8) / PAINTS_PER_SECOND
        painter = self.set_interval(seconds, lambda: self._paint(generation))
        try:
            client = await host(self).engines.client(run.path)
            # Closed as soon as we are cancelled, so that the engine stops too.
            async with contextlib.aclosing(client.job(Generate(request))) as events:
                async for event in events:
                    await self._take(event, generation)
                    if isinstance(event, Written) and event.text is not None:
                        self.post_message(TextWritten(run.path, event.text))
                    # Many pieces may be ready: let the screen work between them.
                    await asyncio.sleep(0)
        except asyncio.CancelledError:
            if is_alive(self):
                generation.stop()
            raise
        except (UserError, EngineError) as error:
            if is_alive(self):
                self._fail(generation, str(error))
        finally:
            painter.stop()
            self._writing = None
            if is_alive(self):
                self._show_activity()

    async def _take(self, event: Piece | Written, generation: Generation) -> None:
        if isinstance(event, Piece):
            generation.add(event)
        elif is_alive(self):
            self._paint(generation)
            await generation.finish(event)
            self.form.note_prefix(unknown_words(event.unknown))
            self._paint(generation)

    def _fail(self, generation: Generation, sentence: str) -> None:
        """Show an error, also beside the option that it names."""
        generation.fail(sentence)
        name = self.form.schema.named(sentence)
        if name is not None:
            self.form.show_outside_error(name, sentence)

    def _paint(self, generation: Generation) -> None:
        """Show new pieces. The view follows the end, unless the user has scrolled away or is in a text."""
        if not is_alive(self):
            return
        history = self.query_one("#generate-history", VerticalScroll)
        at_end = history.scroll_y >= history.max_scroll_y - 1 and not self.reading
        generation.flush()
        self._look_for_details()
        if at_end:
            history.scroll_end(animate=False)
        shown = self.query_one(TokenView).written
        if shown is not None and any(sample.written is shown for sample in generation.samples):
            self._inspect(shown)

    def _show_activity(self) -> None:
        self.query_one("#generate-write", Button).disabled = not self._may_write
        self.query_one("#generate-stop", Button).disabled = not self.writing
        self._look_for_details()
        self.refresh_bindings()

    @on(Button.Pressed, "#generate-stop")
    def action_stop(self) -> None:
        if self._writing is not None:
            self._writing.cancel()

    def action_copy(self) -> None:
        generations = self.generations
        if generations:
            focused = next((text for text in self.query(WrittenText) if text.has_focus), None)
            copied = focused.text if focused is not None else generations[-1].text
            self.app.copy_to_clipboard(copied)
            self.notify(f"{counted(len(copied), 'character')} copied", markup=False)

    @work
    async def action_export(self) -> None:
        run = self.run
        texts = "\n".join(f"== {each.title} ==\n{each.text}\n" for each in self.generations)
        if run is not None:
            formats = (*(("text",) if texts else ()), "torch", "onnx")
            what = f"Export what was written, or {run.name}" if texts else f"Export {run.name}"
            await ask_to_export(self, Exportable(what, run.name, (run.path,), formats, text=texts))

    def action_clear(self) -> None:
        self.focus()
        self.query(Generation).remove()
        self.query_one(TokenView).show(None, None)
        self.query_one("#generate-notice").display = True
        self.has_details = False
        self.call_after_refresh(self.refresh_bindings)

    # ------------------------------------------------------------------ reading

    @on(events.DescendantFocus)
    def _focus_moved(self, event: events.DescendantFocus) -> None:
        self.reading = isinstance(event.widget, WrittenText)

    def watch_reading(self) -> None:
        """Show the settings, the token view, or both."""
        # Not by a class: it would restyle every text in the pane.
        is_narrow = self.screen.has_class("-narrow")
        self.form.display = not (is_narrow and self.reading)
        self.query_one(TokenView).display = not is_narrow or self.reading
        self.refresh_bindings()

    def action_settings(self) -> None:
        self.focus()

    def action_read(self) -> None:
        shown = self.query_one(TokenView).written
        if shown is None or not shown.is_attached:
            shown = list(self.query(WrittenText))[-1]
        shown.focus(scroll_visible=False)

    def action_shading(self) -> None:
        self.shading = SHADINGS[(SHADINGS.index(self.shading) + 1) % len(SHADINGS)]

    def watch_shading(self, shading: str) -> None:
        """All texts alike, and the legend below them."""
        for text in self.query(WrittenText):
            text.shading = shading
        self._show_legend()

    def _look_for_details(self) -> None:
        self.has_details = any(len(text.details) for text in self.query(WrittenText))

    def watch_has_details(self) -> None:
        self._show_legend()
        self.refresh_bindings()

    def on_resize(self, _event: events.Resize) -> None:
        self.watch_reading()
        self.call_after_refresh(self._show_legend)
        self.call_after_refresh(self._show_run)

    def _show_legend(self) -> None:
        line = self.query_one("#generate-legend", Static)
        line.display = self.has_details and self.shading != SHADINGS[0]
        line.update(legend(self.shading, self.query_one("#generate-texts").content_size.width))

    @on(WrittenText.CursorMoved)
    def _cursor_moved(self, event: WrittenText.CursorMoved) -> None:
        event.stop()
        self._inspect(event.written)
        self.call_after_refresh(self._show_cursor, event.written)

    def _inspect(self, written: WrittenText) -> None:
        view = self.query_one(TokenView)
        if view.written is not None and view.written is not written:
            view.written.current = False
        written.current = True
        generation = next(node for node in written.ancestors if isinstance(node, Generation))
        view.show(written, generation.request)

    def _show_cursor(self, written: WrittenText) -> None:
        if not is_alive(self) or not written.is_attached:
            return
        history = self.query_one("#generate-history", VerticalScroll)
        top = written.region.y - history.scrollable_content_region.y + round(history.scroll_y)
        history.scroll_to_region(Region(0, top + written.cursor_line, 1, 1), animate=False)

    @on(WrittenText.Left)
    def _text_left(self, event: WrittenText.Left) -> None:
        event.stop()
        texts = list(self.query(WrittenText))
        place = texts.index(event.written) + event.by
        if 0 <= place < len(texts):
            texts[place].focus(scroll_visible=False)

    @on(events.Click, "#generate-token")
    def _token_clicked(self) -> None:
        """On a narrow screen, a click on the token view brings the settings back."""
        if not self.form.display:
            self.focus()
