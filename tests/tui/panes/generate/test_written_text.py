"""Text that grows: where its lines break, its tokens, what is drawn of their distributions."""

from __future__ import annotations

import math

import pytest
from textual.app import App, ComposeResult

from core.generation.events import Likeliest, WrittenToken
from tui.charts.bars import token_bars
from tui.charts.drawing import Drawing
from tui.panes.generate.token_details import TokenDetail, TokenDetails
from tui.panes.generate.token_view import distribution_rows
from tui.panes.generate.written_text import WrittenText
from tui.text.cells import cell_len
from tui.text.wrapping import wrapped


async def test_lines_grow_as_they_would_have_been_wrapped_at_once() -> None:
    text = "the time traveller 分开了很久 (for so it will be\nconvenient) 我还在原地 " * 2
    widget = WrittenText("")
    widget.styles.width = 21  # the last cell is for the sign of what ends a line

    class Alone(App[None]):
        def compose(self) -> ComposeResult:
            yield widget

    async with Alone().run_test(size=(40, 60)) as pilot:
        for character in text:
            widget.append(character)
            await pilot.pause()
            shown = [widget.render_line(y).text.rstrip(" ⏎␣") for y in range(widget.size.height)]
            lines = [widget.text[start:end].rstrip() for start, end in wrapped(widget.text, 20)]
            assert shown[: len(lines)] == lines and not any(shown[len(lines) :]), widget.text


def told(text: str, surprise: float = 1.0, top: Likeliest = (("a", 0.5), ("b", 0.25))) -> WrittenToken:
    return WrittenToken(text, 1, surprise, top, (("b", 0.4),))


def test_details_are_kept_as_they_came() -> None:
    details = TokenDetails()
    details.add([told("b", 0.5), told(" word", 2.0), told("\n", 7.0)])
    details.add([told("\n春", 3.0, top=(("春", 1.0),))])
    assert len(details) == 4 and details.end == 9
    assert [token.text for token in details[:]] == ["b", " word", "\n", "\n春"]
    first = details[0]
    assert [name for name, _ in first.drawn] == ["a", "b"] and first.model == (("b", pytest.approx(0.4)),)
    assert first.was_filtered and first.place_in(first.drawn) == 1
    assert [details.level(index) for index in range(4)] == [0, 1, 3, 2]
    assert [details.span(index) for index in range(4)] == [(0, 1), (2, 6), (6, 7), (8, 9)]
    assert [details.at(character) for character in (0, 1, 5, 6, 7, 8, 99)] == [0, 1, 1, 2, 3, 3, 3]
    assert details[3].place_in(details[3].drawn) == 0, "what sets a head apart is no part of it"
    assert details.mean == pytest.approx(3.125)


def test_the_chosen_token_is_marked_in_its_distribution() -> None:
    chart = Drawing(token_bars([("月", 0.5), (" ", 0.25), ("[b]", 0.001)], 1, 30, 3, "bold"), 30)
    assert [cell_len(line) for line in chart.lines] == [30] * 3
    assert chart.lines[1].startswith("▸ ␣") and chart.lines[1].endswith("25.00 %")
    assert chart.lines[2].startswith("  [b]") and chart.lines[2].endswith("0.10 %")


def test_a_token_beyond_the_likeliest_has_a_row_of_its_own() -> None:
    token = TokenDetail("\n", -math.log2(0.0004), (("月", 0.5),), (("月", 0.5),))
    chart = Drawing(distribution_rows(token, token.model, 30, True), 30)
    assert chart.lines[1].rstrip() == "▸ ⏎  0.04 %" and cell_len(chart.lines[1]) == 30
    chart = Drawing(distribution_rows(token, token.drawn, 30, False), 30)
    assert chart.lines[1].rstrip() == "▸ ⏎  less likely than these"
