"""What the tests of the list of runs share: its rows, and keys that act on them."""

from __future__ import annotations

from tests.tui.pane_harness import PaneApp
from tests.tui.parts import title
from tests.tui.waiting import until
from tui.dialogs.confirm import ConfirmDialog
from tui.panes.runs.run_table import RunTable

SIZE = (120, 40)


def rows(app: PaneApp) -> list[list[str]]:
    """What stands in the table."""
    table = app.query_one(RunTable)
    return [cells(table, row) for row in range(len(table.runs))]


def cells(table: RunTable, row: int) -> list[str]:
    """What a row shows, column by column: after the place of the mark, cells with gaps between them."""
    return [segment.text.strip() for segment in [*table.render_line(row + 1)][1::2]]


async def listed(pilot: object, app: PaneApp, count: int = 3) -> None:
    """Wait for the list."""
    app.pane.focus()
    table = app.query_one(RunTable)
    await until(pilot, lambda: len(table.runs) == count and table.has_focus and all(rows(app)))  # drawn, too


async def deleted(pilot: object, app: PaneApp) -> None:
    """Delete the run under the cursor, as one does."""
    await pilot.press("delete")
    await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
    await pilot.press("left", "enter")
    await until(pilot, lambda: not isinstance(app.screen, ConfirmDialog))


async def typed(pilot: object, text: str) -> None:
    """Type into the line that has the focus."""
    names = {" ": "space", ":": "colon", "<": "less_than_sign", "!": "exclamation_mark"}
    await pilot.press(*[names.get(character, character) for character in text])


def list_title(app: PaneApp) -> str:
    """The title of the list."""
    return title(app.query_one("#runs-list"))


def escape(app: PaneApp) -> str:
    """What the footer says of escape."""
    active = app.screen.active_bindings.get("escape")
    return active.binding.description if active is not None and active.enabled else ""
