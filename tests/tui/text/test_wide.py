"""Wide characters on the screen: no edge that is not seen blanks them."""

from __future__ import annotations

import re
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.geometry import Region
from textual.widgets import Static

from tui.forms.screen import FormScreen

WIDE = "一二三四五六七八九十"


class Layers(App[None]):
    """Narrow widgets, and below them a text, both partly covered."""

    CSS: ClassVar[str] = """
    #upper { overlay: screen; position: absolute; width: 20; height: 1; offset: 3 0; }
    Horizontal { height: 1; }
    .narrow { width: 3; }
    """

    def get_default_screen(self) -> FormScreen:
        return FormScreen(id="_default")

    def compose(self) -> ComposeResult:
        with Horizontal():
            for number in range(10):
                yield Static(f"{number:03}", classes="narrow")
        yield Static(WIDE * 2)
        yield Static(WIDE, id="upper")


def painted(app: App[None], part: Region) -> str:
    """What is written to the terminal when a part of the screen has changed."""
    compositor = app.screen._compositor
    compositor._dirty_regions = {part}
    return re.sub(r"\x1b\[[0-9;]*\w", "", compositor.render_update().render_segments(app.console))  # type: ignore


async def test_the_edges_of_what_a_list_covers_cut_nothing() -> None:
    app = Layers()
    async with app.run_test(size=(40, 2)):
        assert painted(app, app.screen.region).startswith(f"000{WIDE}7008009 ")
        for covered in app.query(".narrow")[1:7]:
            assert WIDE in painted(app, covered.region)


async def test_those_that_the_edges_of_a_list_halved_are_whole_when_it_has_closed() -> None:
    app = Layers()
    async with app.run_test(size=(40, 2)) as pilot:
        upper = app.query_one("#upper")
        upper.styles.offset = (3, 1)
        await pilot.pause()
        assert f"一 {WIDE} 三" in painted(app, app.screen.region)
        region, upper.display = upper.region, False
        await pilot.pause()
        assert painted(app, region).startswith(f"{WIDE}一二")
