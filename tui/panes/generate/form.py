"""The form of a request: prefix, length and strategy; other options are behind a fold."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Input, Select, Static
from textual.widgets.input import Selection

from core.generation.options import STRATEGIES, GenerationRequest, strategy_named
from core.settings.setting import Setting
from tui.forms.drop_down import DropDown
from tui.forms.form import Fields, Form, Group, help_of
from tui.forms.lines import Effect
from tui.forms.plain_input import PlainInput
from tui.panes.generate.request_texts import (
    FOLDED,
    OPTIONAL,
    PARAMETERS,
    SCHEMA,
    default_text,
    default_texts,
    folded_words,
    stop_placeholder,
)
from tui.panes.generate.run_choice import RunChoice
from tui.panes.generate.writer_facts import WriterFacts
from tui.shell.breakpoints import is_short
from tui.shell.lit_box import LitBorder

GROUP = "generate"
HELP = {
    "generate-run": "the run that generates, with its current weights",
    "generate-prefix": "the beginning of the text; if empty, the text begins as after a line end",
}
FOLD_HELP = "several samples, an acrostic, a mood, a stop token, a repetition penalty"


class PrefixInput(PlainInput):
    """The editor of the prefix. A suggested prefix is selected, so that typing replaces it; what was typed is not."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Write", tooltip="Generate text from the prefix", id="generate.write"),
    ]

    def __init__(self) -> None:
        super().__init__(placeholder="beginning of the text", compact=True, select_on_focus=False, id="generate-prefix")
        self._suggested = ""

    @property
    def is_typed(self) -> bool:
        """Whether the person wrote the prefix."""
        return self.value not in ("", self._suggested)

    def suggest(self, suggested: str, typed: str = "") -> None:
        """Show what a run suggests, or what was typed for it earlier."""
        self._suggested = suggested
        self.value = typed or suggested
        self._place_cursor()

    def _place_cursor(self) -> None:
        start = len(self.value) if self.is_typed else 0
        self.selection = Selection(start, len(self.value))

    def on_focus(self, event: events.Focus) -> None:
        if not event.from_app_focus:
            self._place_cursor()


class GenerateForm(Form[GenerationRequest], LitBorder):
    """All options of a request."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(SCHEMA, default_texts(), id=id)
        self.add_class("box")
        self._run: Path | None = None
        self._stops = ""  # the placeholder of the stop token
        self._prefixes: dict[Path, str] = {}  # typed for other runs than the chosen one

    def compose(self) -> ComposeResult:
        with Fields(id="generate-fields"):
            choice = RunChoice()
            choice.tooltip = HELP["generate-run"]
            yield choice
            with Vertical(classes="field", id="prefix-field") as prefix:
                prefix.tooltip = HELP["generate-prefix"]
                yield Static("prefix", classes="field-label", markup=False)
                yield PrefixInput()
                yield Static("", classes="field-note", id="prefix-note", markup=False)
            yield self.rows("length")
            with Horizontal(classes="field", id="strategy-field") as strategy_line:
                strategy_line.tooltip = "how each token is chosen"
                yield Static("strategy", classes="field-label", markup=False)
                names = [(strategy.name, strategy.name) for strategy in STRATEGIES]
                yield DropDown(names, value=self.strategy, allow_blank=False, compact=True, id="generate-strategy")
            yield self.rows(*PARAMETERS, Group(GROUP), *FOLDED)
        yield Static("", id="generate-help", classes="form-help", markup=False)
        with Horizontal(classes="buttons changes"):
            yield Button("Write", variant="primary", compact=True, id="generate-write",
                         tooltip="Generate text")  # fmt: skip
            yield Button("Stop", compact=True, disabled=True, id="generate-stop",
                         tooltip="Stop; the text so far stays")  # fmt: skip

    def on_mount(self) -> None:
        """Show the help of the strategy; open the fold if the screen is tall."""
        self.note_prefix("")
        self._show_strategy_help()
        self.call_after_refresh(self._open_fold)

    def _open_fold(self) -> None:
        if not is_short(self):
            self.open_fold(GROUP)

    # ------------------------------------------------------------------ asking

    @property
    def strategy(self) -> str:
        return self.texts["strategy"]

    def turn_to(self, run: Path, facts: WriterFacts) -> None:
        """Prepare the form for another run.

        A typed prefix stays if this run knows all of its tokens, so that runs can be compared. Otherwise it is kept for
        its own run, and the beginning of this run's text is suggested.
        """
        if run == self._run:
            return
        self.note_prefix("")
        prefix = self.query_one(PrefixInput)
        is_typed = prefix.is_typed
        if is_typed and self._run is not None and not facts.knows(prefix.value):
            self._prefixes[self._run] = prefix.value
            is_typed = False
        if not is_typed:
            prefix.suggest(facts.beginning, self._prefixes.pop(run, ""))
        self._run = run
        self._stops = stop_placeholder(facts.stops)
        self.refresh_rows()

    def note_prefix(self, words: str) -> None:
        """Show a note on the prefix, such as its unknown tokens, until it is edited."""
        note = self.query_one("#prefix-note", Static)
        if str(note.content) != words or note.display != bool(words):
            note.update(Content(words))
            note.display = bool(words)

    # ------------------------------------------------------------------ editing

    @on(Input.Changed, "#generate-prefix")
    def _prefix_edited(self, event: Input.Changed) -> None:
        self.note_prefix("")
        self.edit("prefix", event.value, True)

    @on(Select.Changed, "#generate-strategy")
    def _strategy_changed(self, event: Select.Changed) -> None:
        event.stop()
        self.change_defaults({**default_texts(str(event.value)), "prefix": self.texts["prefix"]})
        self._show_strategy_help()

    @on(Input.Submitted, "#generate-prefix")
    @on(Button.Pressed, "#generate-write")
    def _submitted(self, event: Input.Submitted | Button.Pressed) -> None:
        event.stop()
        self.post_message(self.Submitted("prefix"))

    # ------------------------------------------------------------------ showing

    def effect_of(self, name: str, has_effect: bool) -> Effect | None:
        """The parameters of other strategies are hidden; other options that have no effect are disabled."""
        return "" if has_effect else None if name in PARAMETERS else "disabled"

    def placeholder(self, name: str) -> str:
        return (name == "stop" and self._stops) or super().placeholder(name)

    def is_wide(self, setting: Setting) -> bool:
        return setting.name == "seed" or super().is_wide(setting)

    def fold_members(self, group: str) -> tuple[tuple[str, bool], ...]:
        """The options behind the fold, first those that are set."""
        return tuple(folded_words(self.texts))

    def setting_help(self, setting: Setting) -> Content:
        """The help of an option, with the default of the strategy; an optional one has no default."""
        if setting.name in OPTIONAL:
            return Content(setting.help)
        return help_of(setting, default=setting.parse(default_text(self.strategy, setting.name)))

    def show_other_help(self, widget: Widget) -> None:
        if widget.id == "generate-strategy":
            self._show_strategy_help()
        elif widget.id in HELP:
            self.show_help(Content(HELP[widget.id]))

    def show_group_help(self, group: str) -> None:
        self.show_help(Content(FOLD_HELP))

    def _show_strategy_help(self) -> None:
        self.show_help(Content(strategy_named(self.strategy).help))
