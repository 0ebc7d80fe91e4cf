"""Parts of the app that many tests look at, and what they show."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from textual.app import App
from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget

from tui.forms.form import Form
from tui.forms.lines import GroupRow, SettingRow, group_key
from tui.forms.rows import Rows
from tui.panes.train.pane import TrainPane

_notify = App.notify
_notices: WeakKeyDictionary[App[Any], list[str]] = WeakKeyDictionary()


def keep_and_notify(app: App[Any], message: str, **options: Any) -> None:
    """What each app of the tests has in the place of ``notify``."""
    _notices.setdefault(app, []).append(message)
    _notify(app, message, **options)


def notices(app: App[Any]) -> list[str]:
    """What all notifications said, also those that have gone."""
    return list(_notices.get(app, ()))


def train_pane(app: App[Any]) -> TrainPane:
    """The Train pane, which is always mounted."""
    return app.query_one(TrainPane)


def form_of(app: App[Any]) -> Form[Any]:
    """The form of an app with one."""
    return app.query_one(Form)


def setting_row(form: Form[Any], name: str) -> SettingRow:
    """The row of a setting that is shown."""
    row = form.shown_rows[name]
    assert isinstance(row, SettingRow)
    return row


def fold_row(form: Form[Any], group: str) -> GroupRow:
    """The fold of a group."""
    row = form.shown_rows[group_key(group)]
    assert isinstance(row, GroupRow)
    return row


def shown_settings(form: Form[Any]) -> set[str]:
    """The settings that are not folded away or hidden."""
    return {row.key for row in form.shown_rows.values() if isinstance(row, SettingRow)}


def errors(form: Form[Any]) -> list[str]:
    """What stands below the settings as wrong."""
    return [row.error for row in form.shown_rows.values() if isinstance(row, SettingRow) and row.error]


def notes(form: Form[Any]) -> list[str]:
    """The notes below the settings."""
    return [row.note for row in form.shown_rows.values() if isinstance(row, SettingRow) and row.note]


def focused_setting(app: App[Any]) -> str:
    """The setting that has the focus; empty if none has."""
    found = (form.focused_row for form in app.screen.query(Form).results(Form))
    return next((row.key for row in found if row is not None), "")


def row_region(rows: Rows, key: str) -> Region:
    """Where the lines of a row are drawn on the screen; empty if it is not shown."""
    lines = [rows.render_line(y).text.strip() for y in range(rows.size.height)]
    starts: dict[str, int] = {}
    for row in rows.rows:
        label = (row.setting.label if isinstance(row, SettingRow) else row.title)[:9]
        below = max(starts.values(), default=-1) + 1
        starts[row.key] = next((y for y in range(below, len(lines)) if lines[y].startswith(label)), len(lines))
    first = starts.get(key, len(lines))
    end = min((y for y in starts.values() if y > first), default=len(lines))
    where = rows.content_region
    return Region(where.x, where.y + first, where.width, end - first)


def title(widget: Widget) -> str:
    """The words in the upper border; empty where there are none."""
    return Content.from_markup(widget.border_title or "").plain
