"""The Data pane: choosing a text, its statistics, and what is wrong with it."""

from __future__ import annotations

import asyncio
import gzip
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Button, Input, OptionList, Static, Tab, TabbedContent

from core.corpus.catalogue import DOWNLOADS
from core.errors import CorpusError
from core.settings.run_config import END, PADDING, START
from tests.tui.pane_harness import PaneApp
from tests.tui.parts import errors, form_of, setting_row, title
from tests.tui.waiting import until
from tui.commands import described
from tui.corpora import statistics
from tui.corpora.statistics import head, matches
from tui.dialogs.confirm import ConfirmDialog
from tui.dialogs.path_input import PathInput
from tui.messages import CorpusChosen, TextsChanged
from tui.panes.data import pane as data_module
from tui.panes.data.batch_examples import batch_lines
from tui.panes.data.corpus_facts import counts, first_encoding, one_hot_lesson, remarks
from tui.panes.data.pane import DataPane
from tui.panes.data.text_list import TextList
from tui.text.cells import cell_len, distinct_labels

SIZE = (120, 40)
SETTINGS = {
    "normalise": "none", "tokens": "char", "max_tokens": 0, "min_freq": 0, "batch_size": 2, "num_steps": 5,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two bundled texts."""
    (tmp_path / "first.txt").write_text("分开了很久 我还在原地\n" * 40, encoding="utf-8")
    (tmp_path / "second.txt").write_text("[bold]red[/] \x1b[31m\n" * 40, encoding="utf-8")
    return tmp_path


async def test_the_footer_of_the_path_says_enter_and_escape(folder: Path) -> None:
    app = PaneApp(DataPane(), folder / "saves", data=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        app.pane.focus()
        await until(pilot, lambda: app.query_one(TextList).has_focus and app.query_one(TextList).option_count)

        def in_footer() -> dict[str, str]:
            return {key: active.binding.description for key, active in app.screen.active_bindings.items()
                    if active.binding.show and key in ("enter", "escape")}  # fmt: skip

        assert "escape" not in in_footer(), "nothing to leave"
        await pilot.press("p")
        await until(pilot, lambda: in_footer() == {"enter": "Show it", "escape": "Texts"})
        await pilot.press("escape")
        await until(pilot, lambda: app.query_one(TextList).has_focus)


async def test_the_help_names_every_view(folder: Path) -> None:
    app = PaneApp(DataPane(), folder / "saves", data=folder)
    async with app.run_test(size=SIZE):
        views = [str(tab.label).lower() for tab in app.query(Tab).results(Tab)]
        key = next(binding for binding in described(DataPane.BINDINGS) if binding.id == "data.view")
        assert key.tooltip.lower() == ", ".join(views)


def facts_of(source: str, values: dict[str, Any]) -> dict[str, Any]:
    """Statistics like those of the command."""
    row = list("分开 了很")
    batch = {"X": [row], "Y": [[*row[1:], "久"]], "starts": [0]}
    return {
        "name": Path(source).stem, "path": source, "sha256": "ab" * 32, "bytes": 100, "encoding": "utf-8",
        "normalise": values["normalise"], "token_kind": values["tokens"], "lines": 7, "tokens": 1234,
        "vocabulary": 57, "unknown_share": 0.0,
        "top": {"1": [["分", 12], ["\x1b", 3]], "2": [[["分", "开"], 9]], "3": [[["分", "开", "了"], 2]]},
        "zipf": {order: {"ranks": [1, 2], "frequencies": [4, 2], "slope": -1.0} for order in "123"},
        "entropy_bits": {"unigram": 5.0, "bigram_joint": 7.0, "bigram_conditional": 2.0},
        "one_hot": {"shape": [values["num_steps"], values["batch_size"], 57], "bytes": 255_360, "ids_bytes": 2240,
                    "ones": 1120, "density": 1 / 57},
        "examples": {"batches": 3, "reason": None, "sequential": [batch] * 2, "random": [batch]},
    }  # fmt: skip


class Describer:
    """Stands in for the process that computes statistics."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.error = ""

    async def __call__(self, source: str, *, data_dir: Path | None, **values: Any) -> dict[str, Any]:
        self.asked.append((source, values))
        if self.error:
            raise CorpusError(self.error)
        return facts_of(source, values)


@pytest.fixture
def describer(monkeypatch: pytest.MonkeyPatch) -> Describer:
    """The pane's statistics, at once and as they are wanted."""
    describer = Describer()
    monkeypatch.setattr(data_module, "describe", describer)
    return describer


async def computed(pilot: Any, app: PaneApp) -> None:
    """Wait until the chosen text is ready to be used."""
    app.pane.focus()
    await until(pilot, lambda: not app.query_one("#data-use", Button).disabled)


async def test_it_begins_with_the_first_text(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await computed(pilot, app)
        assert [source for source, _ in describer.asked] == ["first"]
        assert title(app.query_one("#data-view")) == "first · 1,234 characters · vocabulary 57"
        numbers = app.query_one("#corpus-numbers", Static)
        await until(pilot, lambda: str(numbers.content))
        words = str(numbers.content)
        assert "1,234" in words and "abababab" in words and "(35, 32, 57)" in words


async def test_enter_takes_the_text_to_train(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await computed(pilot, app)
        form_of(app).edit("max_tokens", "5,000")
        await until(pilot, lambda: len(describer.asked) == 2)
        await computed(pilot, app)
        await pilot.press("enter")
        await until(pilot, lambda: app.of(CorpusChosen))
        assert app.of(CorpusChosen)[0].settings == {
            "corpus": "first", "normalise": "spaces", "tokens": "char", "documents": "stream", "max_tokens": 5000,
            "min_freq": 0,
        }  # fmt: skip


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_click_selects_and_a_double_click_uses(
    folder: Path, describer: Describer, size: tuple[int, int]
) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=size) as pilot:
        await computed(pilot, app)
        texts = app.query_one(TextList)
        for index in (1, 0, 0):
            await pilot.click(TextList, offset=(3, index))
            await until(pilot, lambda index=index: texts.highlighted == index)
            await computed(pilot, app)
            await pilot.pause(0.6)
            assert not app.of(CorpusChosen), "a look is no use"
        await pilot.click(TextList, offset=(3, 1), times=2)
        await until(pilot, lambda: app.of(CorpusChosen))  # though it had not been read yet
        assert [event.settings["corpus"] for event in app.of(CorpusChosen)] == ["second"]


async def test_a_text_that_is_used_before_it_is_read(
    folder: Path, describer: Describer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_module, "DEBOUNCE", 0.5)
    for keys, taken in ((("enter",), True), (("enter", "up"), False), (("up", "down"), False)):
        app = PaneApp(DataPane(), folder, data=folder)
        async with app.run_test(size=SIZE) as pilot:
            await computed(pilot, app)
            await pilot.press("down", *keys)
            await computed(pilot, app)
            await pilot.pause()
            assert bool(app.of(CorpusChosen)) is taken, keys


async def test_fast_typing_is_computed_once(
    folder: Path, describer: Describer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_module, "DEBOUNCE", 1.5)
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await computed(pilot, app)
        form_of(app).focus_setting("num_steps")
        await pilot.press("1", "2", "3")
        assert app.query_one("#data-use", Button).disabled
        await computed(pilot, app)
        assert [values["num_steps"] for _, values in describer.asked] == [35, 123]


async def test_a_wrong_number_is_said_beside_its_field(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await computed(pilot, app)
        form_of(app).edit("batch_size", "0")
        await until(pilot, lambda: "between 1 and 65,536, got 0" in setting_row(form_of(app), "batch_size").error)
        await pilot.press("u")
        assert not app.of(CorpusChosen) and len(describer.asked) == 1


async def test_what_is_wrong_with_a_text_is_said(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await computed(pilot, app)
        describer.error = "there is no file '[bold]\x1b': give a path"
        await pilot.press("down")
        notice = app.query_one("#data-notice", Static)
        await until(pilot, lambda: notice.display)
        await until(pilot, lambda: str(notice.content) == "there is no file '[bold]\\x1b': give a path")
        assert not app.query_one("#data-tabs").display and app.query_one("#data-use", Button).disabled
        describer.error = ""
        await pilot.press("up")
        await computed(pilot, app)
        assert not notice.display


async def test_without_bundled_texts_the_downloads_stand_there(tmp_path: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), tmp_path, data=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.query_one("#data-download").display)
        assert app.query_one("#data-texts", OptionList).option_count == len(DOWNLOADS)
        assert not describer.asked


class Downloader:
    """Stands in for the process that downloads: it stops half way until ``go`` is set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.error = ""
        self.cancelled = False
        self.go = asyncio.Event()

    async def __call__(self, name: str, *, data_dir: Path | None, progress: Callable[[int, int], None]) -> None:
        assert data_dir == self.folder
        self.asked.append(name)
        progress(89_489, 178_979)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.error:
            raise CorpusError(self.error)
        (self.folder / "downloads").mkdir()
        (self.folder / "downloads" / f"{name}.txt").write_text("the time machine " * 40, encoding="utf-8")


@pytest.fixture
def downloader(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Downloader:
    """The pane's downloads, scripted."""
    downloader = Downloader(folder)
    monkeypatch.setattr(data_module, "download", downloader)
    return downloader


def words(app: PaneApp, name: str) -> str:
    return str(app.screen.query_one(name, Static).content)


async def offered(pilot: Any, app: PaneApp) -> None:
    """Choose the first download, which stands below the two texts."""
    await computed(pilot, app)
    await pilot.press("down", "down")
    await until(pilot, lambda: app.query_one("#data-download").display)


async def confirmed(pilot: Any, app: PaneApp) -> None:
    """Ask for it, and say yes."""
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, ConfirmDialog) and app.screen.query("#yes"))
    await pilot.press("enter")
    await until(pilot, lambda: not isinstance(app.screen, ConfirmDialog))


async def test_nothing_is_downloaded_before_it_is_confirmed(
    folder: Path, describer: Describer, downloader: Downloader
) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await offered(pilot, app)
        for part in ("179 kB", "public domain", "Dive into Deep Learning", "https://d2l-data", "sha256 8424"):
            assert part in words(app, "#download-facts")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog) and app.screen.query(".dialog-body"))
        for part in ("179 kB", "public domain", "Dive into Deep Learning"):
            assert part in words(app, ".dialog-body")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, ConfirmDialog))
        assert not downloader.asked and not app.of(CorpusChosen)
        assert "time-machine" not in [name for name, _ in describer.asked]


@pytest.mark.parametrize("size", [(80, 24), SIZE])
async def test_a_download_shows_how_far_it_is_and_then_opens(
    folder: Path, describer: Describer, downloader: Downloader, size: tuple[int, int]
) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=size) as pilot:
        await offered(pilot, app)
        await confirmed(pilot, app)
        await until(pilot, lambda: "89.5 kB of 179 kB" in words(app, "#download-state"))
        listed = app.query_one("#data-texts", OptionList)
        assert "50%" in str(listed.get_option_at_index(2).prompt)
        await pilot.press("enter")  # once is enough
        downloader.go.set()
        await computed(pilot, app)
        assert downloader.asked == ["time-machine"] and describer.asked[-1][0] == "time-machine"
        assert app.of(TextsChanged) and "50%" not in str(listed.get_option_at_index(2).prompt)
        await pilot.press("enter")
        await until(pilot, lambda: app.of(CorpusChosen))
        assert app.of(CorpusChosen)[0].settings["corpus"] == "time-machine"


async def test_a_download_goes_on_while_other_texts_are_looked_at(
    folder: Path, describer: Describer, downloader: Downloader
) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await offered(pilot, app)
        await confirmed(pilot, app)
        await pilot.press("up")
        await computed(pilot, app)
        assert not app.query_one("#data-download").display
        downloader.go.set()
        await until(pilot, lambda: app.of(TextsChanged))
        await until(pilot, lambda: "not downloaded" not in str(
            app.query_one("#data-texts", OptionList).get_option_at_index(2).prompt))  # fmt: skip
        assert describer.asked[-1][0] == "second" and "time-machine is downloaded" in app.notices


async def test_a_download_can_be_cancelled(folder: Path, describer: Describer, downloader: Downloader) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await offered(pilot, app)
        await confirmed(pilot, app)
        await until(pilot, lambda: downloader.asked)
        await pilot.press("x")
        await until(pilot, lambda: downloader.cancelled)
        await until(pilot, lambda: "not downloaded" in words(app, "#download-state"))
        assert app.query_one("#download-go").display and not app.query_one("#download-cancel").display


async def test_leaving_ends_a_download(folder: Path, describer: Describer, downloader: Downloader) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await offered(pilot, app)
        await confirmed(pilot, app)
        await until(pilot, lambda: downloader.asked)
    assert downloader.cancelled


async def test_what_went_wrong_stands_where_the_bar_was(
    folder: Path, describer: Describer, downloader: Downloader
) -> None:
    downloader.error = "time-machine cannot be fetched, there is no way to [bold]: check the network and try again"
    downloader.go.set()
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await offered(pilot, app)
        await confirmed(pilot, app)
        await until(pilot, lambda: words(app, "#download-state") == downloader.error)
        assert str(app.query_one("#download-go", Button).label) == "Try again …"
        downloader.error = ""
        await confirmed(pilot, app)
        await computed(pilot, app)
        assert describer.asked[-1][0] == "time-machine"


async def test_poems_are_chosen_and_taken_to_train(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await computed(pilot, app)
        form = form_of(app)
        form.focus_setting("documents")
        await pilot.press("right")
        await until(pilot, lambda: "choose normalise=none" in setting_row(form, "documents").error)
        form.focus_setting("normalise")
        await pilot.press("home")
        await computed(pilot, app)
        assert not errors(form)
        asked = describer.asked[-1][1]
        assert (asked["documents"], asked["normalise"]) == ("lines", "none")
        await pilot.press("enter")
        await until(pilot, lambda: app.of(CorpusChosen))
        assert app.of(CorpusChosen)[0].settings["documents"] == "lines"


async def test_a_path_is_completed_and_read(folder: Path, describer: Describer) -> None:
    (folder / "own").mkdir()
    (folder / "own" / "poems-zh.txt").write_text("诗", encoding="utf-8")
    (folder / "own" / "poems-en.txt").write_text("poem", encoding="utf-8")
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=SIZE) as pilot:
        await computed(pilot, app)
        await pilot.press("p")
        line = app.query_one("#path-line", Input)
        line.value = f"{folder}/own/p"
        await until(pilot, lambda: app.query_one("#path-matches", OptionList).option_count == 2)
        await until(pilot, lambda: app.query_one(PathInput).completion)
        await pilot.press("tab")
        await until(pilot, lambda: line.value == f"{folder}/own/poems-")
        await until(pilot, lambda: app.query_one("#path-matches", OptionList).option_count == 2)
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: describer.asked[-1][0] == f"{folder}/own/poems-zh.txt")
        await until(pilot, lambda: not app.query_one("#data-use", Button).disabled)
        assert not app.query_one("#path-matches").display
        await pilot.press("enter")
        await until(pilot, lambda: app.of(CorpusChosen))
        assert app.of(CorpusChosen)[0].settings["corpus"] == f"{folder}/own/poems-zh.txt"
        await pilot.press("escape")
        await until(pilot, lambda: app.query_one("#data-texts").has_focus)


async def test_enter_takes_the_match_that_the_arrows_chose_and_else_what_was_typed(
    folder: Path, describer: Describer
) -> None:
    for name in ("poems-en", "poems-zh"):
        (folder / f"{name}.txt").write_text("诗", encoding="utf-8")
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await computed(pilot, app)
        await pilot.press("p")
        line, matches = app.query_one("#path-line", Input), app.query_one("#path-matches", OptionList)
        line.value = f"{folder}/poems"
        await until(pilot, lambda: matches.option_count == 2)
        await pilot.press("down", "down", "shift+tab")
        await until(pilot, lambda: line.has_focus)
        await pilot.press("enter")
        await until(pilot, lambda: describer.asked[-1][0] == f"{folder}/poems-zh.txt")
        line.value = f"{folder}/poems"
        await until(pilot, lambda: matches.display)
        await pilot.press("down", "up")
        assert line.has_focus and matches.highlighted is None
        await pilot.press("enter")
        await until(pilot, lambda: describer.asked[-1][0] == f"{folder}/poems")


def test_long_n_grams_stay_distinct() -> None:
    names = ["the time traveller", "the time traveller s", "the time machine", "a b", "猫坐在垫子上面看着窗外的雨"]
    for cells in range(1, 24):
        labels = distinct_labels(names, cells)
        assert all(cell_len(label) <= cells for label in labels)
        if cells >= 5:
            assert len(set(labels)) == len(names), (cells, labels)
    assert distinct_labels(names, 12) == ["the t…veller", "the t…ller s", "the time ma…", "a b", "猫坐在垫子…"]
    same = ["x" * 30 + "a" * 30 + "y" * 30, "x" * 30 + "b" * 30 + "y" * 30]
    assert len(set(distinct_labels(same, 10))) == 2


async def test_every_view_can_be_reached(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await computed(pilot, app)
        seen = []
        for _ in range(6):
            seen.append(app.query_one(TabbedContent).active)
            await pilot.press("v")
            await pilot.pause()
        assert len(set(seen)) == 6 and app.query_one(TabbedContent).active == seen[0]


async def test_the_text_is_shown_as_text(folder: Path, describer: Describer) -> None:
    app = PaneApp(DataPane(), folder, data=folder)
    async with app.run_test(size=(200, 60)) as pilot:
        await computed(pilot, app)
        await app.query_one(PathInput).query_one(Input).action_submit()
        app.query_one(PathInput).post_message(PathInput.Submitted(str(folder / "second.txt")))
        await until(pilot, lambda: "second" in describer.asked[-1][0])
        await until(
            pilot, lambda: str(app.query_one("#data-head", Static).content).startswith("[bold]red[/] \\x1b[31m")
        )


def test_y_is_x_one_token_on() -> None:
    examples = facts_of("x", SETTINGS)["examples"]
    lines = [line.plain for line in batch_lines(examples, "char", 60)]
    x_line = next(line for line in lines if line.startswith("row 1"))
    y_line = next(line for line in lines if line.lstrip().startswith("Y "))
    assert cell_len(x_line) == cell_len(y_line)
    assert x_line.endswith("X 分开␣ 了很") and y_line.endswith("Y 开␣ 了很久")
    assert all(cell_len(line) <= 60 for line in lines)


@pytest.mark.parametrize("width", [24, 30, 46, 80])
@pytest.mark.parametrize("kind", ["char", "word"])
def test_long_rows_keep_their_ends(width: int, kind: str) -> None:
    row = ["时间", "the", " ", "traveller", "😀"] * 20
    batch = {"X": [row], "Y": [[*row[1:], "久"]], "starts": [0]}
    lines = batch_lines({"batches": 1, "reason": None, "sequential": [batch, batch], "random": [batch]}, kind, width)
    rows = [line.plain for line in lines if " X " in line.plain or "Y " in line.plain]
    assert rows and all(cell_len(row) <= width for row in rows)
    assert any("…" in line.plain for line in lines)


def test_a_text_too_short_says_so() -> None:
    examples = {"batches": 0, "reason": "the text has 3 tokens", "sequential": [], "random": []}
    assert [line.plain for line in batch_lines(examples, "char", 60)] == ["the text has 3 tokens"]


@pytest.mark.parametrize("width", [34, 46, 80])
def test_poems_begin_and_end_and_are_filled_up(width: int) -> None:
    row = [START, "分", "开", END, *[PADDING] * 30]
    batch = {"X": [row[:-1], row[:-1]], "Y": [row[1:], row[1:]]}
    last = {"X": [row[:-1]], "Y": [row[1:]]}
    lines = [line.plain for line in batch_lines({"batches": 2, "reason": None, "lines": [batch, last]}, "char", width)]
    assert lines[0] == "lines · 2 batches an epoch"
    x_line = next(line for line in lines if line.startswith("row 1 batch 1 X"))
    assert "▸ 分开◂ · " in x_line and all(cell_len(line) <= width for line in lines if "X " in line)
    assert sum("X ▸" in line for line in lines) == 3


def test_poems_are_counted() -> None:
    facts = {**facts_of("x", SETTINGS), "poems": {"lines": 349, "longest": 132, "cut": 8}}
    told = " ".join(text for line in counts(facts, 80) for text, _ in line)
    assert "poems" in told and "349" in told and "132 tokens" in told and "8 poems" in told


@pytest.mark.parametrize("width", [20, 46, 76, 120])
def test_numbers_fit(width: int) -> None:
    facts = facts_of("x", SETTINGS)
    lines = [*counts(facts, width), *(one_hot_lesson(facts["one_hot"], width) if width > 40 else [])]
    assert all(sum(cell_len(text) for text, _ in line) <= width for line in lines)


def test_matches(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", ".hidden", "bad\x1b.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "folder").mkdir()
    assert matches(f"{tmp_path}/") == [f"{tmp_path}/folder/", f"{tmp_path}/a.txt", f"{tmp_path}/b.txt"]
    assert matches(f"{tmp_path}/.h") == [f"{tmp_path}/.hidden"]
    assert matches(f"{tmp_path}/nowhere/x") == [] and matches("\0") == []


def test_the_beginning_of_a_text(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeff分\r\n开".encode())
    assert head(path, "utf-8") == "分\n开"
    assert head(tmp_path / "none", "utf-8") == "" and head(path, "no-such-encoding") == ""


def test_the_beginning_of_several_and_of_compressed_files(tmp_path: Path) -> None:
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress("分开".encode("gb18030") * 9000))
    (tmp_path / "c.txt").write_text("later")
    assert head(tmp_path / "b.txt.gz", "gb18030").startswith("分开分开")
    assert head(tmp_path, "gb18030").startswith("分开分开") and head(tmp_path / "*.txt", "utf-8") == "later"
    assert head(tmp_path / "*.md", "utf-8") == ""
    facts = {**facts_of("x", SETTINGS), "encoding": "mixed", "files": [{"encoding": "gb18030"}, {"encoding": "utf-8"}]}
    assert first_encoding(facts) == "gb18030"
    told = " ".join(text for line in counts(facts, 80) for text, _ in line)
    assert "files       2 " in told and "mixed" in told


@pytest.mark.parametrize("width", [24, 46, 120])
def test_long_texts_and_a_failing_cache_are_remarked(width: int) -> None:
    problem = "the cache in /缓存/tokens cannot be written (No space left on device): \x1b[31m the text stays in memory"
    lines = remarks({"gram_disk_bytes": 4_900_000_000, "problem": problem}, width)
    told = "".join(text for line in lines for text, _ in line)
    assert "4.9 GB" in told and "缓存" in told and "\x1b" not in told
    assert all(sum(cell_len(text) for text, _ in line) <= width for line in lines)
    assert remarks(facts_of("x", SETTINGS), width) == []


async def test_poems_come_from_the_command(folder: Path) -> None:
    facts = await statistics.describe("first", data_dir=folder, documents="lines", **SETTINGS)
    assert facts["poems"]["lines"] == 40 and facts["examples"]["lines"][0]["X"][0][0] == START


async def test_statistics_come_from_the_command(folder: Path) -> None:
    facts = await statistics.describe("first", data_dir=folder, **SETTINGS)
    assert (facts["name"], facts["lines"], facts["one_hot"]["shape"][:2]) == ("first", 40, [5, 2])
    with pytest.raises(CorpusError, match=r"^there is no (file|text) 'nowhere'"):
        await statistics.describe("nowhere", data_dir=folder, **SETTINGS)


async def test_a_choice_that_was_changed_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "slow"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    task = asyncio.create_task(statistics.describe("first", **SETTINGS))
    deadline = time.monotonic() + 10
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
