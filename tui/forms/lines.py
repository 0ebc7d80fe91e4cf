"""The rows of a form as lines of styled pieces: no widgets, so that all that is drawn can be tested alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

from core.settings.setting import Setting
from tui.forms.schema import YES_NO
from tui.text.cells import cell_len, clip_cells, pad_cells
from tui.text.safe import shown_text
from tui.text.wrapping import wrapped_lines

Effect: TypeAlias = Literal["", "idle", "disabled"]
"""Whether a setting has an effect: ``idle`` is dimmed, ``disabled`` cannot be edited either."""
Pieces: TypeAlias = tuple[tuple[str, str], ...]
"""Texts, each with the names of its styles: ``label cursor``."""
OptionT = TypeVar("OptionT")
INDENT = 2  # cells before an error or a note


@dataclass(frozen=True)
class SettingRow:
    """A setting: its text, and what is wrong with it or worth a note."""

    setting: Setting
    text: str
    placeholder: str = ""
    error: str = ""
    note: str = ""
    is_changed: bool = False
    effect: Effect = ""
    is_wide: bool = False

    @property
    def key(self) -> str:
        return self.setting.name

    @property
    def options(self) -> tuple[str, ...]:
        """The values to choose from; none where the value is typed."""
        return self.setting.choices or (YES_NO if self.setting.kind is bool else ())


@dataclass(frozen=True)
class GroupRow:
    """The title of a group, and its fold where some of it is folded.

    ``members`` are the label of each folded setting, and whether it was changed.
    """

    group: str
    title: str = ""
    is_fold: bool = False
    is_open: bool = False
    is_wrong: bool = False
    members: tuple[tuple[str, bool], ...] = ()

    @property
    def key(self) -> str:
        return group_key(self.group)


Row: TypeAlias = SettingRow | GroupRow


def group_key(group: str) -> str:
    """The key of a group's row; no setting is called so."""
    return f"group {group}"


@dataclass(frozen=True)
class Look:
    """The measures of the lines, in cells: of all, of a label, before it, of a number; blank lines above groups."""

    width: int
    label: int = 15
    indent: int = 0
    number: int = 12
    has_units: bool = True
    title_gap: int = 0
    fold_gap: int = 0

    def editor(self, row: SettingRow) -> tuple[int, int]:
        """Where the value of ``row`` begins in its line, and its width."""
        room = max(0, self.width - self.label - cell_len(self.unit(row)))
        return self.label, room if row.options or row.is_wide else min(room, self.number)

    def unit(self, row: SettingRow) -> str:
        """The unit of ``row`` as it is shown."""
        return f" {row.setting.unit}" if self.has_units and row.setting.unit else ""


@dataclass(frozen=True)
class Line:
    """One line of the row ``key``; ``is_main``: the one with its value."""

    key: str
    pieces: Pieces = ()
    is_main: bool = False


def lines_of(rows: Sequence[Row], look: Look, cursor: str = "", hovered: str = "") -> list[Line]:
    """All lines; ``cursor`` is the row that has the focus, ``hovered`` the one under the pointer."""
    lines: list[Line] = []
    for row in rows:
        if isinstance(row, SettingRow):
            lines += _setting_lines(row, look, row.key == cursor)
        else:
            lines += [Line(row.key)] * (look.fold_gap if row.is_fold else look.title_gap)
            lines.append(Line(row.key, tuple(_group_pieces(row, look.width, row.key in (cursor, hovered))), True))
    return lines


def _setting_lines(row: SettingRow, look: Look, is_focused: bool) -> Iterator[Line]:
    unit = look.unit(row)
    _, width = look.editor(row)
    states = (("changed", row.is_changed), ("wrong", bool(row.error)), ("cursor", is_focused and not row.error))
    label = " ".join(["label", *(name for name, holds in states if holds)])
    pieces = [(" " * look.indent + pad_cells(row.setting.label, look.label - look.indent), label)]
    if row.options:
        pieces += choice_pieces(row.options, row.text, width, is_focused)
    else:
        text, style = (shown_text(row.text), "") if row.text else (row.placeholder, " placeholder")
        box = "wrong-value" if row.error else "value"
        pieces += [(" ", box), (pad_cells(text, width - 2, ellipsis=""), box + style), (" ", box)]
    pieces.append((unit, "unit"))
    if row.effect:
        pieces = [(text, f"{style} {row.effect}") for text, style in pieces]
    yield Line(row.key, tuple(pieces), True)
    for words, style in ((row.error, "error"), (row.note, "note")):
        for line in wrapped_lines(shown_text(words), max(1, look.width - INDENT)) if words else ():
            yield Line(row.key, ((" " * INDENT + line, style),))


def _group_pieces(row: GroupRow, width: int, is_lit: bool) -> Iterator[tuple[str, str]]:
    """``text ───── 1 changed · 5 more ▸``; without a title the folded settings by name: ``▸ samples, acrostic``."""
    if not row.is_fold:
        yield row.title, "title"
        return
    style = "fold-wrong" if row.is_wrong else "fold cursor" if is_lit else "fold"
    if row.title:
        words = "fewer ▾" if row.is_open else f"{len(row.members)} more ▸"
        changed = sum(is_changed for _, is_changed in row.members)
        if changed and not row.is_open:
            words = f"{changed} changed · {words}"
        line = "─" * max(1, width - cell_len(row.title) - cell_len(words) - 2)
        yield from ((row.title, f"{style} bold"), (f" {line} ", f"{style} dim"), (words, style))
    elif row.is_open:
        yield "▾ fewer", style
    else:
        yield "▸ ", style
        room = width - 2
        for index, (label, is_changed) in enumerate(row.members):
            shown = clip_cells((", " if index else "") + label, room)
            yield shown, f"{style} bold" if is_changed else style
            room -= cell_len(shown)


# ---------------------------------------------------------------------------------------------------------------------
# a choice of one of a few values, on one line


def is_side_by_side(options: Sequence[str], room: int) -> bool:
    """Whether there is room for all values side by side."""
    return sum(cell_len(option) + 4 for option in options) - 2 <= room


def choice_pieces(options: Sequence[str], value: str, room: int, is_focused: bool) -> list[tuple[str, str]]:
    """``● scratch  ○ torch.nn``, or ``‹ spaces ›`` where that is too wide, in ``room`` cells."""
    base = "focused " if is_focused else ""
    chosen, other = (f"{base}{'chosen-focused' if is_focused else 'chosen'}", f"{base}other")
    if is_side_by_side(options, room):
        marked = [("● ", chosen) if option == value else ("○ ", other) for option in options]
        pieces = [(mark + option, style) for (mark, style), option in zip(marked, options, strict=True)]
        pieces = [piece for pair in pieces for piece in (pair, ("  ", base + "other"))][:-1]
    else:
        arrows = chosen if is_focused else other
        width = max(1, min(room - 4, max(cell_len(option) for option in options)))
        pieces = [("‹ ", arrows), (pad_cells(value, width), chosen), (" ›", arrows)]
    used = sum(cell_len(text) for text, _ in pieces)
    return [*pieces, (" " * max(0, room - used), base + "other")]


def choice_at(options: Sequence[str], value: str, room: int, x: int) -> str:
    """The value after a click at cell ``x``."""
    if not is_side_by_side(options, room):
        return next_choice(options, value, -1 if x == 0 else 1)
    end = 0
    for option in options:
        end += cell_len(option) + 4
        if x < end:
            return option
    return value


def next_choice(options: Sequence[OptionT], value: OptionT, by: int = 1) -> OptionT:
    """The value ``by`` places from ``value``, round and round; one that is not there counts as the first."""
    place = options.index(value) if value in options else 0
    return options[(place + by) % len(options)]
