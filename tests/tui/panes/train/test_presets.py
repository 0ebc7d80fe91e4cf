"""Presets: how one is chosen, what is said about it, and its published figures."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Select, Static

from core.events import State, StateChanged
from core.settings.presets import PRESETS
from tests.run_folders import made_run, write_journal
from tests.tui.fake_engine import FakeEngines, scripted_epoch
from tests.tui.panes.train.harness import Make, status, trouble
from tests.tui.parts import focused_setting, train_pane
from tests.tui.waiting import until
from tui.charts.curve_chart import CurveChart
from tui.messages import TextsChanged
from tui.panes.train.comparison import other_precision, preset_of
from tui.panes.train.preset_dialog import PresetScreen, about


async def test_every_preset_can_be_chosen(playground: Make) -> None:
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        for name, preset in PRESETS.items():
            app.query_one("#preset", Select).value = name
            await until(pilot, lambda name=name: train_pane(app).form.preset == name)
            assert train_pane(app).form.value == preset.config


@pytest.mark.parametrize("name", ["time-machine-scratch", "shakespeare-fast"])
async def test_a_preset_whose_text_is_not_here_says_how_to_get_it(
    playground: Make, fakes: FakeEngines, data_dir: Path, name: str
) -> None:
    corpus = PRESETS[name].config.corpus
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        app.query_one("#preset", Select).value = name
        await until(pilot, lambda: train_pane(app).form.preset == name)
        facts = app.query_one("#form-facts", Static)
        await until(pilot, lambda: f"{corpus} is not downloaded: the Data pane (f2) downloads it" in str(facts.content))
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "is not downloaded" in trouble(app))
        assert focused_setting(app) == "corpus"
        assert "create" not in fakes.asked and not app.query("#curve").first().display
        (data_dir / "downloads").mkdir()
        (data_dir / "downloads" / f"{corpus}.txt").write_text("text " * 10_000)
        app.post_message(TextsChanged())
        await until(pilot, lambda: "parameters" in str(facts.content))
        assert trouble(app) == ""


async def test_published_figures_are_shown_on_their_text_and_told_of(playground: Make, saves: Path) -> None:
    config = PRESETS["lyrics-nn-gru"].config
    own, other = made_run(saves, config, "own"), made_run(saves, config.replace(corpus="/tmp/another.txt"), "other")
    half = made_run(saves, config.replace(precision="bf16"), "half")
    app = playground()
    async with app.run_test(size=(120, 40)) as pilot:
        for run, is_shown in ((own, True), (other, False), (half, True)):
            write_journal(run, *(scripted_epoch(epoch) for epoch in range(1, 161)), StateChanged(State.FINISHED, 160))
            await app.open_run(run.path)
            await until(pilot, lambda run=run: f"{run.path.name} · finished · epoch 160/160" in status(app))
            comparison, chart = app.query_one("#comparison"), app.query_one(CurveChart)
            if is_shown:
                await until(pilot, lambda comparison=comparison: comparison.display)
            else:
                await until(pilot, lambda chart=chart: "published" not in [series.name for series in chart.series])
            await pilot.pause()
            names = [series.name for series in chart.series]
            assert ("published" in names) == is_shown == comparison.display, names
            if is_shown:
                await pilot.press("i")
                await until(pilot, lambda: isinstance(app.screen, PresetScreen) and app.screen.query("#preset-words"))
                words = str(app.screen.query_one("#preset-words", Static).content)
                assert "chapter 6" in words and "under copyright" in words and f"measured in {run.path.name}" in words
                assert ["160", "1.020", "2.495"] in [line.split() for line in words.splitlines()]
                is_half = run is half
                assert ("measured in half, bf16" in words) == is_half
                assert str(app.query_one("#comparison", Static).content).endswith("  bf16") == is_half
                await pilot.press("escape")
                await until(pilot, lambda: not isinstance(app.screen, PresetScreen))


def test_published_figures_are_those_of_any_way_to_compute() -> None:
    preset = PRESETS["lyrics-nn-rnn"]
    for changed in ({"workers": 2}, {"cpu_path": "plain"}, {"gpu_path": "plain"}, {"threads": 1, "device": "cpu"}):
        config = preset.config.replace(**changed)
        assert preset_of(config) is preset and not other_precision(config, preset)
    config = preset.config.replace(precision="bf16")
    assert preset_of(config) is preset and other_precision(config, preset) == "bf16"
    assert preset_of(preset.config.replace(num_hiddens=255)) is None
    scratch = PRESETS["lyrics-scratch-random"]  # whose path is refused by presets of torch.nn
    assert preset_of(scratch.config.replace(cpu_path="textbook")) is scratch


def test_every_preset_can_be_told_of() -> None:
    for preset in PRESETS.values():
        words = about(preset, {}, "").plain
        assert all(part in words for part in (preset.title, preset.source, preset.note)), preset.name
        assert ("No perplexity by epoch was published." in words) == (not preset.published), preset.name
