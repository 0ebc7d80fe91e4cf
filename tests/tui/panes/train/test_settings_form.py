"""The settings form: what it reads, what it says, what it makes of a person's keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.widgets import OptionList, Select, Static

from core.settings.presets import PRESETS, offered_presets
from core.settings.run_config import RunConfig, settings
from tests.tui.parts import errors, fold_row, notes, row_region, setting_row, shown_settings
from tests.tui.waiting import until
from tui.engines.watched_run import WatchedRun
from tui.forms.lines import group_key
from tui.forms.plain_input import RowEditor
from tui.forms.rows import Rows
from tui.forms.schema import texts_of, typed
from tui.panes.train.plan import live_edits, plan_of
from tui.panes.train.settings_form import SCHEMA, SettingsForm


class FormApp(App[None]):
    """The form alone."""

    CSS = """
    SettingsForm, Rows { height: auto }
    RowEditor { position: absolute }
    #form-scroll { height: 20 }
    """

    def compose(self) -> ComposeResult:
        yield SettingsForm(next(iter(PRESETS.values())).config, ("lyrics-zh", "tale-en"))

    @property
    def form(self) -> SettingsForm:
        return self.query_one(SettingsForm)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_every_preset_survives_being_typed(preset: object) -> None:
    config = preset.config  # type: ignore[attr-defined]
    assert SCHEMA.read(texts_of(config)).value == config


@pytest.mark.parametrize("value", [0.1 + 0.2, 1e-9, 123456.789, 1e22, 0.01, 100.0])
def test_typed_numbers_are_read_back(value: float) -> None:
    assert float(typed(value)) == value


def test_a_large_whole_number_is_typed_in_digits() -> None:
    assert [typed(value) for value in (1e6, 100.0, -2e7, 1e22)] == ["1000000", "100", "-20000000", "1e+22"]


def test_all_errors_at_once_in_words() -> None:
    reading = SCHEMA.read({**texts_of(RunConfig()), "num_steps": "0", "learning_rate": "x", "corpus": " "})
    assert reading.value is None
    assert set(reading.errors) == {"num_steps", "learning_rate", "corpus"}
    assert "corpus must be the name" in reading.errors["corpus"]


def test_errors_between_settings_stand_at_one_of_them() -> None:
    texts = {**texts_of(RunConfig()), "embedding_size": "100", "tied": "yes"}
    assert list(SCHEMA.read(texts).errors) == ["tied"]


def test_what_has_no_effect_is_no_error() -> None:
    texts = {**texts_of(RunConfig()), "decay_epochs": "never"}
    reading = SCHEMA.read(texts)
    assert "decay_epochs" not in reading.relevant and reading.value is not None
    reading = SCHEMA.read({**texts, "schedule": "step"})
    assert "decay_epochs" in reading.errors


def test_named_setting() -> None:
    assert SCHEMA.named("num_steps must be between 1 and 10,000, got 0") == "num_steps"
    assert SCHEMA.named("there is no such file") is None


async def test_every_setting_has_its_place() -> None:
    app = FormApp()
    async with app.run_test(size=(60, 40)) as pilot:
        for setting in settings():
            app.form.open_fold(setting.group)
        await pilot.pause()
        assert shown_settings(app.form) == {setting.name for setting in settings()}
        rows = app.query_one(Rows)
        drawn = ["".join(segment.text for segment in rows.render_line(y)) for y in range(rows.size.height)]
        assert [setting.label for setting in settings() if not any(setting.label in line for line in drawn)] == []


async def test_an_error_comes_and_goes_while_typing() -> None:
    app = FormApp()
    async with app.run_test(size=(60, 40)) as pilot:
        app.form.focus_setting("batch_size")
        await pilot.pause()
        await pilot.press("0")
        await pilot.pause()
        assert errors(app.form) == ["batch must be between 1 and 65,536, got 0"]
        await pilot.press("backspace", *"x[red]")
        await pilot.pause()
        assert errors(app.form) == ["batch must be a whole number between 1 and 65,536, got 'x[red]'"]
        await pilot.press(*["backspace"] * 6, *"64")
        await pilot.pause()
        assert errors(app.form) == []
        assert app.form.value is not None and app.form.value.batch_size == 64


async def test_an_error_that_goes_lays_the_screen_out_once() -> None:
    app = FormApp()
    async with app.run_test(size=(60, 40)) as pilot:
        app.form.focus_setting("batch_size")
        await pilot.pause()
        rows = app.query_one(Rows)
        height = rows.size.height
        await pilot.press("0")
        await until(pilot, lambda: rows.size.height > height)
        await pilot.pause()
        layouts: list[int] = []
        app.screen.screen_layout_refresh_signal.subscribe(app, lambda _: layouts.append(rows.size.height))
        await pilot.press("1")
        await until(pilot, lambda: rows.size.height == height)
        await pilot.pause()
        assert layouts == [height]


async def test_rows_are_scrolled_to_also_before_the_last_scroll_is_on_the_screen() -> None:
    app = FormApp()
    async with app.run_test(size=(60, 40)) as pilot:
        for setting in settings():
            app.form.open_fold(setting.group)
        rows, box = app.query_one(Rows), app.query_one("#form-scroll")
        await until(pilot, lambda: rows.size.height > 2 * box.size.height)
        first, last = settings()[0].name, settings()[-1].name
        rows.scroll_to_rows(last)
        rows.scroll_to_rows(first)
        await until(pilot, lambda: box.region.contains_region(row_region(rows, first)))
        rows.scroll_to_rows(last)
        await until(pilot, lambda: box.region.contains_region(row_region(rows, last)))


async def test_enter_unfolds_a_group() -> None:
    app = FormApp()
    async with app.run_test(size=(60, 40)) as pilot:
        app.form.focus_setting(group_key("text"))
        await pilot.press("enter")
        await pilot.pause()
        assert fold_row(app.form, "text").is_open and "tokens" in shown_settings(app.form)
        await pilot.press("enter")
        await pilot.pause()
        assert not fold_row(app.form, "text").is_open and "tokens" not in shown_settings(app.form)


async def test_choices_by_key_and_mouse() -> None:
    app = FormApp()
    async with app.run_test(size=(60, 40)) as pilot:
        app.form.focus_setting("cell")
        await pilot.pause()
        await pilot.press("right")
        assert app.form.texts["cell"] == "gru"
        await pilot.press("space", "space")
        await pilot.pause()
        assert app.form.texts["cell"] == "rnn"
        rows = app.query_one(Rows)
        row = row_region(rows, "cell")
        assert await pilot.click(offset=(row.x + 15 + 8, row.y))
        assert app.form.texts["cell"] == "gru"


async def test_a_preset_fills_the_form_and_an_edit_makes_it_custom() -> None:
    app = FormApp()
    async with app.run_test(size=(60, 40)) as pilot:
        select = app.query_one("#preset", Select)
        select.value = "lyrics-nn-rnn"
        await pilot.pause()
        assert app.form.preset == "lyrics-nn-rnn"
        assert app.form.value == PRESETS["lyrics-nn-rnn"].config
        app.form.focus_setting("num_hiddens")
        await pilot.pause()
        await pilot.press(*"64")
        await pilot.pause()
        assert app.form.preset is None and select.value == "custom"
        await pilot.press(*["backspace"] * 2, *"256")
        await pilot.pause()
        assert app.form.preset == "lyrics-nn-rnn"


async def test_a_suggested_prefix_goes_with_its_text_and_a_typed_one_stays() -> None:
    app = FormApp()
    async with app.run_test(size=(46, 60)):
        form = app.form
        for corpus, prefix in (("tale-en", "The "), ("t", ""), ("verse-zh", "春"), ("lyrics-zh", "分开")):
            form.edit("corpus", corpus)
            assert form.texts["sample_prefix"] == prefix, corpus
        assert form.preset == "lyrics-scratch-sequential"
        for prefix in ("想", ""):
            form.edit("sample_prefix", prefix)
            for corpus in ("tale-en", "t", "lyrics-zh"):
                form.edit("corpus", corpus)
                assert form.texts["sample_prefix"] == prefix
        form.fill(RunConfig(corpus="lyrics-zh", sample_prefix=""))
        for corpus in ("t", "tale-en", "lyrics-zh"):
            form.edit("corpus", corpus)
            assert form.texts["sample_prefix"] == "", "that of a run is a person's too"
        form.fill(RunConfig(corpus="mine.txt"))
        for corpus, prefix in (("lyrics-zh", "分开"), ("mine.txt", "")):
            form.edit("corpus", corpus)
            assert form.texts["sample_prefix"] == prefix, corpus


async def test_what_has_no_effect_is_dimmed_and_says_why() -> None:
    app = FormApp()
    async with app.run_test(size=(60, 40)) as pilot:
        app.form.change({"clipping": "none"})
        await pilot.pause()
        assert setting_row(app.form, "clip").effect == "idle"
        app.form.focus_setting("clip")
        await pilot.pause()
        help_line = app.query_one("#form-help", Static)
        assert str(help_line.content).startswith("no effect while clipping is none; it has one with norm or value")
        app.form.change({"clipping": "norm"})
        await pilot.pause()
        assert not setting_row(app.form, "clip").effect and not str(help_line.content).startswith("no effect")


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("momentum", {"optimiser": "adam"}, "no effect while optimiser is adam; it has one with sgd or rmsprop"),
        ("activation", {"cell": "lstm"}, "no effect while cell is lstm; it has one with rnn"),
        ("patience", {}, "no effect while held out is 0"),
        ("tied", {}, "no effect while embedding is 0"),
        ("sample_length", {"sample_every": "0"}, "no effect while sample every is 0"),
        ("sampling", {"documents": "lines"}, "no effect while documents is lines; it has one with stream"),
        ("hidden", {}, ""),
    ],
)
def test_why_a_setting_has_no_effect(name: str, changes: dict[str, str], words: str) -> None:
    setting = next(setting for setting in settings() if name in (setting.name, setting.label))
    assert SCHEMA.no_effect_reason(setting, {**texts_of(RunConfig()), **changes}) == words


def test_every_idle_setting_can_say_why() -> None:
    texts = {**texts_of(RunConfig()), "documents": "lines", "optimiser": "adam", "clipping": "none", "cell": "gru"}
    idle = [setting for setting in settings() if setting.name not in SCHEMA.read(texts).relevant]
    assert len(idle) > 8
    assert all("while" in SCHEMA.no_effect_reason(setting, texts) for setting in idle)


async def test_a_bidirectional_model_is_explained_beside_the_setting() -> None:
    app = FormApp()
    async with app.run_test(size=(60, 40)) as pilot:
        app.form.focus_setting("bidirectional")
        await pilot.pause()
        assert not notes(app.form)
        await pilot.press("right")
        await pilot.pause()
        words = " ".join(notes(app.form))
        assert "sees the token that it predicts" in words and "cannot generate" in words
        await pilot.press("left")
        await pilot.pause()
        assert not notes(app.form)


async def test_pasted_control_characters_do_not_enter() -> None:
    app = FormApp()
    async with app.run_test(size=(60, 40)) as pilot:
        app.form.focus_setting("corpus")
        app.query_one(RowEditor).value = "poems\x1b[31m\x07\nzh"
        await pilot.pause()
        assert app.form.texts["corpus"] == "poems[31m zh"


async def test_a_long_note_says_where_all_of_it_is() -> None:
    app = FormApp()
    async with app.run_test(size=(60, 40)) as pilot:
        app.query_one("#form-help").styles.height = 3
        await pilot.pause()
        for preset in list(PRESETS.values())[1:]:
            app.query_one("#preset", Select).value = preset.name
            await pilot.pause()
            words, _, more = str(app.query_one("#form-help", Static).content).partition(" … ")
            whole = f"{preset.title}; {preset.source}. {preset.note}".split()
            assert more == ("" if words.split() == whole else "(i: all of it)")
            assert words.split() == whole[: len(words.split())], "cut at a word"


async def test_the_list_of_presets_is_cut_at_a_word() -> None:
    async with FormApp().run_test(size=(80, 24)) as pilot:
        prompts = [str(line.prompt) for line in pilot.app.query_one("#preset OptionList", OptionList).options]
    titles = [preset.title.split() for preset in offered_presets().values()]
    shown = [prompt.split()[1:] for prompt in prompts[:-1]]
    assert sum(words != title for words, title in zip(shown, titles, strict=True)) == 3
    for words, title in zip(shown, titles, strict=True):
        assert " ".join(words).removesuffix("…").split() == title[: len(words)]


async def test_focus_tells_what_a_setting_is() -> None:
    app = FormApp()
    async with app.run_test(size=(60, 40)) as pilot:
        app.form.focus_setting("dropout")
        await pilot.pause()
        words = str(app.query_one("#form-help", Static).content)
        assert "fraction of units set to zero" in words and "at least 0 and below 1" in words and "default 0" in words


def test_plan() -> None:
    config = RunConfig()
    texts = texts_of(config)
    assert plan_of(None, texts, config, False) == "new"
    run = WatchedRun(Path("/saves/one"), "training")
    run.config, run.learning_rate, run.num_epochs = config, 100.0, 250
    assert plan_of(run, texts, config, False) == "watch"
    assert plan_of(run, texts, config, True) == "new"
    faster = config.replace(learning_rate=125.0)
    assert plan_of(run, texts_of(faster), faster, False) == "apply"
    assert live_edits(run, faster) == {"learning_rate": 125.0}
    run.state = "paused"
    assert plan_of(run, texts, config, False) == "resume"
    run.state = "finished"
    assert plan_of(run, texts, config, False) == "continue"
    assert plan_of(run, texts_of(config.replace(batch_size=8)), config, False) == "new"


def test_the_epochs_that_fit_a_budget_are_no_settings_of_ones_own() -> None:
    config = PRESETS["shakespeare-fast"].config
    assert SettingsForm(config.replace(num_epochs=7)).preset == "shakespeare-fast"
    assert SettingsForm(config.replace(num_epochs=7, minutes=0.0)).preset is None
