"""The rows of a form as a person uses them: keys, the mouse, the terminal's caret."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from core.settings.run_config import RunConfig, Value, setting
from tests.tui.parts import focused_setting
from tests.tui.waiting import until
from tui.forms.form import Form
from tui.forms.plain_input import RowEditor
from tui.forms.rows import Rows
from tui.forms.schema import Schema
from tui.forms.screen import FormScreen

NAMES = ("corpus", "normalise", "cell", "num_hiddens", "num_layers")


def _checked(values: dict[str, Value]) -> RunConfig:
    return RunConfig.from_dict(values)


class RowsApp(App[None]):
    """A form between two lines."""

    CSS = "Form, Rows { height: auto; } RowEditor { position: absolute; padding: 0 1; } Form { width: 50; }"

    def get_default_screen(self) -> FormScreen:
        return FormScreen(id="_default")

    def compose(self) -> ComposeResult:
        yield Input(id="before")
        with Horizontal():
            yield Form(Schema(tuple(setting(name) for name in NAMES), _checked))
        yield Input(id="after")

    @property
    def form(self) -> Form[RunConfig]:
        return self.query_one(Form)


async def test_tab_goes_through_the_rows_and_around() -> None:
    app = RowsApp()
    async with app.run_test() as pilot:
        assert app.focused is app.query_one("#before")
        seen = []
        for key in ["tab"] * 7 + ["shift+tab"] * 7:
            await pilot.press(key)
            seen.append(focused_setting(app) or str(app.focused.id if app.focused else ""))
        forth = [*NAMES, "after", "before"]
        assert seen == [*forth, *reversed(forth[:-1]), "before"]


async def test_the_arrows_go_through_the_rows_and_stay_in_the_form() -> None:
    app = RowsApp()
    async with app.run_test() as pilot:
        app.form.focus_setting("corpus")
        seen = []
        for key in ["down"] * 5 + ["up"] * 5:
            await pilot.press(key)
            seen.append(focused_setting(app))
        assert seen == [*NAMES[1:], NAMES[-1], *reversed(NAMES[:-1]), NAMES[0]]


async def test_what_is_typed_before_the_cursor_moves_is_of_the_row_it_was_typed_in() -> None:
    app = RowsApp()
    async with app.run_test() as pilot:
        app.form.focus_setting("num_hiddens")
        await pilot.pause()
        await pilot.press("6", "4", "tab", "2", "shift+tab", "backspace", "8")
        # What is entered is selected as a whole.
        assert (app.form.texts["num_hiddens"], app.form.texts["num_layers"]) == ("8", "2")


async def test_the_mouse_takes_a_row_and_puts_the_caret() -> None:
    app = RowsApp()
    async with app.run_test() as pilot:
        app.form.change({"corpus": "一本书.txt"})
        rows = app.query_one(Rows)
        await pilot.click(rows, offset=(15 + 1 + 4, 0))
        editor = app.query_one(RowEditor)
        await until(pilot, lambda: focused_setting(app) == "corpus" and editor.cursor_position == 2)
        await until(pilot, lambda: app.cursor_position == editor.cursor_screen_offset)
        assert app.cursor_position.x == rows.region.x + 15 + 1 + 4
        await pilot.click(rows, offset=(2, 1))
        await pilot.press("x")
        await until(pilot, lambda: focused_setting(app) == "normalise")
        assert app.form.texts["corpus"] == "一本书.txt"
        await until(pilot, lambda: not rows.region.overlaps(editor.region))  # the editor is out of sight


async def test_only_the_lines_that_change_are_painted() -> None:
    app = RowsApp()
    async with app.run_test() as pilot:
        app.form.focus_setting("num_hiddens")
        await pilot.pause()
        rows = app.query_one(Rows)
        painted: list[int] = []
        render = rows.render_line

        def counted(y: int):  # type: ignore[no-untyped-def]
            painted.append(y)
            return render(y)

        rows.render_line = counted  # type: ignore[method-assign]
        await pilot.press("7")
        assert set(painted) <= {3}
        painted.clear()
        await pilot.press("tab")
        assert {3, 4} <= set(painted)


async def test_a_typed_character_does_not_wait_for_the_error_that_it_causes() -> None:
    app = RowsApp()
    async with app.run_test() as pilot:
        app.form.focus_setting("num_hiddens")
        await pilot.pause()
        rows, editor = app.query_one(Rows), app.query_one(RowEditor)
        height = rows.size.height
        painted: list[tuple[str, int]] = []
        render = editor.render_line

        def seen(y: int):  # type: ignore[no-untyped-def]
            painted.append((editor.value, rows.size.height))
            return render(y)

        editor.render_line = seen  # type: ignore[method-assign]
        await pilot.press("0")
        await until(pilot, lambda: rows.size.height > height)
        assert painted[0] == ("0", height)


async def test_a_form_knows_what_was_typed_when_it_is_asked() -> None:
    app = RowsApp()
    async with app.run_test():
        app.form.edit("num_hiddens", "7")
        assert app.form.value is not None and app.form.value.num_hiddens == 7
        app.form.edit("num_hiddens", "0")
        assert app.form.value is None and set(app.form.errors) == {"num_hiddens"}


async def test_what_a_line_cannot_show_is_not_edited_by_showing_it() -> None:
    app = RowsApp()
    async with app.run_test() as pilot:
        app.form.focus_setting("corpus")
        await pilot.pause()
        app.form.change({"corpus": "/a/strange\tname\x07.txt"})
        await pilot.pause()
        editor = app.query_one(RowEditor)
        assert (editor.value, app.form.texts["corpus"]) == ("/a/strange name.txt", "/a/strange\tname\x07.txt")
        await pilot.press("end", "x")
        assert app.form.texts["corpus"] == "/a/strange name.txtx"
