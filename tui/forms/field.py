"""One setting as a line of a form: label, editor and unit; below it an error or a note, if any."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input, Static

from core.settings.setting import Setting
from tui.forms.choice import Choice
from tui.forms.plain_input import NumberInput, PlainInput
from tui.forms.schema import YES_NO
from tui.text.safe import shown_text


class SettingField(Vertical):
    """The line of one setting. It holds a text, which the form reads."""

    @dataclass
    class Edited(Message):
        """The person changed the text of a setting."""

        name: str
        text: str

    @dataclass
    class Submitted(Message):
        """The person pressed enter in a setting."""

        name: str

    def __init__(self, setting: Setting, text: str, placeholder: str = "", suggestions: Iterable[str] = ()) -> None:
        super().__init__(id=f"field-{setting.name}", classes="field")
        self.setting = setting
        self.tooltip = setting.help
        self._text = text
        self._placeholder = placeholder
        self._suggestions = tuple(suggestions)
        self._lines: dict[str, Static] = {}

    def compose(self) -> ComposeResult:
        with Horizontal(classes="field-line"):
            yield Static(self.setting.label, classes="field-label", markup=False)
            yield self._editor()
            if self.setting.unit:
                yield Static(self.setting.unit, classes="field-unit", markup=False)

    def _editor(self) -> Widget:
        setting = self.setting
        if setting.choices or setting.kind is bool:
            return Choice(setting.choices or YES_NO, self._text, id=f"edit-{setting.name}")
        kind = PlainInput if setting.kind is str else NumberInput
        editor = kind(
            self._text,
            placeholder=self._placeholder,
            suggester=SuggestFromList(self._suggestions) if self._suggestions else None,
            compact=True,
            select_on_focus=True,
            id=f"edit-{setting.name}",
        )
        editor.set_class(setting.kind is not str, "-number")
        return editor

    @property
    def text(self) -> str:
        return self._text

    @text.setter
    def text(self, text: str) -> None:
        if text == self._text:
            return
        self._text = text
        for editor in self.query(Input):
            with editor.prevent(Input.Changed):
                editor.value = text
        for choice in self.query(Choice):
            if text in choice.options:
                choice.value = text

    def show_error(self, error: str) -> None:
        """Show an error below the line; an empty one is removed."""
        self.set_class(bool(error), "-wrong")
        self._show_line("field-error", error)

    def show_note(self, note: str) -> None:
        """Show a note on the value below the line; an empty one is removed."""
        self._show_line("field-note", note)

    def _show_line(self, kind: str, text: str) -> None:
        # Kept by name and not queried: for a moment a query still finds a line that is being removed.
        if not text:
            if kind in self._lines:
                self._lines.pop(kind).remove()
        elif kind in self._lines:
            self._lines[kind].update(Content(shown_text(text)))
        else:
            self._lines[kind] = Static(Content(shown_text(text)), classes=kind)
            self.mount(self._lines[kind])

    def on_resize(self) -> None:
        """Keep the lines below the editor visible."""
        if self.has_focus_within:
            self.call_after_refresh(self.scroll_visible, animate=False)

    def focus_editor(self) -> None:
        self.query_one(f"#edit-{self.setting.name}").focus()

    @on(Input.Changed)
    def _input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._edited(event.value)

    @on(Choice.Changed)
    def _choice_changed(self, event: Choice.Changed) -> None:
        event.stop()
        self._edited(event.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Submitted(self.setting.name))

    def _edited(self, text: str) -> None:
        if text != self._text:
            self._text = text
            self.post_message(self.Edited(self.setting.name, text))
