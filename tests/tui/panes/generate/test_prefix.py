"""The prefix: what a run suggests, what is typed, and which of both stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.widgets import Input, Select

from core.corpus.vocabulary import Vocabulary
from tests.run_folders import make_run
from tests.tui.pane_harness import PaneApp
from tests.tui.panes.generate.harness import SIZE, ready
from tests.tui.parts import form_of, setting_row, title
from tests.tui.waiting import until
from tui.panes.generate.form import PrefixInput
from tui.panes.generate.pane import GeneratePane
from tui.panes.generate.run_choice import RunChoice
from tui.panes.generate.writer_facts import WriterFacts


@pytest.fixture
def saves(tmp_path: Path) -> Path:
    """One run."""
    folder = tmp_path / "saves"
    make_run(folder, "lyrics", epochs=3)
    return folder


async def test_what_was_typed_is_not_replaced(saves: Path) -> None:
    make_run(saves, "other", created="2025-01-01T00:00:00+00:00")
    app = PaneApp(GeneratePane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        prefix = app.query_one("#generate-prefix", Input)
        prefix.value = "我"
        app.query_one("#generate-run", Select).value = str(saves / "other")
        await until(pilot, lambda: title(app.query_one("#generate-texts")) == "other")
        await pilot.pause(0.1)
        assert prefix.value == "我"
        prefix.value = "a\x1b]0;b\x07\u202ec"
        await pilot.pause()
        assert prefix.value == "a]0;bc", "nothing that a terminal obeys can be pasted"
        prefix.value = ""
        app.query_one(RunChoice).reload()
        await pilot.pause(0.1)
        assert prefix.value == "", "an empty one stays empty"


async def test_typing_replaces_a_suggested_prefix_and_no_other(saves: Path) -> None:
    app = PaneApp(GeneratePane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        field, form = app.query_one(PrefixInput), form_of(app)
        for number, (keys, prefix) in enumerate((
            ("好", "好"), ("end 好", "分开好"), ("home 好", "好分开"), ("right 好", "分开好"), ("left 好", "好分开"),
            ("backspace", ""), ("home 好 tab shift+tab 了", "好分开了"), ("tab shift+tab 好", "好"), ("enter 好", "好"),
        )):  # fmt: skip
            if number:  # what another run suggests replaces nothing: the field is empty
                field.value = ""
                form.turn_to(saves / str(number), WriterFacts("分开"))
                await until(pilot, lambda: field.has_focus and field.selected_text == "分开")
            await pilot.press(*keys.split())
            assert field.value == prefix, keys


async def test_a_prefix_that_is_suggested_late_replaces_nothing(saves: Path) -> None:
    app = PaneApp(GeneratePane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        prefix, form = app.query_one(PrefixInput), form_of(app)
        await pilot.press("好")
        form.turn_to(saves / "other", WriterFacts("月"))
        assert prefix.value == "好" and prefix.selection.is_empty
        await pilot.press("backspace")
        form.turn_to(saves / "lyrics", WriterFacts("月亮"))
        assert prefix.selected_text == prefix.value == "月亮"


async def test_the_prefix_of_another_run_does_not_stay(saves: Path) -> None:
    """What one run suggests is not asked of another; what was typed is, as long as that one knows all of it."""
    vocabularies = {"english": "ab .", "chinese": "分开月 \n。", "more": "分开月我!"}
    for number, (name, characters) in enumerate(vocabularies.items()):
        run = make_run(saves, name, created=f"2026-0{number + 2}-01T00:00:00+00:00")
        counts = dict(zip(characters, range(100, 0, -1), strict=False))
        tokens = ["<unk>", *counts]
        vocabulary = Vocabulary("char", tokens, [0, *counts.values()])
        run.vocabulary_path.write_text(json.dumps(vocabulary.to_json()))
        run.corpus_path.write_text("ab ab. " * 9 if name == "english" else "分开了很久")
    app = PaneApp(GeneratePane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        prefix, select = app.query_one("#generate-prefix", Input), app.query_one("#generate-run", Select)

        async def choose(name: str, wanted: str, hint: str) -> None:
            select.value = str(saves / name)
            await until(pilot, lambda: (prefix.value, setting_row(form_of(app), "stop").placeholder) == (wanted, hint))

        await until(pilot, lambda: app.query_one(RunChoice).has_facts)
        await choose("english", "ab", ".")
        await choose("chinese", "分开", "line, or 。")
        prefix.value = "月"
        await choose("more", "月", "!")
        await choose("english", "ab", ".")
        prefix.value = "b"
        await choose("chinese", "分开", "line, or 。")
        await choose("english", "b", ".")
        await choose("more", "月", "!")
