"""The Generate pane inside the whole app: which run it asks, and what it writes with a (fake) engine behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.widgets import Input, Select

from core.corpus.vocabulary import Vocabulary
from core.events import State, StateChanged
from core.settings.run_config import RunConfig
from tests.run_folders import made_run, write_journal
from tests.tui.fake_engine import scripted_epoch
from tests.tui.waiting import until
from tui.app import Playground
from tui.messages import RunChosen
from tui.panes.generate.form import GenerateForm
from tui.panes.generate.generation import Generation
from tui.panes.generate.token_view import TokenView
from tui.panes.generate.writer_facts import writer_facts
from tui.panes.generate.written_text import WrittenText

Make = Callable[[], Playground]


def finished(saves: Path, name: str) -> Path:
    run = made_run(saves, RunConfig(), name)
    write_journal(run, *(scripted_epoch(epoch) for epoch in range(1, 4)), StateChanged(State.FINISHED, 3))
    return run.path


async def test_a_run_that_is_chosen_to_write_is_asked_even_if_it_is_on_screen_already(
    playground: Make, saves: Path
) -> None:
    first, second = finished(saves, "first"), finished(saves, "second")
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await app.open_run(first)
        await pilot.press("f4")
        pane: Any = app.query_one("#pane-generate")
        await until(pilot, lambda: pane.run is not None and pane.run.path == first)
        app.query_one("#generate-run", Select).value = str(second)
        await until(pilot, lambda: pane.run.path == second)
        await pilot.press("f6")
        app.query_one("#pane-runs").post_message(RunChosen(first, "generate"))
        await until(pilot, lambda: pane.run.path == first and pane.display)
        assert app.current_run == first


async def test_a_prefix_that_the_vocabulary_does_not_know_is_not_offered(saves: Path) -> None:
    english, chinese = "a line of another text\n", "月亮 The line\n"
    for text, prefix, tokens, beginning in (
        (english, "分开", english, "a"), (english, "line", english, "line"), (english, "分开", "月", ""),
        (english, "分", english + "分", "分"), (english, "", english, "a"),
        (chinese, "The ", chinese, "月亮"), (chinese, "The ", chinese[1:], "The "), (chinese, "亮", chinese, "亮"),
    ):  # fmt: skip
        run = made_run(saves, RunConfig(sample_prefix=prefix), f"run-{len(list(saves.iterdir()))}")
        known = ["<unk>", *dict.fromkeys(tokens)]
        vocabulary = Vocabulary("char", known, [1] * len(known)).to_json()
        run.vocabulary_path.write_text(json.dumps(vocabulary), encoding="utf-8")
        run.corpus_path.write_text(text, encoding="utf-8")
        facts = writer_facts(run.path)
        assert facts.tokens and facts.beginning == beginning, (prefix, tokens)


async def test_it_writes_and_the_screen_may_become_narrow_meanwhile(playground: Make, saves: Path) -> None:
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await app.open_run(finished(saves, "first"))
        await pilot.press("f4")
        pane: Any = app.query_one("#pane-generate")
        await until(pilot, lambda: pane.run is not None)
        app.query_one("#generate-prefix", Input).value = "月"
        await pilot.press("enter")
        await until(pilot, lambda: app.query(WrittenText) and app.query_one(WrittenText).text == "月分开了很久")
        await until(pilot, lambda: not pane.writing)
        await pilot.press("ctrl+o")
        form, token = app.query_one(GenerateForm), app.query_one(TokenView)
        await until(pilot, lambda: pane.reading and form.display and token.display)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: not form.display and token.display)
        await pilot.press("e")
        await until(pilot, lambda: form.display and not token.display)
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: form.display and token.display)
        await pilot.press("ctrl+l")
        await until(pilot, lambda: not app.query(Generation))
