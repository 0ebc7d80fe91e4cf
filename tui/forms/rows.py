"""Some rows of a form as one widget, with one cursor and one editor.

A widget for each label, value and unit made a hundred and fifty of them in the Train pane alone; Textual styles, lays
out and asks each one at every move of the focus.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from rich.segment import Segment
from textual import events, on
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import Reactive
from textual.strip import Strip
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input
from textual.widgets.input import Selection

from tui.forms.lines import GroupRow, Line, Row, SettingRow, choice_at, lines_of, next_choice
from tui.forms.plain_input import RowEditor
from tui.forms.row_styles import ROW_CLASSES, RowStyles
from tui.text.cells import cell_len

AWAY = (0, -2)


class Rows(Widget, can_focus=True, can_focus_children=False):
    """Draws its rows line by line. The row of the cursor has the focus; if its value is typed, the editor lies over it.

    ``edit`` is called with name and text of a setting whenever the person changes it, and whether it was typed.
    """

    # Textual lays the screen out a second time where this has changed; but nothing lies in these rows.
    virtual_size: Reactive[Size] = Reactive(Size(0, 0))

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = set(ROW_CLASSES)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "step(1)", "Next setting", show=False),
        Binding("up", "step(-1)", "Setting before", show=False),
        Binding("right", "choose(1)", "Next value", show=False),
        Binding("left", "choose(-1)", "Previous value", show=False),
        Binding("home", "jump(0)", "First value", show=False),
        Binding("end", "jump(-1)", "Last value", show=False),
        Binding("space,enter", "act", "Next value, or more fields", show=False),
    ]

    @dataclass
    class Moved(Message):
        """The cursor is in another row, or the focus has arrived."""

        row: Row

    @dataclass
    class Submitted(Message):
        """The person pressed enter in the setting ``name``."""

        name: str

    @dataclass
    class Toggled(Message):
        """The person opened or closed the fold of a group."""

        group: str
        is_open: bool

    def __init__(
        self,
        edit: Callable[[str, str, bool], None],
        rows: Sequence[Row],
        suggestions: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__()
        self.rows = tuple(rows)
        self._edit = edit
        self._suggestions = suggestions or {}
        self.editor: RowEditor | None = None
        """The one editor, mounted when it is first needed."""
        self._cursor = ""
        self._hovered = ""
        self._lines: list[Line] = []
        self._row_styles = RowStyles(self)

    # ------------------------------------------------------------------ which row

    @property
    def reachable(self) -> list[Row]:
        """The rows that can have the focus."""
        return [
            row for row in self.rows
            if (row.effect != "disabled" if isinstance(row, SettingRow) else row.is_fold)
        ]  # fmt: skip

    @property
    def current(self) -> Row | None:
        reachable = self.reachable
        return next((row for row in reachable if row.key == self._cursor), reachable[0] if reachable else None)

    def row(self, key: str) -> Row | None:
        """The row that is called ``key``, if it is shown."""
        return next((row for row in self.rows if row.key == key), None)

    def allow_focus(self) -> bool:
        return bool(self.reachable)

    def step(self, direction: int) -> bool:
        """Move the cursor to the next row (1) or to the one before (-1); False if there is none."""
        reachable, current = self.reachable, self.current
        place = reachable.index(current) + direction if current is not None else -1
        if not 0 <= place < len(reachable):
            return False
        self.go(reachable[place].key)
        return True

    def action_step(self, direction: int) -> None:
        self.step(direction)

    def enter(self, direction: int) -> None:
        """Take the focus from the widget before (1) or from the one below (-1)."""
        reachable = self.reachable
        if reachable:
            self.go(reachable[0 if direction > 0 else -1].key)

    def go(self, key: str) -> None:
        """Move cursor and focus to the row that is called ``key``."""
        if not any(row.key == key for row in self.reachable):
            return
        self._cursor = key
        self._show_focus()

    # ------------------------------------------------------------------ showing

    def show(self, rows: Sequence[Row]) -> None:
        """Draw other rows; only the lines that differ are painted again."""
        rows = tuple(rows)
        if rows == self.rows:
            return
        keys, current = [row.key for row in rows], self.current
        if current is not None and current.key not in keys:  # folded, or of another strategy: to the nearest above
            above = [row.key for row in self.rows[: self.rows.index(current)] if row.key in keys]
            self._cursor = above[-1] if above else ""
        self.rows = rows
        if self.is_attached:
            self._redraw()
            if current is not None and current.key not in keys and self.has_focus_within:
                self._show_focus()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._drawn(width))

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        if y >= len(self._lines):
            return Strip.blank(width, base)
        strip = Strip([Segment(text, self._row_styles.style(names)) for text, names in self._lines[y].pieces if text])
        return strip.adjust_cell_length(width, base)

    def update_node_styles(self, animate: bool = True) -> None:
        """Do nothing when focus or pointer come and go: no style depends on them, only what is drawn."""

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._row_styles.clear()
        if self.is_attached and self._lines:
            self._redraw()

    def on_mount(self) -> None:
        self.screen.screen_layout_refresh_signal.subscribe(self, self._show_caret)

    def on_resize(self) -> None:
        self._redraw()
        if self.has_focus_within:
            self.call_after_refresh(self.scroll_to_cursor)

    def _drawn(self, width: int) -> list[Line]:
        cursor = self.current.key if self.has_focus_within and self.current is not None else ""
        return lines_of(self.rows, self._row_styles.look(width), cursor, self._hovered)

    def _redraw(self) -> None:
        if not self.size.width:
            return
        before, self._lines = self._lines, self._drawn(self.size.width)
        if len(before) != len(self._lines):
            self.refresh(layout=True)
        else:
            changed = [y for y, (old, new) in enumerate(zip(before, self._lines, strict=True)) if old != new]
            if changed:
                self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))
        self._place_editor()

    # ------------------------------------------------------------------ the focus

    def on_focus(self) -> None:
        # After the button of a mouse, which comes with the focus, has moved the cursor.
        self.call_later(self._arrive)

    def _arrive(self) -> None:
        if self.has_focus:
            self._show_focus()

    @on(events.DescendantFocus)
    def _focus_came(self) -> None:
        self._redraw()
        if self.current is not None:
            self.post_message(self.Moved(self.current))

    @on(events.DescendantBlur)
    @on(events.Blur)
    def _focus_left(self) -> None:
        self._redraw()

    def _show_focus(self) -> None:
        """Give the focus to the editor, if the value of the current row is typed, or else to this widget."""
        row = self.current
        if row is None:
            return
        if isinstance(row, SettingRow) and not row.options:
            self._edit_row(row)
        else:
            self.screen.set_focus(self, scroll_visible=False)
            self._redraw()
        self.post_message(self.Moved(row))
        self.call_after_refresh(self.scroll_to_cursor)

    def scroll_to_cursor(self) -> None:
        if self.current is not None:
            self.scroll_to_rows(self.current.key)

    def scroll_to_rows(self, first: str, last: str = "") -> None:
        """Scroll to a row, or to all from the ``first`` to the ``last``."""
        lines = [y for y, line in enumerate(self._lines) if line.key in (first, last)]
        boxes = [node for node in self.ancestors_with_self if isinstance(node, Widget)]
        box = next((place for place, node in enumerate(boxes) if place and node.allow_vertical_scroll), None)
        if lines and box is not None:
            # Places in what is scrolled: those on the screen may be of the scroll offset before.
            top = self.gutter.top + sum(node.virtual_region.y for node in boxes[:box])
            region = Region(boxes[box].scroll_offset.x, top + lines[0], 1, lines[-1] - lines[0] + 1)
            boxes[box].scroll_to_region(region, animate=False, immediate=True)

    # ------------------------------------------------------------------ the editor

    def _edit_row(self, row: SettingRow) -> None:
        if self.editor is None:
            self.editor = RowEditor(self._edited)
            self.mount(self.editor)
        editor, setting = self.editor, row.setting
        suggestions = self._suggestions.get(setting.name)
        editor.suggester = SuggestFromList(suggestions) if suggestions else None
        editor.placeholder = row.placeholder
        editor.tooltip = setting.help
        editor.is_number = setting.kind is not str
        self._redraw()
        if self.screen.focused is editor:
            editor.select_all()
        else:
            self.screen.set_focus(editor, scroll_visible=False)
        self.call_after_refresh(self._show_caret)

    def _place_editor(self) -> None:
        """Put the editor over the value of the current row, with its text; out of sight if that is not typed."""
        row, editor = self.current, self.editor
        if editor is None:
            return
        if not isinstance(row, SettingRow) or row.options:
            editor.styles.offset = AWAY  # a change of ``display`` would repaint the whole screen
            return
        editor.put(row.text)
        editor.set_class(bool(row.error), "-wrong")
        x, width = self._row_styles.look(self.size.width).editor(row)
        y = next((y for y, line in enumerate(self._lines) if line.key == row.key and line.is_main), 0)
        editor.styles.offset = (x, y)
        editor.styles.width = width

    def _show_caret(self, _: object = None) -> None:
        """Tell the terminal where the caret is: input methods open their lists there."""
        if self.editor is not None and self.editor.has_focus:
            self.app.cursor_position = self.editor.cursor_screen_offset

    def _edited(self, text: str) -> None:
        row = self.current
        if isinstance(row, SettingRow) and text != row.text:
            # Known here at once, although the form reads it later.
            self.rows = tuple(replace(one, text=text) if one is row else one for one in self.rows)
            self._edit(row.key, text, True)

    @on(Input.Changed)
    def _editor_changed(self, event: Input.Changed) -> None:
        event.stop()

    @on(Input.Submitted)
    def _editor_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self.current is not None:
            self.post_message(self.Submitted(self.current.key))

    # ------------------------------------------------------------------ keys and the mouse

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The arrows change a choice; elsewhere they are keys of the pane, or of the editor."""
        row = self.current
        if action in ("choose", "jump"):
            return self.has_focus and isinstance(row, SettingRow) and bool(row.options)
        return self.has_focus if action == "act" else True

    def action_choose(self, by: int) -> None:
        row = self.current
        if isinstance(row, SettingRow):
            self._choose(row, next_choice(row.options, row.text, by))

    def action_jump(self, place: int) -> None:
        row = self.current
        if isinstance(row, SettingRow):
            self._choose(row, row.options[place])

    def action_act(self) -> None:
        """Take the next value, or open or close the fold."""
        row = self.current
        if isinstance(row, GroupRow):
            self.post_message(self.Toggled(row.group, not row.is_open))
        else:
            self.action_choose(1)

    def _choose(self, row: SettingRow, value: str) -> None:
        if value != row.text:
            self._edit(row.key, value, False)

    def _line_at(self, event: events.MouseEvent) -> Line | None:
        y = event.y - self.gutter.top
        return self._lines[y] if 0 <= y < len(self._lines) else None

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Move the cursor to the row; in a text, the caret too."""
        line = self._line_at(event)
        if line is None or event.button != 1 or line.key not in [row.key for row in self.reachable]:
            return
        self.go(line.key)
        row = self.current
        if line.is_main and isinstance(row, SettingRow) and not row.options:
            start, _ = self._row_styles.look(self.size.width).editor(row)
            self.call_after_refresh(self._put_caret, event.x - self.gutter.left - start - 1)

    def _put_caret(self, cells: int) -> None:
        if self.editor is None:
            return
        place = used = 0
        for place, character in enumerate(self.editor.value + " "):  # noqa: B007
            used += cell_len(character)
            if used > cells:
                break
        self.editor.selection = Selection.cursor(place)
        self.call_after_refresh(self._show_caret)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        line, row = self._line_at(event), self.current
        if line is None or row is None or line.key != row.key or not line.is_main:
            return
        if isinstance(row, GroupRow):
            self.action_act()
        elif row.options:
            start, room = self._row_styles.look(self.size.width).editor(row)
            x = event.x - self.gutter.left - start
            if 0 <= x < room:
                self._choose(row, choice_at(row.options, row.text, room, x))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Explain the setting under the pointer; a fold is lit."""
        line = self._line_at(event)
        row = self.row(line.key) if line is not None else None
        words = row.setting.help if isinstance(row, SettingRow) else None
        if self.tooltip != words:
            self.tooltip = words
        self._hover(row.key if isinstance(row, GroupRow) else "")

    def on_leave(self) -> None:
        self._hover("")

    def _hover(self, key: str) -> None:
        if key != self._hovered:
            self._hovered = key
            self._redraw()
