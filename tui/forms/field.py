"""One setting of ``RunConfig`` as a line of a form: label, editor, unit, and below it its error or a note, if any."""

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

from core.settings.run_config import Setting
from tui.forms.choice import Choice
from tui.forms.plain_input import PlainInput
from tui.forms.reading import YES_NO
from tui.text.safe import shown_text


class SettingField(Vertical):
    """The line of one setting. It holds a text; whether that text is right, the form says."""

    @dataclass
    class Edited(Message):
        """The text of a setting was changed by the person at the keys."""

        name: str
        text: str

    @dataclass
    class Submitted(Message):
        """Enter was pressed in a setting."""

        name: str

    def __init__(self, setting: Setting, text: str, suggestions: Iterable[str] = ()) -> None:
        super().__init__(id=f"field-{setting.name}", classes="field")
        self.setting = setting
        self.tooltip = setting.help
        self._text = text
        self._suggestions = tuple(suggestions)
        self._said: dict[str, Static] = {}

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
        editor = PlainInput(
            self._text,
            placeholder="" if setting.kind is str else setting.range_text(),
            suggester=SuggestFromList(self._suggestions) if self._suggestions else None,
            compact=True,
            select_on_focus=True,
            id=f"edit-{setting.name}",
        )
        editor.set_class(setting.kind is not str, "-number")
        return editor

    @property
    def text(self) -> str:
        """The text in the editor."""
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
        """Say what is wrong, below the line; nothing for an empty ``error``."""
        self.set_class(bool(error), "-wrong")
        self._say("field-error", error)

    def show_note(self, note: str) -> None:
        """Say what to know about the value that stands here; nothing for an empty ``note``."""
        self._say("field-note", note)

    def _say(self, kind: str, words: str) -> None:
        # Removing takes a moment, in which a query would still find what is on its way out.
        if not words:
            if kind in self._said:
                self._said.pop(kind).remove()
        elif kind in self._said:
            self._said[kind].update(Content(shown_text(words)))
        else:
            self._said[kind] = Static(Content(shown_text(words)), classes=kind)
            self.mount(self._said[kind])

    def on_resize(self) -> None:
        """What has come below the line of the editor is to be seen, too."""
        if self.has_focus_within:
            self.call_after_refresh(self.scroll_visible, animate=False)

    def focus_editor(self) -> None:
        """Put the focus on the editor."""
        self.query_one(f"#edit-{self.setting.name}").focus()

    @on(Input.Changed)
    def _input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._tell(event.value)

    @on(Choice.Changed)
    def _choice_changed(self, event: Choice.Changed) -> None:
        event.stop()
        self._tell(event.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Submitted(self.setting.name))

    def _tell(self, text: str) -> None:
        if text != self._text:
            self._text = text
            self.post_message(self.Edited(self.setting.name, text))
