"""A form: the fields of a schema, their errors, folds and help."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from core.settings.setting import Setting, Settings, Value, shown
from tui.forms.field import SettingField
from tui.forms.fold import Fold
from tui.forms.schema import YES_NO, Result, Schema, texts_of


class Fields(VerticalScroll, can_focus=False):
    """The scrolled fields. The focused one stays visible while the lines around it come and go."""

    def on_resize(self) -> None:
        self.call_after_refresh(self.keep_focus_visible)

    def keep_focus_visible(self) -> None:
        """Scroll to the field that has the focus."""
        focused = self.screen.focused
        if focused is not None and self in focused.ancestors:
            field = next((node for node in focused.ancestors if isinstance(node, SettingField)), focused)
            field.scroll_visible(animate=False)


class Form(Vertical, Generic[Result]):
    """The fields of a schema, one below the other. Every edit is read at once; wrong texts are marked at their fields.

    ``texts`` has the text of every setting, ``reading`` their meaning. A subclass may arrange the fields in groups,
    with a fold, and add a ``Static`` of the class ``form-help``, which then describes the focused field.
    """

    @dataclass
    class Edited(Message):
        """The person changed the text of the setting ``name``; empty if several were changed at once."""

        name: str

    @dataclass
    class Submitted(Message):
        """The person pressed enter in the setting ``name``."""

        name: str

    def __init__(
        self,
        schema: Schema[Result],
        texts: Mapping[str, str] | None = None,
        *,
        suggestions: Mapping[str, Iterable[str]] | None = None,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.schema = schema
        self.texts: dict[str, str] = {**schema.default_texts(), **(texts or {})}
        self._original = dict(self.texts)
        self._suggestions = suggestions or {}
        self.reading = schema.read(self.texts)
        self._fields: dict[str, SettingField] = {}
        self._outside_errors: dict[str, str] = {}
        self.pending: Mapping[str, str] = {}  # notes on edits that the run does not have yet
        self.helped: Setting | None = None  # what the help line describes
        self.ready = False

    # ------------------------------------------------------------------ building

    def compose(self) -> ComposeResult:
        for setting in self.schema.settings:
            yield self.field(setting.name)

    def field(self, name: str) -> SettingField:
        """The new field of a setting, for ``compose``."""
        field = SettingField(
            self.schema.setting(name), self.texts[name], self.schema.placeholder(name), self._suggestions.get(name, ())
        )
        self._fields[name] = field
        return field

    def group_fields(self, group: str) -> Iterator[Widget]:
        """The title and the fields of a group, for ``compose``; those behind its fold are made when it is opened."""
        has_fold = bool(self.schema.folded_in(group))
        yield Fold(group, group) if has_fold else Static(group, classes="group-title", markup=False)
        for setting in self.schema.settings:
            if setting.group == group and setting.name not in self.schema.folded:
                yield self.field(setting.name)
        if has_fold:
            yield Vertical(id=f"more-{group}", classes="more")

    def on_mount(self) -> None:
        self.ready = True
        self.refresh_fields()

    async def open_fold(self, group: str, is_open: bool = True) -> None:
        """Open or close the fold of a group."""
        more = self.query_one(f"#more-{group}", Vertical)
        if is_open and not more.children:
            await more.mount(*(self.field(setting.name) for setting in self.schema.folded_in(group)))
            self.refresh_fields()
        more.display = is_open
        self.query_one(f"#group-{group}", Fold).is_open = is_open

    @on(Fold.Toggled)
    async def _fold_toggled(self, event: Fold.Toggled) -> None:
        event.stop()
        await self.open_fold(event.fold.group, event.is_open)
        if event.is_open:
            self.call_after_refresh(self._show_opened, event.fold)

    def _show_opened(self, fold: Fold) -> None:
        """Scroll to the fields that were folded, with their fold still visible, unless the focus has moved."""
        if fold.has_focus:
            self.query_one(f"#more-{fold.group}").scroll_visible(animate=False)
            fold.scroll_visible(animate=False)

    # ------------------------------------------------------------------ asking

    @property
    def value(self) -> Result | None:
        return self.reading.value

    @property
    def errors(self) -> dict[str, str]:
        """All error messages by setting, those of the engine included."""
        return {**self.reading.errors, **self._outside_errors}

    def focus_first(self) -> None:
        next(iter(self._fields.values())).focus_editor()

    async def focus_error(self) -> None:
        """Move the focus to the first wrong field, or else to the first field; its fold is opened."""
        wrong = next((setting.name for setting in self.schema.settings if setting.name in self.errors), None)
        if wrong is None:
            self.focus_first()
        else:
            await self.focus_setting(wrong)

    async def focus_setting(self, name: str) -> None:
        """Move the focus to a setting; its fold is opened."""
        if name in self.schema.folded:
            await self.open_fold(self.schema.setting(name).group)
        if name in self._fields:
            self._fields[name].focus_editor()
            for fields in self.query(Fields):
                self.call_after_refresh(fields.keep_focus_visible)

    # ------------------------------------------------------------------ changing

    def fill(self, config: Settings) -> None:
        """Put all settings of ``config`` into the form; later edits are marked as changes from them."""
        self._original = {**self._original, **texts_of(config)}
        self.change(texts_of(config))

    def change(self, texts: Mapping[str, str]) -> None:
        """Put some texts into the form."""
        changes = {name: text for name, text in texts.items() if self.texts.get(name, text) != text}
        if changes:
            self._outside_errors.clear()
        self.texts.update(changes)
        for name, field in self._fields.items():
            field.text = self.texts[name]
        self.read()

    def change_defaults(self, texts: Mapping[str, str]) -> None:
        """Set other defaults; a text that the person has edited stays."""
        before, self._original = self._original, {**self._original, **texts}
        self.change({name: text for name, text in texts.items() if self.texts[name] == before[name]})

    def show_outside_error(self, name: str, message: str) -> None:
        """Show an error that only the engine can find at its setting, until any setting is changed.

        Any setting, because they are refused together: for a text that is too short for its batches, a change to either
        is a remedy.
        """
        self._outside_errors[name] = message
        self.refresh_fields()

    def clear_outside_errors(self) -> None:
        """Remove the errors that only the engine can find."""
        if self._outside_errors:
            self._outside_errors.clear()
            self.refresh_fields()

    def show_pending(self, notes: Mapping[str, str]) -> None:
        """Show notes, by setting, on edits that the run does not have yet."""
        if notes != self.pending:
            self.pending = notes
            self.refresh_fields()

    def edit(self, name: str, text: str) -> None:
        """Take the text that the person typed for a setting."""
        self.texts[name] = text
        self._outside_errors.clear()
        self.read()
        self.post_message(self.Edited(name))

    @on(SettingField.Edited)
    def _field_edited(self, event: SettingField.Edited) -> None:
        event.stop()
        self.edit(event.name, event.text)

    @on(SettingField.Submitted)
    def _field_submitted(self, event: SettingField.Submitted) -> None:
        event.stop()
        self.post_message(self.Submitted(event.name))

    # ------------------------------------------------------------------ showing

    def read(self) -> None:
        """Read the texts and show their values and errors."""
        self.reading = self.schema.read(self.texts)
        self.refresh_fields()

    def refresh_fields(self) -> None:
        """Show the error, the note and the state of each field and fold."""
        if not self.ready:
            return
        errors = self.errors
        for name, field in self._fields.items():
            field.show_error(errors.get(name, ""))
            pending = "" if name in errors else self.pending.get(name, "")
            field.show_note(pending or self.schema.notes.get((name, self.texts[name]), ""))
            field.set_class(self.texts[name] != self._original[name], "-changed")
            self.show_effect(field, name in self.reading.relevant)
        for fold in self.query(Fold):
            names = [setting.name for setting in self.schema.folded_in(fold.group)]
            fold.members = self.fold_members(fold.group)
            fold.set_class(any(name in errors for name in names), "-wrong")
        if self.helped is not None:
            self.show_help(self.setting_help(self.helped), self.helped)

    def show_effect(self, field: SettingField, has_effect: bool) -> None:
        field.set_class(not has_effect, "-idle")

    def fold_members(self, group: str) -> tuple[tuple[str, bool], ...]:
        """The label of each folded setting of a group, and whether it was changed."""
        return tuple(
            (setting.label, self.texts[setting.name] != self._original[setting.name])
            for setting in self.schema.folded_in(group)
        )

    # ------------------------------------------------------------------ help

    @on(events.DescendantFocus)
    def _focus_moved(self, event: events.DescendantFocus) -> None:
        field = next((node for node in event.widget.ancestors_with_self if isinstance(node, SettingField)), None)
        if field is not None:
            self.show_help(self.setting_help(field.setting), field.setting)
        else:
            self.show_other_help(event.widget)

    def show_help(self, words: Content, setting: Setting | None = None) -> None:
        """Show ``words`` in the help line; ``setting`` is the setting that they describe."""
        self.helped = setting
        for line in self.query(".form-help").results(Static):
            line.set_class(setting is not None, "-setting")
            if line.content != words:
                line.update(words)

    def setting_help(self, setting: Setting) -> Content:
        """The help of a setting; first the reason if it has no effect."""
        return help_of(setting, self.schema.no_effect_reason(setting, self.texts))

    def show_other_help(self, widget: Widget) -> None:
        """Show the help of a focused widget that is not a field of the schema."""


def help_of(setting: Setting, no_effect: str = "", default: Value | None = None) -> Content:
    """What a setting does, its range and its default; before them ``no_effect``, the reason why it has no effect."""
    value = setting.default if default is None else default
    words = shown(value) if setting.kind is not bool else YES_NO[bool(value)]
    facts = [] if setting.choices or setting.kind is bool else [setting.range_text()]
    facts.append(f"default {words}" if words else "empty by default")
    if setting.live:
        facts.append("can change while training")
    first = (f"{no_effect}\n", "$text-warning") if no_effect else ""
    return Content.assemble(first, setting.help, "\n", (" · ".join(facts), "dim"))
