"""Parts of the app that many tests look at."""

from __future__ import annotations

from typing import Any

from textual.app import App

from tui.forms.form import Form
from tui.forms.lines import GroupRow, SettingRow, group_key
from tui.panes.train.pane import TrainPane


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
