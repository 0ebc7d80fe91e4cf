"""The Generate pane: what is asked of the engine, what is shown of its answer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Button, Input, Select, Static

from core.errors import EngineError
from tests.tui.pane_harness import PaneApp, ScriptedClient, make_run, settled
from tui.panes.generate import GeneratePane
from tui.text import cell_len, shown_text
from tui.widgets.choice import Choice
from tui.widgets.generation import Generation, unknown_words
from tui.widgets.written_text import WrittenText, wrapped

SIZE = (120, 40)


@pytest.fixture
def saves(tmp_path: Path) -> Path:
    """One run."""
    folder = tmp_path / "saves"
    make_run(folder, "lyrics", epochs=3)
    return folder


def answer(*pieces: str, prefix: str = "分开", unknown: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """What an engine says to a generate."""
    events: list[dict[str, Any]] = [{"event": "text", "text": piece} for piece in pieces]
    return [*events, {"event": "done", "text": prefix + "".join(pieces), "unknown": list(unknown)}]


async def ready(pilot: Any, app: PaneApp) -> None:
    """Wait until a run can be asked and the prefix is suggested."""
    app.pane.focus()
    await settled(pilot, lambda: app.query_one("#generate-prefix", Input).value == "分开")
    await settled(pilot, lambda: not app.query_one("#generate-write", Button).disabled)


def status(app: PaneApp, index: int = -1) -> str:
    """The last line of a text."""
    return str(list(app.query(Generation))[index].query_one(".generation-status", Static).content)


async def test_without_runs_nothing_can_be_asked(tmp_path: Path) -> None:
    app = PaneApp(GeneratePane(), tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        notice = app.query_one("#generate-notice", Static)
        await settled(pilot, lambda: "no model yet" in str(notice.content))
        await pilot.press("tab", "enter")
        assert app.query_one("#generate-write", Button).disabled
        assert not app.query(Generation)


async def test_the_text_is_written_after_the_prefix(saves: Path) -> None:
    client = ScriptedClient(answer("了", "很久", unknown=("龘", "龘", "\x1b")))
    app = PaneApp(GeneratePane(), saves, client)
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        app.query_one("#edit-length", Input).value = "3"
        app.query_one("#edit-seed", Input).value = "42"
        await pilot.pause()
        await pilot.press("enter")
        await settled(pilot, lambda: app.query(Generation) and "characters in" in status(app))
        assert client.asked == [
            {"request": "generate", "prefix": "分开", "length": 3, "strategy": "temperature", "temperature": 1.0,
             "seed": 42}
        ]  # fmt: skip
        text = app.query_one(WrittenText)
        assert (text.text, text.continuation) == ("分开了很久", "了很久")
        assert "not in the vocabulary: 龘, \\x1b, read as <unk>" in status(app)
        settings = str(app.query_one(".generation-settings", Static).content)
        assert settings == "lyrics · epoch 3 · temperature 1 · seed 42 · 3 tokens"


async def test_texts_stay_one_below_the_other(saves: Path) -> None:
    client = ScriptedClient(answer("一"))
    app = PaneApp(GeneratePane(), saves, client)
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        for count in (1, 2, 3):
            await pilot.press("enter")
            await settled(pilot, lambda count=count: len(app.query(Generation)) == count and "in 0" in status(app))
        seeds = [request["seed"] for request in client.asked]
        assert len(set(seeds)) == 3, "an empty seed is a new one each time"
        await pilot.press("ctrl+y")
        assert app.clipboard == "分开一"
        await pilot.press("ctrl+l")
        await settled(pilot, lambda: not app.query(Generation))


async def test_escape_stops(saves: Path) -> None:
    client = ScriptedClient(answer("了", "很"))
    client.hold.clear()
    app = PaneApp(GeneratePane(), saves, client)
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        await pilot.press("enter")
        await settled(pilot, lambda: app.query(Generation) and status(app) == "writing · 2 characters")
        assert not app.query_one("#generate-stop", Button).disabled
        await pilot.press("enter")
        await pilot.press("escape")
        await settled(pilot, lambda: status(app) == "stopped after 2 characters")
        await settled(pilot, lambda: client.cancelled and len(client.asked) == 1)
        await settled(pilot, lambda: not app.query_one("#generate-write", Button).disabled)
        assert app.query_one("#generate-stop", Button).disabled


@pytest.mark.parametrize(
    ("name", "typed", "words"),
    [
        ("length", "0", "length must be between 1 and 100,000, got 0"),
        ("length", "many", "length must be a whole number"),
        ("temperature", "0", "temperature must be between 0.01 and 100, got 0"),
        ("seed", "-1", "seed must be between 0"),
    ],
)
async def test_what_is_wrong_stands_beside_the_field(saves: Path, name: str, typed: str, words: str) -> None:
    app = PaneApp(GeneratePane(), saves)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot, app)
        app.query_one(f"#edit-{name}", Input).value = typed
        field = app.query_one(f"#field-{name}")
        await settled(pilot, lambda: field.query(".field-error"))
        assert words in str(field.query_one(".field-error", Static).content)
        await pilot.press("enter")
        await pilot.pause()
        assert app.script.asked == []


async def test_greedy_has_no_temperature(saves: Path) -> None:
    client = ScriptedClient(answer("一"))
    app = PaneApp(GeneratePane(), saves, client)
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        app.query_one("#generate-strategy", Choice).focus()
        await pilot.press("right")
        await settled(pilot, lambda: not app.query_one("#field-temperature").display)
        app.query_one("#generate-prefix").focus()
        await pilot.press("enter")
        await settled(pilot, lambda: client.asked)
        assert client.asked == [{"request": "generate", "prefix": "分开", "length": 200, "strategy": "greedy"}]


async def test_what_goes_wrong_is_said(saves: Path) -> None:
    app = PaneApp(GeneratePane(), saves, ScriptedClient(error=EngineError("the [bold]engine has gone")))
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        await pilot.press("enter")
        await settled(pilot, lambda: app.query(Generation) and status(app) == "the [bold]engine has gone")
        assert app.query_one(Generation).has_class("-failed")
        await settled(pilot, lambda: not app.query_one("#generate-write", Button).disabled)


async def test_live_weights_are_called_so(saves: Path) -> None:
    lock = make_run(saves, "busy", state="training", epochs=7, created="2027-01-01T00:00:00+00:00").acquire()
    make_run(saves, "fresh", state="idle", epochs=0)
    app = PaneApp(GeneratePane(), saves)
    app.current_run = saves / "busy"
    try:
        async with app.run_test(size=SIZE) as pilot:
            await ready(pilot, app)
            history = app.query_one("#generate-history")
            assert (history._border_title.plain, history._border_subtitle.plain) == ("busy", "live weights, epoch 7")
            app.query_one(Select).value = str(saves / "fresh")
            await settled(pilot, lambda: history._border_subtitle.plain == "untrained weights")
            app.current_run = saves / "lyrics"
            await settled(pilot, lambda: history._border_title.plain == "lyrics")
    finally:
        os.close(lock)


async def test_what_was_typed_is_not_replaced(saves: Path) -> None:
    make_run(saves, "other", created="2025-01-01T00:00:00+00:00")
    app = PaneApp(GeneratePane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        app.query_one("#generate-prefix", Input).value = "我"
        app.query_one(Select).value = str(saves / "other")
        await settled(pilot, lambda: app.query_one("#generate-history")._border_title.plain == "other")
        await pilot.pause(0.1)
        assert app.query_one("#generate-prefix", Input).value == "我"


async def test_written_text_is_text(saves: Path) -> None:
    app = PaneApp(GeneratePane(), saves, ScriptedClient(answer("[bold]\x1b[31m", "\x07!")))
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        await pilot.press("enter")
        await settled(pilot, lambda: app.query(Generation) and "characters in" in status(app))
        line = "".join(segment.text for segment in app.query_one(WrittenText).render_line(0))
        assert line.rstrip() == "分开[bold]\\x1b[31m\\x07!"


async def test_nothing_that_a_terminal_obeys_can_be_pasted(saves: Path) -> None:
    app = PaneApp(GeneratePane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        prefix = app.query_one("#generate-prefix", Input)
        prefix.value = "a\x1b]0;b\x07\u202ec"
        await pilot.pause()
        assert prefix.value == "a]0;bc"


@pytest.mark.parametrize("width", [2, 7, 20])
@pytest.mark.parametrize(
    "text", ["分开了很久 我还在原地\n月亮", "the time traveller (for so\n\nit will be", "a" * 50, "\n", ""]
)
def test_wrapped_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    lines = [text[first:end] for first, end in wrapped(text, width)]
    assert all(cell_len(shown_text(line)) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_lines_grow_as_they_would_have_been_wrapped_at_once() -> None:
    text = "the time traveller 分开了很久 (for so it will be\nconvenient) 我还在原地 " * 3
    widget = WrittenText("")
    widget._wrap(20)
    for character in text:
        widget.append(character)
        assert widget._lines == list(wrapped(widget.text, 20))


def test_unknown_words() -> None:
    assert unknown_words([]) == ""
    assert unknown_words([" ", "龘"]) == "not in the vocabulary: ␣, 龘, read as <unk>"
    assert unknown_words([chr(0x4E00 + index) for index in range(20)]).count(",") == 12
