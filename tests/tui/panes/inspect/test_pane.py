"""The Inspect pane: when it asks, what it shows of an answer, its keys and its states."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events
from textual.widgets import Static

from core.errors import EngineError
from tests.tui.inspections import TEXT
from tests.tui.panes.inspect.harness import InspectClient, edges, epoch, inspect_app, opened, picture, sentence
from tests.tui.waiting import until
from tui.messages import JournalGrew
from tui.panes.inspect import pane as pane_module
from tui.panes.inspect.parts import Canvas, LineInput
from tui.panes.inspect.token_text import TokenText, placed_lines
from tui.text.cells import cell_len


async def test_without_a_run_it_says_how_to_get_one(tmp_path: Path) -> None:
    client = InspectClient()
    app = inspect_app(tmp_path, client)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "No run is open" in sentence(app) and "ctrl+t" in sentence(app))
        await pilot.press("e", "o", "w", "i", "l", "r", "enter", "right", "down", "escape")
        assert client.asked == []


async def test_the_cursor_moves_and_the_step_follows(tmp_path: Path) -> None:
    client = InspectClient()
    app = inspect_app(tmp_path, client)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app, "‘了’")
        assert client.asked == [{"view": "text"}, {"view": "step", "at": 2}]
        assert "held out text, token 3 of 16, being read" in edges(app)
        await until(pilot, lambda: "epoch 3" in edges(app))
        assert "untrained" not in edges(app)
        await pilot.press("right")
        await until(pilot, lambda: "reads ‘很’" in sentence(app))
        assert "‘久’ follows: a surprise of 3.00 bits, one in 8" in sentence(app)
        await pilot.press("end", "left")
        await until(pilot, lambda: "reads ‘c’" in sentence(app))
        await pilot.press("home")
        await until(pilot, lambda: "reads ‘分’" in sentence(app))
        await pilot.press("shift+down")
        await until(pilot, lambda: "reads ‘我’" in sentence(app))
        await pilot.click(TokenText, offset=(4, 0))  # the third character of the first line
        await until(pilot, lambda: "reads ‘了’" in sentence(app))


async def test_the_rows_their_numbers_and_the_identity(tmp_path: Path) -> None:
    app = inspect_app(tmp_path, InspectClient())
    async with app.run_test(size=(80, 24)) as pilot:
        pane = await opened(pilot, app)
        lines = picture(app).splitlines()
        row = next(line for line in lines if "H_{t-1} W_hh" in line)
        assert "+▼▼-▲▲▴▾▼▾▴▲" in row  # sin(3), sin(4), ...: at each cell the sign and the size
        assert "one-hot" in lines[1] and any("分" in line and "50.00 %" in line for line in lines)
        await pilot.press("up", "enter")
        await until(pilot, lambda: "H_{t-1} W_hh  12, mean" in picture(app))
        assert "+0.1411" in picture(app)  # sin(3)
        await pilot.press("escape", "i")
        await until(pilot, lambda: "[X H] [W_xh; W_hh]" in picture(app))
        shown = [line for line in picture(app).splitlines() if "W_hh]" in line or "X W_xh + H W_hh" in line]
        assert len(shown) == 2 and shown[1].startswith("▸ [X H] [W_xh; W_hh]")
        assert "at most 1.2e-07" in sentence(app)
        await pilot.press("i")
        chosen = next(line for line in picture(app).splitlines() if line.startswith("▸"))
        assert "H_{t-1} W_hh" in chosen, "the row of before"
        await pilot.press("l")
        await until(pilot, lambda: "layer 2 of 2" in edges(app) and pane.subject.view.answer.layer == 2)


async def test_a_text_is_typed_pasted_or_taken_from_generate(tmp_path: Path) -> None:
    client = InspectClient()
    app = inspect_app(tmp_path, client)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await opened(pilot, app)
        await pilot.press("e")
        line = app.query_one("#inspect-edit", LineInput)
        await until(pilot, lambda: line.has_focus)
        await pilot.press("x", "y", "z", "enter")
        await until(pilot, lambda: "given text, token 3 of 3" in edges(app) and "reads ‘z’" in sentence(app))
        await pilot.press("e")
        await until(pilot, lambda: line.has_focus and line.value == "xyz")
        line.post_message(events.Paste("\r\nab"))
        await pilot.press("enter")
        await until(pilot, lambda: pane.subject.source == "xyz\nab" and "token 3 of 6" in edges(app))
        pane.post_message(events.Paste("one\r\ntwo"))
        await until(pilot, lambda: "token 3 of 7" in edges(app) and pane.subject.source == "one\ntwo")
        await pilot.press("e")
        await until(pilot, lambda: line.has_focus)
        line.value = ""
        await pilot.press("enter")
        await until(pilot, lambda: app.notices == ["The line was empty: the text stays as it was."])
        await pilot.press("w")
        await until(pilot, lambda: "Generate has written nothing" in app.notices[-1])
        assert pane.subject.source == "one\ntwo"
        app.written = (app.saves / "lyrics", "分开了")
        await pilot.press("w")
        await until(pilot, lambda: "token 3 of 3" in edges(app) and "reads ‘了’" in sentence(app))
        await pilot.press("o")
        await until(pilot, lambda: f"held out text, token 3 of {len(TEXT)}" in edges(app))


async def test_while_it_trains_it_asks_again_and_only_while_it_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pane_module, "REFRESH_SECONDS", 0.05)
    monkeypatch.setattr(pane_module, "SHARE", 10.0)
    client = InspectClient()
    app = inspect_app(tmp_path, client)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await opened(pilot, app)
        count = len(client.asked)
        app.news.publish(JournalGrew(app.saves / "lyrics", (epoch(4),)))
        await until(pilot, lambda: client.views()[count:] == ["step"] and "epoch 4" in edges(app))
        pane.display = False
        app.news.publish(JournalGrew(app.saves / "lyrics", (epoch(5),)))
        await pilot.pause(0.3)
        assert len(client.asked) == count + 1
        pane.display = True
        await until(pilot, lambda: client.views()[count:] == ["step", "step"] and "epoch 5" in edges(app))


async def test_long_work_shows_its_progress_can_be_cancelled_and_ends_when_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = InspectClient()
    monkeypatch.setattr(pane_module, "LONG_SECONDS", 0.0)
    client.held.add("step")
    client.hold.clear()
    app = inspect_app(tmp_path, client)
    async with app.run_test(size=(80, 24)) as pilot:
        app.current_run = app.saves / "lyrics"
        app.pane.focus()
        await until(pilot, lambda: "40 %, esc cancels" in edges(app))
        await pilot.press("escape")
        await until(pilot, lambda: client.cancels == 1 and "Cancelled" in sentence(app))
        await pilot.press("right")  # another place is asked for, and a newer one replaces it
        await until(pilot, lambda: client.views().count("step") == 2 and "40 %" in edges(app))
        await pilot.press("right")
        await until(pilot, lambda: client.views().count("step") == 3 and client.cancels == 2)
        client.hold.set()
        await until(pilot, lambda: "The model reads ‘久’" in sentence(app) and "%, esc" not in edges(app))
        client.hold.clear()
        await pilot.press("right")
        await until(pilot, lambda: "40 %, esc cancels" in edges(app))
        app.pane.display = False
        await until(pilot, lambda: client.cancels == 3)
        client.hold.set()
        app.pane.display = True
        await until(pilot, lambda: "The model reads" in sentence(app))


async def test_what_the_mouse_does(tmp_path: Path) -> None:
    app = inspect_app(tmp_path, InspectClient())
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await opened(pilot, app)
        step = pane.subject.view
        await pilot.click(Canvas, offset=(5, 1))  # the first row below the heading
        await until(pilot, lambda: step.selected == 0 and not step.zoomed)
        app.query_one(Canvas).post_message(Canvas.Scrolled(1))
        await until(pilot, lambda: step.selected == 1)
        await pilot.click("#inspect-tabs", offset=(9, 0))
        await until(pilot, lambda: pane.number == 1 and "the gradient halves" in sentence(app))
        await pilot.click("#inspect-tabs", offset=(36, 0))
        await until(pilot, lambda: pane.number == 4 and "is read like" in sentence(app))
        app.query_one(Canvas).post_message(Canvas.Scrolled(-1))
        await until(pilot, lambda: "zoom 2" in edges(app))


async def test_an_error_is_one_sentence_and_the_next_answer_replaces_it(tmp_path: Path) -> None:
    client = InspectClient()
    client.errors["step"] = EngineError("the run diverged: its weights are not finite")
    app = inspect_app(tmp_path, client)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app, "The run diverged")
        assert app.query_one("#inspect-view .inspect-words").has_class("-wrong")
        client.errors.clear()
        await pilot.press("r")
        await until(pilot, lambda: "The model reads" in sentence(app))
        assert not app.query_one("#inspect-view .inspect-words").has_class("-wrong")
        client.errors["step"] = EngineError("no step")
        await pilot.press("right")
        await until(pilot, lambda: "No step." in sentence(app))
        client.errors.clear()
        client.held.add("step")
        client.hold.clear()
        await pilot.press("right")  # what went wrong at another place is no answer for this one
        await until(pilot, lambda: "No step." not in sentence(app))
        client.hold.set()
        await until(pilot, lambda: "The model reads" in sentence(app))


async def test_a_wide_screen_shows_a_second_view(tmp_path: Path) -> None:
    client = InspectClient()
    app = inspect_app(tmp_path, client)
    async with app.run_test(size=(200, 60)) as pilot:
        await opened(pilot, app)
        beside, words = app.query_one("#inspect-beside"), app.query_one("#inspect-beside .inspect-words", Static)
        await until(pilot, lambda: "the gradient halves" in str(words.content))
        assert client.views() == ["text", "step", "gradients", "gradients"] and beside.border_title == "Gradient"
        await pilot.press("tab", "tab")
        await until(pilot, lambda: "The model reads" in str(words.content) and "Unit 3" in sentence(app))
        client.errors["step"] = EngineError("no step")  # of the second view alone
        await pilot.press("right")
        await until(pilot, lambda: "No step." in str(words.content))
        assert "Unit 3" in sentence(app)
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: not beside.display)
        asked = len(client.asked)
        await pilot.press("left")
        await pilot.pause(0.1)
        assert len(client.asked) == asked


@pytest.mark.parametrize(
    ("tokens", "width", "lines"),
    [
        (list("分开了\n很"), 4, ["分开", "了⏎", "很"]),
        (list("a bc de"), 5, ["a·bc·", "de"]),
        (list("他说“分开”了"), 5, ["他说", "“分", "开”了"]),
        (["的", "<unk>", "很", "，"], 8, ["的<unk>", "很，"]),
        (["the", "old", "ship", "\n", "sails"], 9, ["the old", "ship ⏎", "sails"]),
        ([], 9, []),
    ],
)
def test_tokens_in_lines(tokens: list[str], width: int, lines: list[str]) -> None:
    shown = []
    for line in placed_lines(tokens, width):
        text = ""
        for one in line:
            text += " " * (one.x - cell_len(text)) + one.shown
        shown.append(text)
    assert shown == lines
