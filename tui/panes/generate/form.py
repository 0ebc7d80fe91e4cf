"""What a run is asked for: prefix, length and strategy at hand, everything else behind a fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Button, Input, Select, Static

from core.generation.options import OPTIONS, STRATEGIES, GenerationRequest, strategy_named
from core.settings.run_config import Setting
from tui.forms.drop_down import DropDown
from tui.forms.field import SettingField
from tui.forms.plain_input import PlainInput
from tui.panes.generate.request_texts import (
    FOLDED,
    NAMES,
    OPTIONAL,
    PARAMETERS,
    default_text,
    default_texts,
    folded_words,
    placeholder_of,
    read,
    relevant_names,
    setting_of,
    shown_names,
    stop_placeholder,
)
from tui.panes.generate.run_choice import RunChoice
from tui.panes.generate.writer_facts import WriterFacts
from tui.panes.train.settings_form import help_of
from tui.shell.lit_box import LitVertical
from tui.text.safe import clip_cells

ROOM_FOR_ALL = 34  # lines of a screen on which nothing needs to be folded
_HELP = {
    "generate-run": "the model that writes, with the weights that it has at this moment",
    "generate-prefix": "how the text begins; empty lets the model begin as after a line end",
    "generate-fold": "several texts side by side, an acrostic, a mood, a place to stop, a repetition penalty",
}


class PrefixInput(PlainInput):
    """Where the prefix is typed; enter lets the model go on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Write", tooltip="Let the model go on from the prefix", id="generate.write"),
    ]


class OptionField(SettingField):
    """The line of one option. Nothing that a terminal obeys can be pasted into it."""

    def _editor(self) -> Widget:
        if self.setting.kind is not str:
            editor = super()._editor()
            if isinstance(editor, Input):
                editor.placeholder = placeholder_of(self.setting.name)
            return editor
        return PlainInput(
            self.text, placeholder=placeholder_of(self.setting.name), compact=True, id=f"edit-{self.setting.name}"
        )


class Fold(Widget, can_focus=True):
    """``▸ samples, acrostic, mood, stop at, penalty``: what is folded away, in bold what is set; or ``▾ fewer``."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "unfold", "More or fewer options", show=False)]

    is_open: reactive[bool] = reactive(False)
    words: reactive[tuple[tuple[str, bool], ...]] = reactive(())

    @dataclass
    class Toggled(Message):
        """The fold was opened, or closed."""

        is_open: bool

    def render(self) -> Content:
        """One line."""
        if self.is_open:
            return Content("▾ fewer")
        parts: list[str | tuple[str, str]] = ["▸ "]
        room = self.size.width - 2
        for place, (word, is_set) in enumerate(self.words):
            shown = clip_cells((", " if place else "") + word, room)
            parts.append((shown, "bold" if is_set else ""))
            room -= Content(shown).cell_length
        return Content.assemble(*parts)

    def action_unfold(self) -> None:
        """Open or close it."""
        self.is_open = not self.is_open
        self.post_message(self.Toggled(self.is_open))

    def on_click(self, event: events.Click) -> None:
        """As the keys do."""
        event.stop()
        self.action_unfold()


class GenerateForm(LitVertical):
    """All that a request can ask for. ``request`` is what it means, or None; what is wrong stands beside its field."""

    @dataclass
    class Submitted(Message):
        """Enter was pressed, or the button: the model is to write."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._texts = default_texts()
        self._strategy = STRATEGIES[0].name
        self._request: GenerationRequest | None = None
        self._errors: Mapping[str, str] = {}
        self._outside_errors: dict[str, str] = {}
        self._suggested = ""
        self._run: Path | None = None
        self._prefixes: dict[Path, str] = {}  # typed for other runs than the one that is asked now

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="generate-fields", can_focus=False):
            choice = RunChoice()
            choice.tooltip = _HELP["generate-run"]
            yield choice
            with Vertical(classes="field", id="prefix-field") as prefix:
                prefix.tooltip = _HELP["generate-prefix"]
                yield Static("prefix", classes="field-label", markup=False)
                yield PrefixInput(placeholder="how the text begins", compact=True, id="generate-prefix")
                yield Static("", classes="field-note", id="prefix-note", markup=False)
            yield self._field("length")
            with Horizontal(classes="field", id="strategy-field") as strategy_line:
                strategy_line.tooltip = "how the next token is chosen among those that the model thinks likely"
                yield Static("strategy", classes="field-label", markup=False)
                names = [(strategy.name, strategy.name) for strategy in STRATEGIES]
                yield DropDown(names, value=self._strategy, allow_blank=False, compact=True, id="generate-strategy")
            for name in PARAMETERS:
                yield self._field(name)
            yield Fold(id="generate-fold")
            with Vertical(id="generate-more"):
                for name in FOLDED:
                    yield self._field(name)
        yield Static("", id="generate-help", markup=False)
        with Horizontal(classes="buttons"):
            yield Button("Write", variant="primary", compact=True, id="generate-write",
                         tooltip="Let the model write")  # fmt: skip
            yield Button("Stop", compact=True, disabled=True, id="generate-stop",
                         tooltip="Stop writing; what is written stays")  # fmt: skip

    def _field(self, name: str) -> OptionField:
        field = OptionField(setting_of(name), self._texts[name])
        field.tooltip = OPTIONS[name].help
        return field

    def on_mount(self) -> None:
        """Show what is known from the beginning."""
        self.note_prefix("")
        self._read()
        self._tell_strategy()
        self.query_one(Fold).is_open = self.app.size.height >= ROOM_FOR_ALL
        self._fold(self.query_one(Fold).is_open)

    # ------------------------------------------------------------------ asking

    @property
    def request(self) -> GenerationRequest | None:
        """What is asked for."""
        return self._request

    @property
    def prefix(self) -> str:
        """How the text is to begin."""
        return self.query_one("#generate-prefix", Input).value

    def turn_to(self, run: Path, facts: WriterFacts) -> None:
        """Ask another run from now on.

        What was typed for the one before stays where this one knows all of it, so that both can be asked the same.
        Else it waits until that run is asked again, and the beginning of this run's text is suggested.
        """
        if run == self._run:
            return
        self.note_prefix("")
        prefix = self.query_one("#generate-prefix", Input)
        is_typed = prefix.value not in ("", self._suggested)
        if is_typed and self._run is not None and not facts.knows(prefix.value):
            self._prefixes[self._run] = prefix.value
            is_typed = False
        if not is_typed:
            self._suggested = facts.beginning
            prefix.value = self._prefixes.pop(run, facts.beginning)
        self._run = run
        self.query_one("#edit-stop", Input).placeholder = stop_placeholder(facts.stops)

    def note_prefix(self, words: str) -> None:
        """Say below the prefix what of it the model does not know, until it is edited."""
        note = self.query_one("#prefix-note", Static)
        note.update(Content(words))
        note.display = bool(words)

    def show_outside_error(self, name: str, message: str) -> None:
        """An error that only the engine could find, at its field, until that is edited."""
        self._outside_errors[name] = message
        self._show_errors()

    def focus_error(self) -> None:
        """Put the focus on the first wrong field, and open the fold where it is behind that."""
        wrong = next((field for field in self.query(OptionField) if field.has_class("-wrong")), None)
        if wrong is not None:
            if wrong.setting.name in FOLDED:
                self.query_one(Fold).is_open = True
                self._fold(True)
            self.call_after_refresh(wrong.focus_editor)

    # ------------------------------------------------------------------ editing

    @on(SettingField.Edited)
    def _edited(self, event: SettingField.Edited) -> None:
        event.stop()
        self._texts[event.name] = event.text
        self._outside_errors.pop(event.name, None)
        self._read()

    @on(Input.Changed, "#generate-prefix")
    def _prefix_edited(self) -> None:
        self.note_prefix("")
        self._read()

    @on(Select.Changed, "#generate-strategy")
    def _strategy_changed(self, event: Select.Changed) -> None:
        event.stop()
        before, self._strategy = self._strategy, str(event.value)
        for name in NAMES:
            # What nobody has typed goes along with the strategy.
            if self._texts[name] == default_text(before, name):
                self._texts[name] = default_text(self._strategy, name)
                self._field_of(name).text = self._texts[name]
        self._read()
        self._tell_strategy()

    @on(SettingField.Submitted)
    @on(Input.Submitted, "#generate-prefix")
    @on(Button.Pressed, "#generate-write")
    def _submitted(self, event: Message) -> None:
        event.stop()
        self.post_message(self.Submitted())

    def _field_of(self, name: str) -> OptionField:
        return self.query_one(f"#field-{name}", OptionField)

    def _read(self) -> None:
        reading = read(self.prefix, self._strategy, self._texts)
        self._request = reading.request
        self._errors = reading.errors
        shown, relevant = shown_names(self._strategy), relevant_names(self._strategy, self._texts)
        for name in NAMES:
            field = self._field_of(name)
            field.set_class(self._texts[name] != default_text(self._strategy, name), "-changed")
            if name in PARAMETERS:
                field.display = name in shown
            elif field.disabled == (name in relevant):
                field.disabled = name not in relevant
        self.query_one(Fold).words = tuple(folded_words(self._strategy, self._texts))
        self._show_errors()

    def _show_errors(self) -> None:
        errors = {**self._errors, **self._outside_errors}
        for name in NAMES:
            self._field_of(name).show_error(errors.get(name, ""))
        self.query_one(Fold).set_class(any(name in errors for name in FOLDED), "-wrong")

    @on(Fold.Toggled)
    def _toggled(self, event: Fold.Toggled) -> None:
        event.stop()
        self._fold(event.is_open)

    def _fold(self, is_open: bool) -> None:
        self.query_one("#generate-more").display = is_open
        if is_open:
            self.call_after_refresh(self.query_one("#generate-more").scroll_visible, animate=False)

    # ------------------------------------------------------------------ help

    @on(events.DescendantFocus)
    def _focus_moved(self, event: events.DescendantFocus) -> None:
        nodes: Sequence[object] = event.widget.ancestors_with_self
        field = next((node for node in nodes if isinstance(node, OptionField)), None)
        if field is not None:
            self._tell(_option_help(field.setting, self._strategy))
        elif event.widget.id == "generate-strategy":
            self._tell_strategy()
        elif event.widget.id in _HELP:
            self._tell(Content(_HELP[event.widget.id]))

    def _tell_strategy(self) -> None:
        self._tell(Content(strategy_named(self._strategy).help))

    def _tell(self, words: Content) -> None:
        self.query_one("#generate-help", Static).update(words)


def _option_help(setting: Setting, strategy: str) -> Content:
    """As for every setting, with the strategy's own default; what may be left empty has none, and no range to tell."""
    if setting.name in OPTIONAL:
        return Content(setting.help)
    return help_of(replace(setting, default=setting.parse(default_text(strategy, setting.name))))
