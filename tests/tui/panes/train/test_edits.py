"""Settings that are edited: what applies, what waits, what is refused, and where it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input, Static

from core.engine.requests import Set
from core.errors import UserError
from core.events import BudgetFitted, SettingChanged, State, StateChanged
from core.settings.run_config import RunConfig, settings
from core.training.preflight import TextFacts
from tests.run_folders import made_run, write_journal
from tests.tui.fake_engine import FakeEngines, scripted_epoch
from tests.tui.panes.train.harness import SIZES, Make, label, noted, pending, status, trouble, wrong
from tests.tui.parts import errors, focused_setting, notices, row_region, shown_settings, train_pane
from tests.tui.waiting import until
from tui.forms.rows import Rows
from tui.messages import CorpusChosen, JournalGrew, TextsChanged
from tui.panes.train import form_facts
from tui.panes.train.form_facts import FormFacts
from tui.panes.train.run_view import RunView
from tui.shell.frame import FrameEdge


async def test_the_rate_stays_in_its_range(playground: Make) -> None:
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        train_pane(app).form.edit("learning_rate", "900000")
        await pilot.press("+", "+")
        assert train_pane(app).form.texts["learning_rate"] == "1000000"
        await pilot.press("-")
        assert train_pane(app).form.texts["learning_rate"] == "800000"


async def test_values_in_mid_run(playground: Make, fakes: FakeEngines) -> None:
    fakes.halt_at = 5
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("+")
        assert train_pane(app).form.texts["learning_rate"] == "125"
        await pilot.press("-", "ctrl+t")
        await until(pilot, lambda: "5/250" in status(app))
        await pilot.press("+", "+")
        await until(pilot, lambda: "lr 156.2" in app.query_one("#writing-edge", FrameEdge).note)
        await until(pilot, lambda: train_pane(app).run is not None and train_pane(app).run.learning_rate == 156.2)
        assert train_pane(app).plan == "watch"

        words = "num_epochs must be at least 5, the epochs that are done or begun, got 3"
        fakes.refusals["set"] = words
        train_pane(app).form.focus_setting("num_epochs")
        await pilot.press("3", "enter")
        await until(pilot, lambda: words in wrong(app))
        assert trouble(app) == words and noted(app) == "" and "5/250" in status(app), "a target below what is done"
        await pilot.press("escape")
        assert trouble(app) == "" and train_pane(app).form.texts["num_epochs"] == "250"
        await until(pilot, lambda: wrong(app) == "")

        train_pane(app).form.focus_setting("num_epochs")
        await pilot.press(*"300")
        await until(pilot, lambda: label(app) == "Apply")
        await pilot.press("enter")
        await until(pilot, lambda: "5/300" in status(app))
        assert label(app) == "Training …"


async def test_every_press_counts_while_earlier_ones_are_not_confirmed(playground: Make, fakes: FakeEngines) -> None:
    fakes.halt_at = 5
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "5/250" in status(app))
        pane, run = train_pane(app), train_pane(app).run
        assert run is not None
        asked: list[object] = []
        pane.training.ask = lambda _, request: heard(request)  # type: ignore[method-assign, assignment]

        async def heard(request: Set) -> None:
            asked.append(request.value)
            if words := fakes.refusals.pop("set", ""):
                raise UserError(words)

        async def confirm(*rates: float) -> tuple[str, float | None]:
            for rate in rates:
                app.news.publish(JournalGrew(run.path, (SettingChanged(5, "learning_rate", rate),)))
            await pilot.pause()
            return pane.form.texts["learning_rate"], run.learning_rate

        await pilot.press("+", "+")
        assert await confirm(125.0) == ("156.2", 125.0), "the form has the rate asked for last"
        await pilot.press("+", "-", "+")
        assert asked == [125.0, 156.2, 195.2, 156.2, 195.2]
        await confirm(50.0, 156.2, 195.2)  # the first by another program
        await pilot.press("+")
        assert asked[-1] == 244, "not from what was confirmed first"
        assert await confirm(156.2, 195.2, 244.0) == ("244", 244.0)
        assert await confirm(8.0) == ("8", 8.0), "another program sets it after all were confirmed"
        fakes.refusals["set"] = "no"
        await pilot.press("+")
        await until(pilot, lambda: not pane.wanted_rates)
        await pilot.press("+")
        assert asked[-2:] == [10, 10], "what was refused is not waited for"


@pytest.mark.parametrize("size", SIZES)
async def test_an_edit_is_applied_or_pending_or_taken_back(
    playground: Make, fakes: FakeEngines, size: tuple[int, int]
) -> None:
    fakes.halt_at = 5
    app = playground()
    async with app.run_test(size=size) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "5/250" in status(app))
        run = train_pane(app).run
        assert run is not None

        async def edit(name: str, text: str) -> None:
            train_pane(app).drawer = True
            train_pane(app).form.focus_setting(name)
            await until(pilot, lambda: focused_setting(app) == name)
            train_pane(app).form.edit(name, text)
            await pilot.pause()

        for is_paused in (False, True):
            if is_paused:
                await pilot.press("space")
                await until(pilot, lambda: "paused" in status(app))
            await edit("num_epochs", "3000")
            await until(pilot, lambda: "not applied: enter applies it" in noted(app))
            rows, scroll = app.query_one("#form Rows", Rows), app.query_one("#form-scroll")
            await until(pilot, lambda: scroll.region.contains_region(row_region(rows, "num_epochs")))  # noqa: B023
            assert "the run has 250" in noted(app) and label(app) == "Apply"
            await pilot.press("escape")
            assert train_pane(app).form.texts["num_epochs"] == "250" and noted(app) == ""
            assert notices(app)[-1] == "The edit is taken back: epochs 250 again. Enter applies an edit."
            await edit("learning_rate", "abc")
            await pilot.press("escape")
            assert train_pane(app).form.texts["learning_rate"] == "100" and train_pane(app).form.value is not None
        await edit("num_epochs", "300")
        await pilot.press("enter")
        await until(pilot, lambda: "5/300" in status(app) and noted(app) == "")
        assert "paused" in status(app) and label(app) == "Resume", "an edit does not resume"
        assert not train_pane(app).drawer and run.num_epochs == 300


async def test_a_refusal_is_forgotten_with_the_settings_it_was_for(playground: Make, fakes: FakeEngines) -> None:
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        words = "batch_size must leave one batch"
        for change in (
            lambda: app.post_message(CorpusChosen({"corpus": "verse-zh", "normalise": "none"})),
            lambda: train_pane(app).form.edit("num_steps", "7"),
            lambda: app.post_message(TextsChanged()),
        ):
            fakes.refusals["create"] = words
            await pilot.press("ctrl+t")
            await until(pilot, lambda: trouble(app) == words and wrong(app) == words)
            change()
            await until(pilot, lambda: wrong(app) == "" and trouble(app) == "")
        fakes.refusals["create"] = words
        await pilot.press("ctrl+t")
        await until(pilot, lambda: trouble(app) == words and wrong(app) == words)
        await pilot.press("ctrl+t")  # the same again, and this time it trains
        await until(pilot, lambda: "training" in status(app))
        assert trouble(app) == "" and wrong(app) == ""


async def test_wrong_settings_are_told_all_at_once_and_nothing_starts(playground: Make, fakes: FakeEngines) -> None:
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        train_pane(app).form.change({"num_steps": "0", "dropout": "abc", "learning_rate": "-1"})
        await pilot.press("ctrl+t")
        await until(pilot, lambda: focused_setting(app) == "dropout")
        assert train_pane(app).drawer
        found = errors(train_pane(app).form)
        assert any(error.startswith("steps must be between 1 and 10,000, got 0") for error in found)
        assert any("dropout must be a number" in error for error in found)
        assert any(error.startswith("lr must be above 0") for error in found)
        assert "create" not in fakes.asked


async def test_what_the_engine_refuses_stands_at_its_setting(playground: Make, fakes: FakeEngines) -> None:
    fakes.refusals["create"] = "batch_size must leave one batch, [bold]got[/bold] 32"
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: trouble(app) != "")
        assert trouble(app) == "batch_size must leave one batch, [bold]got[/bold] 32"
        await until(pilot, lambda: focused_setting(app) == "batch_size")
        assert app.current_run is None
        await pilot.press("ctrl+t")  # the engine that refused is replaced by another
        await until(pilot, lambda: "training" in status(app))
        assert trouble(app) == ""


async def test_a_changed_setting_makes_it_a_new_run(playground: Make, fakes: FakeEngines) -> None:
    fakes.halt_at = 5
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "5/250" in status(app))
        assert train_pane(app).plan == "watch"
        train_pane(app).form.change({"num_hiddens": "64"})
        train_pane(app).show_plan()
        assert label(app) == "Train new run"
        train_pane(app).form.change({"num_hiddens": "256"})
        train_pane(app).show_plan()
        assert label(app) == "Training …"
        await pilot.press("ctrl+n")
        assert label(app) == "Train new run"
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "lyrics-zh-0002 · training" in status(app))
        first = fakes.of(app.saves / "lyrics-zh-0001")
        assert first is not None and first.state == State.TRAINING


async def test_settings_that_are_not_those_of_the_run_are_said_while_they_are_hidden(
    playground: Make, fakes: FakeEngines, saves: Path
) -> None:
    run = made_run(saves, RunConfig(), "done")
    write_journal(run, *(scripted_epoch(epoch) for epoch in range(1, 251)), StateChanged(State.FINISHED, 250))
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.open_run(run.path)
        await until(pilot, lambda: "done · finished" in status(app) and app.query_one("#curve").display)
        assert pending(app) == ""
        train_pane(app).form.focus_setting("num_epochs")
        train_pane(app).drawer = True
        train_pane(app).form.edit("num_epochs", "300")
        await until(pilot, lambda: pending(app) == "epochs 300 instead of 250: ctrl+t continues with it")
        await pilot.press("escape")
        assert train_pane(app).form.texts["num_epochs"] == "300" and pending(app), "what survives is said"
        train_pane(app).form.edit("num_epochs", "abc")
        await until(pilot, lambda: pending(app) == "epochs abc instead of 250: to continue, correct it first")
        train_pane(app).form.edit("num_epochs", "250")
        await until(pilot, lambda: pending(app) == "")
        await pilot.press("+")
        await until(pilot, lambda: pending(app).endswith("to continue with it, set epochs above 250"))
        assert "to continue with it, set epochs above 250; the run has 100" in noted(app)
        train_pane(app).form.change({"num_epochs": "251"})
        train_pane(app).show_plan()
        assert pending(app).endswith(": ctrl+t continues with it")
        train_pane(app).form.change({"num_epochs": "250", "learning_rate": "100"})
        app.post_message(CorpusChosen({"corpus": "/tmp/一本书.txt"}))
        words = "corpus changed: ctrl+t trains a new run, s its first batch"
        await until(pilot, lambda: pending(app) == words)
        assert app.query_one("#pending").region.height == 1 and not train_pane(app).drawer
        train_pane(app).form.change({"corpus": "lyrics-zh", "num_hiddens": "64", "num_steps": "7"})
        train_pane(app).show_plan()
        assert pending(app) == words.replace("corpus", "2 settings")
        await pilot.press("s")
        await until(pilot, lambda: "lyrics-zh-0001" in status(app) and pending(app) == "")
        await until(
            pilot, lambda: "One batch of a new run, lyrics-zh-0001, is trained; done is unchanged" in notices(app)
        )
        await pilot.resize_terminal(120, 40)
        await pilot.press("ctrl+n")
        await pilot.pause()
        assert pending(app) == "", "the settings beside it say it"


@pytest.mark.parametrize("size", SIZES)
async def test_what_speaks_against_a_text_is_said_when_it_is_chosen(
    playground: Make, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    async def described(*_: object, **__: object) -> dict[str, Any]:
        return {"tokens": 10_000, "vocabulary": 3, "known_tokens": ["<unk>", "想", "回"]}

    monkeypatch.setattr(form_facts, "describe", described)
    monkeypatch.setattr(form_facts, "DELAY", 0.01)
    app = playground()
    async with app.run_test(size=size) as pilot:
        form, facts = train_pane(app).form, app.query_one(FormFacts)
        form.change({"corpus": "lyrics-zh", "sample_prefix": "想家"})
        app.post_message(CorpusChosen({"corpus": "lyrics-zh"}, TextFacts(10_000, 2, known=["想", "家"])))
        app.post_message(CorpusChosen({"corpus": "/tmp/mine"}, TextFacts(10_000, 2, known=["想", "回"])))
        words = "sample prefix: not in the vocabulary, read as <unk>: 家"
        chosen = "is now the text in the settings: ctrl+t trains on it"
        await until(pilot, lambda: notices(app) == [f"lyrics-zh {chosen}", f"mine {chosen}\n{words}"])
        assert form.texts["sample_prefix"] == "想家"
        app.post_message(CorpusChosen({"corpus": "/tmp/short"}, TextFacts(900, 2)))
        await until(pilot, lambda: len(notices(app)) == 3)
        assert notices(app)[2].startswith(
            "short is now the text in the settings: they do not fit it\n"
            "too short for one batch: batch x steps needs 1,121 tokens to train on, there are 900"
        )
        train_pane(app).drawer = True
        await until(pilot, lambda: words in str(facts.content) and facts.region.height)
        form.edit("sample_prefix", "家")
        await until(pilot, lambda: "samples continue the beginning of the text: 家" in str(facts.content))
        form.edit("sample_prefix", "想回")
        await until(pilot, lambda: "sample prefix" not in str(facts.content))


async def test_done_offers_more_epochs(playground: Make, fakes: FakeEngines) -> None:
    app = playground()
    app_config = {"num_epochs": "12"}
    async with app.run_test(size=(120, 40)) as pilot:
        train_pane(app).form.change(app_config)
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "finished" in status(app) and "12/12" in status(app))
        assert label(app) == "Continue"
        await pilot.press("ctrl+t")
        await until(pilot, lambda: focused_setting(app) == "num_epochs")
        words = "all 12 epochs are done: to continue, type how many in all, such as 24, then enter"
        assert trouble(app) == words and wrong(app) == words
        await pilot.press(*"20")
        assert trouble(app) == ""
        await until(pilot, lambda: "ctrl+t continues with it; the run has 12" in noted(app))
        await pilot.press("enter")
        await until(pilot, lambda: "20/20" in status(app))


async def test_the_drawer_opens_shows_a_text_longer_than_its_field_and_closes(playground: Make) -> None:
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        settings = app.query_one("#settings")
        assert not settings.display
        await pilot.press("e")
        await until(pilot, lambda: settings.display and settings.has_focus_within)
        await until(pilot, lambda: focused_setting(app) == "corpus")
        corpus = app.query_one("#form RowEditor", Input)
        corpus.value = "/a/path/that/is/much/longer/than/the/field/in/which/it/stands/text.txt"
        await pilot.pause()
        assert (corpus.styles.scrollbar_size_horizontal, corpus.styles.scrollbar_size_vertical) == (0, 0), (
            "no scrollbar"
        )
        await pilot.press("escape")
        assert not settings.display
        assert app.query_one(RunView).has_focus_within


async def test_every_setting_can_be_reached_by_key(playground: Make) -> None:
    app = playground()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("e")
        await until(pilot, lambda: focused_setting(app) == "corpus")
        form, rows, scroll = train_pane(app).form, app.query_one("#form Rows", Rows), app.query_one("#form-scroll")
        for setting in settings():
            form.open_fold(setting.group)
        await until(pilot, lambda: shown_settings(form) == {setting.name for setting in settings()})
        for size in SIZES:
            await pilot.resize_terminal(*size)
            for setting in (*settings()[::5], settings()[-1]):
                form.focus_setting(setting.name)

                def is_seen(name: str = setting.name) -> bool:
                    return focused_setting(app) == name and scroll.region.contains_region(row_region(rows, name))

                await until(pilot, is_seen)


async def test_memory_and_devices_are_told_before_the_start_and_each_error(
    playground: Make,
) -> None:
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        facts = app.query_one("#form-facts", Static)
        await until(pilot, lambda: "memory about" in str(facts.content))
        assert "8 batches an epoch" in str(facts.content) and "s an epoch," not in str(facts.content)
        train_pane(app).form.change({"num_hiddens": "16000", "num_layers": "8", "cell": "lstm"})
        train_pane(app).show_plan()
        await until(pilot, lambda: "cuda:0" in str(facts.content))

        form, rows = train_pane(app).form, app.query_one("#form Rows", Rows)
        form.show_outside_error("num_steps", "first")
        await until(pilot, lambda: row_region(rows, "num_steps").height == 2)
        form.clear_outside_errors()
        form.show_outside_error("num_steps", "second")
        await pilot.pause()
        line = row_region(rows, "num_steps").bottom - 1 - rows.region.y
        assert "".join(segment.text for segment in rows.render_line(line)).strip() == "second"


async def test_a_new_run_does_not_inherit_what_another_was_changed_to(playground: Make, fakes: FakeEngines) -> None:
    fakes.halt_at = 5
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "5/250" in status(app))
        await pilot.press("plus")
        await until(pilot, lambda: train_pane(app).form.texts["learning_rate"] == "125")
        await pilot.press("ctrl+n")
        await until(pilot, lambda: train_pane(app).form.texts["learning_rate"] == "100")
        assert train_pane(app).form.preset == "lyrics-scratch-sequential"
        run = train_pane(app).run
        assert run is not None
        change = SettingChanged(5, "learning_rate", 125.0)  # the journal comes later
        app.news.publish(JournalGrew(run.path, (change,)))
        await pilot.pause()
        assert train_pane(app).form.texts["learning_rate"] == "100"


async def test_the_fit_of_a_budget_is_no_edit(playground: Make, fakes: FakeEngines) -> None:
    fakes.halt_at = 5
    app = playground()
    async with app.run_test(size=(200, 60)) as pilot:
        train_pane(app).form.change({"minutes": "3"})
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "epoch 5 " in status(app) and "fitting the epochs to 3 min" in status(app))
        run = train_pane(app).run
        assert run is not None
        fit = BudgetFitted(30, 4, 8, 0.0, 1.2, 5, 40, 3.0, 20.0, 0.1)
        app.news.publish(JournalGrew(run.path, (fit,)))
        await until(pilot, lambda: "5/30" in status(app) and "2:40 left of 3 min" in status(app))
        assert train_pane(app).form.texts["num_epochs"] == "30" and train_pane(app).plan == "watch"
