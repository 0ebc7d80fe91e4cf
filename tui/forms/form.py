"""A form: the fields of a schema, their errors, folds and help."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import Reactive
from textual.widget import Widget
from textual.widgets import Static

from core.settings.setting import Setting, Settings, Value, shown
from tui.forms.lines import Effect, GroupRow, Row, SettingRow, group_key
from tui.forms.rows import Rows
from tui.forms.schema import YES_NO, Reading, Result, Schema, texts_of
from tui.scheduling import schedule

TYPING_SECONDS = 0.2


class Fields(VerticalScroll, can_focus=False):
    """The scrolled part of a form. What has the focus stays visible while the lines around it come and go."""

    # Textual lays the screen out a second time where this has changed; a scrollbar that comes or goes asks for that.
    virtual_size: Reactive[Size] = Reactive(Size(0, 0))

    def on_resize(self) -> None:
        self.call_after_refresh(self.keep_focus_visible)

    def keep_focus_visible(self) -> None:
        focused = self.screen.focused
        if focused is not None and self in focused.ancestors:
            rows = next((node for node in focused.ancestors_with_self if isinstance(node, Rows)), None)
            if rows is not None:
                rows.scroll_to_cursor()
            else:
                focused.scroll_visible(animate=False)


@dataclass(frozen=True)
class Group:
    """The place of a group in a form: its title, and its fold if it has one."""

    name: str
    title: str = ""


class Form(Vertical, Generic[Result]):
    """The settings of a schema, one below the other. Every edit is read at once; wrong texts are marked at their rows.

    ``texts`` has the text of every setting, ``reading`` their meaning. A subclass may arrange the settings in groups,
    with a fold, put other widgets between them, and add a ``Static`` of the class ``form-help``, which then describes
    the focused row.
    """

    @dataclass
    class Edited(Message):
        """The person changed the text of the setting ``name``; empty if several were changed at once."""

        name: str

    @dataclass
    class Read(Message):
        """What the person edited has been read."""

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
        self._reading = schema.read(self.texts)
        self._is_typing = False  # and what was typed is not read yet
        self._typed_at = -math.inf
        self._places: list[tuple[Rows, tuple[str | Group, ...]]] = []
        self._outside_errors: dict[str, str] = {}
        self.pending: Mapping[str, str] = {}  # notes on edits that the run does not have yet
        self.helped: Setting | None = None  # what the help line describes
        self.open_folds: frozenset[str] = frozenset()
        self.ready = False

    # ------------------------------------------------------------------ building

    def compose(self) -> ComposeResult:
        yield self.rows(*(setting.name for setting in self.schema.settings))

    def rows(self, *places: str | Group) -> Rows:
        """The new rows of some settings, by name, and groups, for ``compose``."""
        rows = Rows(self.edit, self._rows_at(places), {name: tuple(words) for name, words in self._suggestions.items()})
        self._places.append((rows, places))
        return rows

    def group_places(self, group: str) -> tuple[str | Group, ...]:
        """The title of a group and its settings, for ``rows``; those behind its fold are the last ones."""
        names = [setting.name for setting in self.schema.settings if setting.group == group]
        return (Group(group, group), *sorted(names, key=lambda name: name in self.schema.folded))

    def on_mount(self) -> None:
        self.ready = True
        self.refresh_rows()

    def open_fold(self, group: str, is_open: bool = True) -> None:
        """Open or close the fold of a group."""
        self.open_folds = self.open_folds | {group} if is_open else self.open_folds - {group}
        self.refresh_rows()

    @on(Rows.Toggled)
    def _fold_toggled(self, event: Rows.Toggled) -> None:
        event.stop()
        self.open_fold(event.group, event.is_open)
        if event.is_open:
            self.call_after_refresh(self._show_opened, event.group)

    def _show_opened(self, group: str) -> None:
        """Scroll to the rows that were folded, with their fold still visible, unless the cursor has moved."""
        for rows, _ in self._places:
            if rows.has_focus and rows.current is not None and rows.current.key == group_key(group):
                rows.scroll_to_rows(group_key(group), self.schema.folded_in(group)[-1].name)
                rows.scroll_to_cursor()

    # ------------------------------------------------------------------ asking

    @property
    def reading(self) -> Reading[Result]:
        """What the texts mean, the last typed one included."""
        self._read_typed()
        return self._reading

    @property
    def value(self) -> Result | None:
        return self.reading.value

    @property
    def errors(self) -> dict[str, str]:
        """All error messages by setting, those of the engine included."""
        return {**self.reading.errors, **self._outside_errors}

    @property
    def focused_row(self) -> Row | None:
        return next((rows.current for rows, _ in self._places if rows.has_focus_within), None)

    @property
    def shown_rows(self) -> dict[str, Row]:
        """All rows that are not hidden, by key."""
        self._read_typed()
        return {row.key: row for rows, _ in self._places for row in rows.rows}

    def focus_first(self) -> None:
        first = (row.key for rows, _ in self._places for row in rows.reachable if isinstance(row, SettingRow))
        self.focus_setting(next(first))

    def focus_error(self) -> None:
        """Move the focus to the first wrong setting, or else to the first one; its fold is opened."""
        wrong = next((setting.name for setting in self.schema.settings if setting.name in self.errors), None)
        if wrong is None:
            self.focus_first()
        else:
            self.focus_setting(wrong)

    def focus_setting(self, name: str) -> None:
        """Move the focus to a setting; its fold is opened."""
        if name in self.schema.folded:
            self.open_fold(self.schema.setting(name).group)
        for rows, _ in self._places:
            rows.go(name)

    # ------------------------------------------------------------------ changing

    def fill(self, config: Settings) -> None:
        """Put all settings of ``config`` into the form; later edits are marked as changes from them."""
        self._original = {**self._original, **texts_of(config)}
        self.change(texts_of(config))

    def change(self, texts: Mapping[str, str]) -> None:
        changes = {name: text for name, text in texts.items() if self.texts.get(name, text) != text}
        if changes:
            self._outside_errors.clear()
        self.texts.update(changes)
        self.read()

    @property
    def edited(self) -> list[str]:
        """The settings whose text differs from its default."""
        return [name for name, text in self.texts.items() if text != self._original[name]]

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
        self.refresh_rows()

    def clear_outside_errors(self) -> None:
        if self._outside_errors:
            self._outside_errors.clear()
            self.refresh_rows()

    def show_pending(self, notes: Mapping[str, str]) -> None:
        """Show notes, by setting, on edits that the run does not have yet."""
        if notes != self.pending:
            self.pending = notes
            self.refresh_rows()

    def edit(self, name: str, text: str, is_typed: bool = False) -> None:
        """Take another text for a setting.

        What is typed is read in a pause of ``TYPING_SECONDS``, or when ``reading`` is asked for: an error or a note
        moves the rows below it, which costs 30 ms of a processor, and the next character would wait for that.
        """
        self.texts[name] = text
        self._outside_errors.clear()
        if is_typed:
            self._typed_at = time.monotonic()
            if not self._is_typing:
                self._is_typing = True
                schedule(self, TYPING_SECONDS, self._read_in_pause)
        else:
            self.read()
            self.post_message(self.Read())
        self.post_message(self.Edited(name))

    def _read_in_pause(self) -> None:
        pause = self._typed_at + TYPING_SECONDS - time.monotonic()
        if self._is_typing and pause > 0:
            schedule(self, pause, self._read_in_pause)
        else:
            self._read_typed()

    def _read_typed(self) -> None:
        if self._is_typing:
            self.read()
            self.post_message(self.Read())

    @on(Rows.Submitted)
    def _row_submitted(self, event: Rows.Submitted) -> None:
        event.stop()
        self.post_message(self.Submitted(event.name))

    # ------------------------------------------------------------------ showing

    def read(self) -> None:
        self._is_typing = False
        self._reading = self.schema.read(self.texts)
        self.refresh_rows()

    def refresh_rows(self) -> None:
        """Show the text, the error, the note and the state of each setting and fold."""
        if not self.ready:
            return
        for rows, places in self._places:
            rows.show(self._rows_at(places))
        if self.helped is not None:
            self.show_help(self.setting_help(self.helped), self.helped)

    def _rows_at(self, places: Sequence[str | Group]) -> list[Row]:
        errors = self.errors
        found = (
            self._group(place, errors) if isinstance(place, Group) else self._row(place, errors) for place in places
        )
        return [row for row in found if row is not None]

    def _row(self, name: str, errors: Mapping[str, str]) -> SettingRow | None:
        setting = self.schema.setting(name)
        effect = self.effect_of(name, name in self.reading.relevant)
        if effect is None or (name in self.schema.folded and setting.group not in self.open_folds):
            return None
        text, error, is_wide = self.texts[name], errors.get(name, ""), self.is_wide(setting)
        note = ("" if error else self.pending.get(name, "")) or self.schema.notes.get((name, text), "")
        return SettingRow(
            setting, text, self.placeholder(name), error, note, text != self._original[name], effect, is_wide
        )

    def _group(self, group: Group, errors: Mapping[str, str]) -> GroupRow:
        folded = self.schema.folded_in(group.name)
        if not folded:
            return GroupRow(group.name, group.title)
        is_wrong = any(setting.name in errors for setting in folded)
        is_open = group.name in self.open_folds
        return GroupRow(group.name, group.title, True, is_open, is_wrong, self.fold_members(group.name))

    def effect_of(self, name: str, has_effect: bool) -> Effect | None:
        """How a setting is shown that has an effect, or has none; None: not at all."""
        return "" if has_effect else "idle"

    def placeholder(self, name: str) -> str:
        """The text in the editor while it is empty."""
        return self.schema.placeholder(name)

    def is_wide(self, setting: Setting) -> bool:
        """Whether the editor takes all the room of its row."""
        return setting.kind is str

    def fold_members(self, group: str) -> tuple[tuple[str, bool], ...]:
        """The label of each folded setting of a group, and whether it was changed."""
        return tuple(
            (setting.label, self.texts[setting.name] != self._original[setting.name])
            for setting in self.schema.folded_in(group)
        )

    # ------------------------------------------------------------------ help

    @on(Rows.Moved)
    def _cursor_moved(self, event: Rows.Moved) -> None:
        event.stop()
        if isinstance(event.row, SettingRow):
            self.show_help(self.setting_help(event.row.setting), event.row.setting)
        else:
            self.show_group_help(event.row.group)

    @on(events.DescendantFocus)
    def _focus_moved(self, event: events.DescendantFocus) -> None:
        if not any(isinstance(node, Rows) for node in event.widget.ancestors_with_self):
            self.show_other_help(event.widget)

    def show_help(self, words: Content, setting: Setting | None = None) -> None:
        """Show ``words`` in the help line; ``setting`` is the setting that they describe."""
        self.helped = setting
        for line in self.query(".form-help").results(Static):
            line.set_class(setting is not None, "-setting")
            if line.content != words:
                line.update(words, layout=_height_changes(line, words))

    def setting_help(self, setting: Setting) -> Content:
        """The help of a setting; first the reason if it has no effect."""
        return help_of(setting, self.schema.no_effect_reason(setting, self.texts))

    def show_other_help(self, widget: Widget) -> None:
        """Show the help of a focused widget between the rows."""

    def show_group_help(self, group: str) -> None:
        """Show the help of a fold."""


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


def _height_changes(line: Static, words: Content) -> bool:
    """Whether a line with an automatic height has another one with other ``words``."""
    styles, width = line.styles, line.content_size.width
    if not width or styles.height is None or not styles.height.is_auto:
        return not width
    least, most = (0 if limit is None else int(limit.value) for limit in (styles.min_height, styles.max_height))
    needed = max(least, words.get_height({}, width) + line.gutter.height)
    return (min(needed, most) if most else needed) != line.outer_size.height
