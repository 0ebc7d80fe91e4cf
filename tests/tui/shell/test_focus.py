"""What a move of the focus costs: the widgets that it concerns are styled anew, and the keys where they are others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.color import Color
from textual.containers import Horizontal
from textual.css.stylesheet import Stylesheet
from textual.widgets import Input

from tests.tui.parts import focused_setting, row_region, train_pane
from tests.tui.waiting import until
from tui.forms.rows import Rows
from tui.shell.footer import KeyLine
from tui.shell.lit_box import LIT, LitScroll, LitVertical


class TwoBoxes(App[None]):
    """Two fields in one box, one in another, inside a third."""

    CSS = "LitVertical, LitScroll { border: round gray; } LitVertical.-lit, LitScroll.-lit { border: round red; }"

    def compose(self) -> ComposeResult:
        with LitVertical(id="outer"), Horizontal():
            with LitVertical(id="left"):
                yield Input(id="one")
                yield Input(id="two")
            with LitScroll(id="right", can_focus=False):
                yield Input(id="three")


async def test_the_border_is_lit_while_the_focus_is_inside() -> None:
    app = TwoBoxes()
    async with app.run_test() as pilot:

        def lit() -> list[str]:
            found = {box.id for box in app.query(f".{LIT}")}
            coloured = {box.id for box in app.query("#outer, #left, #right") if box.styles.border.top[1].rgb[0] == 255}
            assert coloured == found
            return sorted(str(name) for name in found)

        await until(pilot, lambda: lit() == ["left", "outer"])
        await pilot.press("tab")
        assert app.focused is app.query_one("#two") and lit() == ["left", "outer"]
        await pilot.press("tab")
        await until(pilot, lambda: lit() == ["outer", "right"])
        app.set_focus(None)
        await until(pilot, lambda: lit() == [])


async def test_a_move_styles_few_widgets_and_leaves_the_keys(
    playground: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: bool(app.screen.focused))
        form = train_pane(app).form
        form.focus_setting("num_hiddens")
        await pilot.pause()
        styled: list[object] = []
        apply = Stylesheet.apply

        def counted(self: Stylesheet, node: Any, **options: Any) -> None:
            styled.append(node)
            apply(self, node, **options)

        keys = app.query_one(KeyLine).keys
        monkeypatch.setattr(Stylesheet, "apply", counted)
        await pilot.press("tab")
        await pilot.pause()
        assert focused_setting(app) == "num_layers" and isinstance(app.focused, Input)
        rows = app.query_one("#form Rows", Rows)
        label = next(iter(rows.render_line(row_region(rows, "num_layers").y - rows.region.y)))
        accent = Color.parse(app.theme_variables["accent"])
        assert label.style is not None and label.style.color is not None
        assert Color.from_rich_color(label.style.color) == accent
        assert len(styled) < 10, "of some hundred"
        assert keys and app.query_one(KeyLine).keys == keys
        monkeypatch.setattr(Stylesheet, "apply", apply)
        await pilot.press("f6")
        await until(pilot, lambda: app.query_one(KeyLine).keys != keys)


async def test_a_focus_that_arrives_at_what_is_hidden_goes_to_what_is_shown(playground: Callable[..., Any]) -> None:
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: bool(app.screen.focused))
        drop_down = app.query_one("#preset")
        drop_down.focus()
        await pilot.pause()
        drop_down.expanded = True  # its list is to get the focus with a later message,
        drop_down.expanded = False  # and has gone by then
        await until(pilot, lambda: app.screen.focused is drop_down)
        train_pane(app).form.focus_setting("num_hiddens")
        app.query_one("#settings").display = False
        await until(pilot, lambda: app.screen.focused is app.query_one("#curves"))
