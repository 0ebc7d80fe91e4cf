"""The Generate pane: what is asked of the engine, what is shown of its answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.widget import Widget
from textual.widgets import Button, OptionList, Select, Static

from core.errors import EngineError, RunError
from core.events import State, StateChanged
from tests.run_folders import make_run, write_journal
from tests.tui.fake_engine import scripted_epoch
from tests.tui.pane_harness import PaneApp, ScriptedClient
from tests.tui.panes.generate.harness import SIZE, answer, ready, status, token_words
from tests.tui.parts import focused_setting, fold_row, form_of, row_region, setting_row, shown_settings, title
from tests.tui.waiting import until
from tui.forms.lines import group_key
from tui.forms.rows import Rows
from tui.panes.generate.generation import Generation
from tui.panes.generate.pane import GeneratePane
from tui.panes.generate.written_text import WrittenText
from tui.shell.frame import FrameEdge
from tui.text.cells import cell_len
from tui.text.weights import UNTRAINED


@pytest.fixture
def saves(tmp_path: Path) -> Path:
    """One run."""
    folder = tmp_path / "saves"
    make_run(folder, "lyrics", epochs=3)
    return folder


async def test_without_runs_nothing_can_be_asked(tmp_path: Path) -> None:
    app = PaneApp(GeneratePane(), tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        notice = app.query_one("#generate-notice", Static)
        await until(pilot, lambda: "no model yet" in str(notice.content))
        await pilot.press("tab", "enter")
        assert app.query_one("#generate-write", Button).disabled
        assert not app.query(Generation)


async def test_the_text_is_written_after_the_prefix_and_is_text(saves: Path) -> None:
    client = ScriptedClient(answer("了", "很久", unknown=("龘", "龘", "\x1b")))
    app = PaneApp(GeneratePane(), saves, client)
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        form_of(app).edit("length", "3")
        form_of(app).edit("seed", "42")
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: app.query(Generation) and "characters in" in status(app))
        assert client.asked == [
            {"request": "generate", "prefix": "分开", "length": 3, "strategy": "temperature", "temperature": 1.0,
             "seed": 42, "details": True, "copy": True}
        ]  # fmt: skip
        text = app.query_one(WrittenText)
        assert (text.text, text.continuation) == ("分开了很久", "了很久")
        assert "not in the vocabulary: 龘, \\x1b, read as <unk>" in status(app)
        settings = str(app.query_one(".generation-settings", Static).content)
        assert settings == "lyrics · epoch 3 · temperature 1 · seed 42 · 3 tokens"
        client.events = answer("[bold]\x1b[31m", "\x07!")
        await pilot.press("enter")
        await until(pilot, lambda: len(app.query(Generation)) == 2 and "characters in" in status(app))
        line = "".join(segment.text for segment in app.query(WrittenText).last().render_line(0))
        assert line.rstrip() == "分开[bold]\\x1b[31m\\x07!"


async def test_texts_stay_one_below_the_other(saves: Path) -> None:
    client = ScriptedClient(answer("一"))
    app = PaneApp(GeneratePane(), saves, client)
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        for count in (1, 2, 3):
            await pilot.press("enter")
            await until(pilot, lambda count=count: len(app.query(Generation)) == count and " in " in status(app))
        seeds = [request["seed"] for request in client.asked]
        assert len(set(seeds)) == 3, "an empty seed is a new one each time"
        await pilot.press("ctrl+y")
        assert app.clipboard == "分开一"
        await pilot.press("ctrl+l")
        await until(pilot, lambda: not app.query(Generation))


async def test_escape_stops(saves: Path) -> None:
    client = ScriptedClient(answer("了", "很"))
    client.hold.clear()
    app = PaneApp(GeneratePane(), saves, client)
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        await pilot.press("enter")
        await until(pilot, lambda: app.query(Generation) and status(app) == "writing · 2 characters")
        assert not app.query_one("#generate-stop", Button).disabled
        await pilot.press("enter")
        await pilot.press("escape")
        await until(pilot, lambda: status(app) == "stopped after 2 characters")
        await until(pilot, lambda: client.cancelled and len(client.asked) == 1)
        await until(pilot, lambda: not app.query_one("#generate-write", Button).disabled)
        assert app.query_one("#generate-stop", Button).disabled


async def test_a_wider_screen_shows_more_of_a_long_name(tmp_path: Path) -> None:
    name = "夜航西飞 with a name that no narrow screen has room for"
    make_run(tmp_path, name, epochs=3)
    make_run(tmp_path, "other", epochs=3)
    app = PaneApp(GeneratePane(), tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot, app)
        app.pane.choose(tmp_path / name)  # type: ignore[attr-defined]
        select, texts = app.query_one("#generate-run", Select), app.query_one("#generate-texts")
        await until(pilot, lambda: "…" in title(texts) and title(texts).startswith("夜航西飞"))
        short = str(select._options[0][0]), str(select._options[1][0])
        assert any("…" in label for label in short)
        await pilot.resize_terminal(100, 30)
        await until(pilot, lambda: cell_len(title(texts)) == texts.outer_size.width - 6 and title(texts)[-3:] == "for")
        select.focus()
        await pilot.press("enter")
        await until(pilot, lambda: select.expanded)
        chosen = app.query_one(OptionList).highlighted
        await pilot.press("down")
        await until(pilot, lambda: app.query_one(OptionList).highlighted != chosen)
        pointed = app.query_one(OptionList).highlighted
        await pilot.resize_terminal(200, 60)
        await until(pilot, lambda: title(texts) == name)
        await until(pilot, lambda: max(len(str(label)) for label, _ in select._options) > max(map(len, short)))
        assert select.value == str(tmp_path / name) and app.query_one(OptionList).highlighted == pointed


async def test_what_is_wrong_stands_beside_the_field(saves: Path) -> None:
    app = PaneApp(GeneratePane(), saves)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot, app)
        form = form_of(app)
        for name, typed, words in (
            ("length", "0", "length must be between 1 and 1,000,000, got 0"),
            ("length", "many", "length must be a whole number"),
            ("temperature", "0", "temperature must be between 0.01 and 100, got 0"),
            ("seed", "-1", "seed must be between 0"),
        ):
            good = form.texts[name]
            form.edit(name, typed)
            await until(pilot, lambda name=name, words=words: words in setting_row(form, name).error)
            await pilot.press("enter")
            await pilot.pause()
            assert app.script.asked == [], words
            form.edit(name, good)
            await until(pilot, lambda name=name: not setting_row(form, name).error)


async def test_a_newcomer_sees_acrostic_and_beam_search_and_greedy_has_no_temperature(saves: Path) -> None:
    client = ScriptedClient(answer("一"))
    app = PaneApp(GeneratePane(), saves, client)
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        words = str(app.query_one("#generate-notice", Static).content)
        assert "beam search" in words and "acrostic" in words
        assert row_region(app.query(Rows).last(), "heads"), "where there is room nothing is folded away"
        app.query_one("#generate-strategy", Select).value = "greedy"
        await until(pilot, lambda: "temperature" not in shown_settings(form_of(app)))
        await pilot.press("enter")
        await until(pilot, lambda: client.asked)
        assert client.asked == [
            {
                "request": "generate",
                "prefix": "分开",
                "length": 200,
                "strategy": "greedy",
                "details": True,
                "copy": True,
            }
        ]


async def test_what_goes_wrong_is_said_and_a_fault_of_a_field_beside_it(saves: Path) -> None:
    sentence = "stop must be line or tokens of the model's vocabulary, got 'z'"
    app = PaneApp(GeneratePane(), saves, ScriptedClient(error=EngineError("the [bold]engine has gone")))
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        await pilot.press("enter")
        await until(pilot, lambda: app.query(Generation) and status(app) == "the [bold]engine has gone")
        assert app.query_one(Generation).has_class("-failed")
        await until(pilot, lambda: not app.query_one("#generate-write", Button).disabled)
        app.script.error = RunError(sentence)
        await ask(pilot, app, stop="z")
        await until(pilot, lambda: setting_row(form_of(app), "stop").error)
        assert status(app) == sentence
        form_of(app).edit("stop", "line")
        await until(pilot, lambda: not setting_row(form_of(app), "stop").error)


async def test_live_weights_are_called_so(saves: Path) -> None:
    lock = make_run(saves, "busy", state="training", epochs=7, created="2027-01-01T00:00:00+00:00").lock()
    make_run(saves, "fresh", state="idle", epochs=0)
    back = make_run(saves, "back", state="training", epochs=3)
    write_journal(back, StateChanged(State.DIVERGED, 0, "the loss exploded"))
    app = PaneApp(GeneratePane(), saves)
    app.current_run = saves / "busy"
    try:
        async with app.run_test(size=SIZE) as pilot:
            await ready(pilot, app)
            history, weights = app.query_one("#generate-texts"), app.query_one("#generate-weights", FrameEdge)
            assert (title(history), weights.note) == ("busy", "live weights, epoch 7")
            app.query_one("#generate-run", Select).value = str(saves / "fresh")
            remark = app.query_one("#generate-remark", Static)
            await until(pilot, lambda: weights.note == "untrained weights" and not remark.display)
            app.query_one("#generate-run", Select).value = str(saves / "back")
            await until(pilot, lambda: weights.note == "diverged: initial weights again")
            assert remark.display and str(remark.content) == UNTRAINED
            await ask(pilot, app)
            settings = app.query(Generation).last().query_one(".generation-settings", Static)
            assert "diverged: initial weights again" in str(settings.content)
            app.current_run = saves / "lyrics"
            await until(pilot, lambda: title(history) == "lyrics")
    finally:
        lock.close()


async def test_another_epoch_paints_one_line(saves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a training that is every second, and a key would wait for the paint of the whole box."""
    run = make_run(saves, "busy", state="training", epochs=7, created="2027-01-01T00:00:00+00:00")
    with run.lock():
        app = PaneApp(GeneratePane(), saves)
        app.current_run = run.path
        async with app.run_test(size=SIZE) as pilot:
            await ready(pilot, app)
            painted: list[Widget] = []
            refresh = Widget.refresh

            def noted(widget: Widget, *regions: Any, **how: Any) -> Widget:
                painted.append(widget)
                return refresh(widget, *regions, **how)

            monkeypatch.setattr(Widget, "refresh", noted)
            write_journal(run, scripted_epoch(8))
            weights = app.query_one("#generate-weights", FrameEdge)
            await until(pilot, lambda: weights.note == "live weights, epoch 8")
            assert weights in painted
            assert not {app.query_one("#generate-texts"), app.query_one("#generate-notice")} & {*painted}


# ---------------------------------------------------------------------- what is asked


async def ask(pilot: Any, app: PaneApp, **texts: str) -> dict[str, Any]:
    """Fill the form, press enter, and return what was asked."""
    await ready(pilot, app)
    if "strategy" in texts:
        app.query_one("#generate-strategy", Select).value = texts.pop("strategy")
        await pilot.pause()
    for name, text in texts.items():
        form_of(app).edit(name, text)
    await pilot.pause()
    before = len(app.script.asked)
    await pilot.press("enter")
    await until(pilot, lambda: len(app.script.asked) > before)
    return {name: value for name, value in app.script.asked[-1].items() if name not in ("request", "details", "copy")}


async def test_what_the_form_says_is_asked(saves: Path) -> None:
    app = PaneApp(GeneratePane(), saves, ScriptedClient(answer("一")))
    cases: list[tuple[dict[str, str], dict[str, Any]]] = [
        ({"strategy": "top-k", "top_k": "5", "seed": "1"},
         {"strategy": "top-k", "top_k": 5, "temperature": 1.0, "seed": 1}),
        ({"strategy": "top-p", "seed": "1"}, {"strategy": "top-p", "top_p": 0.9, "temperature": 1.0, "seed": 1}),
        ({"strategy": "min-p", "min_p": "0.2", "seed": "1"},
         {"strategy": "min-p", "min_p": 0.2, "temperature": 1.0, "seed": 1}),
        ({"strategy": "combined", "seed": "1"},
         {"strategy": "combined", "temperature": 0.9, "top_k": 100, "top_p": 0.95, "min_p": 0.02, "seed": 1}),
        ({"strategy": "beam", "beam": "6", "count": "3", "heads": "春夏"}, {"strategy": "beam", "beam": 6}),
        ({"seed": "1", "repetition_penalty": "1.3", "heads": "春 夏", "stop": "line", "verse_length": "9"},
         {"strategy": "temperature", "temperature": 1.0, "seed": 1, "repetition_penalty": 1.3, "repetition_window": 64,
          "heads": "春 夏", "verse_length": 9}),
        ({"strategy": "greedy", "mood": "月亮", "stop": "line", "count": "2"},
         {"strategy": "greedy", "mood": "月亮", "stop": "line", "count": 2}),
    ]  # fmt: skip
    async with app.run_test(size=SIZE) as pilot:
        await ready(pilot, app)
        fresh = {name: text for name, text in form_of(app).texts.items() if name != "strategy"}
        for texts, asked in cases:
            told = await ask(pilot, app, **{"strategy": "temperature", **texts})
            assert told == {"prefix": "分开", "length": 200, **asked}, texts
            assert "details" in app.script.asked[-1], texts
            form_of(app).change(fresh)
        await ask(pilot, app, strategy="temperature", length="20001")
        assert "details" not in app.script.asked[-1] and app.script.asked[-1]["copy"], "of very long texts"
        await until(pilot, lambda: "a shorter one" in token_words(app))


def drawn(rows: Rows, line: int) -> str:
    return "".join(segment.text for segment in rows.render_line(line))


async def test_rare_things_are_folded_away_and_found(saves: Path) -> None:
    app = PaneApp(GeneratePane(), saves)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot, app)
        form, rows = form_of(app), app.query(Rows).last()
        fold = [line for line in range(rows.size.height) if "▸" in drawn(rows, line)]
        assert "samples, acrostic" in drawn(rows, fold[0]) and "heads" not in shown_settings(form)
        assert {"temperature", "beam"} & shown_settings(form) == {"temperature"}
        form.focus_setting(group_key("generate"))
        await pilot.press("enter")
        assert "heads" in shown_settings(form)
        form.focus_setting("heads")
        await pilot.pause()
        assert "begins one verse" in str(app.query_one("#generate-help", Static).content)
        await pilot.press("春", "夏")
        await pilot.pause()
        effects = [setting_row(form, name).effect for name in ("stop", "verse_length")]
        assert effects == ["disabled", ""]
        await pilot.click(rows, offset=(3, fold[0]))
        assert "acrostic 春夏" in drawn(rows, fold[0]) and "heads" not in shown_settings(form)


async def test_a_wrong_value_behind_the_fold_is_shown_when_it_is_asked(saves: Path) -> None:
    app = PaneApp(GeneratePane(), saves)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot, app)
        form = form_of(app)
        form.edit("count", "65")
        await until(pilot, lambda: fold_row(form, "generate").is_wrong)
        await pilot.press("enter")
        await until(pilot, lambda: focused_setting(app) == "count")
        assert setting_row(form, "count").error == "samples must be between 1 and 64, got 65"
        assert app.script.asked == []


async def test_a_bidirectional_run_cannot_write_and_says_why(saves: Path) -> None:
    make_run(saves, "both-ways", bidirectional=True, created="2027-01-01T00:00:00+00:00")
    app = PaneApp(GeneratePane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        app.pane.focus()
        reason = app.query_one("#generate-remark", Static)
        await until(pilot, lambda: reason.display)
        assert "bidirectional" in str(reason.content)
        await pilot.press("enter")
        await pilot.pause()
        assert app.query_one("#generate-write", Button).disabled and not app.query(Generation)
        app.query_one("#generate-run", Select).value = str(saves / "lyrics")
        await until(pilot, lambda: not reason.display and not app.query_one("#generate-write", Button).disabled)


async def test_the_chosen_run_is_not_lost_to_a_list_that_is_read_meanwhile(saves: Path) -> None:
    make_run(saves, "newer", created="2027-01-01T00:00:00+00:00")
    app = PaneApp(GeneratePane(), saves)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.pane.run is not None and app.pane.run.name == "newer")
        app.pane.choose(saves / "lyrics")
        app.pane.reload()
        await until(pilot, lambda: app.pane.run.name == "lyrics")
