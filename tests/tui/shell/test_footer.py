"""The line of keys: what it shows, and what a click on it does."""

from __future__ import annotations

from typing import Any

from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.widgets import Input

from tests.tui.waiting import until
from tui.shell.breakpoints import HORIZONTAL
from tui.shell.footer import KeyLine


class Keys(App[None]):
    """An app with some keys, one of which is dimmed."""

    CSS = "KeyLine { dock: bottom; height: 1; }"
    GROUP = Binding.Group("lr", compact=True)
    BINDINGS = [  # noqa: RUF012
        Binding("a", "note('a')", "Write 写", tooltip="Write a text"),
        Binding("b", "dimmed", "Never"),
        Binding("plus", "note('+')", "up", key_display="+", group=GROUP),
        Binding("minus", "note('-')", "down", key_display="-", group=GROUP),
        Binding("z", "note('z')", "Hidden", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []

    def compose(self) -> ComposeResult:
        yield Input(id="text")
        yield KeyLine()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return None if action == "dimmed" else True

    def action_note(self, name: str) -> None:
        self.noted.append(name)


async def test_the_line_shows_the_keys_and_a_click_presses_them() -> None:
    app = Keys()
    async with app.run_test(size=(60, 10)) as pilot:
        line = app.query_one(KeyLine)

        def words() -> str:
            return "".join(segment.text for segment in line.render_line(0))

        assert "Write" not in words(), "a letter is typed where one types"
        app.set_focus(None)
        await until(pilot, lambda: words() == "a Write 写 b Never  +- lr".ljust(47) + "▏^p palette ")
        assert [(key.action, key.enabled) for key in line.keys[:2]] == [("note('a')", True), ("dimmed", False)]
        for x in (0, 7, 11, 19, 20, 22):
            await pilot.click(line, offset=(x, 0))
        await until(pilot, lambda: app.noted == ["a", "a", "+", "-"])
        await pilot.hover(line, offset=(2, 0))
        assert line.tooltip == "Write a text"
        await pilot.click(line, offset=(50, 0))
        await until(pilot, lambda: len(app.screen_stack) == 2)


async def test_the_palette_is_shown_where_there_is_room_for_it_at_every_size() -> None:
    app = Keys()
    app.HORIZONTAL_BREAKPOINTS = HORIZONTAL
    async with app.run_test(size=(200, 10)) as pilot:
        line = app.query_one(KeyLine)
        for width in (120, 60, 120, 200, 60, 200):
            await pilot.resize_terminal(width, 10)
            await until(pilot, lambda width=width: line.size.width == width)
            words = "".join(segment.text for segment in line.render_line(0))
            assert words.endswith("▏^p palette ") != app.screen.has_class("-narrow"), (width, words)


async def test_help_is_always_there() -> None:
    app = Keys()
    app.HORIZONTAL_BREAKPOINTS = HORIZONTAL
    app.bind("f1", "help", description="Help")
    async with app.run_test(size=(80, 10)) as pilot:
        line = app.query_one(KeyLine)
        app.set_focus(None)
        keys = ("a Write 写", " b Never", "  +- lr")
        for width, count in ((40, 3), (26, 2), (18, 1)):
            await pilot.resize_terminal(width, 10)
            await until(pilot, lambda width=width: line.size.width == width)
            shown = "".join(segment.text for segment in line.render_line(0))
            assert shown.rstrip() == f"{''.join(keys[:count])} f1 Help", width


async def test_a_key_in_a_text_builds_nothing_anew(monkeypatch: Any) -> None:
    app = Keys()
    async with app.run_test(size=(60, 10)) as pilot:
        line = app.query_one(KeyLine)
        await pilot.press("x")
        painted: list[int] = []
        monkeypatch.setattr(line, "render", lambda: painted.append(1))
        await pilot.press("y", "backspace")
        assert not painted and not line.children
