"""The Generate pane: the texts that came, their tokens, surprise, heads and copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input, Select, Static

from core.generation.events import Copied
from tests.run_folders import make_run
from tests.tui.pane_harness import PaneApp, ScriptedClient
from tests.tui.panes.generate.harness import SIZE, answer, detailed, done, ready, status, token_words, told, written
from tests.tui.parts import fold_row, form_of, shown_settings
from tests.tui.waiting import until
from tui.forms.lines import group_key
from tui.panes.generate.form import GenerateForm
from tui.panes.generate.generation import Generation, copy_words
from tui.panes.generate.pane import GeneratePane
from tui.panes.generate.token_view import TokenView
from tui.panes.generate.written_text import WrittenText
from tui.shell.footer import KeyLine


@pytest.fixture
def saves(tmp_path: Path) -> Path:
    """One run."""
    folder = tmp_path / "saves"
    make_run(folder, "lyrics", epochs=3)
    return folder


async def cleared(pilot: Any, app: PaneApp) -> None:
    """Take all texts away."""
    await pilot.press("ctrl+l")
    await until(pilot, lambda: not app.query(Generation))


async def test_arrows_walk_through_the_tokens_whose_filters_are_shown(saves: Path) -> None:
    client = ScriptedClient([detailed("了很久"), done("了很久")])
    app = PaneApp(GeneratePane(), saves, client)
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        await written(pilot, app)
        text = app.query_one(WrittenText)
        assert text.current and "surprise  0.00 bits" in token_words(app), "the newest text is told of by itself"
        await pilot.press("ctrl+o", "right")
        assert (app.focused, text.cursor) == (text, 1)
        words = token_words(app)
        assert words.startswith("很\nsurprise  2.00 bits \nprobability 25.00 %")
        assert "drawn from:" in words and "▸ 很" in words and "  月" in words and "25.00 %" in words
        assert app.query_one(TokenView).border_title == "Token 2"
        await pilot.press("end")
        assert text.cursor == 2
        await pilot.press("right", "home")
        assert text.cursor == 0
        await pilot.click(text, offset=(5, 0))
        assert text.cursor == 0
        await pilot.click(text, offset=(6, 0))
        assert text.cursor == 1
        await pilot.press("escape")
        assert app.focused is app.query_one("#generate-prefix")

        client.events = [{"event": "text", "text": "了", "sample": 0, "tokens": [told("了", top=0.5)]}, done("了")]
        await cleared(pilot, app)
        await written(pilot, app)
        words = token_words(app)
        assert "filters applied:" in words and "the model's own" in words and "25.00 %" in words

        client.events = [{"event": "text", "text": "了", "tokens": [{"text": "了"}]}, done("了")]
        await cleared(pilot, app)
        await pilot.press("enter")
        await until(pilot, lambda: app.query(Generation) and "unknown form" in status(app))


async def test_a_narrow_screen_shows_the_token_in_place_of_the_settings(saves: Path) -> None:
    app = PaneApp(GeneratePane(), saves, ScriptedClient([detailed("了很久"), done("了很久")]))
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot, app)
        form, token = app.query_one(GenerateForm), app.query_one(TokenView)
        assert form.display and not token.display
        await written(pilot, app)
        await pilot.press("ctrl+o", "right")
        assert token.display and not form.display and "▸ 很" in token_words(app)
        await pilot.press("e")
        assert form.display and not token.display and form.has_focus_within
        await pilot.press("ctrl+o")
        await pilot.click(TokenView)
        assert form.display and form.has_focus_within


async def test_surprise_as_colour_as_marks_and_not_at_all(saves: Path) -> None:
    app = PaneApp(GeneratePane(), saves, ScriptedClient([detailed("一二三四"), done("一二三四")]))
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        await written(pilot, app)
        text, legend = app.query_one(WrittenText), app.query_one("#generate-legend", Static)
        await pilot.press("ctrl+o")
        text.current = False  # without its cursor
        await pilot.pause()

        def styles() -> dict[str, Any]:
            return {segment.text: segment.style for segment in text.render_line(0)}

        assert "一二三四" in styles() and not legend.display
        await pilot.press("b")
        backgrounds = [styles()[character].bgcolor for character in "一二三四"]
        assert len(set(backgrounds)) == 4 and legend.display, "each of them is of another level"
        assert "6 and more" in str(legend.content) and "underlined: copied" not in str(legend.content)
        await pilot.press("b")
        marks = [styles()[character] for character in "一二三四"]
        assert [bool(style.bold) for style in marks] == [False, False, True, True]
        assert [bool(style.underline) for style in marks] == [False, False, False, True]
        assert len({style.bgcolor for style in marks}) == 1
        await pilot.press("b")
        assert "一二三四" in styles() and not legend.display


async def test_a_text_without_details_is_not_offered_surprise(saves: Path) -> None:
    app = PaneApp(GeneratePane(), saves, ScriptedClient(answer("一二三四")))
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        await written(pilot, app)
        await pilot.press("ctrl+o")
        legend, offered = app.query_one("#generate-legend"), app.query_one(KeyLine)
        await until(pilot, lambda: "copy" in {key.action for key in offered.keys})
        await pilot.press("b")
        assert "shading" not in {key.action for key in offered.keys} and not legend.display
        app.pane.shading = "colour"  # type: ignore[attr-defined]
        assert not legend.display
        app.engines.only.events = [detailed("一二"), done("一二")]
        await pilot.press("e")
        await written(pilot, app, 2)
        await pilot.press("ctrl+o")
        await until(pilot, lambda: "shading" in {key.action for key in offered.keys} and legend.display)
        await pilot.press("ctrl+l")
        await until(pilot, lambda: "shading" not in {key.action for key in offered.keys} and not legend.display)


async def test_several_samples_stand_side_by_side_or_below(saves: Path) -> None:
    events = [detailed("一二", 0), detailed("三四", 1), done("一二", "三四")]
    for size, beside in ((SIZE, True), ((80, 24), False)):
        app = PaneApp(GeneratePane(), saves, ScriptedClient(events))
        async with app.run_test(size=size) as pilot:
            await ready(pilot, app)
            form_of(app).edit("count", "2")
            await pilot.pause()
            await written(pilot, app)
            first, second = app.query(WrittenText)
            assert (first.text, second.text) == ("分开一二", "分开三四")
            await until(pilot, lambda a=first, b=second, beside=beside: (a.region.y == b.region.y) == beside)
            assert "2 texts, 4 characters" in status(app)
            await pilot.press("ctrl+o", "down")
            await until(pilot, lambda app=app, second=second: app.focused is second)
            await pilot.press("ctrl+y")
            assert app.clipboard == "分开三四"
            await pilot.press("escape", "ctrl+y")
            assert app.clipboard == "分开一二\n\n分开三四"


async def test_beam_search_tells_its_results_with_their_scores_and_its_end_stays(saves: Path) -> None:
    last = done("一二", "三四", "五六")
    for sample, score in zip(last["samples"], (-0.5, -0.75, -1.0), strict=True):
        sample["score"] = score
    client = ScriptedClient([detailed("一二"), last])
    app = PaneApp(GeneratePane(), saves, client)
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        app.query_one("#generate-strategy", Select).value = "beam"
        await pilot.pause()
        await written(pilot, app)
        assert [text.continuation for text in app.query(WrittenText)] == ["一二", "三四", "五六"]
        captions = [str(caption.content) for caption in app.query(".sample-caption").results(Static)]
        assert captions == ["1 · −0.500 nats/token", "2 · −0.750 nats/token", "3 · −1.000 nats/token"]
        app.query(WrittenText)[1].focus()
        await until(pilot, lambda: "only the best text" in token_words(app))

        client.events = [done("一二")]
        client.hold.clear()
        await cleared(pilot, app)
        app.query_one("#generate-prefix", Input).focus()
        await pilot.press("enter")
        await until(pilot, lambda: app.query(Generation) and "searching 4 texts at once" in status(app))
        client.hold.set()
        await until(pilot, lambda: not app.pane.writing)
        assert "2 characters in" in status(app)


async def test_the_heads_of_an_acrostic_are_marked_and_what_is_copied_is_underlined(saves: Path) -> None:
    text = "\n春一\n夏二春"
    tokens = [told("\n春"), told("一"), told("\n夏"), told("二"), told("春")]
    event = {"event": "text", "text": text, "sample": 0, "tokens": tokens}
    client = ScriptedClient([event, done(text, ended="verses")])
    app = PaneApp(GeneratePane(), saves, client)
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        form_of(app).edit("heads", "春夏")
        await pilot.pause()
        await written(pilot, app)
        widget = app.query_one(WrittenText)
        drawn = ["".join(segment.text for segment in widget.render_line(y)).rstrip() for y in range(3)]
        assert drawn == ["  分开", "▸ 春一", "▸ 夏二春"]
        assert "given." in token_words(app) and "all verses written" in str(
            app.query_one(".sample-note", Static).content
        )

        copied = {"length": 2, "start": 1, "text_start": 1202, "span": [1, 3], "text": "很久"}
        client.events = [detailed("了很久"), done("了很久", copy=copied)]
        form_of(app).edit("heads", "")
        await cleared(pilot, app)
        await written(pilot, app)
        note = str(app.query_one(".sample-note", Static).content)
        assert note == "2 of 3 copied, from character 1,203", "one short line below the text"
        beside = " ".join(token_words(app).split())
        assert "2 of 3 characters, underlined, occur literally in the training text, from character 1,203" in beside
        lines = app.query_one(WrittenText).render_line(0)
        underlined = [segment.text for segment in lines if segment.style and segment.style.underline]
        assert underlined == ["很久"]


async def test_what_the_model_does_not_know_is_said_below_the_prefix(saves: Path) -> None:
    answer = {**done("了很久" * 60), "unknown": ["[b]", "龘"]}
    app = PaneApp(GeneratePane(), saves, ScriptedClient([detailed("了很久" * 60), answer]))
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot, app)
        note, fields = app.query_one("#prefix-note", Static), app.query_one("#generate-fields")
        for count, size in enumerate(((80, 24), (120, 40)), 1):
            await pilot.resize_terminal(*size)
            assert not note.display
            await written(pilot, app, count)
            await until(pilot, lambda: note.display)
            assert str(note.content) == "not in the vocabulary: [b], 龘, read as <unk>"
            assert fields.region.contains_region(note.region), f"it can be seen at {size}"
            await pilot.press("x")
            await until(pilot, lambda: not note.display)


async def test_enter_opens_the_fold_and_writes_nothing(saves: Path) -> None:
    app = PaneApp(GeneratePane(), saves, ScriptedClient([done("了")]))
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot, app)
        form = form_of(app)
        form.focus_setting(group_key("generate"))
        await pilot.press("enter")
        await until(pilot, lambda: fold_row(form, "generate").is_open and "heads" in shown_settings(form))
        await pilot.press("enter")
        await until(pilot, lambda: not fold_row(form, "generate").is_open)
        assert not app.query(Generation) and not app.script.asked


def test_copy_words() -> None:
    assert (
        copy_words(Copied(0, 0, 0, (0, 0), ""), 9, "character") == "none of its characters occurs in the training text"
    )
    words = copy_words(Copied(9, 0, 0, (0, 9), ""), 9, "word")
    assert words == "all 9 words, underlined, occur literally in the training text, from word 1"
